"""The live half of the page in Chromium under 500 flows a second of 200 nodes: `make bench-editor` ends with it.

The server is `namewall editor`, the page the shipped one; flows come from a stand-in for the agent. Measured is, while
they come, what a reader feels. A display of 60 Hz has a frame every 16.7 ms.

    frame     time between two frames, the 95th of 100, over eight seconds
    task      the longest time in which the page could not answer
    key       from a key typed into a filter until it is drawn, the median; the filter is looked at with all flows kept
    taken     flows a second that the page took
"""

from __future__ import annotations

import itertools
import json
import random
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h11
from playwright.sync_api import Page, sync_playwright

from bench.editor import RATE, Figure
from namewall.model.instance import Instance
from tests.ui.conftest import CHROMIUM, OPTIONS, serving

WARM_UP = 12
"""Seconds until the map stands and several thousand flows are kept."""
NAMESPACES = 12
WORKLOADS = 8
"""In each namespace."""
DOMAINS = 15
NAMES = 7
"""In each domain: 96 workloads and 105 names."""
TYPED = "team-3/w"

FRAMES = """() => new Promise(done => {
  const gaps = []; let longest = 0; let last = performance.now(); const begun = last;
  const watch = new PerformanceObserver(list => {
    for (const each of list.getEntries()) longest = Math.max(longest, each.duration);
  });
  watch.observe({ entryTypes: ["longtask"] });
  const frame = now => {
    gaps.push(now - last); last = now;
    if (now - begun < 8000) return requestAnimationFrame(frame);
    watch.disconnect();
    gaps.sort((a, b) => a - b);
    done({ frame: gaps[Math.floor(gaps.length * 0.95)], longest });
  };
  requestAnimationFrame(frame);
})"""

KEY = """async key => {
  const input = document.querySelector('input[placeholder="Workload"]');
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  const begun = performance.now();
  set.call(input, input.value + key);
  input.dispatchEvent(new Event("input", { bubbles: true }));
  await new Promise(drawn => requestAnimationFrame(() => setTimeout(drawn)));
  return performance.now() - begun;
}"""


class World:
    """Flows of workloads to their neighbours and to names; the same seed makes the same."""

    def __init__(self, seed: int = 1) -> None:
        self._draw = random.Random(seed)
        self._count = itertools.count(1)
        pods = [(f"team-{n}", f"w{w}") for n in range(NAMESPACES) for w in range(WORKLOADS)]
        names = [f"n{n}.domain-{d}.example" for d in range(DOMAINS) for n in range(NAMES)]
        pairs: list[tuple[tuple[str, str], Any]] = [(self._draw.choice(pods), name) for name in names]
        pairs += [(pod, self._draw.choice(pods)) for pod in pods]
        self._routes = [
            (*pair, self._draw.choices(("FORWARDED", "DROPPED", "AUDIT"), (88, 8, 4))[0]) for pair in pairs
        ]

    def line(self) -> bytes:
        (namespace, name), target, verdict = self._draw.choice(self._routes)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        policy = {"kind": "CiliumNetworkPolicy", "namespace": namespace, "name": f"{name}-egress"}
        named = isinstance(target, str)
        flow = {
            "time": now,
            "uuid": f"00000000-0000-4000-8000-{next(self._count):012x}",
            "verdict": verdict,
            "IP": {"source": "10.244.0.7", "destination": "203.0.113.7", "ipVersion": "IPv4"},
            "l4": {"TCP": {"source_port": 40000, "destination_port": 443, "flags": {"SYN": True}}},
            "source": _pod(namespace, name),
            "destination": {"identity": 9, "labels": ["reserved:world-ipv4"]} if named else _pod(*target),
            "event_type": {"type": 5},
            "traffic_direction": "EGRESS",
            "is_reply": False,
            "Summary": "TCP Flags: SYN",
            "namewall": {
                "times": 1,
                "rules": [{**policy, "rule": "spec.egress[0]"}],
                "selected_by": [policy],
            },
        }
        if named:
            flow["destination_names"] = [target]
        return json.dumps({"flow": flow, "node_name": "here", "time": now}).encode() + b"\n"


