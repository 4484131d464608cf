"""What settings and annotations make of questions and answers, packet by packet; and ICMP errors about questions."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dns.edns
import dns.message
import dns.rcode
import dns.rrset
import pytest
from bpf_lab import RESOLVER4, RESOLVER6, TCP, UDP, Lab, Pod, a, allow, egress, names, tables
from packets import (
    PASS,
    REDIRECT,
    SHOT,
    Bench,
    checksums_are_right,
    from_pod,
    icmp4,
    icmp6,
    ip,
    tcp,
    udp,
    with_checksums,
)

from namewall.model.flow import Dropped, DropReason, Learned, Refused
from namewall.model.net import Address
from namewall.policy.map_state import FqdnPeer, MapState
from namewall.state.tables import DnsSettings, NodeTables

SEARCH = ("default.svc.cluster.local.", "svc.cluster.local.", "cluster.local.")


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    shared_lab.datapath.read_events()
    yield shared_lab
    shared_lab.apply(NodeTables())


def own(pod: Pod, other: str) -> Address:
    return a(pod.ipv6 if ":" in other else pod.ipv4)


def question(
    pod: Pod, name: str, kind: str = "A", server: str = RESOLVER4, size: int | None = None, number: int = 7
) -> bytes:
    query = dns.message.make_query(name, kind, use_edns=False if size is None else 0, payload=size or 0)
    query.id = number
    return with_checksums(ip(own(pod, server), a(server), udp(4000, 53, query.to_wire())))


def wire_of(packet: bytes) -> bytes:
    return packet[28 if packet[0] >> 4 == 4 else 48 :]


def reply(pod: Pod, query: bytes, *records: str, server: str = RESOLVER4) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(wire_of(query)))
    for record in records:
        owner, ttl, klass, kind, data = record.split(" ", 4)
        response.answer.append(dns.rrset.from_text(owner, int(ttl), klass, kind, data))
    return ip(a(server), own(pod, server), udp(53, 4000, response.to_wire(max_size=4000)))


def asked(bench: Bench, pod: Pod, packet: bytes) -> int | str:
    """The code of our own answer, or what became of the question."""
    action, after = bench.run("from_endpoint", pod, from_pod(pod, packet))
    if action != REDIRECT:
        return {PASS: "pass", SHOT: "drop"}[action]
    assert checksums_are_right(after[14:])
    answer = dns.message.from_wire(wire_of(after[14:]))
    assert dns.message.from_wire(wire_of(packet)).is_response(answer)
    return int(answer.rcode())


def reasons(bench: Bench) -> list[DropReason]:
    return [event.reason for event in bench.events() if isinstance(event, Dropped)]


# What a refused question is answered with.


@pytest.mark.parametrize(
    ("refusal", "below", "elsewhere"),
    [
        ("auto", dns.rcode.NXDOMAIN, dns.rcode.REFUSED),
        ("refused", dns.rcode.REFUSED, dns.rcode.REFUSED),
        ("nxdomain", dns.rcode.NXDOMAIN, dns.rcode.NXDOMAIN),
    ],
)
def test_below_a_search_domain_a_resolver_is_told_to_go_on(
    lab: Lab, pod: Pod, bench: Bench, refusal: Any, below: int, elsewhere: int
) -> None:
    row = replace(pod.row(), search=SEARCH)
    other = lab.pod(pod.number + 1)
    settings = DnsSettings(refusal=refusal)
    lab.apply(tables(names("kubernetes.io."), row, other.row(), dns=settings))
    for name in ("kubernetes.io.default.svc.cluster.local", "Kubernetes.io.CLUSTER.local", "x.cluster.local"):
        for server in (RESOLVER4, RESOLVER6):
            assert asked(bench, pod, question(pod, name, server=server)) == below
    for name in ("cilium.io", "cluster.local", "xcluster.local", "cluster.local.example"):
        assert asked(bench, pod, question(pod, name)) == elsewhere
    assert asked(bench, pod, question(pod, "kubernetes.io")) == "pass"
    # The search domains are the pod's own.
    expected = dns.rcode.REFUSED if refusal == "auto" else below
    assert asked(bench, other, question(other, "kubernetes.io.cluster.local")) == expected


def test_with_edns_the_reason_is_there_in_both(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(names("kubernetes.io."), replace(pod.row(), search=SEARCH)))
    for name, code in (("a.cluster.local", 3), ("a.example", 5)):
        packet = question(pod, name, size=1232)
        _, after = bench.run("from_endpoint", pod, from_pod(pod, packet))
        answer = dns.message.from_wire(wire_of(after[14:]))
        assert (answer.rcode(), [int(option.otype) for option in answer.options]) == (code, [15])


# Sizes.


@pytest.mark.parametrize("server", [RESOLVER4, RESOLVER6])
@pytest.mark.parametrize("name", ["a.example", "ab.example"])
@pytest.mark.parametrize("checksum", [True, False])
def test_larger_answers_than_come_whole_are_not_asked_for(
    lab: Lab, pod: Pod, bench: Bench, server: str, name: str, checksum: bool
) -> None:
    """At an even and an odd place in the packet, and where IPv4 has no checksum."""
    lab.apply(tables(names("a.example.", "ab.example."), pod.row()))
    for size, expected in ((512, 512), (1232, 1232), (1233, 1232), (4096, 1232), (65535, 1232)):
        packet = question(pod, name, server=server, size=size)
        if not checksum and "." in server:
            packet = packet[:26] + b"\0\0" + packet[28:]
        action, after = bench.run("from_endpoint", pod, from_pod(pod, packet))
        assert action == PASS
        message = dns.message.from_wire(wire_of(after[14:]))
        assert message.payload == expected
        assert len(after) == len(packet) + 14
        if not checksum and "." in server:
            assert after[14 + 26 : 14 + 28] == b"\0\0"
        else:
            assert checksums_are_right(after[14:])


def test_a_large_answer_that_comes_all_the_same_teaches(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(names("a.example."), pod.row()))
    packet = question(pod, "a.example", size=4096)
    assert bench.sends(pod, packet)
    many = [f"a.example. 300 IN A 192.0.2.{number}" for number in range(200)]
    assert bench.gets(pod, reply(pod, packet, *many))
    assert len(lab.datapath.grants()) == 200


def test_an_answer_in_fragments_drops_and_says_why(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(MapState(True, True, names("a.example.").entries), pod.row()))
    packet = question(pod, "a.example")
    assert bench.sends(pod, packet)
    whole = reply(pod, packet, "a.example. 300 IN A 192.0.2.1")
    data = udp(53, 4000, wire_of(whole))
    assert not bench.gets(pod, ip(a(RESOLVER4), a(pod.ipv4), data, fragment=0x2000))
    assert reasons(bench) == [DropReason.IP_FRAGMENTATION_NOT_SUPPORTED]
    assert not bench.gets(pod, ip(a(RESOLVER4), a(pod.ipv4), data, fragment=0x0010))
    assert reasons(bench) == [DropReason.FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND]
    assert lab.datapath.grants() == []
    assert bench.gets(pod, whole)


# Types.


def test_a_rule_may_pass_some_types_only(lab: Lab, pod: Pod, bench: Bench) -> None:
    rules = frozenset({"a.example.#A,AAAA", "b.example.", "*.c.example.#SRV", "www.c.example.#A"})
    row = replace(pod.row(), search=("example.",))
    lab.apply(tables(names("a.example.", ask=rules), row))
    passing = {
        ("a.example", "A"),
        ("a.example", "AAAA"),
        ("b.example", "TXT"),
        ("b.example", "TYPE4711"),
        ("www.c.example", "SRV"),
        ("www.c.example", "A"),
        ("x.c.example", "SRV"),
    }
    for name, kind in passing:
        assert asked(bench, pod, question(pod, name, kind)) == "pass", (name, kind)
    # The name exists for it, so what is refused never is "no such name".
    refused = [("a.example", "TXT"), ("a.example", "ANY"), ("a.example", "TYPE4711"), ("x.c.example", "A")]
    for name, kind in refused:
        assert asked(bench, pod, question(pod, name, kind)) == dns.rcode.REFUSED, (name, kind)
    assert asked(bench, pod, question(pod, "z.example", "A")) == dns.rcode.NXDOMAIN


def test_every_name_with_some_types(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(names("a.example.", ask=frozenset({"*#PTR"})), pod.row()))
    assert asked(bench, pod, question(pod, "1.2.0.192.in-addr.arpa", "PTR")) == "pass"
    assert asked(bench, pod, question(pod, "a.example", "A")) == dns.rcode.REFUSED


@pytest.mark.parametrize(
    ("name", "kind", "record"),
    [
        ("1.113.0.203.in-addr.arpa", "PTR", "1.113.0.203.in-addr.arpa. 300 IN PTR a.example."),
        ("_https._tcp.a.example", "SRV", "_https._tcp.a.example. 300 IN SRV 0 0 443 a.example."),
        ("a.example", "TXT", 'a.example. 300 IN TXT "203.0.113.9"'),
        ("a.example", "MX", "a.example. 300 IN MX 10 b.example."),
    ],
)
def test_other_types_are_judged_by_name_and_open_nothing(
    lab: Lab, pod: Pod, bench: Bench, name: str, kind: str, record: str
) -> None:
    lab.apply(tables(names(f"{name}.".lower()), pod.row()))
    packet = question(pod, name, kind)
    assert asked(bench, pod, packet) == "pass"
    assert bench.gets(pod, reply(pod, packet, record))
    assert lab.datapath.grants() == []
    assert asked(bench, pod, question(pod, f"x{name}", kind)) == dns.rcode.REFUSED


# Guard, TTL, grace.


def test_the_strict_guard_keeps_private_addresses_shut(lab: Lab, pod: Pod, bench: Bench) -> None:
    private = ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255"]
    public = ["11.0.0.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "100.63.0.1", "100.128.0.1", "192.0.2.1"]
    private6, public6 = ["fc00::1", "fdff::1"], ["2001:db8::1", "fbff::1"]
    for strict in (True, False):
        lab.apply(tables(names("a.example."), replace(pod.row(scope=300 + strict), strict=strict)))
        for kind, addresses in (("A", private + public), ("AAAA", private6 + public6)):
            packet = question(pod, "a.example", kind)
            assert bench.sends(pod, packet)
            records = [f"a.example. 300 IN {kind} {address}" for address in addresses]
            assert bench.gets(pod, reply(pod, packet, *records))
        opened = public + public6 if strict else private + public + private6 + public6
        assert {grant.address for grant in lab.datapath.grants()} == set(map(a, opened))


def test_least_ttl_and_grace(lab: Lab, pod: Pod, bench: Bench) -> None:
    def ttl(row_ttl: int | None, grace: int, answered: int) -> int:
        row = replace(pod.row(), min_ttl=row_ttl)
        settings = DnsSettings(grace=grace)
        lab.apply(tables(names("a.example."), row, min_ttl=60, dns=settings))
        bench.events()
        packet = question(pod, "a.example")
        assert bench.sends(pod, packet)
        assert bench.gets(pod, reply(pod, packet, f"a.example. {answered} IN A 192.0.2.1"))
        (told,) = [event for event in bench.events() if isinstance(event, Learned)]
        return told.ttl

    assert ttl(None, 0, 5) == 60
    assert ttl(300, 0, 5) == 300
    assert ttl(0, 0, 5) == 5
    assert ttl(None, 30, 5) == 90
    assert ttl(None, 30, 400) == 430


# Limits.


def test_an_endpoint_asks_so_often(lab: Lab, pod: Pod, bench: Bench) -> None:
    other = lab.pod(pod.number + 1)
    settings = DnsSettings(rate=1)
    lab.apply(tables(names("a.example."), pod.row(), other.row(), dns=settings))
    results = [asked(bench, pod, question(pod, "a.example", number=n)) for n in range(40)]
    assert results[:20] == ["pass"] * 20
    assert results.count("drop") > 10  # a slow machine has seconds to ask them in
    assert set(reasons(bench)) == {DropReason.DNS_RATE_LIMITED}
    assert lab.datapath.drops()[DropReason.DNS_RATE_LIMITED] >= results.count("drop")
    # Another's questions have a bucket of their own; without enforcement there is none.
    assert asked(bench, other, question(other, "a.example")) == "pass"
    lab.apply(tables(MapState(False, False, {}), pod.row(), dns=settings))
    assert [asked(bench, pod, question(pod, "b.example", number=n)) for n in range(12)] == ["pass"] * 12


def test_so_many_connections_of_one_endpoint_begin_at_the_proxy(lab: Lab, pod: Pod, bench: Bench) -> None:
    other = lab.pod(pod.number + 1)
    rules = allow(protocol=TCP, port=53, dns=frozenset({"a.example."}))
    lab.apply(tables(egress(rules), pod.row(), other.row()))
    before = lab.datapath.drops()

    def tries(who: Pod, count: int, flags: int = 2) -> dict[DropReason, int]:
        for number in range(count):
            packet = ip(own(who, RESOLVER4), a(RESOLVER4), tcp(1000 + number, 53, flags))
            assert not bench.sends(who, packet)
        now = lab.datapath.drops()
        return {each: now[each] - before.get(each, 0) for each in now if now[each] != before.get(each, 0)}

    # There is no proxy here, so that the others drop too, for want of it.
    found = tries(pod, 500)
    assert 200 <= found[DropReason.SOCKET_LOOKUP_FAILED] < 500
    assert found[DropReason.DNS_RATE_LIMITED] == 500 - found[DropReason.SOCKET_LOOKUP_FAILED]
    before = lab.datapath.drops()
    assert set(tries(pod, 100, 0x10)) == {DropReason.SOCKET_LOOKUP_FAILED}
    assert set(tries(other, 100)) == {DropReason.SOCKET_LOOKUP_FAILED}


def test_long_labels_carry_other_things_than_names(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(names("*.example.", ask="any"), pod.row(), dns=DnsSettings(longest_label=20)))
    for _ in range(2):  # the second time the question is known
        assert asked(bench, pod, question(pod, f"{'x' * 20}.example")) == "pass"
        assert asked(bench, pod, question(pod, f"{'x' * 21}.example")) == dns.rcode.REFUSED
        assert asked(bench, pod, question(pod, f"a.{'x' * 63}.b.example")) == dns.rcode.REFUSED
    assert DropReason.DNS_LABEL_TOO_LONG in reasons(bench)
    lab.apply(tables(names("*.example.", ask="any"), pod.row()))
    assert asked(bench, pod, question(pod, f"{'x' * 63}.example")) == "pass"
    assert [event for event in bench.events() if isinstance(event, Refused)] == []


# ICMP.


@pytest.mark.parametrize("server", [RESOLVER4, RESOLVER6])
def test_an_icmp_error_about_a_question_passes(lab: Lab, pod: Pod, bench: Bench, server: str) -> None:
    """The workload hears at once that nobody listens; errors about what it did not ask end here."""
    state = names("a.example.")
    lab.apply(tables(MapState(True, True, state.entries), pod.row()))

    def error(about: bytes, source: str = server) -> bytes:
        l4 = icmp6(1, 0, about) if ":" in server else icmp4(3, 0, about)
        return ip(a(source), own(pod, server), l4)

    sent = question(pod, "a.example", server=server)
    assert not bench.gets(pod, error(sent))
    assert bench.sends(pod, sent)
    assert bench.gets(pod, error(sent))
    router = "2001:db8:1::1" if ":" in server else "198.51.100.1"
    assert bench.gets(pod, error(sent, router))
    # Still on its way: an answer may come from elsewhere.
    assert bench.gets(pod, reply(pod, sent, "a.example. 300 IN A 192.0.2.1", server=server))
    assert not bench.gets(pod, error(sent))
    assert bench.sends(pod, sent)
    other = question(pod, "a.example", server=server, number=8)
    assert not bench.gets(pod, error(other))
    assert not bench.gets(pod, error(sent[:-3]))
    ports = 20 if "." in server else 40
    assert not bench.gets(pod, error(sent[:ports] + struct.pack("!H", 4001) + sent[ports + 2 :]))
    assert bench.gets(pod, error(sent))


def test_connections_under_these_settings_are_as_before(lab: Lab, pod: Pod, bench: Bench) -> None:
    """Nothing of this is about anything but questions."""
    state = egress(allow(protocol=UDP, port=53, dns="any"), allow(FqdnPeer("a.example."), TCP, 443))
    lab.apply(tables(state, pod.row(), dns=DnsSettings("nxdomain", 5, 1, 1)))
    assert not bench.sends(pod, ip(own(pod, RESOLVER4), a("192.0.2.1"), tcp(9, 443)))
    assert reasons(bench) == [DropReason.POLICY_DENIED]
