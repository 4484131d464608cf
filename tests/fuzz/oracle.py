"""What DNS messages mean, read by dnspython's names and by hand: the oracle for bpf/dns.h and bpf/learn.h.

`upper` is all that an answer may open. `must` says that the message is one resolvers really send, within the
limits written down here: then the program has to agree exactly, else it may also drop.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_network

import dns.exception
import dns.name
import dns.wire

from namewall.model.net import Address

A, CNAME, AAAA, OPT, SVCB, HTTPS, IN = 1, 5, 28, 41, 64, 65, 1
IPV4HINT, IPV6HINT = 4, 6
MAX_CHAIN, MAX_RECORDS, MAX_LEARNED, MAX_MESSAGE, MAX_HINTS, MAX_PARAMS = 16, 320, 256, 4096, 8, 8
MAX_TTL = 604800
MAX_QUESTION = 512
NEVER = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/128", "::1/128", "fe80::/10", "ff00::/8", "::ffff:0:0/96"),
    )
]
"""design.md section 5."""


def never(address: Address) -> bool:
    return any(address in network for network in NEVER)


def text(name: dns.name.Name) -> str:
    """The name as policy compares it: presentation form, lower case, trailing dot."""
    return name.to_text().lower()


def strange(name: dns.name.Name) -> bool:
    """A dot or NUL inside a label: the program drops rather than telling it from a name's own dots."""
    return any(b"." in label or b"\0" in label for label in name.labels)


@dataclass(frozen=True, slots=True)
class Asked:
    name: dns.name.Name
    type: int
    id: int
    common: bool
    """As stub resolvers ask: not compressed, no strange octets, at most 512 octets."""


def read_asking(wire: bytes) -> Asked | None:
    """The one question of a message that asks, and nothing else but EDNS; None for anything else."""
    if len(wire) < 12:
        return None
    number, flags, questions, answers, authority, additional = struct.unpack_from("!HHHHHH", wire)
    if flags & 0xF800 or questions != 1 or answers or authority or additional > 1:
        return None
    parser = dns.wire.Parser(wire, 12)
    try:
        name = parser.get_name(decompress=True)
        compressed = parser.current - 12 != len(name.to_wire())
        kind, klass = parser.get_struct("!HH")
        if klass != IN:
            return None
        if additional:
            if parser.get_uint8() or parser.get_uint16() != OPT:
                return None
            parser.get_bytes(6)
            parser.get_bytes(parser.get_uint16())
    except dns.exception.DNSException:
        return None
    if parser.remaining():
        return None
    return Asked(name, kind, number, not compressed and not strange(name) and len(wire) <= MAX_QUESTION)


@dataclass(slots=True)
class Taught:
    """`passes` False: not the answer to this question, or not readable."""

    passes: bool
    upper: set[Address] = field(default_factory=set)
    ttl: int = 0
    must: bool = True
    mentioned: set[Address] = field(default_factory=set)
    """Every address in the answer section, of whatever owner."""


UNASKED = Taught(passes=False)


def read_answering(wire: bytes, asked: Asked) -> Taught:
    if len(wire) < 12:
        return UNASKED
    number, flags, questions, answers, _, _ = struct.unpack_from("!HHHHHH", wire)
    if not flags & 0x8000 or flags & 0x7800 or questions != 1 or number != asked.id:
        return UNASKED
    parser = dns.wire.Parser(wire, 12)
    try:
        name = parser.get_name(decompress=True)
        compressed = parser.current - 12 != len(name.to_wire())
        kind, klass = parser.get_struct("!HH")
    except dns.exception.DNSException:
        return UNASKED
    if name != asked.name or kind != asked.type or klass != IN or compressed:
        return UNASKED
    if flags & 0x000F or not answers:
        return Taught(passes=True)
    return _read_records(parser, name, answers, len(wire) <= MAX_MESSAGE)


