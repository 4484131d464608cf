"""Hubble's JSON of flows, whole."""

from __future__ import annotations

from namewall.model.flow import DropReason
from namewall.model.net import Protocol
from namewall.state.flow_json import flow_dict, lost_events, response, summary, timestamp
from namewall.state.flow_metrics import FlowMetrics
from namewall.state.name_memory import ADDRESSES_A_SCOPE, NAMES_AN_ADDRESS, NameMemory
from namewall.state.observed import EventKind
from tests.unit.state.flows import NOON, a, allowed, answer, denied, ingress, refused

UUID = "00000000-0000-0001-0000-000000000001"


def test_an_allowed_flow() -> None:
    assert flow_dict(allowed(), "node1", UUID) == {
        "time": "2026-11-23T12:00:00.123456789Z",
        "uuid": UUID,
        "verdict": "FORWARDED",
        "IP": {"source": "10.219.0.3", "destination": "203.0.113.7", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 41234, "destination_port": 443, "flags": {"SYN": True}}},
        "source": {
            "ID": 2,
            "identity": 257,
            "cluster_name": "default",
            "namespace": "default",
            "labels": ["k8s:app=backend", "k8s:io.kubernetes.pod.namespace=default"],
            "pod_name": "backend-7d4b9-x2x",
            "workloads": [{"name": "backend", "kind": "Deployment"}],
        },
        "destination": {"identity": 9, "labels": ["reserved:world-ipv4"]},
        "Type": "L3_L4",
        "node_name": "node1",
        "destination_names": ["kubernetes.io"],
        "event_type": {"type": 5},
        "traffic_direction": "EGRESS",
        "policy_match_type": 2,
        "is_reply": False,
        "Summary": "TCP Flags: SYN",
        "egress_allowed_by": [
            {
                "name": "egress-fqdn",
                "namespace": "default",
                "labels": [
                    "k8s:io.cilium.k8s.policy.derived-from=CiliumNetworkPolicy",
                    "k8s:io.cilium.k8s.policy.name=egress-fqdn",
                    "k8s:io.cilium.k8s.policy.namespace=default",
                    "namewall:rule=spec.egress[1]",
                ],
                "kind": "CiliumNetworkPolicy",
            }
        ],
    }


def test_a_drop_says_its_reason_and_has_no_rule() -> None:
    found = flow_dict(denied(times=4), "node1", UUID, ours=True)
    assert (found["verdict"], found["drop_reason"], found["drop_reason_desc"]) == (
        "DROPPED",
        133,
        "POLICY_DENIED",
    )
    assert "egress_denied_by" not in found
    assert found["Summary"] == "TCP Flags: SYN; 3 more like it"
    assert found["namewall"] == {
        "times": 4,
        "rules": [],
        "selected_by": [{"kind": "CiliumNetworkPolicy", "namespace": "default", "name": "egress-fqdn"}],
    }


def test_a_drop_that_policy_did_not_make_leaves_open_whether_it_was_a_reply() -> None:
    found = flow_dict(
        denied(kind=EventKind.DROP, reason=DropReason.INVALID_SOURCE_IP, reply=None), "node1", UUID
    )
    assert found["event_type"] == {"type": 1, "sub_type": 132}
    assert "is_reply" not in found


def test_an_answer_and_a_refused_question() -> None:
    found = flow_dict(answer(), "node1", UUID)
    assert found["Type"] == "L7"
    assert found["l7"] == {
        "type": "RESPONSE",
        "dns": {
            "query": "kubernetes.io.",
            "ips": ["203.0.113.7", "203.0.113.8"],
            "ttl": 60,
            "observation_source": "kernel",
            "qtypes": ["A"],
            "rrtypes": ["A"],
        },
    }
    assert found["source_service"] == {"name": "kube-dns", "namespace": "kube-system"}
    assert (found["is_reply"], found["reply"], found["l4"]) == (True, True, {"UDP": {"source_port": 53}})
    found = flow_dict(refused(), "node1", UUID)
    assert found["l7"] == {
        "type": "REQUEST",
        "dns": {"query": "cilium.io.", "observation_source": "kernel", "qtypes": ["AAAA"]},
    }
    assert (found["verdict"], found["drop_reason_desc"]) == ("DROPPED", "DNS_REFUSED")


