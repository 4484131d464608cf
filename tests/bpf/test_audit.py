"""Policies in audit: nothing of them is enforced, and what they would change is told, with their rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import dns.message
import pytest
from bpf_lab import RESOLVER4, TCP, UDP, WORLD4, Lab, Pod, a, allow, deny, egress, names, tables
from packets import PASS, REDIRECT, Bench, from_pod, icmp4, ip, tcp, udp

from namewall.model.flow import Audited, Dropped, DropReason, Event, Flow, Learned, Refused
from namewall.model.net import Direction
from namewall.policy.map_state import ALLOW_ALL, MapState, RuleOrigin
from namewall.state.tables import NodeTables

RULE = RuleOrigin("CiliumNetworkPolicy", "default", "tried", "spec.egress[0]")


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    shared_lab.datapath.read_events()
    yield shared_lab
    shared_lab.apply(NodeTables())


def play(lab: Lab, pod: Pod, enforced: MapState, together: MapState) -> None:
    row = replace(pod.row(policy=1), audit=2)
    lab.apply(tables(enforced, row, policies={1: enforced, 2: together}))


def sends(bench: Bench, pod: Pod, port: int, source: int = 5000, to: str = WORLD4[0]) -> bool:
    return bench.sends(pod, ip(a(pod.ipv4), a(to), tcp(source, port)))


def flows(events: list[Event]) -> list[Flow]:
    return [event for event in events if isinstance(event, Flow)]


def test_what_only_a_policy_in_audit_denies_passes_and_is_told(lab: Lab, pod: Pod, bench: Bench) -> None:
    enforced = egress(allow(protocol=TCP))
    key, entry = deny(protocol=TCP, port=25)
    together = egress(allow(protocol=TCP), (key, entry._replace(origins=(RULE,))))
    play(lab, pod, enforced, together)
    assert sends(bench, pod, 25)
    assert sends(bench, pod, 443)
    audited, plain = flows(bench.events())
    assert isinstance(audited, Audited)
    assert (audited.reason, audited.dropped, audited.remote_port) == (DropReason.POLICY_DENY, None, 25)
    assert lab.datapath.origins(audited) == (RULE,)
    assert type(plain) is Flow
    # One event for a flow, not for each packet.
    assert bench.sends(pod, ip(a(pod.ipv4), a(WORLD4[0]), tcp(5000, 25, 0x10)))
    assert bench.gets(pod, ip(a(WORLD4[0]), a(pod.ipv4), tcp(25, 5000, 0x12)))
    assert bench.events() == []


def test_a_policy_in_audit_alone_denies_nothing(lab: Lab, pod: Pod, bench: Bench) -> None:
    together = MapState(True, True, dict([allow(protocol=TCP, port=443)]))
    play(lab, pod, ALLOW_ALL, together)
    assert sends(bench, pod, 443)
    assert sends(bench, pod, 80)
    assert bench.gets(pod, ip(a(WORLD4[0]), a(pod.ipv4), tcp(5001, 22)))
    assert bench.sends(pod, ip(a(pod.ipv4), a(WORLD4[0]), icmp4(8)))
    told = flows(bench.events())
    assert [type(event) for event in told] == [Flow, Audited, Audited, Audited]
    assert {event.reason for event in told if isinstance(event, Audited)} == {DropReason.POLICY_DENIED}
    assert [event.direction for event in told] == [
        Direction.EGRESS,
        Direction.EGRESS,
        Direction.INGRESS,
        Direction.EGRESS,
    ]


def test_what_a_policy_in_audit_would_allow_drops_and_is_told(lab: Lab, pod: Pod, bench: Bench) -> None:
    play(lab, pod, egress(), egress(allow(protocol=TCP, port=443)))
    assert not sends(bench, pod, 443)
    assert not sends(bench, pod, 80)
    told = flows(bench.events())
    assert [type(event) for event in told] == [Audited, Dropped, Dropped]
    audited = told[0]
    assert isinstance(audited, Audited)
    assert (audited.reason, audited.dropped) == (None, DropReason.POLICY_DENIED)


def question(pod: Pod, name: str, port: int = 4000) -> bytes:
    wire = dns.message.make_query(name, "A").to_wire()
    return from_pod(pod, ip(a(pod.ipv4), a(RESOLVER4), udp(port, 53, wire)))


def test_a_question_only_a_policy_in_audit_refuses_passes(lab: Lab, pod: Pod, bench: Bench) -> None:
    enforced = egress(allow(protocol=UDP, port=53), allow(protocol=TCP, port=443))
    together = egress(
        allow(protocol=UDP, port=53, dns=frozenset({"a.example."})), allow(protocol=TCP, port=443)
    )
    play(lab, pod, enforced, together)
    for _ in range(2):  # the second time it is one met before
        assert bench.run("from_endpoint", pod, question(pod, "b.example"))[0] == PASS
        assert bench.run("from_endpoint", pod, question(pod, "a.example"))[0] == PASS
    refused = [event for event in bench.events() if isinstance(event, Refused)]
    assert [(event.name, event.audited) for event in refused] == [("b.example.", True)]
    lab.apply(tables(together, pod.row()))
    assert bench.run("from_endpoint", pod, question(pod, "b.example"))[0] == REDIRECT
    (refused_now,) = [event for event in bench.events() if isinstance(event, Refused)]
    assert not refused_now.audited


def test_names_of_a_policy_in_audit_are_learned(lab: Lab, pod: Pod, bench: Bench) -> None:
    """So that what it would open is known when it is enforced, and what it would deny is told truly."""
    play(lab, pod, ALLOW_ALL, names("a.example."))
    asked = question(pod, "a.example")
    assert bench.run("from_endpoint", pod, asked)[0] == PASS
    query = dns.message.from_wire(asked[42:])
    answer = dns.message.make_response(query)
    answer.answer.append(dns.rrset.from_text("a.example.", 300, "IN", "A", WORLD4[0]))
    assert bench.gets(pod, ip(a(RESOLVER4), a(pod.ipv4), udp(53, 4000, answer.to_wire())))
    (learned,) = [event for event in bench.events() if isinstance(event, Learned)]
    assert learned.granted
    assert sends(bench, pod, 443)
    assert sends(bench, pod, 443, to=WORLD4[1])
    assert [type(event) for event in flows(bench.events())] == [Flow, Audited]
    lab.apply(tables(names("a.example."), pod.row()))
    assert sends(bench, pod, 443, source=5009)
    assert not sends(bench, pod, 443, source=5009, to=WORLD4[1])


def test_a_live_connection_goes_on_when_its_policy_comes_into_audit(lab: Lab, pod: Pod, bench: Bench) -> None:
    strict, open_ = egress(allow(protocol=TCP, port=443)), egress(allow(protocol=TCP))
    lab.apply(tables(open_, pod.row()))
    assert sends(bench, pod, 80)
    play(lab, pod, ALLOW_ALL, strict)
    assert bench.sends(pod, ip(a(pod.ipv4), a(WORLD4[0]), tcp(5000, 80, 0x10)))
    lab.apply(tables(strict, pod.row()))
    assert not bench.sends(pod, ip(a(pod.ipv4), a(WORLD4[0]), tcp(5000, 80, 0x10)))
