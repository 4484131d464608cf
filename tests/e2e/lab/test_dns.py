"""What the world's DNS server answers, on the value level; test_world.py asks it over the network."""

from __future__ import annotations

from ipaddress import IPv6Address

import dns.flags
import dns.message
import dns.rcode
import pytest

from lab.dns import _reply, answer
from lab.names import Site, World, page_world

WORLD = page_world()


def ask(name: str, rdtype: str = "A", now: float = 0.0) -> dns.message.Message:
    return answer(WORLD, dns.message.make_query(name, rdtype), now)


def texts(message: dns.message.Message) -> list[str]:
    return [line for rrset in message.answer for line in rrset.to_text().splitlines()]


def test_all_addresses_of_a_name_with_its_ttl() -> None:
    assert sorted(texts(ask("kubernetes.io"))) == [
        "kubernetes.io. 5 IN A 198.51.100.4",
        "kubernetes.io. 5 IN A 198.51.100.5",
        "kubernetes.io. 5 IN A 203.0.113.4",
    ]
    assert len(texts(ask("kubernetes.io", "AAAA"))) == 2


def test_an_alias_is_followed_to_the_addresses_of_its_end() -> None:
    assert texts(ask("www.cilium.io"))[:3] == [
        "www.cilium.io. 30 IN CNAME www.cilium.io.cdn.example.net.",
        "www.cilium.io.cdn.example.net. 30 IN CNAME edge.cdn.example.net.",
        "edge.cdn.example.net. 3 IN A 198.51.100.15",
    ]


def test_the_case_of_the_question_does_not_matter_and_is_kept() -> None:
    assert texts(ask("KuberNetes.IO"))[0].startswith("KuberNetes.IO. 5 IN A ")


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode"),
    [
        ("nosuch.io", "A", dns.rcode.NXDOMAIN),
        ("kubernetes.io", "MX", dns.rcode.NOERROR),
        ("kubernetes.io", "HTTPS", dns.rcode.NOERROR),
        ("io", "A", dns.rcode.NOERROR),
        ("cdn.example.net", "A", dns.rcode.NOERROR),
    ],
)
def test_nothing_to_say_comes_with_an_soa(name: str, rdtype: str, rcode: dns.rcode.Rcode) -> None:
    message = ask(name, rdtype)
    assert (message.rcode(), message.answer) == (rcode, [])
    assert "SOA" in message.authority[0].to_text()


def test_a_long_answer_is_cut_to_what_the_asker_can_take() -> None:
    many = tuple(IPv6Address(f"2001:db8::{number:x}") for number in range(64, 104))
    world = World((Site("many.example", many),))
    query = dns.message.make_query("many.example", "AAAA")
    short = _reply(world, query.to_wire(), 512)
    assert short
    assert dns.message.from_wire(short).flags & dns.flags.TC
    query.use_edns(payload=4096)
    long = _reply(world, query.to_wire(), 512)
    assert long
    assert not dns.message.from_wire(long).flags & dns.flags.TC


@pytest.mark.parametrize("wire", [b"", b"\x00" * 11, ask("kubernetes.io").to_wire()])
def test_what_is_no_question_gets_no_answer(wire: bytes) -> None:
    assert _reply(WORLD, wire, 512) is None
