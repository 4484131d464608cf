"""DNS messages (RFC 1035) read as bpf/dns.h reads them, for those that come over TCP.

The same rules, so that a name is judged and an answer believed alike on both ways: one question, uncompressed,
class IN, no records but EDNS; answers' owners must be on the CNAME chain from the question; what is not read for
sure is an error. Nothing here decides about names.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from namewall.model.net import Address

HEADER = 12
A, CNAME, AAAA, OPT, SVCB, HTTPS = 1, 5, 28, 41, 64, 65
IN = 1
IPV4HINT, IPV6HINT = 4, 6
NXDOMAIN, REFUSED = 3, 5
BLOCKED = bytes.fromhex("00 0029 04d0 00000000 0006 000f 0002 000f")
"""EDNS with extended error 15, "Blocked" (RFC 8914 section 4.16)."""
MAX_QUESTION = 512
MAX_RECORDS, MAX_CHAIN, MAX_LEARNED, MAX_JUMPS, MAX_PARAMS, MAX_HINTS = 320, 16, 256, 16, 8, 8
MAX_TTL = 604800
"""RFC 8767 section 4."""
_PRINTABLE = range(0x21, 0x7F)


class Unreadable(ValueError):
    """The message cannot be read for sure."""


@dataclass(frozen=True, slots=True)
class Question:
    """`name` is canonical: lower case, trailing dot, odd octets as `\\DDD`."""

    id: int
    name: str
    type: int
    end: int
    """Offset after the question."""
    labels: tuple[bytes, ...]
    recursion_desired: bool
    has_edns: bool = False

    @property
    def longest_label(self) -> int:
        return max(map(len, self.labels), default=0)

    @property
    def key(self) -> tuple[int, tuple[bytes, ...], int]:
        """What an answer to it must repeat."""
        return self.id, self.labels, self.type


@dataclass(frozen=True, slots=True)
class Taught:
    """Addresses of the question's name, and the least TTL on the way to them."""

    addresses: tuple[Address, ...]
    ttl: int


def read_asking(wire: bytes) -> Question:
    """A message that asks. Raises Unreadable."""
    question, flags, counts = _read_head(wire)
    answers, authority, additional = counts
    if flags & 0x8000 or answers or authority or additional > 1 or len(wire) > MAX_QUESTION:
        raise Unreadable("no plain question")
    end = question.end
    if not additional:
        if end != len(wire):
            raise Unreadable("octets after the question")
        return question
    if end + 11 > len(wire) or wire[end] or _word(wire, end + 1) != OPT:
        raise Unreadable("a record that is not EDNS")
    if end + 11 + _word(wire, end + 9) != len(wire):
        raise Unreadable("octets after EDNS")
    return replace(question, has_edns=True)


def read_answering(wire: bytes) -> Question:
    """The question that an answer repeats. Raises Unreadable."""
    question, flags, _ = _read_head(wire)
    if not flags & 0x8000:
        raise Unreadable("no answer")
    return question


def refusal(wire: bytes, question: Question, code: int) -> bytes:
    """The question as its own answer, without the octets that follow it."""
    flags = 0x8080 | code | (0x0100 if question.recursion_desired else 0)
    head = struct.pack("!HHHHHH", question.id, flags, 1, 0, 0, 1 if question.has_edns else 0)
    return head + wire[HEADER : question.end] + (BLOCKED if question.has_edns else b"")


def read_taught(wire: bytes, question: Question) -> Taught | None:
    """What an answer teaches; None where it says that there is nothing. Raises Unreadable."""
    if _word(wire, 2) & 0x000F:
        return None
    at, count = question.end, _word(wire, 6)
    links: list[tuple[tuple[bytes, ...], tuple[bytes, ...], int]] = []
    found: list[tuple[tuple[bytes, ...], int, Address]] = []
    for _ in range(min(count, MAX_RECORDS)):
        owner, at = _read_name(wire, at)
        if at + 10 > len(wire):
            raise Unreadable("a record that is cut off")
        kind, klass, ttl, length = struct.unpack_from("!HHIH", wire, at)
        data, at = at + 10, at + 10 + length
        if at > len(wire):
            raise Unreadable("a record that is cut off")
        if klass != IN:
            continue
        ttl = 0 if ttl >> 31 else ttl
        if kind in (A, AAAA):
            if length != (4 if kind == A else 16):
                raise Unreadable("an address of the wrong length")
            found.append((owner, ttl, _address(wire[data:at])))
        elif kind in (SVCB, HTTPS):
            found += [(owner, ttl, address) for address in _hints(wire, data, at)]
        elif kind == CNAME:
            target, end = _read_name(wire, data)
            if end != at or len(links) >= MAX_CHAIN:
                raise Unreadable("a CNAME that does not fit")
            links.append((owner, target, ttl))
    if not found:
        return None
    chain, least = [question.labels], MAX_TTL
    for _ in range(MAX_CHAIN):
        link = next((link for link in links if link[0] == chain[-1]), None)
        if link is None:
            break
        chain.append(link[1])
        least = min(least, link[2])
    on_chain = [(ttl, address) for owner, ttl, address in found[:MAX_LEARNED] if owner in chain]
    if not on_chain:
        return None
    addresses = dict.fromkeys(address for _, address in on_chain)
    return Taught(tuple(addresses), min(least, *(ttl for ttl, _ in on_chain)))


