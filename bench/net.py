"""`make bench-net`: what policy costs connections and packets that are no DNS.

iperf3 both ways, connections opened (and reset) a second, datagrams of 64 octets a second, between a workload's
namespace and the world. `direct` is the same veth without programs; then the programs with one rule, and with
100,000 grants and 1,000 rows of policy of which the server is allowed by name. Each round runs all in turn. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, ip_network

from bpf_lab import TCP, UDP, a, allow, egress, tables

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
from namewall.policy.map_state import CidrPeer, FqdnPeer, MapState
from namewall.state.tables import KnownName, NodeTables

IPERF, ACCEPT, SINK = "5201", "8443", "9"
GRANTS, ROWS = 100_000, 1_000
NAME = "server.example.com."
LONG = 2**31
AIMS = {"TCP, sent": 0.98, "TCP, received": 0.98, "connections": 0.96, "datagrams of 64 octets": 0.97}
UNITS = {"TCP, sent": "Gb/s", "TCP, received": "Gb/s", "connections": "/s", "datagrams of 64 octets": "/s"}
STATES = ("direct", "one rule", f"{GRANTS:,} grants, {ROWS:,} rows")


def small() -> MapState:
    return egress(allow(protocol=TCP), allow(protocol=UDP))


def large() -> MapState:
    """Half names, half prefixes, each with a port; what the bench uses is allowed by one name."""
    rows = [allow(FqdnPeer(NAME), TCP), allow(FqdnPeer(NAME), UDP)]
    rows += [allow(FqdnPeer(f"*.svc{n}.example.com."), TCP, 1 + n) for n in range(ROWS // 2 - 1)]
    prefixes = [ip_network(f"100.{64 + n // 256}.{n % 256}.0/24") for n in range(ROWS // 2 - 1)]
    return egress(*rows, *(allow(CidrPeer(prefix), TCP, 443) for prefix in prefixes))


def learned(count: int) -> frozenset[KnownName]:
    """Grants as if looked up: addresses of other names, and the server's."""
    start = int(IPv4Address("198.18.0.0"))
    known = [
        KnownName(101, f"h.svc{n % (ROWS // 2 - 1)}.example.com.", IPv4Address(start + n), LONG)
        for n in range(count)
    ]
    return frozenset([*known, KnownName(101, NAME, a(SERVER4), LONG)])


class Bench:
    def __init__(self, made: Node, seconds: float) -> None:
        self._node = made
        self._seconds = str(seconds)
        self.series = {
            state: {name: Series(f"{name}: {state}", UNITS[name], AIMS[name]) for name in AIMS}
            for state in STATES
        }
        self.times: dict[str, dict[str, float]] = {}
        self._known = learned(GRANTS)

    def enforce(self, state: str) -> None:
        self._node.apply(NodeTables())
        if state == STATES[1]:
            self._node.apply(tables(small(), self._node.pod.row()))
        elif state == STATES[2]:
            self._node.apply(tables(large(), self._node.pod.row(), known_names=self._known))

    def _iperf(self, *more: str) -> float:
        words = ["iperf3", "-c", SERVER4, "-p", IPERF, "-t", self._seconds, "-J", *more]
        for _ in range(10):
            said = json.loads(self._node.attempt(self._node.pod.namespace, *words, cpu=CLIENT_CPU).stdout)
            if "error" not in said:
                return float(said["end"]["sum_received"]["bits_per_second"]) / 1e9
            time.sleep(0.5)  # the server may still be busy with the last one
        raise RuntimeError(f"iperf3: {said['error']}")

    def measures(self) -> dict[str, Callable[[], float]]:
        pod = self._node.pod.namespace
        return {
            "TCP, sent": self._iperf,
            "TCP, received": partial(self._iperf, "-R"),
            "connections": lambda: float(self._node.load(pod, "connect", SERVER4, ACCEPT, self._seconds)),
            "datagrams of 64 octets": lambda: float(
                self._node.load(pod, "flood", SERVER4, SINK, self._seconds).split()[0]
            ),
        }

    def measure(self, state: str) -> None:
        self.enforce(state)
        for name, take in self.measures().items():
            self.series[state][name].values.append(take())

    def time_programs(self, state: str) -> None:
        self.enforce(state)
        for name, take in self.measures().items():
            with self._node.timed() as figures:
                take()
            self.times[f"{name}: {state}"] = {program: round(value) for program, value in figures.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.net", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each run")
    arguments = parser.parse_args()
    reason = cannot() or (
        None if shutil.which("iperf3") else "`iperf3` is missing; `scripts/setup bench` installs it"
    )
    if reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 3
    with node(grants=131_072) as made:
        made.serve("accept", SERVER4, ACCEPT)
        made.serve("sink", SERVER4, SINK)
        made.start(made.lab.world, "iperf3", "-s", "-p", IPERF)
        time.sleep(0.3)
        bench = Bench(made, arguments.seconds)
        with made.consumer(), stats(False):
            rounds(arguments.rounds, {state: partial(bench.measure, state) for state in STATES})
            for state in STATES[1:]:
                bench.time_programs(state)
            held = len(made.datapath.grants())
        figures = []
        for name in AIMS:
            series = [bench.series[state][name] for state in STATES]
            figures += print_series(name, series, series[0])
    print(f"\n{'ns a run, under load':<60}{'out':>8}{'in':>8}")
    for name, times in bench.times.items():
        print(f"{name:<60}{times.get('from_endpoint', 0):>8}{times.get('to_endpoint', 0):>8}")
    print_json("net", figures=figures, nanoseconds=bench.times, grants=held)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
