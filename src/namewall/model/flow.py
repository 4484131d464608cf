"""What the datapath tells: flows, drops, names learned and names refused, as values.

The numbers of `DropReason` are those of `enum drop_reason` in bpf/types.h, and where Cilium has the reason,
Cilium's. A test compares this file with the object's BTF. Times are seconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from namewall.model.net import Address, Direction, Protocol


class DropReason(IntEnum):
    """Why a packet was dropped; from 220 on the reasons are ours."""

    INVALID_SOURCE_MAC = 130
    INVALID_SOURCE_IP = 132
    POLICY_DENIED = 133
    INVALID_PACKET_DROPPED = 134
    CT_TRUNCATED_OR_INVALID_HEADER = 135
    CT_MISSING_TCP_ACK_FLAG = 136
    CT_UNKNOWN_L4_PROTOCOL = 137
    UNSUPPORTED_L3_PROTOCOL = 139
    IP_FRAGMENTATION_NOT_SUPPORTED = 157
    SERVICE_BACKEND_NOT_FOUND = 158
    NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION = 165
    FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND = 175
    FORBIDDEN_ICMPV6_MESSAGE = 176
    SOCKET_LOOKUP_FAILED = 178
    SOCKET_ASSIGN_FAILED = 179
    PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL = 180
    POLICY_DENY = 181
    VLAN_FILTERED = 182
    DNS_REFUSED = 220
    DNS_MALFORMED = 221
    DNS_SEGMENTED = 222
    DNS_UNSOLICITED = 223
    FORBIDDEN_ARP = 224
    DHCP_SERVER = 225
    IP_OPTIONS = 226
    TOO_MANY_BACKENDS = 227
    ICMP_ERROR_UNRELATED = 228
    MAPPED_ADDRESS = 229
    DNS_RATE_LIMITED = 230
    DNS_LABEL_TOO_LONG = 231
    TLS_NAME_NOT_GRANTED = 232
    TLS_NAME_UNREADABLE = 233


class MatchType(IntEnum):
    """How the deciding entry matched: Hubble's policy_match_type."""

    NONE = 0
    L3_ONLY = 1
    L3_L4 = 2
    L4_ONLY = 3
    ALL = 4
    L3_PROTO = 5
    PROTO_ONLY = 6


@dataclass(frozen=True, slots=True)
class Flow:
    """The first packet of a flow that passed. `local` is the endpoint's side, `identity` the peer's.

    `direction` is seen from the endpoint. `policy` and `peer` are the kernel's numbers of the table and of the
    peer in the entry that decided (`KernelDatapath.origins` names the rules); `match` is NONE where none did.
    """

    time: float
    endpoint: int
    direction: Direction
    protocol: int
    local: Address
    remote: Address
    local_port: int
    remote_port: int
    identity: int
    policy: int
    peer: int
    match: MatchType
    l4_bits: int
    tcp_flags: int
    icmp_type: int
    length: int


@dataclass(frozen=True, slots=True)
class Dropped(Flow):
    """`left_out` drops like this one were not told of since the last one that was."""

    reason: DropReason
    left_out: int


@dataclass(frozen=True, slots=True)
class Audited(Flow):
    """What all policies say together, those in audit too, where those enforced say otherwise: policy, peer and match

    are theirs. `reason` is why they would drop the packet, None if they would not; `dropped` why it was dropped, None
    if it passed. `left_out` as in Dropped.
    """

    reason: DropReason | None
    dropped: DropReason | None
    left_out: int


@dataclass(frozen=True, slots=True)
class Learned:
    """An answer gave `addresses` to `name` (canonical, lower case, trailing dot) for the scope that asked.

    `ttl` is as granted (never below the minimum). `granted` False: no toFQDNs pattern of now matches the name.
    `full`: an address has more names than fit, so that not all were granted.
    """

    time: float
    endpoint: int
    scope: int
    name: str
    addresses: tuple[Address, ...]
    ttl: int
    query_type: int
    server: Address
    server_port: int
    granted: bool
    full: bool
    protocol: int = Protocol.UDP


@dataclass(frozen=True, slots=True)
class Refused:
    """A question was answered with REFUSED; with `audited` it passed, and only a policy in audit would refuse it.

    `left_out` as in Dropped.
    """

    time: float
    endpoint: int
    scope: int
    name: str
    query_type: int
    server: Address
    server_port: int
    left_out: int
    protocol: int = Protocol.UDP
    audited: bool = False


Event = Flow | Learned | Refused
"""Dropped and Audited are Flows."""
