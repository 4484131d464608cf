"""The policy view: no cluster, no root."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.ui.conftest import REPOSITORY, upload, watched, yaml_of

SEEDS = REPOSITORY / "lab/manifests/backend-egress-allow-fqdn.yaml"

COMMENTED = """\
# who may reach what
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: shop, labels: {team: "a"}}   # flow style stays
spec:
  endpointSelector:
    matchLabels:
      app:   shop    # odd spacing stays
  egress:
  # the names
  - toFQDNs:
      - matchName: "kubernetes.io"   # quoted stays
      - matchPattern: '*.example.com'
    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
  # what no canvas draws
  - toEndpoints: [{matchExpressions: [{key: tier, operator: NotIn, values: [old, older]}]}]
"""

BROKEN = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: broken}
spec:
  endpointSelector: {matchLabels: {app: a}}
  egress:
    - toFQDNs:
        - matchName: "not a name!"
    - toCIDR: ["10.0.0.0/33"]
"""


def changes(old: Path, new: Path) -> int:
    """`namewall diff`'s exit code: 0 where both let the same flows through."""
    command = [sys.executable, "-m", "namewall", "diff", str(old), str(new)]
    return subprocess.run(command, cwd=REPOSITORY, env={"PYTHONPATH": "src"}, check=False).returncode


def build_by_clicks(page: Page) -> None:
    """The seed's policy, from an empty canvas."""
    page.get_by_role("button", name="CiliumNetworkPolicy", exact=True).click()
    page.get_by_role("button", name="Edit endpoint").click()
    page.get_by_label("Name of the policy").fill("backend-egress-allow-fqdn")
    page.get_by_label("Labels of the pods it is about").fill("app=backend")
    page.get_by_role("button", name="Change", exact=True).click()
    page.get_by_role("button", name="Add egress outside the cluster").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("kubernetes.io")
    dialog.get_by_role("button", name="Add", exact=True).click()


def build_by_keys(page: Page) -> None:
    """The same, and no pointer."""

    def to(wanted: Locator) -> None:
        """Tab until the focus is there."""
        for _ in range(80):
            if wanted.count() and wanted.first.evaluate("element => element === document.activeElement"):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"the focus never comes to {wanted}")

    def press(name: str) -> None:
        to(page.get_by_role("button", name=name, exact=True))
        page.keyboard.press("Enter")

    def write(name: str, text: str) -> None:
        to(page.get_by_role("dialog").get_by_label(name, exact=True))
        page.keyboard.press("Control+A")
        page.keyboard.type(text)

    press("CiliumNetworkPolicy")
    press("Edit endpoint")
    write("Name of the policy", "backend-egress-allow-fqdn")
    write("Labels of the pods it is about", "app=backend")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    press("Add egress outside the cluster")
    write("Name", "kubernetes.io")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("build", [build_by_clicks, build_by_keys])
def test_the_seeds_policy_is_built_from_nothing(page: Page, tmp_path: Path, build: object) -> None:
    assert callable(build)
    build(page)
    expect(page.get_by_role("listitem", name="allow egress to kubernetes.io")).to_be_visible()
    built = tmp_path / "built.yaml"
    built.write_text(yaml_of(page))
    assert changes(SEEDS, built) == 0


def test_comments_and_order_survive_an_edit_on_the_canvas(page: Page) -> None:
    upload(page, "shop.yaml", COMMENTED)
    assert yaml_of(page) == COMMENTED
    page.get_by_role("button", name="Remove *.example.com").click()
    line = "      - matchPattern: '*.example.com'\n"
    assert yaml_of(page) == COMMENTED.replace(line, "")
    page.get_by_role("button", name="Undo").click()
    assert yaml_of(page) == COMMENTED
    page.get_by_role("button", name="Redo").click()
    assert yaml_of(page) == COMMENTED.replace(line, "")


