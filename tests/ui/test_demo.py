"""The live views over a made-up cluster: what needs no node is tested without one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui.conftest import demo, serious, watched
from tests.ui.test_focus import kept_and_given_back, reached_by_tab


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with demo() as found:
        yield found


@pytest.fixture(scope="module")
def still() -> Iterator[str]:
    """Where nothing more happens."""
    with demo(rate=0) as found:
        yield found


def go(page: Page, where: str) -> None:
    page.evaluate("where => { location.hash = where }", where)


def open_dropped_flow(page: Page) -> None:
    go(page, "#/flows?verdict=dropped")
    dropped = page.get_by_role("row", name=re.compile("Dropped")).first
    dropped.wait_for()
    page.get_by_role("button", name="Pause").click()  # else rows move away under the pointer
    dropped.click()


def open_card(page: Page) -> None:
    go(page, "#/map")
    card = page.locator('.react-flow__node[data-id="workload/default/frontend"]')
    card.wait_for()
    page.wait_for_timeout(500)
    card.focus()
    page.keyboard.press("Enter")
    page.get_by_role("complementary", name="Chosen on the map").wait_for()


def test_the_first_flows_are_counted_when_they_are_there(page: Page) -> None:
    go(page, "#/live")
    page.locator(".live-status:not([data-total='0'])").wait_for()
    page.wait_for_timeout(200)
    expect(page.locator(".live-tile").last).to_contain_text(re.compile("of [1-9].* kept"), timeout=1)


def test_allowing_a_flow_gives_the_focus_back_and_leaves_the_flow_open(page: Page) -> None:
    open_dropped_flow(page)
    kept_and_given_back(page, page.get_by_role("button", name="Allow this …"))
    expect(page.get_by_role("complementary", name="Flow")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="Flow")).to_have_count(0)
    expect(page.locator(".live-table-scroll")).to_be_focused()


def test_allowing_on_the_map_gives_the_focus_back_and_leaves_the_panel_open(page: Page) -> None:
    open_card(page)
    panel = page.get_by_role("complementary", name="Chosen on the map")
    opener = panel.get_by_role("button", name="Allow this …").first
    kept_and_given_back(page, opener)
    expect(panel).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 400])
def test_axe_finds_nothing_serious_in_the_panels_of_what_is_live(
    browser: Browser, address: str, scheme: str, width: int
) -> None:
    with watched(browser, address, color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": 900})
        open_card(page)
        found = [f"map: {each}" for each in serious(page)]
        open_dropped_flow(page)
        page.get_by_role("complementary", name="Flow").get_by_text("JSON").click()
        found += [f"flow: {each}" for each in serious(page)]
        page.get_by_role("button", name="Allow this …").click()
        page.get_by_role("dialog").get_by_role("region", name="The change").wait_for()
        found += [f"allow: {each}" for each in serious(page)]
        assert found == []


@pytest.mark.parametrize("where", ["#/live", "#/live/workload/default/frontend", "#/flows", "#/map"])
def test_every_control_is_reached_by_tab(browser: Browser, still: str, where: str) -> None:
    with watched(browser, still) as page:
        go(page, where)
        page.get_by_text(re.compile("kept$")).first.wait_for()
        page.wait_for_timeout(1500)  # the map is laid out
        reached_by_tab(page)


def test_escape_closes_the_choice_of_columns(page: Page) -> None:
    go(page, "#/flows")
    menu = page.get_by_text("Columns", exact=True).first
    menu.focus()
    page.keyboard.press("Enter")
    page.get_by_role("checkbox", name="Direction").focus()
    page.keyboard.press("Escape")
    expect(page.get_by_role("checkbox", name="Direction")).to_be_hidden()
    expect(menu).to_be_focused()
