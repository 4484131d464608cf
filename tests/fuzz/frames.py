"""Random frames through both programs, beside parser.py: verdict and drop reason are equal."""

from __future__ import annotations

import random
import struct
from collections import Counter
from ipaddress import IPv4Address, IPv6Address

from bpf_lab import Lab, Pod, a, allow, inside, tables
from packets import PASS, SHOT

from namewall.datapath import libbpf
from namewall.model.flow import DropReason
from namewall.model.net import Address, Direction
from namewall.policy.map_state import MapState
from tests.fuzz import parser
from tests.fuzz.campaign import Result
from tests.fuzz.parser import EGRESS, INGRESS, PASSED, QUIET

OPEN = {
    (EGRESS, 6, 443),
    (EGRESS, 17, 8080),
    (EGRESS, 132, 5000),
    (EGRESS, 1, 8),
    (EGRESS, 58, 128),
    (EGRESS, 58, 3),
    (INGRESS, 6, 80),
    (INGRESS, 17, 8080),
    (INGRESS, 1, 8),
    (INGRESS, 1, 3),
    (INGRESS, 58, 128),
}
PROGRAMS = {EGRESS: "from_endpoint", INGRESS: "to_endpoint"}


class Frames:
    def __init__(self, lab: Lab, pod: Pod) -> None:
        self.lab, self.pod, self.result = lab, pod, Result()
        entries = [allow(protocol=protocol, port=port, direction=way) for way, protocol, port in sorted(OPEN)]
        lab.apply(tables(MapState(True, True, dict(entries)), pod.row()))
        opened = lab.datapath._objects
        assert opened is not None
        self._programs, self._counters = opened.programs, opened.maps["counters"]
        self._endpoint = parser.Endpoint(
            pod.mac, frozenset({a(pod.ipv4), a(pod.ipv6)}), lambda *flow: flow in OPEN
        )
        self._context = bytearray(192)
        struct.pack_into("<II", self._context, 36, 1, pod.ifindex)
        self._totals: Counter[DropReason] = Counter({reason: self._total(reason) for reason in DropReason})

    def run(self, count: int, seed: int) -> Result:
        maker = FrameMaker(random.Random(seed), self.pod)
        with inside(self.lab.node):
            for _ in range(count):
                direction = maker.rng.choice((EGRESS, INGRESS))
                self.pass_frame(direction, maker.frame(direction))
        return self.result

    def pass_frame(self, direction: Direction, frame: bytes) -> None:
        try:
            program = self._programs[PROGRAMS[direction]]
            action, _, _ = libbpf.run_on_packet(program, frame, bytes(self._context), 1)
        except OSError:
            self.result.counts["frames that BPF_PROG_TEST_RUN does not take"] += 1
            return
        wanted = parser.judge(frame, direction, self._endpoint)
        self.result.counts["frames"] += 1
        self.result.counts[f"frames {wanted.name.lower()}"] += 1
        if isinstance(wanted, DropReason):
            self._totals[wanted] += 1
            right = action == SHOT and self._total(wanted) == self._totals[wanted]
        else:
            right = action == (PASS if wanted is PASSED else SHOT)
            if wanted is QUIET and right and self.result.counts["frames"] % 50 == 0:
                right = not self._moved()
        if not right:
            happened = "passed" if action == PASS else ", ".join(self._moved()) or f"action {action}"
            case = f"{PROGRAMS[direction]} {frame.hex()}"
            self.result.add(f"{wanted.name} wanted, {happened}", generalize(case, self.pod))
            self._totals = Counter({reason: self._total(reason) for reason in DropReason})

    def _moved(self) -> list[str]:
        return [r.name for r in DropReason if self._total(r) > self._totals[r]]

    def _total(self, reason: DropReason) -> int:
        return libbpf.lookup_per_cpu(self._counters, int(reason).to_bytes(4, "little"))

    def replay(self, case: str) -> list[str]:
        self.result = Result()
        with inside(self.lab.node):
            for line in case.splitlines():
                program, _, raw = line.partition(" ")
                for direction, name in PROGRAMS.items():
                    if name == program:
                        frame = localize(bytes.fromhex(raw), direction, self.pod)
                        self.pass_frame(direction, frame)
        return [about for about, _ in self.result.found]


POD_MAC, GATEWAY_MAC = bytes.fromhex("02000000000a"), bytes.fromhex("02000000000b")
"""In committed cases, where the pod's MACs of the day stood."""


def localize(frame: bytes, direction: Direction, pod: Pod) -> bytes:
    return frame.replace(POD_MAC, pod.mac).replace(GATEWAY_MAC, pod.gateway_mac)


def generalize(line: str, pod: Pod) -> str:
    return line.replace(pod.mac.hex(), POD_MAC.hex()).replace(pod.gateway_mac.hex(), GATEWAY_MAC.hex())


