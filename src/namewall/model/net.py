"""Directions, protocols and addresses as the rest of the code names them."""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Direction(IntEnum):
    """Traffic direction seen from the subject. The numbers are those of `enum direction` in bpf/types.h."""

    INGRESS = 0
    EGRESS = 1


class Protocol(IntEnum):
    """IANA protocol numbers; 0 stands for any in policy keys."""

    ANY = 0
    ICMP = 1
    TCP = 6
    UDP = 17
    ICMPV6 = 58
    SCTP = 132