def test_typing_moves_the_canvas(page: Page) -> None:
    upload(page, "shop.yaml", COMMENTED)
    page.get_by_role("textbox", name="YAML of the policy").get_by_text("'*.example.com'").click()
    page.keyboard.press("End")
    for _ in ".com'":
        page.keyboard.press("Backspace")
    page.keyboard.type(".org'")
    expect(page.get_by_role("button", name="Edit *.example.org")).to_be_visible()
    assert yaml_of(page) == COMMENTED.replace("*.example.com", "*.example.org")
    page.keyboard.press("Control+Z")
    expect(page.get_by_role("button", name="Edit *.example.com")).to_be_visible()


def test_the_lines_follow_the_endpoint_that_stays_in_sight(page: Page) -> None:
    many = "".join(f"  - toCIDR: [198.51.100.{number}/32]\n" for number in range(40))
    upload(page, "shop.yaml", COMMENTED + many)
    card = page.get_by_role("region", name="Endpoint")
    last = page.get_by_role("button", name="Edit 198.51.100.39/32")
    last.wait_for()
    last.scroll_into_view_if_needed()
    page.wait_for_timeout(100)  # two frames
    box = card.bounding_box()
    assert box is not None
    assert box["y"] > 0
    ends = page.locator("svg.links path.link").evaluate_all(
        """paths => paths.map(path => path.ownerSVGElement.getBoundingClientRect().top
           + path.getPointAtLength(0).y)"""
    )
    assert len(ends) > 40
    assert [y for y in ends if not box["y"] - 1 <= y <= box["y"] + box["height"] + 1] == []


def test_a_broken_file_shows_its_problems_by_line(page: Page) -> None:
    upload(page, "broken.yaml", BROKEN)
    checks = page.get_by_role("region", name="Checks and questions")
    for line, text in ((8, "not a name!"), (9, "10.0.0.0/33")):
        expect(checks.get_by_role("button", name=f"broken.yaml:{line}").first).to_be_visible()
        expect(checks.get_by_text(text).first).to_be_visible()
    expect(page.locator(".cm-lintRange-error, .cm-lintPoint-error").first).to_be_visible()


def test_an_empty_canvas_says_what_to_do(page: Page) -> None:
    page.get_by_role("button", name="CiliumNetworkPolicy", exact=True).click()
    hint = page.get_by_role("region", name="Endpoint").get_by_text("No rules yet")
    expect(hint).to_be_visible()
    page.get_by_role("switch", name="Default deny for egress").click()
    expect(hint).to_have_count(0)


@pytest.mark.parametrize("rules", [1, 300], ids=["short", "long"])
def test_a_misspelt_field_is_put_right_by_its_button(page: Page, rules: int) -> None:
    """Of long files the server makes the text of a fix only when it is asked for."""
    more = "".join(f"  - toCIDR: [198.51.100.0/24]  # {number} {'x' * 100}\n" for number in range(rules))
    right = COMMENTED + more
    upload(page, "shop.yaml", right.replace("toFQDNs:", "tofqdn:"))
    checks = page.get_by_role("region", name="Checks and questions")
    checks.get_by_role("button", name="Fix: write `toFQDNs`").click()
    page.get_by_role("dialog").get_by_role("button", name="Put it in").click()
    expect(page.get_by_role("button", name="Edit kubernetes.io")).to_be_visible()
    assert yaml_of(page) == right
    expect(checks.get_by_role("button", name="Fix: write")).to_have_count(0)


