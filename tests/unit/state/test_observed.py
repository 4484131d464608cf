"""Events with names in the place of numbers."""

from __future__ import annotations

from ipaddress import ip_address

from namewall.model.flow import DropReason, Flow, MatchType
from namewall.model.net import Address, Direction, Protocol
from namewall.state.observed import End, EventKind, Grounds, Observed, Verdict, observe
from tests.unit.state.flows import (
    BACKEND,
    DENIER,
    DNS_SERVICE,
    RULE,
    SITE,
    a,
    drop_event,
    flow_event,
    learned_event,
    refused_event,
)

OFFSET = 1_000_000_000_000


class Known:
    """A node with one pod, one site and kube-dns."""

    def endpoint(self, number: int) -> End:
        return BACKEND if number == 2 else End(0, endpoint=number)

    def address_of(self, number: int, version: int) -> Address:
        return ip_address("10.219.0.3" if version == 4 else "fd00::3")

    def peer(self, endpoint: int, address: Address, identity: int, port: int, protocol: int) -> End:
        return DNS_SERVICE if address == a("10.220.0.10") else SITE

    def grounds(self, event: Flow) -> Grounds:
        return Grounds((RULE,)) if event.match is not MatchType.NONE else Grounds(selected_by=(DENIER,))

    def refusal(self, endpoint: int) -> Grounds:
        return Grounds(selected_by=(DENIER,))


def seen(event: Flow) -> Observed:
    return observe(event, Known(), OFFSET)


def test_egress_runs_from_the_pod_to_the_peer() -> None:
    flow = seen(flow_event())
    assert (flow.source, flow.source_ip, flow.source_port) == (BACKEND, a("10.219.0.3"), 41234)
    assert (flow.destination, flow.destination_ip, flow.destination_port) == (SITE, a("203.0.113.7"), 443)
    assert (flow.kind, flow.verdict) == (EventKind.POLICY_VERDICT, Verdict.FORWARDED)
    assert flow.grounds.rules == (RULE,)
    assert flow.reply is False


def test_the_time_is_of_the_day() -> None:
    assert seen(flow_event(time=2.5)).time == OFFSET + 2_500_000_000


def test_ingress_runs_from_the_peer_to_the_pod() -> None:
    flow = seen(flow_event(direction=Direction.INGRESS, local_port=8080, remote_port=50000))
    assert (flow.source, flow.source_port) == (SITE, 50000)
    assert (flow.destination, flow.destination_port) == (BACKEND, 8080)


def test_what_no_policy_judged_is_a_trace() -> None:
    flow = seen(flow_event(match=MatchType.NONE))
    assert (flow.kind, flow.grounds) == (EventKind.TRACE, Grounds(selected_by=(DENIER,)))


def test_a_denied_first_packet_is_policys_verdict_and_no_reply() -> None:
    flow = seen(drop_event(left_out=3))
    assert (flow.kind, flow.verdict, flow.reply) == (EventKind.POLICY_VERDICT, Verdict.DROPPED, False)
    assert (flow.times, flow.grounds.selected_by) == (4, (DENIER,))


def test_any_other_drop_has_no_rule_and_may_be_a_reply() -> None:
    flow = seen(drop_event(DropReason.INVALID_SOURCE_IP))
    assert (flow.kind, flow.reply, flow.grounds) == (EventKind.DROP, None, Grounds())


def test_the_numbers_of_an_echo_are_no_ports() -> None:
    flow = seen(
        flow_event(protocol=int(Protocol.ICMP), icmp_type=8, local_port=777, remote_port=2, tcp_flags=0)
    )
    assert (flow.source_port, flow.destination_port, flow.icmp_type) == (0, 0, 8)


def test_an_answer_runs_from_the_server_to_the_pod() -> None:
    flow = observe(learned_event(), Known(), 0)
    assert (flow.source, flow.destination, flow.reply) == (DNS_SERVICE, BACKEND, True)
    assert (flow.source_port, flow.destination_ip) == (53, a("10.219.0.3"))
    assert flow.dns is not None
    assert (flow.dns.response, flow.dns.ips, flow.dns.ttl) == (True, (a("203.0.113.7"),), 60)
    assert flow.verdict is Verdict.FORWARDED


def test_a_refused_question_is_dropped_and_says_whose_word_it_was() -> None:
    flow = observe(refused_event(), Known(), 0)
    assert (flow.source, flow.destination, flow.verdict) == (BACKEND, DNS_SERVICE, Verdict.DROPPED)
    assert (flow.reason, flow.times, flow.grounds.selected_by) == (DropReason.DNS_REFUSED, 3, (DENIER,))
    assert flow.dns is not None
    assert (flow.dns.query, flow.dns.response) == ("cilium.io.", False)
