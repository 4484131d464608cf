"""The page beside a running `namewall up`: what is built or clicked in it is what the pods then meet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from lab import cluster, kubectl, netns
from lab import page as told
from lab.cluster import Lab
from lab.names import page_world
from lab.page import Step
from lab.play import Reader
from lab.scene import FILES, PAGE
from tests.ui.conftest import serious, serving, watched, yaml_of
from tests.ui.test_editor import build_by_clicks, build_by_keys

pytestmark = pytest.mark.root

RULE = "matchName: cilium.io"
TRY = "kubectl exec ${{BACKEND}} -- curl -Ik --connect-timeout 5 https://{name}"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with cluster.lab(page_world(netns.free_slot())) as here:
        yield here


@pytest.fixture(scope="module")
def reader(lab: Lab) -> Reader:
    """Where the page begins: workloads, and the ingress policies in place."""
    program = kubectl.fetched()
    assert program is not None, "scripts/setup fetches kubectl"
    made = Reader(lab, program.path)
    made.write(PAGE)
    play(made, told.prepare())
    return made


@pytest.fixture(autouse=True)
def no_egress_policies(reader: Reader) -> Iterator[None]:
    yield
    reader.type("kubectl delete cnp --all", terminal=False)


def play(reader: Reader, steps: list[Step]) -> None:
    for step in steps:
        outcome, difference = reader.take(step)
        assert difference is None, f"{step.line}: {difference}\n{outcome.output}{outcome.errors}"


@pytest.fixture(scope="module")
def address(lab: Lab) -> Iterator[str]:
    with serving(environment=lab.environment) as found:
        yield found


def view(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Views").get_by_role("link", name=name, exact=True).click()


@pytest.mark.parametrize("build", [build_by_clicks, build_by_keys])
def test_the_policy_built_on_the_canvas_does_what_the_seeds_does(
    page: Page, reader: Reader, build: Callable[[Page], None]
) -> None:
    build(page)
    (Path(reader.directory) / FILES["egress_fqdn"]).write_text(yaml_of(page))
    play(reader, told.egress())


def test_a_dropped_flow_becomes_an_applied_rule(page: Page, reader: Reader) -> None:
    for line, code in (
        (f"kubectl apply -f {FILES['egress_fqdn']}", 0),
        ("sleep 1; kubectl get cnp", 0),
        (TRY.format(name="cilium.io"), 28),
    ):
        outcome = reader.type(line, terminal=False)
        assert outcome.code == code, f"{line}: {outcome.output}{outcome.errors}"
    view(page, "Flows")
    row = page.get_by_role("row", name=re.compile("Dropped .*cilium.io")).first
    expect(row).to_be_visible()
    row.click()
    page.get_by_role("button", name="Allow this …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("region", name="The change")).to_contain_text("cilium.io")
    expect(dialog).not_to_contain_text("last-applied-configuration")
    assert RULE not in reader.type("kubectl get cnp -o yaml", terminal=False).output
    dialog.get_by_role("button", name="Apply", exact=True).click()
    expect(dialog.get_by_role("button", name="Done")).to_be_visible()
    assert RULE in reader.type("kubectl get cnp -o yaml", terminal=False).output
    outcome = reader.type(TRY.format(name="cilium.io"), terminal=False)
    assert outcome.code == 0
    assert outcome.output.startswith("HTTP/2 200")
    # What kubectl keeps on it is still there: the file is applied as ever, and takes the rule out.
    outcome = reader.type(f"kubectl apply -f {FILES['egress_fqdn']}", terminal=False)
    assert (outcome.code, outcome.errors) == (0, "")
    assert RULE not in reader.type("kubectl get cnp -o yaml", terminal=False).output


def test_what_would_change_names_the_flows_that_would(page: Page, reader: Reader) -> None:
    """The seed's policy over flows that were allowed before it."""
    for name in ("kubernetes.io", "cilium.io"):
        assert reader.type(TRY.format(name=name), terminal=False).code == 0
    build_by_clicks(page)
    panel = page.get_by_role("region", name="Checks and questions")
    panel.get_by_role("button", name="What would change").click()
    rows = panel.get_by_role("table").get_by_role("row")
    expect(rows.filter(has_text="cilium.io 443/TCP").first).to_be_visible()
    assert rows.filter(has_text="kubernetes.io 443/TCP").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_what_is_live(
    browser: Browser, address: str, reader: Reader, scheme: str
) -> None:
    reader.type(TRY.format(name="kubernetes.io"), terminal=False)
    with watched(browser, address, color_scheme=scheme) as page:
        found = []
        for name in ("Live", "Flows", "Map"):
            view(page, name)
            expect(page.get_by_text("kubernetes.io").first).to_be_visible()
            found += [f"{name}: {each}" for each in serious(page)]
        view(page, "Live")
        page.get_by_role("link", name="default/backend", exact=True).click()
        expect(page.get_by_role("heading", name=re.compile("backend")).first).to_be_visible()
        found += serious(page)
        assert found == []


def test_without_the_token_nothing_of_the_cluster_is_told(
    browser: Browser, address: str, reader: Reader
) -> None:
    with watched(browser, address.split("#")[0]) as page:
        view(page, "Live")
        expect(page.get_by_text(re.compile("token")).first).to_be_visible()
        assert page.get_by_text("default/backend").count() == 0