def _read_head(wire: bytes) -> tuple[Question, int, tuple[int, int, int]]:
    if len(wire) < HEADER + 5:
        raise Unreadable("too short")
    number, flags, questions, *counts = struct.unpack_from("!6H", wire)
    if questions != 1 or flags & 0x7800:
        raise Unreadable("not one question")
    labels: list[bytes] = []
    at = HEADER
    while True:
        if at >= len(wire) or at - HEADER >= 255:
            raise Unreadable("a name without an end")
        length = wire[at]
        if length > 63:
            raise Unreadable("a compressed question")
        at += 1
        if not length:
            break
        label = wire[at : at + length].lower()
        if len(label) != length or b"." in label or b"\0" in label:
            raise Unreadable("a label that cannot be told from others")
        labels.append(label)
        at += length
    if at - HEADER > 255 or at + 4 > len(wire) or _word(wire, at + 2) != IN:
        raise Unreadable("no question of class IN")
    name = "".join(_text(label) + "." for label in labels) or "."
    question = Question(number, name, _word(wire, at), at + 4, tuple(labels), bool(flags & 0x0100))
    return question, flags, (counts[0], counts[1], counts[2])


def _text(label: bytes) -> str:
    return "".join(chr(c) if c in _PRINTABLE else f"\\{c:03d}" for c in label)


def _read_name(wire: bytes, at: int) -> tuple[tuple[bytes, ...], int]:
    """A name, following compression backwards only, and the offset after its first part."""
    labels: list[bytes] = []
    after, lowest, limit, octets, jumps = 0, at, len(wire), 0, 0
    while True:
        if at >= limit or octets > 255:
            raise Unreadable("a name without an end")
        length = wire[at]
        if length >= 0xC0:
            if at + 2 > limit:
                raise Unreadable("a name without an end")
            after = after or at + 2
            at = _word(wire, at) & 0x3FFF
            jumps += 1
            if at >= lowest or at < HEADER or jumps > MAX_JUMPS:
                raise Unreadable("a name that leads nowhere")
            limit, lowest = lowest, at  # what is there ends before the part that led to it
            continue
        if length > 63:
            raise Unreadable("a name of an unknown kind")
        label = wire[at + 1 : at + 1 + length].lower()
        if len(label) != length or at + 1 + length > limit:
            raise Unreadable("a name without an end")
        at += 1 + length
        octets += 1 + length
        if not length:
            if octets > 255:
                raise Unreadable("a name that is too long")
            return tuple(labels), after or at
        labels.append(label)


def _hints(wire: bytes, at: int, end: int) -> Iterator[Address]:
    """Of an SVCB or HTTPS record (RFC 9460): keys are in order (2.2), so the hints' low ones come first; in alias

    mode (priority 0) there are none (2.4.2).
    """
    if at + 3 > end:
        raise Unreadable("a service record that is cut off")
    priority, last = _word(wire, at), -1
    _, at = _read_name(wire, at + 2)
    if at > end:
        raise Unreadable("a service record that is cut off")
    for _ in range(MAX_PARAMS):
        if at == end or not priority:
            return
        if at + 4 > end:
            raise Unreadable("a service record that is cut off")
        key, length = _word(wire, at), _word(wire, at + 2)
        at += 4
        if at + length > end or key <= last:
            raise Unreadable("a service record that is cut off, or out of order")
        last = key
        if key in (IPV4HINT, IPV6HINT):
            size = 4 if key == IPV4HINT else 16
            if not length or length % size:
                raise Unreadable("hints that are no whole addresses")
            for hint in range(min(MAX_HINTS, length // size)):
                yield _address(wire[at + hint * size : at + (hint + 1) * size])
        at += length


def _address(raw: bytes) -> Address:
    return IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)


def _word(wire: bytes, at: int) -> int:
    return wire[at] << 8 | wire[at + 1]
