"""`make bench-programs`: nanoseconds of each program on one packet, by BPF_PROG_TEST_RUN.

`hot`: the median of many runs in a row on the same packet, everything in the cache. `cold`: of single runs with
other work between them, nearer to what a packet meets. Neither has the network stack around it, so they are good
for comparing one version of the programs with another; bench-dns and bench-net say what users get.

The last line is one JSON object. `--instructions` prints only what the verifier made of each program.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass

import dns.message
import dns.rrset
from bpf_lab import RESOLVER4, RESOLVER6, TCP, UDP, WORLD4, WORLD6, a, allow, egress, inside, names, tables
from packets import ACK, L4, SYN, from_pod, ip, tcp, to_pod, udp, with_checksums

from bench.node import Node, cannot, node, print_json, stats
from namewall.datapath import libbpf
from namewall.policy.map_state import ALLOW_ALL, FqdnPeer, MapState
from namewall.state.tables import KnownName

HOT_RUNS, HOT_REPEAT, COLD_RUNS = 15, 2000, 400
PATTERNS = {
    "1 pattern": ["**.example.com."],
    "1,000 patterns": [f"*.svc{n}.example.com." for n in range(1000)],
    "10,000 names": [f"h{n // 1000}.svc{n % 1000}.example.com." for n in range(10_000)],
}
NAME = "h7.svc777.example.com."


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    program: str
    frame: bytes
    before: Callable[[int], None] | None = None
    """Called ahead of each measurement, with how many packets come."""
    once: bool = False
    """The program changes the packet, so that only single runs mean something."""


class Cases:
    def __init__(self, made: Node) -> None:
        self._node = made
        self._pod = made.pod
        self._programs = made.datapath._loaded().programs
        self.figures: dict[str, dict[str, float]] = {}

    def run(self, program: str, frame: bytes, repeat: int = 1) -> tuple[int, int]:
        context = bytearray(192)
        struct.pack_into("<II", context, 36, 1, self._pod.ifindex)
        with inside(self._node.lab.node):
            action, _, spent = libbpf.run_on_packet(self._programs[program], frame, bytes(context), repeat)
        return action, spent

    def measure(self, case: Case, expected: int) -> None:
        events = self._node.datapath
        hot, cold = [], []
        for _ in range(0 if case.once else HOT_RUNS):
            if case.before:
                case.before(HOT_REPEAT)
            action, spent = self.run(case.program, case.frame, HOT_REPEAT)
            if action != expected:
                raise RuntimeError(f"{case.name}: action {action}, not {expected}")
            hot.append(spent)
            events.read_events()
        for turn in range(COLD_RUNS):
            if case.before:
                case.before(1)
            cold.append(self.run(case.program, case.frame)[1])
            if turn % 100 == 0:
                events.read_events()
        events.read_events()
        figures = {"cold": statistics.median(cold)}
        if hot:
            figures |= {"hot": statistics.median(hot), "low": min(hot), "high": max(hot)}
        self.figures[case.name] = figures
        shown = f"{figures['hot']:>8.0f}{figures['low']:>8.0f}{figures['high']:>8.0f}" if hot else f"{'':>24}"
        print(f"{case.name:<50}{shown}{figures['cold']:>8.0f}", flush=True)

    def out(self, other: str, l4: L4) -> bytes:
        own = a(self._pod.ipv6 if ":" in other else self._pod.ipv4)
        return from_pod(self._pod, ip(own, a(other), l4))

    def back(self, other: str, l4: L4) -> bytes:
        own = a(self._pod.ipv6 if ":" in other else self._pod.ipv4)
        return to_pod(self._pod, ip(a(other), own, l4))

    # What is measured.

    def all(self) -> None:
        print(f"{'ns a run':<50}{'hot':>8}{'lowest':>8}{'highest':>8}{'cold':>8}")
        self.connections()
        for title, forms in PATTERNS.items():
            self._apply(names(*forms))
            self.questions(f"{title}: ", RESOLVER4)
            if title == "1 pattern":
                self.questions(f"{title}, IPv6: ", RESOLVER6)
                self.refused(f"{title}: ")

    def _apply(self, state: MapState, **more: object) -> None:
        self._node.lab.apply(tables(state, self._pod.row(), **more))

    def connections(self) -> None:
        self._apply(ALLOW_ALL)
        self.established("not enforced: ", WORLD4[0])
        name = "a.example.com."
        granted = frozenset(KnownName(101, name, a(address), 2**31) for address in (WORLD4[0], WORLD6[0]))
        state = egress(
            allow(FqdnPeer(name), TCP, 443), allow(protocol=TCP, port=80), allow(protocol=UDP, port=7)
        )
        self._apply(state, known_names=granted)
        self.established("", WORLD4[0])
        self.established("IPv6, ", WORLD6[0])
        for address, version in ((WORLD4[0], ""), (WORLD6[0], "IPv6, ")):
            frame = self.out(address, tcp(2000, 443, SYN))
            self.measure(Case(f"{version}first packet, allowed by name", "from_endpoint", frame), -1)
        frame = self.out(WORLD4[0], tcp(2001, 80, SYN))
        self.measure(Case("first packet, allowed by port", "from_endpoint", frame), -1)
        frame = self.out(WORLD4[1], tcp(2002, 443, SYN))
        self.measure(Case("first packet, denied", "from_endpoint", frame), 2)
        frame = self.out(WORLD4[0], udp(3000, 7, bytes(64)))
        self.measure(Case("UDP, established", "from_endpoint", frame), -1)

    def established(self, title: str, address: str) -> None:
        self.run("from_endpoint", self.out(address, tcp(1000, 443, SYN)))
        self.run("to_endpoint", self.back(address, tcp(443, 1000, SYN | ACK)))
        frame = self.out(address, tcp(1000, 443, ACK))
        self.measure(Case(f"{title}TCP, established", "from_endpoint", frame), -1)
        frame = self.back(address, tcp(443, 1000, ACK))
        self.measure(Case(f"{title}TCP, established, back", "to_endpoint", frame), -1)

    def questions(self, title: str, server: str) -> None:
        query = dns.message.make_query(NAME, "A", id=7)
        question = self.out(server, udp(5353, 53, query.to_wire()))
        self.measure(Case(f"{title}question", "from_endpoint", question), -1)
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text(NAME, 60, "IN", "A", WORLD4[2]))
        answer = self.back(server, udp(53, 5353, response.to_wire()))

        def ask(count: int) -> None:
            self.run("from_endpoint", question, count)

        self.measure(Case(f"{title}answer, 1 address", "to_endpoint", answer, ask), -1)
        if title != "1 pattern: ":
            return
        rrset = dns.rrset.from_text(NAME, 60, "IN", "A", *(f"203.0.113.{n}" for n in range(1, 17)))
        response.answer = [rrset]
        answer = self.back(server, udp(53, 5353, response.to_wire()))
        self.measure(Case(f"{title}answer, 16 addresses", "to_endpoint", answer, ask), -1)

    def refused(self, title: str) -> None:
        query = dns.message.make_query("h7.svc777.example.net.", "A", id=7)
        own = a(self._pod.ipv4)
        packet = with_checksums(ip(own, a(RESOLVER4), udp(5353, 53, query.to_wire())))
        frame = from_pod(self._pod, packet)
        self.measure(Case(f"{title}question refused", "from_endpoint", frame, once=True), 7)


def instructions(made: Node) -> dict[str, dict[str, int]]:
    """What the verifier looked at, and the size of the machine code, of each program."""
    found = {}
    print(f"{'':<20}{'verified instructions':>24}{'machine code, bytes':>24}")
    for name, fd in made.datapath._loaded().programs.items():
        info = libbpf.program_info(fd)
        found[name] = {"verified": info.verified_insns, "bytes": info.jited_prog_len}
        print(f"{name:<20}{info.verified_insns:>24,}{info.jited_prog_len:>24,}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.programs", description=__doc__)
    parser.add_argument("--instructions", action="store_true")
    arguments = parser.parse_args()
    reason = cannot()
    if reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 3
    with node() as made, stats(False):
        verified = instructions(made)
        cases = Cases(made)
        if not arguments.instructions:
            print()
            cases.all()
    print_json("programs", instructions=verified, nanoseconds=cases.figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
