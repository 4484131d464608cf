"""`make bench-editor`: how quick and how small the policy editor is, each figure with its aim.

The server is `namewall editor`; flows come from a stand-in for the agent. Prints a table and, as its last line, the
same as JSON. Figures are medians of several runs on this machine.

    first page     from the start of the process to the first byte of index.html, and to the last of all that it loads
    first answer   from the start of the process to the first judgement, which starts a worker
    judge          a policy of 2,000 lines, sent and answered over HTTP; one with a problem in its last line
    first load     what the page loads before anything is clicked, compressed
    flows          lines of the agent's stream through POST /api/flows: 500 a second for five seconds, and as many as go
    memory         PSS of the server at rest, and of its worker
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import h11

ROUNDS = 7
RATE, SECONDS = 500, 5
NAMEWALL = Path(sys.executable).parent / "namewall"
RULE = """\
    - toFQDNs:
        - matchName: n{n}.example.com  # number {n}
      toPorts:
        - ports:
            - port: "{port}"
              protocol: TCP
"""


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    unit: str
    aim: float | None = None
    least: bool = False
    """The aim is the least that is good, not the most."""

    @property
    def good(self) -> bool:
        return self.aim is None or (self.value >= self.aim if self.least else self.value <= self.aim)

    def __str__(self) -> str:
        aim = "" if self.aim is None else f"   aim {self.aim:g} {self.unit}"
        return f"{self.name:<38}{self.value:>10.1f} {self.unit}{aim}{'' if self.good else '   MISSED'}"


def policy(lines: int) -> str:
    head = (
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: long, namespace: default}\n"
        "spec:\n  endpointSelector:\n    matchLabels: {app: web}\n  egress:\n"
    )
    rules = (lines - head.count("\n")) // RULE.count("\n")
    return head + "".join(RULE.format(n=n, port=n % 60000 + 1) for n in range(rules))


class Page:
    """A browser's view of a server: one connection kept open."""

    def __init__(self, url: str) -> None:
        base, _, self._token = url.partition("/#token=")
        self.port = int(base.rpartition(":")[2])
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def get(self, path: str) -> bytes:
        return self._ask("GET", path, None)

    def post(self, path: str, body: object) -> bytes:
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        headers = {"authorization": f"Bearer {self._token}", "accept-encoding": "gzip"}
        if body is not None:
            headers["content-type"] = "application/json"
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status}: {content[:300]!r}")
        return gzip.decompress(content) if answer.headers["content-encoding"] == "gzip" else content

    def loads(self) -> list[str]:
        """What index.html asks for."""
        page = self.get("/").decode()
        return [f"/{name}" for name in re.findall(r'(?:src|href)="\./([^"]+)"', page)]


@contextmanager
def started(root: Path, *more: str) -> Iterator[tuple[Page, int]]:
    """A cold server: the page, and its process."""
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    process = subprocess.Popen(
        [NAMEWALL, "editor", "--port", "0", "--no-open", *more],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "NAMEWALL_ROOT": str(root)},
    )
    assert process.stdout is not None
    try:
        yield Page(process.stdout.readline().strip()), process.pid
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def milliseconds(what: Callable[[], object]) -> float:
    begun = time.perf_counter()
    what()
    return (time.perf_counter() - begun) * 1000


