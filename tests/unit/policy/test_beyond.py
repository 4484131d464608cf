"""What is valid but cannot be enforced is named, all of it, each with its path and reason."""

from __future__ import annotations

from typing import Any

import pytest

from namewall.policy import beyond
from namewall.policy.parse import enforceable
from tests.unit.policy.build import ccnp, egress, good, netpol

PORT = {"port": "80", "protocol": "TCP"}
TAIL = " cannot be enforced by namewall; leave it out"


def told(obj: dict[str, Any]) -> dict[str, str]:
    problems = enforceable(good(obj))
    assert all(problem.stage == "agent" and problem.message.endswith(TAIL) for problem in problems)
    return {problem.path: problem.message.removesuffix(TAIL) for problem in problems}


def test_every_part_is_named_with_its_path() -> None:
    obj = egress(
        {"toEntities": ["world"], "authentication": {"mode": "disabled"}, "toPorts": [{"ports": [PORT]}]},
        {"toEntities": ["world"], "authentication": {"mode": "test-always-fail"}},
        {"toGroups": [{"aws": {"region": "x"}}]},
        {
            "toPorts": [
                {"ports": [PORT], "rules": {"http": [{}]}},
                {"ports": [PORT], "rules": {"kafka": [{}]}},
                {"ports": [PORT], "rules": {"l7proto": "x"}},
                {"ports": [PORT], "listener": {"name": "l", "envoyConfig": {"name": "e"}}},
                {
                    "ports": [PORT],
                    "originatingTLS": {"secret": {"name": "s"}},
                    "terminatingTLS": {"secret": {"name": "s"}},
                },
                {"ports": [PORT], "serverNames": ["a.com"]},
                {"ports": [PORT, {"port": "0", "protocol": "VRRP"}, {"port": "0", "protocol": "IGMP"}]},
            ]
        },
        ingressDeny=[{"fromGroups": [{"aws": {}}]}],
    )
    at = "spec.egress[3].toPorts"
    assert told(obj) == {
        "spec.ingressDeny[0].fromGroups": "cloud provider groups",
        "spec.egress[1].authentication.mode": "mutual authentication",
        "spec.egress[2].toGroups": "cloud provider groups",
        f"{at}[0].rules.http": "HTTP rules",
        f"{at}[1].rules.kafka": "Kafka rules",
        f"{at}[2].rules.l7proto": "custom L7 protocols",
        f"{at}[3].listener": "Envoy listeners",
        f"{at}[4].originatingTLS": "TLS origination",
        f"{at}[4].terminatingTLS": "TLS termination",
        f"{at}[5].serverNames": "TLS server names",
        f"{at}[6].ports[1].protocol": "VRRP alone",
        f"{at}[6].ports[2].protocol": "IGMP alone",
    }


def test_what_can_be_enforced_is_not_named() -> None:
    obj = egress(
        {"toEntities": ["world"], "toPorts": [{"ports": [PORT], "rules": {"http": []}}]},
        {"toEntities": ["world"], "authentication": {"mode": "disabled"}},
        {"icmps": [{"fields": [{"type": 8}]}]},
        {"toPorts": [{}]},
    )
    assert told(obj) == {}


def test_a_host_policy_is_named_in_any_of_several_specs() -> None:
    one = {"endpointSelector": {}, "egress": [{}]}
    obj = ccnp(one)
    obj["specs"] = [one, {"nodeSelector": {}, "ingress": [{}]}]
    assert told(obj) == {"specs[1].nodeSelector": "a host policy (nodeSelector)"}
    assert len(good(obj).rules) == 2


def test_a_network_policy_for_pods_by_a_label_of_no_identity() -> None:
    """By Kubernetes' words it is for those pods; here it would be for nobody, and leave them open."""
    lost = "statefulset.kubernetes.io/pod-name"
    expressions = [
        {"key": "pod-template-hash", "operator": "In", "values": ["x"]},
        {"key": "io.cilium.k8s.policy.serviceaccount", "operator": "Exists"},
        {"key": "controller-uid", "operator": "DoesNotExist"},
        {"key": "app", "operator": "Exists"},
    ]
    labels = {lost: "db-0", "app.kubernetes.io/name": "db"}
    obj = netpol({"podSelector": {"matchLabels": labels, "matchExpressions": expressions}})
    assert told(obj) == {
        f"spec.podSelector.matchLabels[{lost}]": f"a label that is in no identity ({lost})",
        "spec.podSelector.matchExpressions[0]": "a label that is in no identity (pod-template-hash)",
        "spec.podSelector.matchExpressions[1]": (
            "a label that is in no identity (io.cilium.k8s.policy.serviceaccount)"
        ),
    }
    peers = [{"podSelector": {"matchLabels": {lost: "db-0"}}}]
    assert told(netpol({"podSelector": {}, "ingress": [{"from": peers}]})) == {}


@pytest.mark.parametrize(
    ("item", "needed"),
    [
        ({}, False),
        ({"authentication": {"mode": "disabled"}}, False),
        ({"authentication": {"mode": "required"}}, True),
    ],
)
def test_authentication_is_needed_or_not(item: dict[str, Any], needed: bool) -> None:
    assert beyond.needs_authentication(item) is needed