class FrameMaker:
    def __init__(self, rng: random.Random, pod: Pod) -> None:
        self.rng, self.pod = rng, pod

    def frame(self, direction: Direction) -> bytes:
        rng, pod = self.rng, self.pod
        kind, body = self.body(direction)
        if rng.random() < 0.02:
            kind = rng.choice(
                (0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8, 0x88CC, 0x0600, 0x0100, 0x8847, 0x8863)
            )
        macs = pod.gateway_mac + pod.mac if direction is EGRESS else pod.mac + pod.gateway_mac
        if rng.random() < 0.02:
            macs = rng.randbytes(12)
        frame = bytearray(macs + struct.pack("!H", kind) + body)
        if rng.random() < 0.5:
            for _ in range(rng.choice((1, 1, 2, 3))):
                at = (
                    rng.randrange(14, len(frame))
                    if len(frame) > 14 and rng.random() < 0.95
                    else rng.randrange(14)
                )
                match rng.randrange(5):
                    case 0 | 1 | 2:
                        frame[at] = rng.choice((0, 1, 6, 17, 43, 44, 58, 60, 0xFF, rng.randrange(256)))
                    case 3 if at > 15:
                        del frame[at:]
                    case _:
                        frame += rng.randbytes(rng.randint(1, 9))
        return bytes(frame) if len(frame) > 15 else bytes(frame) + b"\0\0"

    def body(self, direction: Direction) -> tuple[int, bytes]:
        if self.rng.random() < 0.05:
            return 0x0806, self.arp()
        version = self.rng.choice((4, 6))
        own: Address = a(self.pod.ipv4 if version == 4 else self.pod.ipv6)
        other = self.remote(version)
        source, destination = (own, other) if direction is EGRESS else (other, own)
        if self.rng.random() < 0.05:
            source, destination = self.rng.choice(((destination, source), (other, other), (own, own)))
        if version == 4:
            return 0x0800, self.ipv4(source, destination)
        return 0x86DD, self.ipv6(source, destination)

    def remote(self, version: int) -> Address:
        rng = self.rng
        if version == 4:
            return IPv4Address(bytes((rng.choice((100, 101, 203)),)) + rng.randbytes(3))
        special = ("fe80::1", "fe80::77", "ff02::1", "ff02::1:ff00:1", "::", "::1", "::ffff:203.0.113.1")
        if rng.random() < 0.2:
            return IPv6Address(rng.choice(special))
        return IPv6Address(bytes.fromhex("20010db80002") + rng.randbytes(10))

    def arp(self) -> bytes:
        rng, pod = self.rng, self.pod
        addresses = [a(pod.ipv4).packed, a("169.254.1.1").packed, a("203.0.113.1").packed, bytes(4)]
        sender, target = rng.choice(addresses), rng.choice(addresses)
        return struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + pod.mac + sender + bytes(6) + target

    def l4(self, version: int) -> tuple[int, bytes]:
        rng = self.rng
        ports = (
            rng.randrange(1024, 65536),
            rng.choice((443, 80, 8080, 53, 68, 546, 5000, rng.randrange(65536))),
        )
        if rng.random() < 0.15:
            ports = rng.choice(((53, rng.randrange(65536)), (67, 68), (547, 546), (443, 50000), (53, 53)))
        payload = rng.randbytes(rng.choice((0, 0, 4, 12, 17, 40)))
        match rng.randrange(10):
            case 0 | 1 | 2:
                flags = rng.choice((2, 2, 2, 16, 18, 1, 4, 0, 0x12, rng.randrange(256)))
                return 6, struct.pack("!HHIIBBHHH", *ports, 1, 0, 0x50, flags, 1024, 0, 0) + payload
            case 3 | 4:
                return 17, struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
            case 5:
                return 132, struct.pack("!HHII", *ports, 0, 0) + payload
            case 6 | 7:
                types = (0, 3, 8, 11, 13, 14, 17, 130, 128) if version == 4 else (1, 3, 128, 129, 4, 100, 200)
                protocol = 1 if version == 4 else 58
                if rng.random() < 0.1:
                    protocol = 59 - protocol
                return protocol, bytes((rng.choice(types), 0)) + rng.randbytes(6) + payload
            case 8:
                return 58, self.discovery()
            case _:
                return rng.choice((2, 4, 41, 47, 50, 51, 59, 89, 255, rng.randrange(256))), payload

    def discovery(self) -> bytes:
        rng = self.rng
        targets = [a(text).packed for text in (self.pod.ipv6, "fe80::1", "fe80::77", "2001:db8::1", "::")]
        kind = rng.choice((130, 131, 132, 133, 134, 135, 135, 136, 136, 137, 143))
        return bytes((kind, 0)) + bytes(6) + rng.choice(targets) + rng.randbytes(rng.choice((0, 8)))

    def ipv4(self, source: Address, destination: Address) -> bytes:
        rng = self.rng
        protocol, data = self.l4(4)
        options = bytes(4 * rng.choice((0, 0, 0, 0, 0, 1, 2, 10)))
        fragment = rng.choice((0, 0, 0, 0, 0, 0x4000, 0x2000, 0x0001, 0x2005, 0x8000, rng.randrange(65536)))
        hops = rng.choice((64, 255, 1))
        total = 20 + len(options) + len(data)
        first = 0x45 + len(options) // 4
        head = struct.pack("!BBHHHBBH", first, 0, total, rng.randrange(65536), fragment, hops, protocol, 0)
        return head + source.packed + destination.packed + options + data

    def ipv6(self, source: Address, destination: Address) -> bytes:
        rng = self.rng
        following, data = self.l4(6)
        for _ in range(rng.choice((0, 0, 0, 0, 0, 1, 1, 2, 3, 6, 7))):
            kind = rng.choice((0, 43, 44, 60, 60))
            if kind == 44:
                where = rng.choice((0, 0, 1, 8, 9, 0xFFF8, rng.randrange(65536)))
                header = struct.pack("!BBHI", following, 0, where, rng.randrange(1 << 32))
            else:
                words = rng.choice((0, 0, 0, 1, 2))
                left = rng.choice((0, 0, 1)) if kind == 43 else 0
                header = bytes((following, words, 0, left)) + bytes(4 + 8 * words)
            following, data = kind, header + data
        hops = 255 if following == 58 and rng.random() < 0.8 else rng.choice((64, 255, 1))
        return (
            struct.pack("!IHBB", 6 << 28, len(data), following, hops)
            + source.packed
            + destination.packed
            + data
        )
