"""The live views over a real cluster with traffic: map, table and pages (test_lab.py turns a flow into a rule)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from lab import cluster, kubectl, netns
from lab.cluster import Lab
from lab.names import page_world
from lab.play import Reader
from lab.scene import FILES, PAGE
from tests.ui.conftest import serving, watched

pytestmark = pytest.mark.root

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with cluster.lab(page_world(netns.free_slot(), (4,))) as here:
        yield here


@pytest.fixture(scope="module")
def reader(lab: Lab) -> Reader:
    """Types kubectl's lines; the seed's workloads and policies are there."""
    program = kubectl.fetched()
    assert program is not None, "scripts/setup fetches kubectl"
    typist = Reader(lab, program.path)
    typist.write(PAGE)
    for line in (
        f"kubectl apply -f {FILES['workloads']}",
        "kubectl wait --for=condition=Available deploy --all --timeout=60s",
        *(f"kubectl apply -f {FILES[role]}" for role in PAGE.order),
    ):
        outcome = typist.type(line, terminal=False)
        assert outcome.code == 0, outcome.errors
    return typist


@pytest.fixture(scope="module")
def traffic(reader: Reader) -> Iterator[None]:
    """Every few seconds: one flow that passes and one that does not, in each direction."""
    stop = threading.Event()
    lines = (
        "kubectl exec deploy/backend -- curl -skI -m 1 https://kubernetes.io",
        "kubectl exec deploy/backend -- curl -skI -m 1 https://cilium.io",
        "kubectl exec deploy/frontend -- curl -sI -m 1 backend:8080",
        "kubectl exec deploy/not-frontend -- curl -sI -m 1 backend:8080",
    )

    def run() -> None:
        while not stop.is_set():
            for line in lines:
                reader.type(line, terminal=False)
            stop.wait(1)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def address(lab: Lab, traffic: None) -> Iterator[str]:
    with serving(environment=lab.environment) as found:
        yield found


def go(page: Page, where: str) -> None:
    page.evaluate("where => { location.hash = where }", where)


def test_the_map_draws_who_speaks_to_whom(page: Page) -> None:
    go(page, "#/map")
    for title in ("backend", "frontend", "not-frontend", "kubernetes.io", "cilium.io"):
        expect(page.locator(".map-card-title").get_by_text(title, exact=True)).to_be_visible()
    dropped = (
        page.get_by_role("region", name="The map as a list")
        .get_by_role("listitem")
        .filter(has_text="cilium.io")
    )
    expect(dropped).to_contain_text("443/TCP")
    expect(dropped.get_by_text("dropped")).to_have_count(1)
    for source, target in (
        ("default/backend", "name/cilium.io"),
        ("default/not-frontend", "workload/default/backend"),
    ):
        link = page.locator(
            f'.react-flow__edge[data-id="workload/{source}>{target}:dropped"] .map-link.v-dropped'
        )
        expect(link).to_have_count(1)
    # By keyboard: a card, what is known of it, and back.
    card = page.locator('.react-flow__node[data-id="workload/default/backend"]')
    card.focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("complementary", name="Chosen on the map")
    expect(panel).to_contain_text("kubernetes.io")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(card).to_be_focused()


def test_flows_come_as_they_happen_and_are_filtered_as_one_types(page: Page) -> None:
    go(page, "#/flows")
    rows = page.locator(".live-table tbody tr[aria-rowindex]")
    newest = rows.first.inner_text()
    expect(rows.first).not_to_have_text(newest)
    page.get_by_role("combobox", name="Name").press_sequentially("cilium")
    expect(rows.filter(has_not_text="cilium.io")).to_have_count(0)
    page.get_by_role("button", name="Forwarded").click()
    expect(rows.filter(has_text="Forwarded")).to_have_count(0)
    page.get_by_role("combobox", name="Port").fill("44x3")
    expect(page.get_by_role("alert")).to_contain_text("44x3")
    expect(page).to_have_url(re.compile("name=cilium"))


def test_pages_of_a_workload_a_name_and_a_policy(page: Page, reader: Reader) -> None:
    go(page, "#/live/workload/default/backend")
    expect(page.get_by_text("Egress: denied unless allowed")).to_be_visible()
    expect(page.get_by_role("link", name="default/backend-egress-allow-fqdn")).to_be_visible()
    page.get_by_role("link", name="kubernetes.io").first.click()
    expect(page.get_by_role("heading", name="kubernetes.io")).to_be_visible()
    expect(page.get_by_role("link", name="default/backend").first).to_be_visible()
    go(page, "#/live/policy/CiliumNetworkPolicy/default/backend-egress-allow-fqdn")
    text = page.get_by_label("Text of backend-egress-allow-fqdn")
    expect(page.get_by_role("heading", name="Selects (1)")).to_be_visible()
    text.fill(text.input_value().replace("kubernetes.io", "example.com"))
    change = page.get_by_role("row").filter(has_text="default/backend → kubernetes.io")
    expect(change.filter(has_text="deny").first).to_be_visible()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("alert")).to_contain_text("configured")
    stored = reader.type("kubectl get cnp backend-egress-allow-fqdn -o yaml", terminal=False)
    assert "matchName: example.com" in stored.output
    # Somebody else changes it while it is edited: applying would undo that.
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    text.fill(text.input_value() + "# mine\n")
    assert reader.type(f"kubectl apply -f {FILES['egress_fqdn']}", terminal=False).code == 0
    expect(page.get_by_text("It was changed on the server")).to_be_visible()
    page.get_by_role("button", name="Take back").click()
    expect(text).to_have_value(re.compile("matchName: kubernetes.io"))


@pytest.mark.parametrize("where", ["#/map", "#/flows", "#/live", "#/live/workload/default/backend"])
def test_axe_finds_nothing_on_a_phone_in_the_dark(browser: Browser, address: str, where: str) -> None:
    with watched(browser, address, color_scheme="dark") as page:
        page.set_viewport_size({"width": 390, "height": 844})
        go(page, where)
        expect(page.get_by_text("Live", exact=True).last).to_be_visible()
        page.wait_for_timeout(1000)
        found = Axe().run(page, options=RULES)
        assert found.violations_count == 0, found.generate_report()
