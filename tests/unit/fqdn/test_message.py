"""Messages over TCP are read as the kernel reads them; dnspython says what is in them."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.fqdn.message import (
    Unreadable,
    read_answering,
    read_asking,
    read_taught,
    refusal,
)


def asking(name: str = "a.example", kind: str = "A", edns: bool = False) -> bytes:
    query = dns.message.make_query(name, kind, use_edns=0 if edns else False)
    query.id = 77
    return query.to_wire()


def answering(query: bytes, *records: str, code: int = 0) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(query))
    response.set_rcode(dns.rcode.Rcode(code))
    for record in records:
        owner, ttl, klass, kind, data = record.split(" ", 4)
        response.answer.append(dns.rrset.from_text(owner, int(ttl), klass, kind, data))
    return response.to_wire(max_size=65535)


def taught(*records: str, name: str = "a.example", code: int = 0) -> tuple[set[str], int] | None:
    wire = answering(asking(name), *records, code=code)
    found = read_taught(wire, read_answering(wire))
    return ({str(address) for address in found.addresses}, found.ttl) if found else None


def test_a_question_in_canonical_form() -> None:
    question = read_asking(asking("WWW.Example", "AAAA", edns=True))
    assert (question.id, question.name, question.type, question.has_edns) == (77, "www.example.", 28, True)
    assert question.longest_label == 7
    assert read_asking(asking(".")).name == "."
    assert read_asking(asking(r"a\032b.example")).name == r"a\032b.example."


@pytest.mark.parametrize("edns", [False, True])
@pytest.mark.parametrize("code", [3, 5])
def test_a_refusal_is_an_answer_to_its_question(edns: bool, code: int) -> None:
    wire = asking("A.example", edns=edns)
    answer = dns.message.from_wire(refusal(wire, read_asking(wire), code))
    assert dns.message.from_wire(wire).is_response(answer)
    assert answer.rcode() == code
    assert [int(option.otype) for option in answer.options] == ([15] if edns else [])
    assert answer.flags & dns.flags.RD


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        asking()[:-1],
        asking() + b"x",
        asking(edns=True) + b"x",
        answering(asking()),
        asking()[:4] + b"\0\2" + asking()[6:] + asking()[12:],
        asking()[:2] + b"\x28\0" + asking()[4:],
        asking()[:12] + b"\xc0\x0c\0\1\0\1",
        asking(r"a\.b.example"),
        asking(r"a\000b.example"),
        asking()[:-2] + b"\0\3",
    ],
)
def test_what_is_no_plain_question(wire: bytes) -> None:
    with pytest.raises(Unreadable):
        read_asking(wire)


def test_what_an_answer_teaches() -> None:
    assert taught("a.example. 300 IN A 192.0.2.1", "a.example. 200 IN A 192.0.2.2") == (
        {"192.0.2.1", "192.0.2.2"},
        200,
    )
    chain = ("a.example. 300 IN CNAME b.example.", "b.example. 100 IN AAAA 2001:db8::1")
    assert taught(*chain) == ({"2001:db8::1"}, 100)
    assert taught(*reversed(chain)) == ({"2001:db8::1"}, 100)
    assert taught("A.EXAMPLE. 900000 IN A 192.0.2.1") == ({"192.0.2.1"}, 604800)
    hints = 'a.example. 30 IN HTTPS 1 . alpn="h2" ipv4hint="192.0.2.1,192.0.2.2" ipv6hint="2001:db8::1"'
    assert taught(hints) == ({"192.0.2.1", "192.0.2.2", "2001:db8::1"}, 30)


@pytest.mark.parametrize(
    "records",
    [
        [],
        ["b.example. 300 IN A 192.0.2.1"],
        ["x.example. 300 IN CNAME b.example.", "b.example. 300 IN A 192.0.2.1"],
        ["a.example. 300 IN CNAME b.example.", "b.example. 300 IN CNAME a.example."],
        ['a.example. 300 IN TXT "192.0.2.1"'],
        ["a.example. 300 CH A b.example. 1"],
    ],
)
def test_what_teaches_nothing(records: list[str]) -> None:
    with suppress(Exception):
        assert taught(*records) is None
    assert taught("a.example. 300 IN A 192.0.2.1", code=3) is None


@given(st.binary(max_size=600))
def test_any_octets_are_read_or_unreadable(octets: bytes) -> None:
    for wire in (octets, asking()[:12] + octets, answering(asking(), "a.example. 1 IN A 192.0.2.1") + octets):
        with suppress(Unreadable):
            read_asking(wire)
        with suppress(Unreadable):
            read_taught(wire, read_answering(wire))


@given(st.data())
def test_changed_answers_teach_only_what_is_in_them(data: st.DataObject) -> None:
    wire = bytearray(
        answering(
            asking(),
            "a.example. 300 IN CNAME c.example.",
            "c.example. 100 IN A 203.0.113.1",
            "c.example. 100 IN A 203.0.113.2",
        )
    )
    for _ in range(data.draw(st.integers(1, 3))):
        wire[data.draw(st.integers(12, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_taught(bytes(wire), read_answering(bytes(wire)))
    except Unreadable:
        return
    if found is not None:
        message = dns.message.from_wire(bytes(wire), ignore_trailing=True, continue_on_error=True)
        there = {
            ip_address(record.address)
            for rrset in message.answer
            for record in rrset
            if rrset.rdtype in (1, 28) and hasattr(record, "address")
        }
        assert set(found.addresses) <= there
