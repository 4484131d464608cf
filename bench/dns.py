"""`make bench-dns`: questions a second and added latency, with policies of different sizes and beside forwarders.

dnsperf in a workload's namespace asks a server in the world; between them is a routed veth with the real programs
and the agent's own consumer of events. `direct` is the same veth without programs. The forwarders (dnsdist,
dnsmasq, a relay in asyncio, none of which judges anything) stand on the node, where a DNS proxy would. 1,000 names
are asked for, as when Cilium's proxy was measured, and all 10,000 where 10,000 are allowed; each round runs all
cases in turn. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial

from bpf_lab import UDP, allow, egress, names, tables

from bench.node import (
    CLIENT_CPU,
    SERVER4,
    Node,
    Series,
    cannot,
    node,
    print_json,
    print_series,
    rounds,
    stats,
)
from namewall.policy.map_state import MapState
from namewall.state.tables import NodeTables

GATEWAY = "198.51.100.1"
SETTLE = 0.7
"""Seconds: the kernel frees what an edit took away in threads of its own, on the processors that are measured."""
NAMES = [f"h{n // 1000}.svc{n % 1000}.example.com." for n in range(10_000)]
"""The first thousand are one of each service."""
POLICIES: dict[str, Callable[[], MapState]] = {
    "1 pattern": lambda: names("**.example.com."),
    "1,000 patterns *.svcN.example.com": lambda: names(*(f"*.svc{n}.example.com." for n in range(1000))),
    "10,000 exact names": lambda: names(*NAMES),
    "all refused (1,000 patterns)": lambda: names(*(f"*.svc{n}.example.net." for n in range(1000))),
    "allowed by port, no names": lambda: egress(allow(protocol=UDP, port=53)),
}
AIMS = {"1 pattern": 0.95, "1,000 patterns *.svcN.example.com": 0.92, "10,000 exact names": 0.92}
CILIUM = "Cilium 1.19's proxy: 0.31 for `*`, 0.22 with its full handler; 0.055 and 0.045 with 1,000 patterns"
QUICK, SLOW = "1 pattern", "10,000 exact names"


class Bench:
    def __init__(self, made: Node, seconds: float, folder: str) -> None:
        self._node = made
        self._seconds = seconds
        self._folder = folder
        for count in (1000, len(NAMES)):
            with open(f"{folder}/{count}", "w", encoding="ascii") as file:
                file.writelines(f"{name} A\n" for name in NAMES[:count])
        self.rates = {name: Series(name, "q/s", AIMS.get(name)) for name in ("direct", *POLICIES)}
        self.cpu = {name: Series(name, "µs") for name in self.rates}
        self.lost: dict[str, int] = {}
        self.times: dict[str, dict[str, float]] = {}
        self.latencies: dict[str, list[tuple[float, float]]] = {}

    def enforce(self, name: str) -> None:
        """A policy's own state of the kernel: nothing of the one before is left but the events."""
        self._node.apply(NodeTables())
        if name != "direct":
            self._node.apply(tables(POLICIES[name](), self._node.pod.row()))
        time.sleep(SETTLE)

    def questions(self, name: str) -> str:
        return f"{self._folder}/{len(NAMES) if name == SLOW else 1000}"

    def ask(self, name: str, server: str, *more: str) -> str:
        base = ["dnsperf", "-s", server, "-d", self.questions(name), "-T", "1", "-c", "8", "-q", "200"]
        return self._node.run(self._node.pod.namespace, *base, *more, cpu=CLIENT_CPU)

    def rate(self, name: str, server: str = SERVER4) -> None:
        self.ask(name, server, "-l", "0.3" if name in self.rates and self.rates[name].values else "1")
        before = self._node.cpu_seconds()
        said = self.ask(name, server, "-l", str(self._seconds))
        spent = self._node.cpu_seconds() - before
        self.cpu[name].values.append(1e6 * spent / int(_after(r"Queries completed:\s+(\d+)", said)))
        self.rates[name].values.append(float(_after(r"Queries per second:\s+([\d.]+)", said)))
        self.lost[name] = self.lost.get(name, 0) + int(_after(r"Queries lost:\s+(\d+)", said))

    def enforced_rate(self, name: str) -> None:
        self.enforce(name)
        self.rate(name)

    def time_programs(self, name: str) -> None:
        self.enforce(name)
        with self._node.timed() as figures:
            self.ask(name, SERVER4, "-l", str(self._seconds))
        self.times[name] = {program: round(value) for program, value in figures.items()}

    def latency(self, name: str, seconds: float) -> None:
        """Microseconds at 1,000 questions a second: the middle and the slowest hundredth."""
        self.enforce(name)
        base = [
            "dnsperf",
            "-s",
            SERVER4,
            "-d",
            self.questions(name),
            "-T",
            "1",
            "-c",
            "8",
            "-Q",
            "1000",
            "-v",
        ]
        said = self._node.run(self._node.pod.namespace, *base, "-l", str(seconds), cpu=CLIENT_CPU, timeout=60)
        spent = sorted(1e6 * float(value) for value in re.findall(r"^> NOERROR \S+ \S+ ([\d.]+)", said, re.M))
        if len(spent) < 100:
            raise RuntimeError(f"dnsperf -v says nothing of latencies: {said[:300]}")
        self.latencies.setdefault(name, []).append((spent[len(spent) // 2], spent[int(len(spent) * 0.99)]))


def _after(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"dnsperf says something else: {text[-400:]}")
    return found[1]


DNSDIST = f"""
setLocal("{GATEWAY}:53", {{reusePort=true}})
setACL("0.0.0.0/0")
newServer({{address="{SERVER4}:53", checkInterval=60, healthCheckMode="up"}})
"""


@contextlib.contextmanager
def forwarder(made: Node, name: str) -> Iterator[None]:
    """On the node's own address, one at a time."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(DNSDIST)
        config.flush()
        words = {
            "dnsdist": ["dnsdist", "--supervised", "--disable-syslog", "-C", config.name],
            "dnsmasq": [
                *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"),
                *("--user=root", "--pid-file", "--cache-size=0", "--dns-forward-max=10000"),
                *(f"--listen-address={GATEWAY}", "--bind-interfaces", f"--server={SERVER4}"),
            ],
            "relay in asyncio": [sys.executable, "-m", "bench.relay", GATEWAY, SERVER4],
        }[name]
        process = made.start(made.lab.node, *words)
        time.sleep(0.7)
        try:
            if process.poll() is not None:
                raise RuntimeError(f"{name}: {process.stderr.read() if process.stderr else ''}")
            yield
        finally:
            made.stop(process)


FORWARDERS = {"dnsdist": "dnsdist", "dnsmasq": "dnsmasq", "relay in asyncio": sys.executable}


def _forwarded(made: Node, bench: Bench, name: str) -> None:
    bench.enforce("direct")
    with forwarder(made, name):
        bench.rate(name, GATEWAY)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.dns", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each run")
    parser.add_argument("--no-forwarders", action="store_true")
    parser.add_argument("--no-latency", action="store_true")
    arguments = parser.parse_args()
    reason = cannot() or next((f"`{p}` is missing" for p in ("dnsperf",) if not shutil.which(p)), None)
    if reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory() as folder, node() as made:
        made.serve("dns", SERVER4, "53")
        bench = Bench(made, arguments.seconds, folder)
        cases: dict[str, Callable[[], None]] = {
            name: partial(bench.enforced_rate, name) for name in ("direct", *POLICIES)
        }
        for name, program in FORWARDERS.items():
            if shutil.which(program) and not arguments.no_forwarders:
                bench.rates[name], bench.cpu[name] = Series(name, "q/s"), Series(name, "µs")
                cases[name] = partial(_forwarded, made, bench, name)
        with made.consumer(), stats(False):
            rounds(arguments.rounds, cases)
            for name in POLICIES:
                bench.time_programs(name)
            timed = ("direct", QUICK, "1,000 patterns *.svcN.example.com", SLOW)
            if not arguments.no_latency:
                for _ in range(arguments.rounds):
                    for name in timed:
                        bench.latency(name, 2)
        return _report(bench, timed)


def _report(bench: Bench, timed: tuple[str, ...]) -> int:
    rates = list(bench.rates.values())
    figures = print_series("questions a second", rates, bench.rates["direct"])
    print(f"({CILIUM})")
    spent = print_series("CPU of all processes for a question", list(bench.cpu.values()), bench.cpu["direct"])
    print(f"\n{'ns a run, under load':<44}{'question':>12}{'answer':>12}{'lost':>12}")
    for name, times in bench.times.items():
        print(
            f"{name:<44}{times.get('from_endpoint', 0):>12}{times.get('to_endpoint', 0):>12}"
            f"{bench.lost[name]:>12}"
        )
    added = {}
    if bench.latencies:
        print(f"\n{'at 1,000 q/s, microseconds':<44}{'p50':>12}{'p99':>12}{'added p50':>12}{'added p99':>12}")
        control = bench.latencies["direct"]
        for name in timed:
            own = bench.latencies[name]
            middle, slow = (statistics.median(one[i] for one in own) for i in (0, 1))
            more = [statistics.median(a[i] - b[i] for a, b in zip(own, control, strict=True)) for i in (0, 1)]
            print(f"{name:<44}{middle:>12.0f}{slow:>12.0f}{more[0]:>12.0f}{more[1]:>12.0f}")
            added[name] = {"p50": middle, "p99": slow, "added_p50": more[0], "added_p99": more[1]}
        print(f"{'aim':<44}{'':>24}{'< 20':>12}{'< 200':>12}")
    print_json("dns", rates=figures, cpu=spent, nanoseconds=bench.times, latency_us=added, lost=bench.lost)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
