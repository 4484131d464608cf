"""`make screenshots`: the five main views into docs/screenshots, of the page's own lab, as a reader would see them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from lab import cluster, kubectl, netns
from lab import page as told
from lab.names import page_world
from lab.play import Reader
from lab.scene import FILES, PAGE
from tests.ui.conftest import CHROMIUM, OPTIONS, REPOSITORY, serving, watched

DARK = ("policy", "map")
"""Views that are shown in the dark too."""
FOLDER = REPOSITORY / "docs/screenshots"
TRAFFIC = (
    "kubectl exec ${BACKEND} -- curl -sIk --max-time 5 https://kubernetes.io",
    "kubectl exec ${BACKEND} -- curl -sIk --max-time 2 https://cilium.io",
    "kubectl exec ${FRONTEND} -- curl -s --max-time 5 backend:8080",
    "kubectl exec ${FRONTEND} -- curl -sIk --max-time 5 https://cilium.io",
    "kubectl exec ${NOT_FRONTEND} -- curl -s --max-time 2 backend:8080",
)


def main() -> int:
    program = kubectl.fetched()
    if program is None:
        print("screenshots: kubectl is missing; scripts/setup fetches it", file=sys.stderr)
        return 3
    FOLDER.mkdir(exist_ok=True)
    with cluster.lab(page_world(netns.free_slot())) as here:
        reader = Reader(here, program.path)
        reader.write(PAGE)
        for step in told.prepare():
            reader.take(step)
        stored = [Path(FILES[role]) for role in ("egress_fqdn", "ingress_allow", "ingress_deny")]
        reader.type(f"kubectl apply -f {stored[0]}", terminal=False)
        for line in TRAFFIC * 2:
            reader.type(line, terminal=False)
        with (
            serving(*stored, environment=here.environment, folder=reader.directory) as address,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
            for scheme in ("light", "dark"):
                with watched(browser, address, color_scheme=scheme) as page:
                    take(page, "" if scheme == "light" else "-dark")
            browser.close()
    return 0


def take(page: Page, ending: str) -> None:
    def shot(name: str) -> None:
        if ending and name not in DARK:
            return
        page.wait_for_timeout(1500)  # layouts and fades
        page.screenshot(path=FOLDER / f"{name}{ending}.png")

    page.get_by_role("listitem", name="allow egress to kubernetes.io").wait_for()
    shot("policy")
    page.get_by_role("button", name="Try it").click()
    panel = page.get_by_role("region", name="Checks and questions")
    panel.get_by_role("group", name="reach").get_by_role("textbox", name="Name").fill("cilium.io")
    panel.get_by_role("button", name="Try it").last.click()
    page.get_by_role("button", name="All together").click()
    shot("union")
    views = page.get_by_role("navigation", name="Views")
    views.get_by_role("link", name="Flows").click()
    page.get_by_role("row", name=re.compile("Dropped .*cilium.io")).first.click()
    shot("flows")
    views.get_by_role("link", name="Map").click()
    page.get_by_text("kubernetes.io").first.wait_for()
    shot("map")
    views.get_by_role("link", name="Live").click()
    page.get_by_role("link", name="default/backend", exact=True).first.click()
    shot("workload")


if __name__ == "__main__":
    sys.exit(main())
