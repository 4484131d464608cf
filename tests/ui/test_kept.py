"""What somebody wrote or opened is not lost, and nothing else changes: reloads, Back, links, odd files, quick hands."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Browser, Dialog, FilePayload, Locator, Page, Route, expect

from tests.ui.conftest import REPOSITORY, serving, upload, watched, yaml_of

SEED = REPOSITORY / "lab/manifests/backend-egress-allow-fqdn.yaml"

HTTP = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - fromEndpoints:
    - matchLabels: {app: a}
    toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules: {http: [{method: GET}]}
"""


def files(page: Page) -> list[str]:
    buttons = page.get_by_role("navigation", name="Open files").locator("li > button:first-child")
    return [text.split()[0] for text in buttons.all_inner_texts()]


def file_of(page: Page, name: str) -> Locator:
    """Its button, whatever is counted at it."""
    return page.get_by_role("navigation", name="Open files").get_by_role(
        "button", name=re.compile(f"^{name}")
    )


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def test_files_that_are_no_utf8_are_not_opened(page: Page) -> None:
    """Their letters would be lost when they are saved."""
    with page.expect_file_chooser() as waiting:
        page.get_by_role("button", name="Open files …").click()
    texts = {
        "latin.yaml": "# café\n".encode("latin-1"),
        "nul.yaml": b"a: \0\n",
        "good.yaml": "# café\n".encode(),
    }
    given: list[FilePayload] = [
        {"name": name, "mimeType": "application/yaml", "buffer": text} for name, text in texts.items()
    ]
    waiting.value.set_files(given)
    expect(page.get_by_role("alert")).to_have_text(
        "`latin.yaml` is no text in UTF-8; `nul.yaml` is no text in UTF-8"
    )
    assert yaml_of(page) == "# café\n"


def test_a_reload_right_after_an_edit_loses_nothing(page: Page) -> None:
    upload(page, "shop.yaml", HTTP)
    page.get_by_role("switch", name="Default deny for egress").click()
    page.reload()
    assert yaml_of(page) == HTTP + "  egress:\n  - {}\n"


def test_a_draft_too_large_to_keep_is_not_left_without_a_question(browser: Browser, address: str) -> None:
    long = HTTP + "# 60 letters of a comment that nobody reads to its very end\n" * 45_000
    asked: list[str] = []

    def answer(question: Dialog) -> None:
        asked.append(question.type)
        question.accept()

    with browser.new_context() as context:  # the console has its word on what the server refuses
        page = context.new_page()
        page.goto(address)
        page.on("dialog", answer)
        for number in range(3):
            upload(page, f"long-{number}.yaml", long)
        expect(page.get_by_text("more than 4 MB together").first).to_be_visible()
        expect(page.get_by_text("Rating:")).to_have_count(0)
        page.reload()
        assert asked == ["beforeunload"]
        expect(page.get_by_role("button", name="Open files …")).to_be_visible()


def test_back_does_not_open_a_link_again(page: Page, browser: Browser, address: str) -> None:
    upload(page, "shop.yaml", HTTP)
    page.get_by_role("button", name="Share …").click()
    link = page.get_by_label("Link that holds the policy").input_value()
    with watched(browser, address) as other:
        other.evaluate("link => { location.href = link }", link)
        assert yaml_of(other) == HTTP
        other.go_back()
        expect(file_of(other, "shop.yaml")).to_be_visible()
        other.evaluate("link => { location.href = link }", link)
        expect(other).to_have_url(re.compile("#/policy$"))
        other.wait_for_timeout(300)
        assert files(other) == ["shop.yaml"]


def test_a_link_that_is_cut_off_is_said_to_be(page: Page) -> None:
    page.evaluate("location.hash = '#/policy?p=nVLBSgMxEP2VYY9iY9E'")
    expect(page.get_by_role("alert").get_by_text("was it cut off?")).to_be_visible()


def test_a_link_opens_beside_the_files_of_a_slow_server(page: Page, browser: Browser) -> None:
    upload(page, "shop.yaml", HTTP)
    page.get_by_role("button", name="Share …").click()
    link = page.get_by_label("Link that holds the policy").input_value()

    def late(route: Route) -> None:
        time.sleep(1)
        route.continue_()

    with serving(SEED) as own, browser.new_context() as context:
        other = context.new_page()
        other.route("**/api/session", late)
        other.goto(f"{own}&{link.split('#')[1]}")
        expect(other.get_by_role("button", name=re.compile(SEED.name)).first).to_be_visible()
        assert yaml_of(other) == HTTP