def _read_records(parser: dns.wire.Parser, question: dns.name.Name, count: int, must: bool) -> Taught:
    links: list[tuple[dns.name.Name, dns.name.Name, int]] = []
    found: list[tuple[dns.name.Name, Address, int]] = []
    broken = Taught(passes=False)
    for number in range(count):
        if number == MAX_RECORDS:
            must = False
            break
        try:
            must = must and _plain_pointers(parser.wire, parser.current)
            owner = parser.get_name(decompress=True)
            kind, klass, ttl, length = parser.get_struct("!HHIH")
            data = dns.wire.Parser(parser.wire, parser.current)
            data.end = parser.current + length
            parser.get_bytes(length)
            if klass != IN:
                continue
            if ttl > 0x7FFFFFFF:
                ttl = 0  # RFC 2181, 8
            if kind == CNAME:
                must = must and _plain_pointers(data.wire, data.current)
                target = data.get_name(decompress=True)
                if data.remaining():
                    return broken
                links.append((owner, target, ttl))
            elif kind in (A, AAAA):
                if length != (4 if kind == A else 16):
                    return broken
                found.append((owner, _address(data.get_bytes(length)), ttl))
                broken.mentioned.add(found[-1][1])
            elif kind in (SVCB, HTTPS):
                hints, whole = _hints(data)
                must = must and whole
                broken.mentioned |= set(hints)
                found += [(owner, address, ttl) for address in hints]
        except dns.exception.DNSException:
            return broken
    if len(links) > MAX_CHAIN or len(found) > MAX_LEARNED:
        must = False
    return _along(question, links, found, must)


def _along(
    question: dns.name.Name,
    links: list[tuple[dns.name.Name, dns.name.Name, int]],
    found: list[tuple[dns.name.Name, Address, int]],
    must: bool,
) -> Taught:
    chain, ttl, at = {question}, MAX_TTL, question
    while True:
        link = next((link for link in links if link[0] == at), None)
        if link is None:
            break
        _, at, its_ttl = link
        ttl = min(ttl, its_ttl)
        if at in chain:
            break
        chain.add(at)
    kept = [(address, its) for owner, address, its in found if owner in chain]
    return Taught(
        passes=True,
        upper={address for address, _ in kept if not never(address)},
        ttl=min([ttl, *(its for _, its in kept)]),
        must=must,
        mentioned={address for _, address, _ in found},
    )


def _plain_pointers(wire: bytes, at: int) -> bool:
    """No pointer into the header, as nobody writes them: the program reads no name there."""
    start = at
    while at < len(wire) and wire[at]:
        if wire[at] >= 0xC0:
            target = (wire[at] & 0x3F) << 8 | wire[at + 1] if at + 1 < len(wire) else at
            return 12 <= target < start and _plain_pointers(wire, target)
        at += 1 + wire[at]
    return True


def _address(raw: bytes) -> Address:
    return IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)


def _hints(data: dns.wire.Parser) -> tuple[list[Address], bool]:
    """RFC 9460: 2.2 keys in strictly increasing order, 2.4.2 none in alias mode, 7.3 one or more whole addresses."""
    found: list[Address] = []
    last, number = -1, 0
    priority = data.get_uint16()
    whole = _plain_pointers(data.wire, data.current)
    data.get_name(decompress=True)
    if not priority:
        return [], whole
    while data.remaining():
        key, length = data.get_struct("!HH")
        value = data.get_bytes(length)
        if key <= last:
            raise dns.exception.FormError
        last, number = key, number + 1
        if number > MAX_PARAMS:
            return found, False  # the hints' keys are low, so none can come
        if key in (IPV4HINT, IPV6HINT):
            size = 4 if key == IPV4HINT else 16
            if not length or length % size:
                raise dns.exception.FormError
            found += [_address(value[at : at + size]) for at in range(0, length, size)]
            whole = whole and length // size <= MAX_HINTS
    return found, whole