def _pod(namespace: str, name: str) -> dict[str, Any]:
    labels = [f"k8s:app={name}", f"k8s:io.kubernetes.pod.namespace={namespace}"]
    return {
        "identity": 256,
        "namespace": namespace,
        "labels": labels,
        "pod_name": f"{name}-7d9f8c6b54-x7k2p",
        "workloads": [{"name": name, "kind": "Deployment"}],
    }


class Agent:
    """Answers every request on its socket with the flows of a world, RATE a second, until the reader goes."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            stream, _ = self._socket.accept()
            threading.Thread(target=self._answer, args=(stream,), daemon=True).start()

    def _answer(self, stream: socket.socket) -> None:
        http = h11.Connection(h11.SERVER)
        event: object = h11.NEED_DATA
        target = b""
        while not isinstance(event, h11.EndOfMessage):
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(stream.recv(65536))
            if isinstance(event, h11.Request):
                target = event.target
        with stream:
            head = h11.Response(status_code=200, headers=[("x-namewall-run", "bench")])
            stream.sendall(http.send(head) or b"")
            if b"flows" not in target:
                stream.sendall(
                    (http.send(h11.Data(b'{"items": []}')) or b"") + (http.send(h11.EndOfMessage()) or b"")
                )
                return
            world, begun = World(), time.perf_counter()
            for number in itertools.count():
                if (wait := begun + number / RATE - time.perf_counter()) > 0:
                    time.sleep(wait)
                try:
                    stream.sendall(http.send(h11.Data(world.line())) or b"")
                except OSError:
                    return


def measured(page: Page, what: str, view: str) -> Iterator[Figure]:
    page.evaluate("view => { location.hash = view }", view)
    page.wait_for_timeout(WARM_UP * 1000)
    before, begun = _total(page), time.perf_counter()
    felt = page.evaluate(FRAMES)
    taken = (_total(page) - before) / (time.perf_counter() - begun)
    keys = [page.evaluate(KEY, key) for key in TYPED]
    page.get_by_role("button", name="Clear").click()
    yield Figure(f"{what}: frame, 95 of 100 within", felt["frame"], "ms", 50)
    yield Figure("  longest task", felt["longest"], "ms")
    yield Figure("  key typed until drawn", statistics.median(keys), "ms", 100)
    yield Figure("  flows a second taken", taken, "/s", RATE * 0.9, True)


def _total(page: Page) -> float:
    """Flows since the page was opened, as its status says to scripts."""
    return float(page.locator(".live-status").get_attribute("data-total") or 0)


def run(root: Path) -> Iterator[Figure]:
    here = Instance(str(root))
    Path(here.run_dir).mkdir(parents=True)
    Agent(f"{here.run_dir}/agent.sock")
    Path(here.kubeconfig).parent.mkdir(parents=True, exist_ok=True)
    Path(here.kubeconfig).write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a}}]\n"
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\n"
    )
    with (
        serving(environment={"NAMEWALL_ROOT": str(root), "KUBECONFIG": ""}) as address,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS) as browser,
    ):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        yield from measured(page, "map of 200 nodes", "#/map")
        page.wait_for_timeout(1000)  # till all is drawn again that the filter hid
        nodes = re.search(r"([\d,]+) nodes", page.locator(".live-bar.second").inner_text())
        yield Figure("  nodes on it", float(nodes[1]) if nodes else 0, "", 200, True)
        yield from measured(page, "table", "#/flows")


def main() -> int:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="nw-", dir="/tmp") as folder:
        for figure in run(Path(folder)):
            print(figure, flush=True)
            figures.append(figure)
    print(json.dumps([asdict(figure) for figure in figures]))
    return 0 if all(figure.good for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
