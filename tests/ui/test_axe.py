"""What axe finds in the editor's views and dialogs, in the light and in the dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page

from tests.ui.conftest import serious, upload, watched
from tests.ui.test_editor import COMMENTED

MISSPELT = COMMENTED.replace("toFQDNs:", "tofqdn:")
HTTP = """\
  - toEndpoints: [{matchLabels: {app: web}}]
    toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}]
"""


def nothing(page: Page) -> None:
    """The page as it begins."""


def canvas(page: Page) -> None:
    upload(page, "shop.yaml", COMMENTED)
    page.get_by_role("button", name="Remove *.example.com").wait_for()


def pressed(name: str) -> Callable[[Page], None]:
    def open_it(page: Page) -> None:
        upload(page, "shop.yaml", COMMENTED)
        page.get_by_role("button", name=name, exact=True).click()
        page.get_by_role("dialog").wait_for()

    return open_it


def converting(page: Page) -> None:
    pressed("Kind …")(page)
    page.get_by_role("dialog").get_by_role("region", name="Changes of shop.yaml").wait_for()


def losing(page: Page) -> None:
    converting(page)
    page.get_by_role("dialog").get_by_role("combobox").select_option("NetworkPolicy")
    page.get_by_role("list", name="What would be lost").wait_for()


def fixing(page: Page) -> None:
    upload(page, "shop.yaml", MISSPELT)
    page.get_by_role("button", name="Fix: write `toFQDNs`").click()
    page.get_by_role("dialog").get_by_role("region", name="Changes of shop.yaml").wait_for()


def marked(page: Page) -> None:
    upload(page, "shop.yaml", MISSPELT)
    page.locator(".cm-lintRange-error").first.hover()
    page.locator(".cm-tooltip button").wait_for()


def kept(page: Page) -> None:
    upload(page, "shop.yaml", COMMENTED.replace("egress:\n", f"egress:\n{HTTP.replace('GET', 'G' * 99)}"))
    page.get_by_role("list", name="Kept as it is").wait_for()


def union(page: Page) -> None:
    upload(page, "shop.yaml", COMMENTED.replace("egress:\n", f"egress:\n{HTTP}"))
    page.get_by_role("button", name="All together").click()
    page.get_by_text("kept, not drawn").first.wait_for()


def trying(page: Page) -> None:
    canvas(page)
    page.get_by_role("button", name="Try it").click()
    panel = page.get_by_role("region", name="Checks and questions")
    panel.get_by_role("button", name="Try it").last.click()
    panel.get_by_text("allowed").or_(panel.get_by_text("denied")).first.wait_for()


STATES = {
    "nothing": nothing,
    "canvas": canvas,
    "kept": kept,
    "union": union,
    "try": trying,
    "mark": marked,
    "fix": fixing,
    "convert": converting,
    "lose": losing,
    "share": pressed("Share …"),
    "new": pressed("New …"),
    "keys": pressed("Keys"),
    "endpoint": pressed("Edit endpoint"),
    "add": pressed("Add egress outside the cluster"),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 400])
def test_axe_finds_nothing_serious(browser: Browser, address: str, scheme: str, width: int) -> None:
    found = []
    for name, bring in STATES.items():
        with watched(browser, address, color_scheme=scheme) as page:
            page.set_viewport_size({"width": width, "height": 900})
            bring(page)
            found += [f"{name}: {each}" for each in serious(page)]
    assert found == []
