"""Hubble's FlowFilter, field by field: what holds, what does not, and what is told of a wrong value."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from namewall.model.flow import DropReason
from namewall.model.net import Protocol
from namewall.state.flow_filter import FIELDS, compile_filters
from namewall.state.observed import EventKind, Observed
from tests.unit.state.flows import DNS_SERVICE, SITE, allowed, answer, denied, ingress, refused

FLOWS = {
    "allowed": allowed(),
    "denied": denied(),
    "ingress": ingress(),
    "answer": answer(),
    "refused": refused(),
    "spoofed": denied(kind=EventKind.DROP, reason=DropReason.INVALID_SOURCE_IP, reply=None),
    "over tcp": answer(protocol=Protocol.TCP),
    "ping": allowed(protocol=Protocol.ICMP, icmp_type=8, source_port=0, destination_port=0, tcp_flags=0),
}


def those(*allow: dict[str, Any], deny: tuple[dict[str, Any], ...] = ()) -> set[str]:
    test = compile_filters(allow, deny)
    return {name for name, flow in FLOWS.items() if test(flow)}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, set(FLOWS)),
        ({"source_pod": ["backend"]}, {"allowed", "denied", "refused", "spoofed", "ping"}),
        ({"source_pod": ["default/back"]}, {"allowed", "denied", "refused", "spoofed", "ping"}),
        ({"source_pod": ["frontend"]}, set()),
        ({"source_pod": ["/frontend"]}, {"ingress"}),
        ({"source_pod": ["web/"]}, {"ingress"}),
        ({"destination_pod": ["default/"]}, {"ingress", "answer", "over tcp"}),
        ({"source_ip": ["10.219.0.0/24"]}, set(FLOWS) - {"answer", "over tcp"}),
        ({"destination_ip": ["203.0.113.7"]}, {"allowed", "denied", "spoofed", "ping"}),
        ({"source_ip": ["2001:db8::/32"]}, set()),
        ({"destination_fqdn": ["kubernetes.io"]}, {"allowed", "ping"}),
        ({"destination_fqdn": ["*.io"]}, {"allowed", "denied", "spoofed", "ping"}),
        ({"destination_fqdn": ["Kubernetes.IO."]}, {"allowed", "ping"}),
        ({"destination_fqdn": ["kube"]}, set()),
        ({"source_label": ["app=backend"]}, {"allowed", "denied", "refused", "spoofed", "ping"}),
        ({"source_label": ["k8s:app=frontend"]}, {"ingress"}),
        ({"source_label": ["app in (frontend, other)"]}, {"ingress"}),
        ({"source_label": ["app notin (frontend)", "app=frontend"]}, set(FLOWS)),
        ({"source_label": ["app,app!=backend"]}, {"ingress"}),
        ({"source_label": ["!app"]}, {"answer", "over tcp"}),
        ({"destination_label": ["reserved:world"]}, {"allowed", "denied", "spoofed", "ping"}),
        ({"destination_label": ["reserved:world-ipv6"]}, set()),
        ({"destination_service": ["kube-system/kube"]}, {"refused"}),
        ({"source_workload": [{"kind": "Deployment", "name": "frontend"}]}, {"ingress"}),
        ({"source_workload": [{"name": "front"}]}, set()),
        ({"source_identity": [259]}, {"ingress"}),
        ({"destination_port": ["443"]}, {"allowed", "denied", "spoofed"}),
        ({"destination_port": ["443", "8080"]}, {"allowed", "denied", "spoofed", "ingress"}),
        ({"traffic_direction": ["INGRESS"]}, {"ingress"}),
        ({"verdict": ["DROPPED"]}, {"denied", "refused", "spoofed"}),
        ({"verdict": ["audit"]}, set()),
        ({"drop_reason_desc": ["POLICY_DENIED"]}, {"denied"}),
        ({"drop_reason_desc": ["NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT"]}, set()),
        ({"event_type": [{"type": 1}]}, {"denied", "refused", "spoofed"}),
        ({"event_type": [{"type": 1, "match_sub_type": True, "sub_type": 132}]}, {"spoofed"}),
        ({"event_type": [{"type": 5}]}, {"allowed", "denied", "ingress", "ping"}),
        ({"event_type": [{"type": 129}]}, {"answer", "refused", "over tcp"}),
        ({"protocol": ["tcp"]}, {"allowed", "denied", "ingress", "spoofed", "over tcp"}),
        ({"protocol": ["UDP"]}, {"answer", "refused"}),
        ({"protocol": ["dns"]}, {"answer", "refused", "over tcp"}),
        ({"protocol": ["icmp"]}, {"ping"}),
        ({"protocol": ["http"]}, set()),
        ({"tcp_flags": [{"SYN": True}]}, {"allowed", "denied", "ingress", "spoofed"}),
        ({"tcp_flags": [{"SYN": True, "ACK": True}]}, set()),
        ({"reply": [True]}, {"answer", "over tcp"}),
        ({"ip_version": ["IPv6"]}, set()),
        ({"dns_query": ["^kube"]}, {"answer", "over tcp"}),
        ({"policy": ["egress-fqdn"]}, {"allowed", "denied", "refused", "spoofed", "ping"}),
        ({"policy": ["other/egress-fqdn"]}, set()),
        ({"source_pod": ["backend"], "verdict": ["FORWARDED"]}, {"allowed", "ping"}),
    ],
)
def test_a_field_holds_for(wanted: dict[str, Any], found: set[str]) -> None:
    assert those(wanted) == found


def test_the_fields_are_those_of_the_page() -> None:
    """docs/agent-api.md names every field."""
    page = (Path(__file__).parents[3] / "docs" / "agent-api.md").read_text()
    words = set(re.findall(r"`(\w+)`", page.partition("Fields: ")[2].partition("\n- ")[0]))
    both = {field.partition("_")[2] for field in FIELDS if field.startswith(("source_", "destination_"))}
    whole = {field for field in FIELDS if not field.startswith(("source_", "destination_"))}
    assert words == both | whole | {"source_", "destination_"}


def test_of_several_filters_one_must_hold() -> None:
    assert those({"source_pod": ["web/"]}, {"reply": [True]}) == {"ingress", "answer", "over tcp"}


def test_what_the_blacklist_means_is_left_out() -> None:
    assert those(deny=({"verdict": ["FORWARDED"]},)) == {"denied", "refused", "spoofed"}
    both: tuple[dict[str, Any], ...] = ({"verdict": ["DROPPED"]}, {"protocol": ["dns"]})
    assert those({"source_pod": ["default/"]}, deny=both) == {"allowed", "ping"}


def test_trace_sub_types_are_the_directions() -> None:
    out, into = allowed(kind=EventKind.TRACE), ingress(kind=EventKind.TRACE)

    def stack(flow: Observed, sub_type: int) -> bool:
        return compile_filters(
            [{"event_type": [{"type": 4, "match_sub_type": True, "sub_type": sub_type}]}], []
        )(flow)

    assert [stack(out, 3), stack(out, 0), stack(into, 0), stack(into, 3)] == [True, False, True, False]


def test_a_namespace_means_its_services_too() -> None:
    test = compile_filters([{"destination_pod": ["kube-system/"]}], [])
    assert test(allowed(destination=DNS_SERVICE))
    assert not test(allowed(destination=SITE))


def test_the_names_of_an_end_are_its_own() -> None:
    test = compile_filters([{"source_fqdn": ["*"]}], [])
    assert not test(allowed())
    assert test(allowed(source=replace(SITE, names=("x.example.com",))))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"colour": ["red"]}, "`colour` is no field of a flow filter; write one of source_pod"),
        ({"verdict": "DROPPED"}, "verdict: want a list of values"),
        ({"verdict": ["MAYBE"]}, "verdict: `MAYBE` is no verdict; write one of FORWARDED"),
        ({"source_ip": ["10.0.0.300"]}, "source_ip: `10.0.0.300` is no address and no prefix"),
        ({"destination_port": ["http"]}, "destination_port: `http` is no port; write 1 to 65535"),
        ({"destination_fqdn": ["exa mple"]}, "destination_fqdn: `exa mple` has a character"),
        ({"protocol": ["quic"]}, "protocol: `quic` is no protocol; write one of tcp"),
        ({"dns_query": ["("]}, "dns_query: `(` is no regular expression"),
        ({"source_label": ["a b"]}, "source_label: `a b` is no label"),
        ({"event_type": [{}]}, "event_type:"),
        (
            {"drop_reason_desc": ["policy denied"]},
            "`policy denied` is no drop reason; write as POLICY_DENIED",
        ),
        ({"ip_version": ["5"]}, "`5` is no IP version; write IPv4 or IPv6"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        compile_filters([wanted], [])
