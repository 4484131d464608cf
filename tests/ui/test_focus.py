"""The page by keyboard: dialogs keep the focus and give it back, Escape closes them, no focus is lost or unseen."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.conftest import upload
from tests.ui.test_editor import COMMENTED

MISSPELT = COMMENTED.replace("toFQDNs:", "tofqdn:")
FOCUSED = """() => {
  const focus = document.activeElement;
  const around = focus.closest(".cm-editor");
  const drawn = [focus, around].some(each => each && getComputedStyle(each).outlineStyle !== "none");
  return [Number(focus.dataset.tab ?? -1), focus === document.body || drawn, focus.outerHTML.slice(0, 200)];
}"""
"""[its number, whether one sees that it has the focus, how it begins]"""


def within(dialog: Locator) -> bool:
    """The page's focus is in the dialog, or in the browser's own bars."""
    found: bool = dialog.evaluate(
        "dialog => document.activeElement === document.body || dialog.contains(document.activeElement)"
    )
    return found


def reached_by_tab(page: Page) -> None:
    """Every control, in the order of the page, and one sees where the focus is."""
    page.wait_for_timeout(500)
    controls = page.evaluate(
        """() => {
          const all = [...document.querySelectorAll("a[href], button, input, select, textarea, [tabindex='0']")]
            .filter(each => !each.disabled && each.tabIndex >= 0 && each.checkVisibility({ visibilityProperty: true })
              && !(each.type === "radio" && !each.checked));
          all.forEach((each, at) => { each.dataset.tab = at; });
          document.activeElement.blur();
          return all.length;
        }"""
    )
    page.locator(".skip").focus()
    reached = [0]
    for _ in range(controls + 10):
        page.keyboard.press("Tab")
        at, seen, what = page.evaluate(FOCUSED)
        if not seen:
            page.wait_for_timeout(50)  # CodeMirror draws its own a moment later
            at, seen, what = page.evaluate(FOCUSED)
        assert seen, f"{what} has the focus and does not show it"
        if at == 0:
            break
        reached.append(at)
    assert [at for at in reached if at >= 0] == list(range(controls))


def kept_and_given_back(page: Page, opener: Locator) -> None:
    """`opener` has the focus and is pressed; the dialog is left by Escape."""
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog).to_have_accessible_name(re.compile("."))
    for key in ("Tab", "Shift+Tab"):
        for _ in range(25):
            page.keyboard.press(key)
            assert within(dialog)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()


OPENERS = {
    "new": ("button", "New …"),
    "convert": ("button", "Kind …"),
    "share": ("button", "Share …"),
    "keys": ("button", "Keys"),
    "endpoint": ("button", "Edit endpoint"),
    "add": ("button", "Add ingress in the cluster"),
    "edit": ("button", "Edit kubernetes.io"),
}


@pytest.mark.parametrize("dialog", OPENERS)
def test_a_dialog_keeps_the_focus_and_gives_it_back(page: Page, dialog: str) -> None:
    upload(page, "shop.yaml", COMMENTED)
    role, name = OPENERS[dialog]
    kept_and_given_back(page, page.get_by_role(role, name=name, exact=True))  # type: ignore[arg-type]


def test_the_fix_gives_the_focus_back(page: Page) -> None:
    upload(page, "shop.yaml", MISSPELT)
    kept_and_given_back(page, page.get_by_role("button", name=re.compile("^Fix: write `toFQDNs`")))


def test_the_close_button_gives_the_focus_back_too(page: Page) -> None:
    upload(page, "shop.yaml", COMMENTED)
    opener = page.get_by_role("button", name="Share …")
    opener.click()
    page.get_by_role("dialog").get_by_role("button", name="Close", exact=True).click()
    expect(opener).to_be_focused()


def test_where_the_button_goes_away_the_focus_stays_near(page: Page) -> None:
    upload(page, "shop.yaml", MISSPELT)
    fix = page.get_by_role("button", name=re.compile("^Fix: write `toFQDNs`"))
    fix.click()
    page.get_by_role("dialog").get_by_role("button", name="Put it in").click()
    expect(fix).to_have_count(0)
    checks = page.get_by_role("region", name="Checks and questions")
    expect(checks).to_be_focused()
    undo = page.get_by_role("button", name="Undo")
    undo.focus()
    page.keyboard.press("Enter")  # the fix
    page.keyboard.press("Enter")  # the opening: all is as at first
    expect(page.get_by_role("main")).to_be_focused()


VIEWS = {
    "canvas": ("This policy", "Checks"),
    "union": ("All together", "Checks"),
    "try": ("This policy", "Try it"),
}


@pytest.mark.parametrize("view", VIEWS)
def test_every_control_is_reached_by_tab_in_the_order_of_the_page_and_seen(page: Page, view: str) -> None:
    upload(page, "shop.yaml", COMMENTED)
    for name in VIEWS[view]:
        page.get_by_role("button", name=re.compile(f"^{name}")).first.click()
    reached_by_tab(page)
