"""Directions, protocols and addresses as the rest of the code names them."""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

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


PRIVATE: tuple[Network, ...] = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
"""RFC 1918, RFC 6598, RFC 4193. Literal: `ipaddress.is_private` also holds documentation ranges."""
NEVER_GRANTED: tuple[Network, ...] = tuple(
    map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "::ffff:0:0/96"))
)
NEVER_GRANTED += ip_network("fe80::/10"), ip_network("ff00::/8")


def is_private(address: Address) -> bool:
    return any(address in network for network in PRIVATE)


def never_granted(address: Address) -> bool:
    """What no answer may open, whatever it says (bpf/grants.h)."""
    return any(address in network for network in NEVER_GRANTED)
