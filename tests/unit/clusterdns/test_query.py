"""What comes off the wire: understood, refused or ignored, and never an exception."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rcode
from hypothesis import given, settings
from hypothesis import strategies as st

from namewall.clusterdns.query import Query, answers, parse, rcode_of, with_id

GOOD = dns.message.make_query("kubernetes.io.", "AAAA", use_edns=0, payload=4096, id=4660).to_wire()


def refused(wire: bytes) -> int:
    answer = parse(wire)
    assert isinstance(answer, bytes)
    assert answer[:2] == wire[:2]
    assert answer[2] & 0x80
    return rcode_of(answer)


def understood(wire: bytes) -> Query:
    query = parse(wire)
    assert isinstance(query, Query)
    return query


def test_a_question_is_understood() -> None:
    query = understood(GOOD)
    assert (query.name.to_text(), query.rdtype, query.limit) == ("kubernetes.io.", 28, 4096)
    assert understood(dns.message.make_query("a.", "A").to_wire()).limit == 512


def test_answers_and_crumbs_get_no_answer() -> None:
    assert parse(b"") is None
    assert parse(GOOD[:11]) is None
    assert parse(GOOD[:2] + b"\x81" + GOOD[3:]) is None


def test_what_is_not_understood_is_refused_with_its_code() -> None:
    assert refused(GOOD[:12]) == dns.rcode.FORMERR
    assert refused(GOOD[:-3]) == dns.rcode.FORMERR
    assert refused(GOOD + b"x") == dns.rcode.FORMERR
    assert refused(GOOD[:2] + b"\x10" + GOOD[3:]) == dns.rcode.NOTIMP
    assert refused(GOOD[:2] + b"\x28" + GOOD[3:]) == dns.rcode.NOTIMP
    assert refused(dns.message.make_query("cluster.local.", "AXFR").to_wire()) == dns.rcode.REFUSED
    assert refused(dns.message.make_query("version.bind.", "TXT", "CH").to_wire()) == dns.rcode.REFUSED
    assert refused(GOOD[:4] + b"\0\0" + GOOD[6:12]) == dns.rcode.FORMERR
    # A name that is a pointer into the header.
    assert refused(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\xc0\x02\0\1\0\1") == dns.rcode.FORMERR


def test_a_later_edns_is_told_which_one_is_spoken() -> None:
    answer = parse(dns.message.make_query("a.", "A", use_edns=1).to_wire())
    assert isinstance(answer, bytes)
    assert dns.message.from_wire(answer).rcode() == dns.rcode.BADVERS


def test_an_answer_belongs_to_its_question() -> None:
    query = understood(GOOD)
    response = dns.message.make_response(query.message)
    wire = response.to_wire()
    assert answers(query, 4660, wire)
    assert answers(query, 4660, wire.replace(b"kubernetes", b"KuberneteS"))
    assert not answers(query, 4661, wire)
    assert not answers(query, 4660, GOOD)
    assert not answers(query, 4660, wire.replace(b"kubernetes", b"kubernetez"))
    assert not answers(query, 4660, wire[:11])
    other = dns.message.make_response(dns.message.make_query("kubernetes.io.", "A", id=4660))
    assert not answers(query, 4660, other.to_wire())


def test_codes_without_an_answer_keep_id_question_and_edns() -> None:
    query = understood(GOOD)
    for wire, rcode, truncated in (
        (query.fail(dns.rcode.SERVFAIL), dns.rcode.SERVFAIL, False),
        (query.truncated(), dns.rcode.NOERROR, True),
    ):
        answer = dns.message.from_wire(wire)
        assert (answer.id, answer.rcode(), answer.edns) == (4660, rcode, 0)
        assert bool(answer.flags & dns.flags.TC) == truncated
        assert answer.question == query.message.question


@given(st.binary(max_size=600))
@settings(max_examples=300)
def test_no_octets_are_an_error(wire: bytes) -> None:
    parse(wire)


@given(st.integers(2, len(GOOD) - 1), st.integers(0, 255), st.integers(0, 255))
@settings(max_examples=500)
def test_a_broken_question_is_refused_ignored_or_sound(at: int, one: int, two: int) -> None:
    broken = bytearray(GOOD)
    broken[at] = one
    broken[(at * 7) % len(broken)] = two
    query = parse(bytes(broken))
    if isinstance(query, Query):
        # What is passed on is well formed: an upstream's answer to it can be recognised.
        assert answers(query, 7, with_id(dns.message.make_response(query.message).to_wire(), 7))
        query.fail(dns.rcode.SERVFAIL)
        query.truncated()