@pytest.mark.parametrize("way", ["hover", "key", "list"])
def test_a_mark_in_the_text_has_the_same_fix(page: Page, way: str) -> None:
    upload(page, "shop.yaml", COMMENTED.replace("toFQDNs:", "tofqdn:"))
    pane = page.get_by_role("textbox", name="YAML of the policy")
    mark = page.locator(".cm-lintRange-error").first
    mark.wait_for()
    if way == "hover":
        mark.hover()
        page.locator(".cm-tooltip").get_by_role("button", name=re.compile("Fix: write `toFQDNs`")).click()
    else:
        pane.get_by_text("tofqdn").click()
        page.keyboard.press("Control+." if way == "key" else "Control+Shift+M")
    if way == "list":
        page.keyboard.press("f")  # the letter that is underlined there
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("region", name="Changes of shop.yaml")).to_contain_text("toFQDNs")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(pane).to_be_focused()
    page.keyboard.press("Control+.")
    dialog.get_by_role("button", name="Put it in").click()
    assert yaml_of(page) == COMMENTED


def test_text_that_is_no_yaml_is_said_at_once(page: Page) -> None:
    upload(page, "torn.yaml", "apiVersion: cilium.io/v2\nkind: [\n")
    checks = page.get_by_role("region", name="Checks and questions")
    expect(checks.get_by_role("button", name="torn.yaml").first).to_be_visible()
    canvas = page.get_by_role("region", name="Canvas")
    expect(canvas.get_by_text("Line 3 cannot be read as YAML: ")).to_be_visible()
    expect(canvas.get_by_text("There is nothing to draw yet")).to_be_visible()
    upload(page, "tabs.yaml", "apiVersion: cilium.io/v2\nspec:\n\tegress: []\n")
    expect(checks.get_by_text("indented by spaces, not by tabs").first).to_be_visible()
    upload(page, "twice.yaml", "a: !color red\n")
    expect(canvas.get_by_text("Line 1 cannot be read as YAML: ")).to_be_visible()


def test_a_torn_text_shows_the_last_drawing_and_what_is_wrong(page: Page) -> None:
    upload(page, "shop.yaml", COMMENTED)
    canvas = page.get_by_role("region", name="Canvas")
    page.get_by_role("textbox", name="YAML of the policy").get_by_text("tier").click()
    page.keyboard.press("End")
    page.keyboard.type(" }")
    expect(canvas.get_by_text("The canvas shows it as it was before")).to_be_visible()
    canvas.get_by_role("button", name="Line 16").click()
    expect(page.locator(".cm-activeLine")).to_contain_text("tier")


def test_a_file_from_windows_stays_one(page: Page) -> None:
    def saved() -> bytes:
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download").click()
        return waiting.value.path().read_bytes()

    text = "\ufeff" + COMMENTED.replace("\n", "\r\n")
    upload(page, "shop.yaml", text)
    assert saved() == text.encode()
    page.get_by_role("textbox", name="YAML of the policy").get_by_text("# the names").click()
    page.keyboard.press("End")
    page.keyboard.type(" that it")
    page.keyboard.press("Enter")
    page.keyboard.type("# may reach")
    typed = text.replace("# the names", "# the names that it\r\n  # may reach")
    assert saved() == typed.encode()
    page.get_by_role("button", name="Remove *.example.com").click()
    assert saved() == typed.replace("      - matchPattern: '*.example.com'\r\n", "").encode()


def test_keys_are_offered_within_braces_too(page: Page) -> None:
    head = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n"
    upload(page, "a.yaml", f"{head}spec: {{endpointSelector: {{}}, ")
    page.get_by_role("textbox", name="YAML of the policy").get_by_text("spec").click()
    page.keyboard.press("End")
    page.keyboard.type("ingressD")
    expect(page.get_by_role("option", name="ingressDeny")).to_be_visible()
    page.wait_for_timeout(100)  # a key right after the list came is not for the list
    page.keyboard.press("Enter")
    page.keyboard.type("{}")
    page.keyboard.press("End")
    page.keyboard.type("}")
    assert yaml_of(page) == f"{head}spec: {{endpointSelector: {{}}, ingressDeny: [{{}}]}}"
    expect(page.get_by_role("switch", name="Default deny for ingress")).to_be_checked()