def cold(root: Path) -> Iterator[Figure]:
    first, loaded, judged = [], [], []
    question = {"files": [{"name": "a.yaml", "text": policy(40)}]}
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        with started(root) as (page, _):
            page.get("/")
            first.append((time.perf_counter() - begun) * 1000)
            for name in page.loads():
                page.get(name)
            loaded.append((time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        with started(root) as (page, _):
            page.get("/")
            page.post("/api/judge", question)
            judged.append((time.perf_counter() - begun) * 1000)
    yield Figure("first page from a cold server", statistics.median(first), "ms", 1000)
    yield Figure("and all that it loads", statistics.median(loaded), "ms", 1000)
    yield Figure("first answer from a cold server", statistics.median(judged), "ms")


def judging(root: Path) -> Iterator[Figure]:
    long = policy(2000)
    texts = {
        "judge 2,000 lines": long,
        "with a problem in its last line": long.rstrip().rpartition("\n")[0]
        + "\n              protocol: TCPX\n",
        "that breaks off in its last line": long + "  }\n",
        "judge 40 lines": policy(40),
    }
    with started(root) as (page, _):
        for name, text in texts.items():
            question = {"files": [{"name": "a.yaml", "text": text}]}
            page.post("/api/judge", question)
            ask = partial(page.post, "/api/judge", question)
            times = [milliseconds(ask) for _ in range(ROUNDS * 3)]
            yield Figure(name, statistics.median(times), "ms", 200)
            if name == "judge 2,000 lines":
                yield Figure("  the slowest of them", max(times), "ms")
        asked = {
            "from": {"subject": {"namespace": "default", "labels": {"app": "web"}}},
            "to": {"name": "x.io"},
        }
        question = {"files": [{"name": "a.yaml", "text": long}], **asked, "port": 443, "protocol": "TCP"}
        times = [milliseconds(lambda: page.post("/api/explain", question)) for _ in range(ROUNDS)]
        yield Figure("explain a flow under 2,000 lines", statistics.median(times), "ms")
        union = {"files": question["files"], "subject": asked["from"]["subject"]}
        times = [milliseconds(lambda: page.post("/api/union", union)) for _ in range(ROUNDS)]
        yield Figure("union of 2,000 lines", statistics.median(times), "ms")


def size(root: Path) -> Iterator[Figure]:
    with started(root) as (page, _):
        connection = http.client.HTTPConnection("127.0.0.1", page.port)
        total = 0
        for name in ("/", *page.loads()):
            connection.request("GET", name, headers={"accept-encoding": "gzip"})
            total += len(connection.getresponse().read())
    yield Figure("first load, compressed", total / 1000, "kB", 300)


class Agent:
    """Answers /v1/flows on a socket as the agent does, with `rate` lines a second; 0 is as many as go."""

    LINE = (
        json.dumps(
            {
                "flow": {
                    "time": "2026-11-23T12:00:00.000000000Z",
                    "uuid": "2bc7a373-4539-8b1e-0000-000000000023",
                    "verdict": "FORWARDED",
                    "IP": {"source": "10.219.0.7", "destination": "203.0.113.7", "ipVersion": "IPv4"},
                    "l4": {"TCP": {"source_port": 40000, "destination_port": 443, "flags": {"SYN": True}}},
                    "source": {
                        "ID": 7,
                        "identity": 1234,
                        "namespace": "default",
                        "labels": ["k8s:app=web"] * 6,
                    },
                    "destination": {"identity": 9, "labels": ["reserved:world-ipv4"]},
                    "destination_names": ["kubernetes.io"],
                    "traffic_direction": "EGRESS",
                    "Summary": "TCP Flags: SYN",
                },
                "node_name": "here",
                "time": "2026-11-23T12:00:00.000000000Z",
            }
        ).encode()
        + b"\n"
    )

    def __init__(self, path: str) -> None:
        self.rate, self.lines = RATE, RATE * SECONDS
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
        while not isinstance(event, h11.EndOfMessage):
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(stream.recv(65536))
        head = h11.Response(status_code=200, headers=[("x-namewall-run", "bench")])
        stream.sendall(http.send(head) or b"")
        begun = time.perf_counter()
        for number in range(self.lines):
            if self.rate and (wait := begun + number / self.rate - time.perf_counter()) > 0:
                time.sleep(wait)
            stream.sendall(http.send(h11.Data(self.LINE)) or b"")
        stream.sendall(http.send(h11.EndOfMessage()) or b"")
        stream.close()


def flows(root: Path) -> Iterator[Figure]:
    run = root / "run"
    run.mkdir(parents=True, exist_ok=True)
    agent = Agent(str(run / "agent.sock"))
    kubeconfig = run / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a}}]\n"
        "clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\n"
    )
    from namewall.model.instance import Instance

    own = Path(Instance(str(root)).kubeconfig)
    own.parent.mkdir(parents=True, exist_ok=True)
    kubeconfig.replace(own)
    with started(root) as (page, pid):
        for rate, name in ((RATE, f"{RATE} flows a second arrive within"), (0, "")):
            agent.rate, agent.lines = rate, RATE * SECONDS if rate else 20_000
            before = _cpu(pid)
            begun = time.perf_counter()
            content = page.post("/api/flows", {"follow": True, "namewall": True})
            took = time.perf_counter() - begun
            assert content.count(b"\n") == agent.lines
            if rate:
                yield Figure(name, took, "s")
                yield Figure("  of one CPU", (_cpu(pid) - before) / took * 100, "%")
            else:
                yield Figure("flows a second that go through", agent.lines / took, "/s", RATE, True)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(root: Path) -> Iterator[Figure]:
    with started(root) as (page, pid):
        page.get("/api/session")
        yield Figure("PSS of the server at rest", _pss(pid), "MB", 45)
        page.post("/api/judge", {"files": [{"name": "a.yaml", "text": policy(2000)}]})
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        yield Figure("PSS of a worker while it is used", sum(_pss(int(child)) for child in children), "MB")


def _pss(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.findall(r"^Pss:\s+(\d+)", text, flags=re.MULTILINE)[0]) / 1000


def main() -> int:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="nw-", dir="/tmp") as folder:
        for part in (size, cold, judging, memory, flows):
            for figure in part(Path(folder)):
                print(figure, flush=True)
                figures.append(figure)
    print(json.dumps([asdict(figure) for figure in figures]))
    return 0 if all(figure.good for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