def test_a_part_of_the_page_that_does_not_come_is_said_and_nothing_is_lost(
    browser: Browser, address: str
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.route("**/share-dialog-*.js", lambda route: route.abort("connectionrefused"))
        page.goto(address)
        upload(page, "shop.yaml", HTTP)
        page.get_by_role("button", name="Share …").click()
        expect(page.get_by_role("alert").get_by_text("could not be loaded")).to_be_visible(timeout=20_000)
        page.unroute_all()
        page.get_by_role("button", name="Load the page again").click()
        expect(file_of(page, "shop.yaml")).to_be_visible()
        assert yaml_of(page) == HTTP


def test_undo_shows_the_file_that_it_changes(page: Page) -> None:
    upload(page, "shop.yaml", HTTP)
    page.get_by_role("switch", name="Default deny for egress").click()
    upload(page, "seed.yaml", SEED.read_text())
    page.get_by_role("switch", name="Default deny for ingress").click()
    file_of(page, "shop.yaml").click()
    page.get_by_role("button", name="Undo").click()
    assert yaml_of(page) == SEED.read_text()
    file_of(page, "shop.yaml").click()
    page.get_by_role("button", name="Redo").click()
    assert yaml_of(page) == SEED.read_text() + "  ingress:\n    - {}\n"


def test_changes_are_told_from_what_was_opened(page: Page) -> None:
    upload(page, "web.yaml", HTTP)
    upload(page, "seed.yaml", SEED.read_text())
    changes = page.get_by_role("button", name="Changes …")
    expect(changes).to_be_disabled()
    page.get_by_role("switch", name="Default deny for ingress").click()
    file_of(page, "web.yaml").click()
    page.get_by_role("switch", name="Default deny for egress").click()
    page.reload()
    changes.click()
    expect(dialog(page).get_by_role("region", name="Changes of web.yaml")).to_contain_text("egress:")
    expect(dialog(page).get_by_role("region", name="Changes of seed.yaml")).to_contain_text("ingress:")
    downloads: list[str] = []
    page.on("download", lambda one: downloads.append(one.suggested_filename))
    dialog(page).get_by_role("button", name="Download all 2").click()
    page.wait_for_timeout(500)
    assert sorted(downloads) == ["seed.yaml", "web.yaml"]


def test_a_selector_that_cannot_be_drawn_survives_another_name(page: Page) -> None:
    odd = HTTP.replace("{app: web}", "{version: 1}")
    upload(page, "web.yaml", odd)
    page.get_by_role("button", name="Edit endpoint").click()
    expect(dialog(page).get_by_text("Its selector is kept as it is")).to_be_visible()
    dialog(page).get_by_label("Name of the policy").fill("shop")
    dialog(page).get_by_role("button", name="Change").click()
    assert yaml_of(page) == odd.replace("name: web", "name: shop")


def test_http_rules_do_not_go_with_their_ports(page: Page) -> None:
    upload(page, "web.yaml", HTTP)
    page.get_by_role("button", name="Edit app=a").click()
    dialog(page).get_by_label("Ports").fill("")
    dialog(page).get_by_role("button", name="Change").click()
    expect(dialog(page).get_by_role("alert")).to_contain_text("rules.http")
    dialog(page).get_by_role("button", name="Cancel").click()
    assert yaml_of(page) == HTTP


def test_icmp_types_take_the_place_of_ports(page: Page) -> None:
    plain = HTTP.replace("      rules: {http: [{method: GET}]}\n", "")
    upload(page, "web.yaml", plain)
    page.get_by_role("button", name="Edit app=a").click()
    ports = dialog(page).get_by_label("Ports")
    ports.fill("80, icmp/8")
    dialog(page).get_by_role("button", name="Change").click()
    expect(dialog(page).get_by_role("alert")).to_contain_text("one rule for each")
    ports.fill("icmp/8")
    dialog(page).get_by_role("button", name="Change").click()
    expect(dialog(page)).to_have_count(0)
    assert yaml_of(page) == plain.replace(
        '    toPorts:\n    - ports: [{port: "80", protocol: TCP}]\n',
        "    icmps:\n    - fields:\n      - family: IPv4\n        type: 8\n",
    )


def test_several_peers_in_the_place_of_one_share_all_of_its_rule(page: Page) -> None:
    names = HTTP.replace("ingress:", "egress:").replace(
        "fromEndpoints:\n    - matchLabels: {app: a}", "toFQDNs:\n    - matchName: a.io"
    )
    upload(page, "web.yaml", names)
    page.get_by_role("button", name="Edit a.io").click()
    dialog(page).get_by_label("Name", exact=True).fill("a.io, b.io")
    dialog(page).get_by_role("button", name="Change").click()
    assert yaml_of(page) == names.replace("a.io\n", "a.io\n    - matchName: b.io\n")


def test_a_click_before_the_canvas_is_drawn_again_changes_no_other_rule(page: Page) -> None:
    """Of long texts the drawing waits for a pause of typing; its places are those of the text before."""
    rules = "".join(f"  - toCIDR: [198.51.{number // 256}.{number % 256}/32]\n" for number in range(1500))
    long = HTTP + "  egress:\n" + rules
    upload(page, "long.yaml", long)
    first = page.get_by_role("button", name="Remove 198.51.0.0/32")
    expect(first).to_be_visible()
    page.get_by_role("textbox", name="YAML of the policy").get_by_text("egress").click()
    page.keyboard.press("End")
    more = "\n- toCIDR: [203.0.113.9/32]"
    page.keyboard.insert_text(more)
    first.evaluate("button => button.click()")
    page.wait_for_timeout(1500)
    text = yaml_of(page)
    assert "203.0.113.9/32" in text
    assert "198.51.0.1/32" in text