def test_letters_that_hide_what_a_line_says_are_shown(page: Page) -> None:
    upload(page, "shop.yaml", COMMENTED.replace("# the names", "# the \u202enames\u200b"))
    expect(page.locator(".cm-specialChar")).to_have_count(2)


def test_what_a_hidden_line_end_begins_is_not_passed_over(page: Page) -> None:
    """kubectl reads a rule there: a canvas without it would lie."""
    upload(
        page,
        "shop.yaml",
        COMMENTED.replace("# the names", "# the names\u2028  ingress: [{fromEntities: [world]}]"),
    )
    canvas = page.get_by_role("region", name="Canvas")
    expect(canvas.get_by_text("U+2028 ends a line")).to_be_visible()
    expect(canvas.get_by_role("button", name="Line 10")).to_be_visible()


def test_each_file_says_what_is_wrong_with_it(page: Page) -> None:
    """Findings too: they are marked in its text."""
    upload(
        page,
        "deny.yaml",
        SEEDS.read_text().replace("kubernetes.io", '"*.io"').replace("matchName", "matchPattern"),
    )
    upload(page, "shop.yaml", COMMENTED)
    files = page.get_by_role("navigation", name="Open files")
    expect(files.get_by_role("button", name=re.compile("^deny.yaml .*1 warning"))).to_be_visible()


def test_a_policy_that_is_begun_is_no_fault(page: Page) -> None:
    page.get_by_role("button", name="CiliumNetworkPolicy", exact=True).click()
    tab = page.get_by_role("button", name="Checks")
    expect(tab).to_have_accessible_name("Checks 1 warning")
    expect(page.get_by_role("list", name="Problems").get_by_text("no rules yet")).to_be_visible()
    upload(page, "broken.yaml", BROKEN)
    expect(tab).to_have_accessible_name(re.compile("Checks [1-9] errors.* 1 warning"))


def test_json_stays_json_and_words_stay_text(page: Page) -> None:
    policy = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "shop"},
        "spec": {"endpointSelector": {}, "egress": [{"toEntities": ["world"]}]},
    }
    before = json.dumps(policy, indent=4) + "\n"
    upload(page, "shop.json", before)
    page.get_by_role("button", name="Edit endpoint").click()
    page.get_by_label("Labels of the pods it is about").fill("app=on")
    page.get_by_role("button", name="Change", exact=True).click()
    policy["spec"] = {**policy["spec"], "endpointSelector": {"matchLabels": {"app": "on"}}}  # type: ignore[dict-item]
    assert yaml_of(page) == json.dumps(policy, indent=4) + "\n"
    upload(page, "shop.yaml", COMMENTED)
    page.get_by_role("button", name="Edit endpoint").click()
    page.get_by_label("Labels of the pods it is about").fill("app=yes")
    page.get_by_role("button", name="Change", exact=True).click()
    assert 'app:   "yes"    # odd spacing stays' in yaml_of(page)
    checks = page.get_by_role("region", name="Checks and questions")
    expect(checks.get_by_text("2 of 2 objects accepted")).to_be_visible()


def test_what_stands_behind_an_alias_is_said_to_be_text(page: Page) -> None:
    shared = COMMENTED.replace("toFQDNs:", "toFQDNs: &names") + "  - toFQDNs: *names\n"
    upload(page, "shop.yaml", shared)
    page.get_by_role("button", name="Remove *.example.com").first.click()
    expect(page.get_by_role("alert").get_by_text("anchor `&names`")).to_be_visible()
    assert yaml_of(page) == shared
    page.get_by_role("button", name="Edit *.example.com").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("*.example.org")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog.get_by_role("alert")).to_contain_text("anchor `&names`")
    dialog.get_by_role("button", name="Cancel").click()
    upload(page, "other.yaml", COMMENTED)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_link_holds_the_policy_and_not_the_token(page: Page, browser: Browser) -> None:
    upload(page, "shop.yaml", COMMENTED)
    page.get_by_role("button", name="Share …").click()
    link = page.get_by_label("Link that holds the policy").input_value()
    assert "token" not in link
    with watched(browser, link) as other:
        assert yaml_of(other) == COMMENTED


