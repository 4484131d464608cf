"""Small flows for tests: who speaks to whom, what came of it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from namewall.model.flow import Dropped, DropReason, Flow, Learned, MatchType, Refused
from namewall.model.net import Address, Direction, Protocol
from namewall.policy.map_state import RuleOrigin
from namewall.state.observed import (
    Dns,
    End,
    EventKind,
    Grounds,
    Observed,
    PolicyRef,
    Verdict,
)

NOON = 1795435200_123456789  # 2026-11-23T12:00:00.123456789Z
BACKEND = End(
    257,
    ("k8s:app=backend", "k8s:io.kubernetes.pod.namespace=default"),
    2,
    "default",
    "backend-7d4b9-x2x",
    (("Deployment", "backend"),),
)
FRONTEND = End(
    259,
    ("k8s:app=frontend", "k8s:io.kubernetes.pod.namespace=web"),
    3,
    "web",
    "frontend-5f6c8-aaa",
    (("Deployment", "frontend"),),
)
SITE = End(9, ("reserved:world-ipv4",), names=("kubernetes.io",))
WORLD6 = End(10, ("reserved:world-ipv6",))
DNS_SERVICE = End(
    256, ("k8s:k8s-app=kube-dns",), namespace="kube-system", service=("kube-system", "kube-dns")
)
RULE = RuleOrigin("CiliumNetworkPolicy", "default", "egress-fqdn", "spec.egress[1]")
DENIER = PolicyRef("CiliumNetworkPolicy", "default", "egress-fqdn")


def a(text: str) -> Address:
    return ip_address(text)


def allowed(**changes: Any) -> Observed:
    """backend → kubernetes.io:443, first packet."""
    flow = Observed(
        NOON,
        EventKind.POLICY_VERDICT,
        Verdict.FORWARDED,
        Direction.EGRESS,
        Protocol.TCP,
        BACKEND,
        SITE,
        a("10.219.0.3"),
        a("203.0.113.7"),
        41234,
        443,
        match=MatchType.L3_L4,
        tcp_flags=2,
        grounds=Grounds((RULE,)),
    )
    return replace(flow, **changes)


def denied(**changes: Any) -> Observed:
    return allowed(
        **{
            "verdict": Verdict.DROPPED,
            "reason": DropReason.POLICY_DENIED,
            "match": MatchType.NONE,
            "grounds": Grounds(selected_by=(DENIER,)),
            "destination": replace(SITE, names=("cilium.io",)),
            **changes,
        }
    )


def ingress(**changes: Any) -> Observed:
    """frontend → backend:8080, seen at the backend."""
    return allowed(
        **{
            "direction": Direction.INGRESS,
            "source": FRONTEND,
            "destination": BACKEND,
            "source_ip": a("10.219.0.4"),
            "destination_ip": a("10.219.0.3"),
            "destination_port": 8080,
            "grounds": Grounds(),
            **changes,
        }
    )


def answer(**changes: Any) -> Observed:
    return allowed(
        **{
            "kind": EventKind.L7,
            "protocol": Protocol.UDP,
            "source": DNS_SERVICE,
            "destination": BACKEND,
            "source_ip": a("10.220.0.10"),
            "destination_ip": a("10.219.0.3"),
            "source_port": 53,
            "destination_port": 0,
            "match": MatchType.NONE,
            "tcp_flags": 0,
            "reply": True,
            "grounds": Grounds(),
            "dns": Dns("kubernetes.io.", 1, True, (a("203.0.113.7"), a("203.0.113.8")), 60),
            **changes,
        }
    )


def refused(**changes: Any) -> Observed:
    return allowed(
        **{
            "kind": EventKind.L7,
            "verdict": Verdict.DROPPED,
            "reason": DropReason.DNS_REFUSED,
            "protocol": Protocol.UDP,
            "destination": DNS_SERVICE,
            "destination_ip": a("10.220.0.10"),
            "source_port": 0,
            "destination_port": 53,
            "match": MatchType.NONE,
            "tcp_flags": 0,
            "grounds": Grounds(selected_by=(DENIER,)),
            "dns": Dns("cilium.io.", 28),
            **changes,
        }
    )


def flow_event(**changes: Any) -> Flow:
    """The datapath's event behind `allowed`."""
    fields = {
        "time": 100.5,
        "endpoint": 2,
        "direction": Direction.EGRESS,
        "protocol": int(Protocol.TCP),
        "local": a("10.219.0.3"),
        "remote": a("203.0.113.7"),
        "local_port": 41234,
        "remote_port": 443,
        "identity": 9,
        "policy": 4,
        "peer": 0xC0000001,
        "match": MatchType.L3_L4,
        "l4_bits": 24,
        "tcp_flags": 2,
        "icmp_type": 0,
        "length": 74,
        **changes,
    }
    return Flow(**fields)  # type: ignore[arg-type]


def drop_event(reason: DropReason = DropReason.POLICY_DENIED, left_out: int = 0, **changes: Any) -> Dropped:
    flow = flow_event(**{"match": MatchType.NONE, "l4_bits": 0, "peer": 0, **changes})
    values = {name: getattr(flow, name) for name in Flow.__slots__}
    return Dropped(**values, reason=reason, left_out=left_out)


def learned_event(**changes: Any) -> Learned:
    fields = {
        "time": 100.25,
        "endpoint": 2,
        "scope": 77,
        "name": "kubernetes.io.",
        "addresses": (a("203.0.113.7"),),
        "ttl": 60,
        "query_type": 1,
        "server": a("10.220.0.10"),
        "server_port": 53,
        "granted": True,
        "full": False,
        **changes,
    }
    return Learned(**fields)  # type: ignore[arg-type]


def refused_event(**changes: Any) -> Refused:
    fields = {
        "time": 100.75,
        "endpoint": 2,
        "scope": 77,
        "name": "cilium.io.",
        "query_type": 28,
        "server": a("10.220.0.10"),
        "server_port": 53,
        "left_out": 2,
        **changes,
    }
    return Refused(**fields)  # type: ignore[arg-type]
