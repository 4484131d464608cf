"""Packets in layers, and the programs run on them by BPF_PROG_TEST_RUN.

A packet is bytes: `eth(pod) / …` is spelled `frame(pod, ip(…, tcp(…)))`. Checksums are left zero where the
programs do not look at them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from bpf_lab import Lab, Pod, inside

from namewall.datapath import libbpf
from namewall.model.flow import Event
from namewall.model.net import Address

PASS, SHOT, REDIRECT = -1, 2, 7
SYN, ACK, FIN, RST = 0x02, 0x10, 0x01, 0x04
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
OTHER_MAC = bytes.fromhex("0200000000ff")


@dataclass(frozen=True)
class L4:
    protocol: int
    data: bytes


def tcp(source: int, destination: int, flags: int = SYN) -> L4:
    return L4(6, struct.pack("!HHIIBBHHH", source, destination, 1, 0, 0x50, flags, 1024, 0, 0))


def udp(source: int, destination: int, payload: bytes = b"") -> L4:
    return L4(17, struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload)


def sctp_init(source: int, destination: int) -> L4:
    """RFC 9260, 3.3.2."""
    return L4(132, struct.pack("!HHII", source, destination, 0, 0) + bytes((1, 0, 0, 20)) + bytes(16))


def icmp4(kind: int, number: int = 1, payload: bytes = b"") -> L4:
    return L4(1, struct.pack("!BBHHH", kind, 0, 0, number, 1) + payload)


def icmp6(kind: int, number: int = 1, payload: bytes = b"") -> L4:
    return L4(58, struct.pack("!BBHHH", kind, 0, 0, number, 1) + payload)


def ip(
    source: Address,
    destination: Address,
    l4: L4,
    *,
    options: bytes = b"",
    fragment: int = 0,
    number: int = 7,
    hops: int = 64,
    extensions: bytes = b"",
    first: int | None = None,
) -> bytes:
    """`fragment` is IPv4's flags and offset field. `extensions` stand before the payload in IPv6, the first of

    kind `first`; their last "next header" must be right.
    """
    if isinstance(source, IPv4Address):
        head = struct.pack(
            "!BBHHHBBH4s4s",
            0x45 + len(options) // 4,
            0,
            20 + len(options) + len(l4.data),
            number,
            fragment,
            hops,
            l4.protocol,
            0,
            source.packed,
            destination.packed,
        )
        return head + options + l4.data
    following = first if first is not None else l4.protocol
    payload = extensions + l4.data
    return (
        struct.pack("!IHBB", 6 << 28, len(payload), following, hops)
        + source.packed
        + destination.packed
        + payload
    )


def kind_of(packet: bytes) -> int:
    return IPV4 if packet[0] >> 4 == 4 else IPV6


def from_pod(pod: Pod, packet: bytes, *, mac: bytes | None = None, kind: int | None = None) -> bytes:
    return pod.gateway_mac + (mac or pod.mac) + struct.pack("!H", kind or kind_of(packet)) + packet


def to_pod(pod: Pod, packet: bytes, *, kind: int | None = None) -> bytes:
    return pod.mac + pod.gateway_mac + struct.pack("!H", kind or kind_of(packet)) + packet


class Bench:
    """A loaded datapath and its programs, to be fed packet by packet."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        opened = lab.datapath._objects
        assert opened is not None
        self._programs = opened.programs

    def run(
        self, program: str, pod: Pod, frame: bytes, *, local: bool = False, segment: int = 0
    ) -> tuple[int, bytes]:
        """The action and the frame after it. `local`: the host itself sends it."""
        context = bytearray(192)
        struct.pack_into("<I", context, 36, 0 if local else 1)  # ingress_ifindex
        struct.pack_into("<I", context, 40, pod.ifindex)
        struct.pack_into("<I", context, 176, segment)  # gso_size
        with inside(self.lab.node):
            action, after, _ = libbpf.run_on_packet(self._programs[program], frame, bytes(context), 1)
        return action, after

    def sends(self, pod: Pod, packet: bytes, **more: bool) -> bool:
        return self.run("from_endpoint", pod, from_pod(pod, packet), **more)[0] == PASS

    def gets(self, pod: Pod, packet: bytes, **more: bool) -> bool:
        return self.run("to_endpoint", pod, to_pod(pod, packet), **more)[0] == PASS

    def events(self) -> list[Event]:
        return list(self.lab.datapath.read_events())


def checksum(data: bytes) -> int:
    """RFC 1071, of 16-bit words; 0 over data that carries its own."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def with_checksums(packet: bytes) -> bytes:
    """An IP packet with UDP inside, checksums filled in."""
    if packet[0] >> 4 == 4:
        head, body = bytearray(packet[:20]), bytearray(packet[20:])
        head[10:12] = checksum(bytes(head)).to_bytes(2, "big")
        pseudo = packet[12:20] + bytes([0, 17]) + len(body).to_bytes(2, "big")
    else:
        head, body = bytearray(packet[:40]), bytearray(packet[40:])
        pseudo = packet[8:40] + len(body).to_bytes(4, "big") + bytes([0, 0, 0, 17])
    body[6:8] = (checksum(pseudo + bytes(body)) or 0xFFFF).to_bytes(2, "big")
    return bytes(head + body)


def checksums_are_right(packet: bytes) -> bool:
    if packet[0] >> 4 == 4:
        head, body = packet[:20], packet[20:]
        pseudo = packet[12:20] + bytes([0, 17]) + len(body).to_bytes(2, "big")
        return checksum(head) == 0 and checksum(pseudo + body) == 0
    body = packet[40:]
    return checksum(packet[8:40] + len(body).to_bytes(4, "big") + bytes([0, 0, 0, 17]) + body) == 0
