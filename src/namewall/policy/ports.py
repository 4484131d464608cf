"""Ports: what names stand for, and ranges as the kernel's prefixes (semantics.md sections 6, 7).

A range of ports becomes the fewest aligned blocks, each a prefix of 0 to 16 bits. The length of the block that holds
a port is how specific an entry is there: it decides between two allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from namewall.model.net import Direction, Protocol
from namewall.policy.rules import PortMatch

PORT_BITS = 16

NamedPorts = Mapping[tuple[str, Protocol], frozenset[int]]
"""Lower-cased name and protocol → the numbers it stands for. One with several numbers means nothing."""

NO_NAMES: NamedPorts = {}


def named_ports(ports: Iterable[tuple[str, str, int]]) -> NamedPorts:
    """From (name, protocol, number) of containers: one pod's for ingress, all pods' for egress."""
    table: dict[tuple[str, Protocol], frozenset[int]] = {}
    for name, protocol, number in ports:
        key = (name.lower(), Protocol[protocol.upper()])
        table[key] = table.get(key, frozenset()) | {number}
    return table


def names_for(direction: Direction, own_ports: NamedPorts, cluster_ports: NamedPorts) -> NamedPorts:
    """By which a rule's port names are read: the destination's, which at ingress is the subject itself.

    At egress, where the destination is not known to the rule, those of all pods (Cilium's behaviour).
    """
    return own_ports if direction is Direction.INGRESS else cluster_ports


class L4(NamedTuple):
    """Ports `first` to `last` of a protocol, names resolved. ICMP types count as ports.

    `name` is the port name that was resolved: rules by name and rules by number are judged apart (Cilium
    keeps a filter for each), although both mean the same port.
    """

    protocol: Protocol
    first: int
    last: int
    name: str = ""

    def covers(self, protocol: int, port: int) -> bool:
        return self.protocol in (Protocol.ANY, protocol) and self.first <= port <= self.last

    def rank_at(self, port: int) -> int:
        """How specific this is for a port it covers: 0 any protocol, 1 a whole protocol, 17 one port."""
        return 0 if self.protocol is Protocol.ANY else 1 + block_bits(self.first, self.last, port)


def resolve(match: PortMatch, names: NamedPorts) -> L4 | None:
    """The ports meant; None for a name that stands for nothing, or for more than one number."""
    if not match.name:
        return L4(match.protocol, match.first, match.last)
    numbers = names.get((match.name, match.protocol), frozenset())
    if len(numbers) != 1:
        return None
    (number,) = numbers
    return L4(match.protocol, number, max(number, match.last), match.name)


def blocks(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The fewest (port, bits) prefixes that make up the range, ascending."""
    while first <= last:
        size = first & -first or 1 << PORT_BITS
        while first + size - 1 > last:
            size >>= 1
        yield first, PORT_BITS + 1 - size.bit_length()
        first += size


def block_bits(first: int, last: int, port: int) -> int:
    """The prefix length of the block of `blocks(first, last)` that holds `port`."""
    for bits in range(PORT_BITS):
        start = port >> (PORT_BITS - bits) << (PORT_BITS - bits)
        if first <= start and start + (1 << (PORT_BITS - bits)) - 1 <= last:
            return bits
    return PORT_BITS