def test_over_tcp_the_proxy_saw_it() -> None:
    found = flow_dict(refused(protocol=Protocol.TCP), "node1", UUID)
    assert found["l7"]["dns"]["observation_source"] == "proxy"
    assert found["l4"] == {"TCP": {"destination_port": 53}}


def test_a_line_of_jsonpb_and_of_lost_events() -> None:
    line = response(flow_dict(allowed(), "node1", UUID))
    assert (list(line), line["node_name"]) == (["flow", "node_name", "time"], "node1")
    assert lost_events("HUBBLE_RING_BUFFER", 7) == {
        "lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "7"}
    }


def test_times_before_and_after_leap_days() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000000000Z"
    assert timestamp(951782400_000000001) == "2000-02-29T00:00:00.000000001Z"
    assert timestamp(NOON) == "2026-11-23T12:00:00.123456789Z"


def test_summaries() -> None:
    assert summary(allowed(tcp_flags=0x12)) == "TCP Flags: SYN, ACK"
    assert summary(allowed(protocol=Protocol.ICMP, icmp_type=8)) == "ICMPv4 EchoRequest"
    assert summary(allowed(protocol=Protocol.ICMPV6, icmp_type=200)) == "ICMPv6 Type(200)"
    assert summary(allowed(protocol=47)) == "IP protocol 47"
    assert summary(answer()) == 'DNS Answer "203.0.113.7,203.0.113.8" TTL: 60 (Kernel kubernetes.io. A)'
    assert summary(answer(protocol=Protocol.TCP)).endswith("(Proxy kubernetes.io. A)")
    assert summary(refused()) == "DNS Query cilium.io. AAAA"


def test_flows_are_counted_under_hubbles_names() -> None:
    metrics = FlowMetrics()
    for flow in (allowed(), denied(times=3), ingress(kind=EventKind.TRACE), answer(), refused()):
        metrics.count(flow)
    found = {
        (family.name, tuple(labels.values())): value
        for family in metrics.families()
        for labels, value in family.samples
    }
    assert found["hubble_flows_processed_total", ("PolicyVerdict", "", "DROPPED", "TCP")] == 3
    assert found["hubble_flows_processed_total", ("Trace", "to-endpoint", "FORWARDED", "TCP")] == 1
    assert found["hubble_drop_total", ("POLICY_DENIED", "TCP")] == 3
    assert found["hubble_drop_total", ("DNS_REFUSED", "DNS")] == 1
    assert found["hubble_policy_verdicts_total", ("egress", "L3-L4", "forwarded")] == 1
    assert found["hubble_dns_queries_total", ("Policy denied", "AAAA", "0")] == 1
    assert found["hubble_dns_queries_total", ("", "A", "0")] == 1
    assert found["hubble_dns_responses_total", ("No Error", "A", "2")] == 1
    assert found["hubble_dns_response_types_total", ("A", "A")] == 1
    assert found["hubble_tcp_flags_total", ("SYN", "IPv4")] == 5


def test_names_are_remembered_beyond_their_grants_and_marked() -> None:
    memory = NameMemory()
    memory.learn(1, "kubernetes.io.", (a("203.0.113.7"),), 100.0)
    memory.learn(1, "www.kubernetes.io.", (a("203.0.113.7"),), 90.0)
    assert memory.of(1, a("203.0.113.7"), 50.0) == (("kubernetes.io", "www.kubernetes.io"), False)
    assert memory.of(1, a("203.0.113.7"), 101.0) == (("kubernetes.io", "www.kubernetes.io"), True)
    assert memory.of(2, a("203.0.113.7"), 50.0) == ((), False)
    memory.keep([2])
    assert memory.of(1, a("203.0.113.7"), 50.0) == ((), False)


def test_one_scopes_flood_of_names_is_bounded() -> None:
    memory = NameMemory()
    memory.learn(2, "kept.example.com.", (a("203.0.113.7"),), 1.0)
    for number in range(NAMES_AN_ADDRESS * 2):
        memory.learn(1, f"n{number}.example.com.", (a("198.51.100.1"),), 1.0)
    others = [a("10.0.0.0") + number for number in range(ADDRESSES_A_SCOPE)]
    for other in others:
        memory.learn(1, "x.example.com.", (other,), 1.0)
    assert memory.of(1, a("198.51.100.1"), 0.0) == ((), False)
    assert memory.of(1, others[-1], 0.0)[0] == ("x.example.com",)
    assert memory.of(2, a("203.0.113.7"), 0.0)[0] == ("kept.example.com",)