def test_hostile_text_stays_text(page: Page) -> None:
    evil = "<img src=x onerror=alert(1)>"
    upload(page, f"{evil}.yaml", COMMENTED.replace("name: shop,", f'name: "{evil}",'))
    expect(page.get_by_text(evil).first).to_be_visible()
    assert page.locator("img[src=x]").count() == 0


def test_a_file_is_renamed_and_undo_gives_its_name_back(page: Page) -> None:
    upload(page, "shop.yaml", COMMENTED)
    page.get_by_role("button", name="Rename shop.yaml").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("File name").fill("web")
    dialog.get_by_role("button", name="Rename").click()
    expect(dialog.get_by_role("alert")).to_contain_text("end in")
    dialog.get_by_label("File name").fill("web.yaml")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Rename web.yaml")).to_be_focused()
    assert yaml_of(page) == COMMENTED
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    assert download.value.suggested_filename == "web.yaml"
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Rename shop.yaml").wait_for()


def test_all_together_stays_with_its_workload_while_one_looks_at_a_rule(page: Page) -> None:
    upload(page, "dns.yaml", SEEDS.read_text().replace("matchLabels:\n      app: backend", "{}"))
    upload(page, "seed.yaml", SEEDS.read_text())
    page.get_by_role("button", name="All together").click()
    workload = page.get_by_role("region", name="Workload")
    expect(workload).to_contain_text("app=backend")
    with_dns = page.get_by_role("region", name="Canvas").get_by_role("button", name=re.compile("spec.egress"))
    for number in range(with_dns.count()):
        with_dns.nth(number).click()
    page.get_by_role("navigation", name="Open files").get_by_role(
        "button", name=re.compile("^dns.yaml")
    ).click()
    page.wait_for_timeout(300)
    expect(workload).to_contain_text("app=backend")


def test_a_unit_test_is_copied_and_the_button_says_so(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    upload(page, "seed.yaml", SEEDS.read_text())
    panel = page.get_by_role("region", name="Checks and questions")
    panel.get_by_role("button", name="Try it").click()
    panel.get_by_role("button", name="Try it").last.click()
    panel.get_by_role("button", name="Make a unit test").click()
    panel.get_by_role("button", name="Copy").click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == panel.get_by_role("region", name="Unit test").inner_text().strip()


def test_an_answer_says_what_it_leaves_out(page: Page) -> None:
    upload(page, "seed.yaml", SEEDS.read_text())
    upload(page, "broken.yaml", BROKEN)
    upload(page, "torn.yaml", "kind: [\n")
    panel = page.get_by_role("region", name="Checks and questions")
    panel.get_by_role("button", name="Try it").click()
    panel.get_by_role("button", name="Try it").last.click()
    answer = panel.get_by_role("region", name="Answer")
    expect(answer).to_contain_text("Without 1 object with problems, 1 file that cannot be read")
    panel.get_by_label("Protocol").select_option("ICMP")
    panel.get_by_label("ICMP type").fill("300")
    panel.get_by_role("button", name="Try it").last.click()
    expect(panel.get_by_text("a number up to 255")).to_be_visible()
    expect(answer).to_have_count(0)


def test_try_it_says_why_and_puts_the_patch_in(page: Page) -> None:
    upload(page, "seed.yaml", SEEDS.read_text())
    panel = page.get_by_role("region", name="Checks and questions")
    panel.get_by_role("button", name="Try it").click()
    panel.get_by_role("group", name="reach").get_by_role("textbox", name="Name").fill("cilium.io")
    panel.get_by_role("button", name="Try it").last.click()
    expect(panel.get_by_text("denied").first).to_be_visible()
    panel.get_by_role("button", name="Put it in").click()
    assert "cilium.io" in yaml_of(page)
