"""A question as it came off the wire, and the answers that need no zone: refused, not understood, too long.

Pure. What is passed on upstream are the client's own bytes (with another id), so what this lets through is
well formed: one question, uncompressed, class IN. Everything else is answered here or, where an answer could
start a loop or a flood (shorter than a header, or itself an answer), not at all.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

HEADER = 12
PLAIN_LIMIT = 512
"""Octets a UDP answer may have where the client sent no EDNS (RFC 1035 section 4.2.1)."""
OWN_LIMIT = 1232
"""Octets of our own answers at most, and what we offer to receive: no fragments (DNS flag day 2020)."""


@dataclass(frozen=True, slots=True)
class Query:
    wire: bytes
    message: dns.message.Message
    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType

    @property
    def question(self) -> bytes:
        """The question section's octets, in lower case: what an answer to it must repeat."""
        return question_of(self.wire, len(self.name.to_wire() or b""))

    @property
    def limit(self) -> int:
        """Octets of an answer by UDP that this client takes."""
        return max(PLAIN_LIMIT, self.message.payload) if self.message.edns >= 0 else PLAIN_LIMIT

    def fail(self, rcode: int) -> bytes:
        """An answer that says no more than the code."""
        response = dns.message.make_response(self.message, recursion_available=True, our_payload=OWN_LIMIT)
        response.set_rcode(dns.rcode.Rcode(rcode))
        return response.to_wire()

    def truncated(self) -> bytes:
        """An answer that says: ask again by TCP."""
        response = dns.message.make_response(self.message, recursion_available=True, our_payload=OWN_LIMIT)
        response.flags |= dns.flags.TC
        return response.to_wire()


def parse(wire: bytes) -> Query | bytes | None:
    """A question to be answered, or the bytes to answer with at once, or None: say nothing."""
    if len(wire) < HEADER or wire[2] & 0x80:
        return None
    if dns.opcode.from_flags(int.from_bytes(wire[2:4], "big")) != dns.opcode.QUERY:
        return _bare(wire, dns.rcode.NOTIMP)
    try:
        # keyring False: a TSIG is for the server that shares its key, which we are not; it is not checked.
        message = dns.message.from_wire(wire, keyring=False)
    except Exception:
        # dnspython raises more than its own exceptions on odd octets, and the octets are an adversary's.
        return _bare(wire, dns.rcode.FORMERR)
    if len(message.question) != 1:
        return _bare(wire, dns.rcode.FORMERR)
    name, rdtype = message.question[0].name, message.question[0].rdtype
    query = Query(wire, message, name, rdtype)
    encoded = name.to_wire() or b""
    if wire[HEADER : HEADER + len(encoded)] != encoded:
        return _bare(wire, dns.rcode.FORMERR)
    if message.edns > 0:
        return query.fail(dns.rcode.BADVERS)
    if message.question[0].rdclass != dns.rdataclass.IN or rdtype in (
        dns.rdatatype.AXFR,
        dns.rdatatype.IXFR,
    ):
        return query.fail(dns.rcode.REFUSED)
    return query


def question_of(wire: bytes, name_length: int) -> bytes:
    return wire[HEADER : HEADER + name_length].lower() + wire[HEADER + name_length : HEADER + name_length + 4]


def answers(query: Query, number: int, wire: bytes) -> bool:
    """Whether these octets are an answer to the query as it was sent with id `number`."""
    if len(wire) < HEADER:
        return False
    ident, flags, questions = struct.unpack_from("!HHH", wire)
    length = len(query.question) - 4
    return (
        ident == number
        and flags & 0xF800 == 0x8000
        and questions == 1
        and question_of(wire, length) == query.question
    )


def with_id(wire: bytes, number: int) -> bytes:
    return number.to_bytes(2, "big") + wire[2:]


def is_truncated(wire: bytes) -> bool:
    return bool(wire[2] & 0x02)


def rcode_of(wire: bytes) -> int:
    return wire[3] & 0x0F


def _bare(wire: bytes, rcode: int) -> bytes:
    """A header alone: for octets of which no more than the header was understood."""
    opcode_and_rd = wire[2] & 0x79
    return wire[:2] + bytes((0x80 | opcode_and_rd, 0x80 | rcode)) + bytes(8)
