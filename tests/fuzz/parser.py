"""What the programs should do with any frame, said a second time: a small model of bpf/{parse,guard}.h and of the

order in bpf/endpoint.bpf.c, for an enforced workload without connections (frames.Frames has its policy). The verdict is
a DropReason, PASSED, or QUIET for what every kernel sends and nobody is told of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from namewall.model.flow import DropReason
from namewall.model.net import Address, Direction

EGRESS, INGRESS = Direction.EGRESS, Direction.INGRESS
IPV4, IPV6, ARP, VLAN, QINQ = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8
HOP_BY_HOP, ICMP, TCP, UDP, ROUTING, FRAGMENT, ICMPV6, DESTINATION, SCTP = 0, 1, 6, 17, 43, 44, 58, 60, 132
EXTENSIONS = (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION)
MAX_EXTENSIONS = 6
LINK_LOCAL, ALL_LINK = ip_network("fe80::/10"), ip_network("ff02::/16")
MAPPED = ip_network("::ffff:0:0/96")
GATEWAY4, GATEWAY6 = ip_address("169.254.1.1"), ip_address("fe80::1")
UNSPECIFIED = ip_address("::")


class Silent(Enum):
    PASSED = 0
    QUIET = 1


PASSED, QUIET = Silent.PASSED, Silent.QUIET
Verdict = DropReason | Silent


class Broken(Exception):
    def __init__(self, reason: DropReason) -> None:
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Endpoint:
    mac: bytes
    addresses: Collection[Address]
    allows: Callable[[Direction, int, int], bool]
    """Direction, protocol, destination port or ICMP type → may it begin."""


@dataclass(slots=True)
class Packet:
    source: Address
    destination: Address
    protocol: int
    hop_limit: int
    payload: bytes
    options: bool = False
    fragment: bool = False
    later: bool = False
    ports: tuple[int, int] = (0, 0)
    type: int = 0
    flags: int = 0
    short: bool = field(default=False)

    @property
    def is_ipv6(self) -> bool:
        return self.source.version == 6


def judge(frame: bytes, direction: Direction, endpoint: Endpoint) -> Verdict:
    kind = int.from_bytes(frame[12:14], "big")
    if direction is EGRESS:
        if kind in (VLAN, QINQ):
            return DropReason.VLAN_FILTERED
        if frame[6:12] != endpoint.mac:
            return DropReason.INVALID_SOURCE_MAC
    if kind == ARP:
        return _arp(frame[14:], endpoint) if direction is EGRESS else PASSED
    if kind not in (IPV4, IPV6):
        return DropReason.UNSUPPORTED_L3_PROTOCOL
    try:
        packet = _ipv4(frame[14:]) if kind == IPV4 else _ipv6(frame[14:])
    except Broken as broken:
        return broken.reason
    return _sent(packet, endpoint) if direction is EGRESS else _received(packet, endpoint)


def _arp(body: bytes, endpoint: Endpoint) -> Verdict:
    if len(body) < 28:
        return DropReason.INVALID_PACKET_DROPPED
    if body[8:14] != endpoint.mac:
        return DropReason.INVALID_SOURCE_MAC
    sender, target = IPv4Address(body[14:18]), IPv4Address(body[24:28])
    if int(sender) and sender not in endpoint.addresses:
        return DropReason.INVALID_SOURCE_IP
    return PASSED if target == GATEWAY4 or target in endpoint.addresses else DropReason.FORBIDDEN_ARP


# From bytes to Packet.


def _ipv4(body: bytes) -> Packet:
    if len(body) < 20:
        raise Broken(DropReason.INVALID_PACKET_DROPPED)
    header, total = (body[0] & 15) * 4, int.from_bytes(body[2:4], "big")
    if body[0] >> 4 != 4 or header < 20 or not header <= total <= len(body):
        raise Broken(DropReason.INVALID_PACKET_DROPPED)
    where = int.from_bytes(body[6:8], "big")
    packet = Packet(
        IPv4Address(body[12:16]),
        IPv4Address(body[16:20]),
        protocol=body[9],
        hop_limit=body[8],
        payload=body[header:total],
        options=header > 20,
        fragment=bool(where & 0x3FFF),
        later=bool(where & 0x1FFF),
    )
    _l4(packet)
    return packet


def _ipv6(body: bytes) -> Packet:
    if len(body) < 40 or body[0] >> 4 != 6 or 40 + int.from_bytes(body[4:6], "big") > len(body):
        raise Broken(DropReason.INVALID_PACKET_DROPPED)
    rest = body[40 : 40 + int.from_bytes(body[4:6], "big")]
    packet = Packet(IPv6Address(body[8:24]), IPv6Address(body[24:40]), body[6], body[7], b"")
    for _ in range(MAX_EXTENSIONS):
        if packet.protocol not in EXTENSIONS:
            break
        if len(rest) < 8:
            raise Broken(DropReason.CT_TRUNCATED_OR_INVALID_HEADER)
        if packet.protocol == FRAGMENT:
            where = int.from_bytes(rest[2:4], "big")
            packet.fragment |= bool(where & 0xFFF9)
            packet.protocol, rest = rest[0], rest[8:]
            if where & 0xFFF8:
                packet.later = True
                break
            continue
        packet.options |= packet.protocol == ROUTING and rest[3] > 0
        length = (rest[1] + 1) * 8
        if length > len(rest):
            raise Broken(DropReason.CT_TRUNCATED_OR_INVALID_HEADER)
        packet.protocol, rest = rest[0], rest[length:]
    packet.payload = rest
    _l4(packet)
    return packet


def _l4(packet: Packet) -> None:
    body = packet.payload
    if packet.later:
        return
    if packet.protocol in (TCP, UDP, SCTP):
        packet.short = len(body) < (20 if packet.protocol == TCP else 8)
        if len(body) >= 8:
            packet.ports = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
        if packet.protocol == TCP and not packet.short:
            packet.flags = body[13]
    elif packet.protocol in (ICMP, ICMPV6):
        packet.short = len(body) < 8
        if not packet.short:
            packet.type = body[0]


# What a workload may send and receive.


def _discovers(packet: Packet) -> bool:
    return packet.is_ipv6 and packet.protocol == ICMPV6 and 133 <= packet.type <= 137


def _reports(packet: Packet) -> bool:
    return packet.is_ipv6 and packet.protocol == ICMPV6 and packet.type in (130, 131, 132, 143)


def _sent(packet: Packet, endpoint: Endpoint) -> Verdict:
    if _discovers(packet):
        return _neighbour(packet, endpoint)
    if _reports(packet):
        return QUIET
    if packet.source not in endpoint.addresses:
        return DropReason.INVALID_SOURCE_IP
    if packet.destination in MAPPED:
        return DropReason.MAPPED_ADDRESS
    if packet.later:
        return DropReason.FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND
    if packet.protocol == UDP and packet.ports in ((67, 68), (547, 546)):
        return DropReason.DHCP_SERVER
    if packet.protocol == UDP and packet.ports[1] == 53:
        return DropReason.POLICY_DENIED
    return _follow(packet, EGRESS, endpoint)


def _neighbour(packet: Packet, endpoint: Endpoint) -> Verdict:
    if packet.type == 133:
        return QUIET
    if packet.type not in (135, 136):
        return DropReason.FORBIDDEN_ICMPV6_MESSAGE
    if packet.hop_limit != 255 or len(packet.payload) < 24:
        return DropReason.INVALID_PACKET_DROPPED
    if packet.destination not in LINK_LOCAL and packet.destination not in ALL_LINK:
        return DropReason.FORBIDDEN_ICMPV6_MESSAGE
    target, source = IPv6Address(packet.payload[8:24]), packet.source
    ours = source in endpoint.addresses or (source in LINK_LOCAL and source != GATEWAY6)
    if packet.type == 136:
        good = ours and (target in endpoint.addresses or target == source)
        return PASSED if good else DropReason.INVALID_SOURCE_IP
    if source == UNSPECIFIED:
        own = target in endpoint.addresses or (target in LINK_LOCAL and target != GATEWAY6)
        return PASSED if own else QUIET
    if not ours:
        return DropReason.INVALID_SOURCE_IP
    if target == GATEWAY6 or target in endpoint.addresses:
        return PASSED
    return DropReason.FORBIDDEN_ICMPV6_MESSAGE


def _received(packet: Packet, endpoint: Endpoint) -> Verdict:
    if _discovers(packet):
        good = packet.hop_limit == 255 and packet.type in (135, 136)
        return PASSED if good else DropReason.FORBIDDEN_ICMPV6_MESSAGE
    if _reports(packet):
        return PASSED if packet.source in LINK_LOCAL else DropReason.FORBIDDEN_ICMPV6_MESSAGE
    if packet.source in MAPPED or packet.destination in MAPPED:
        return DropReason.MAPPED_ADDRESS
    if packet.later:
        return DropReason.FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND
    if packet.protocol == UDP and packet.ports[0] == 53:
        message = packet.payload[8:]
        if packet.fragment:
            return DropReason.IP_FRAGMENTATION_NOT_SUPPORTED
        if int.from_bytes(packet.payload[4:6], "big") != len(packet.payload) or len(message) < 17:
            return DropReason.DNS_MALFORMED
        if message[2] & 0x80:
            return DropReason.DNS_UNSOLICITED
    return _follow(packet, INGRESS, endpoint)


def _follow(packet: Packet, direction: Direction, endpoint: Endpoint) -> Verdict:
    if packet.options:
        return DropReason.IP_OPTIONS
    if packet.short:
        return DropReason.CT_TRUNCATED_OR_INVALID_HEADER
    if packet.protocol not in (TCP, UDP, SCTP, ICMP, ICMPV6):
        return DropReason.CT_UNKNOWN_L4_PROTOCOL
    is_icmp = packet.protocol in (ICMP, ICMPV6)
    port = packet.type if is_icmp else packet.ports[1]
    if not endpoint.allows(direction, packet.protocol, port):
        error = (packet.protocol == ICMP and packet.type in (3, 4, 5, 11, 12)) or (
            packet.protocol == ICMPV6 and packet.type < 128
        )
        return DropReason.ICMP_ERROR_UNRELATED if error else DropReason.POLICY_DENIED
    if packet.protocol == TCP and packet.flags & 0x12 == 0x12:
        return DropReason.CT_MISSING_TCP_ACK_FLAG
    return PASSED
