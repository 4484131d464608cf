"""Openings and closings that `diff` must tell without being given a world."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from namewall.review.diff import compare, side_of

ANY_NAMESPACE = {"key": "k8s:io.kubernetes.pod.namespace", "operator": "Exists"}


def cilium(peers: list[Any], namespace: str = "shop", **ports: Any) -> dict[str, Any]:
    spec = {
        "endpointSelector": {"matchLabels": {"app": "web"}},
        "ingress": [{"fromEndpoints": peers, **ports}],
    }
    metadata = {"name": "web", "namespace": namespace}
    return {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata, "spec": spec}


def kubernetes(rules: list[Any], namespace: str = "shop", app: str = "web") -> dict[str, Any]:
    spec = {"podSelector": {"matchLabels": {"app": app}} if app else {}, "ingress": rules}
    metadata = {"name": "web", "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def told(old: dict[str, Any], new: dict[str, Any]) -> dict[tuple[str, str], str]:
    """What becomes of each pair of ends whose flows change."""
    broken: list[Any] = []
    sides = [side_of([("a.yaml", yaml.safe_dump(each).encode())], broken) for each in (old, new)]
    groups, _ = compare(*sides)
    assert not broken
    return {(s, t): group.ports[0].new for group in groups for s in group.sources for t in group.targets}


def term(operator: str, *values: str) -> dict[str, Any]:
    return {
        "matchExpressions": [
            {"key": "app", "operator": operator, **({"values": list(values)} if values else {})}
        ]
    }


@pytest.mark.parametrize(
    ("old", "new", "source", "target", "becomes"),
    [
        (
            cilium([{"matchLabels": {"team": "x"}}]),
            cilium([{"matchLabels": {"team": "x"}, "matchExpressions": [ANY_NAMESPACE]}]),
            "elsewhere/team=x",
            "shop/app=web",
            "allow",
        ),
        (
            cilium([{}], "default"),
            cilium([{"matchExpressions": [ANY_NAMESPACE]}], "default"),
            "elsewhere/*",
            "default/app=web",
            "allow",
        ),
        (
            kubernetes([{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}]),
            kubernetes([{"from": [{"podSelector": {"matchLabels": {"app": "a"}}, "namespaceSelector": {}}]}]),
            "elsewhere/app=a",
            "shop/app=web",
            "allow",
        ),
        (
            kubernetes([{"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]}]),
            kubernetes([{"from": [{"podSelector": {}}]}]),
            "elsewhere/namespace:team=a",
            "shop/app=web",
            "deny",
        ),
        (
            cilium([term("NotIn", "a")]),
            cilium([term("NotIn", "a", "b")]),
            "shop/app=b",
            "shop/app=web",
            "deny",
        ),
        (cilium([term("NotIn", "a")]), cilium([term("NotIn", "b")]), "shop/app=a", "shop/app=web", "allow"),
        (cilium([term("DoesNotExist")]), cilium([{}]), "shop/app=x", "shop/app=web", "allow"),
        (
            kubernetes([{"from": [{"podSelector": {}}]}], app=""),
            kubernetes([], app=""),
            "shop/*",
            "shop/*",
            "deny",
        ),
        (
            cilium([{"matchLabels": {"app": "web"}}]),
            cilium(
                [{"matchLabels": {"app": "web"}}], toPorts=[{"ports": [{"port": "9300", "protocol": "TCP"}]}]
            ),
            "shop/app=web",
            "shop/app=web",
            "deny",
        ),
        (
            kubernetes([{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]),
            kubernetes([{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}, {"podSelector": {}}]}]),
            "shop/*",
            "shop/app=web",
            "allow",
        ),
    ],
)
def test_what_opens_and_what_closes_is_told(
    old: dict[str, Any], new: dict[str, Any], source: str, target: str, becomes: str
) -> None:
    assert told(old, new)[source, target] == becomes
    assert told(new, old)[source, target] != becomes


def test_an_address_block_opens_no_pod_of_one_s_own() -> None:
    blocks = kubernetes([{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}])
    assert {source for source, _ in told(kubernetes([]), blocks)} == {"203.0.113.0", "203.0.113.255"}


def test_one_spelling_of_a_namespace_is_as_good_as_another() -> None:
    by_name = {"kubernetes.io/metadata.name": "shop"}
    assert not told(
        kubernetes([{"from": [{"podSelector": {}}]}]),
        kubernetes([{"from": [{"namespaceSelector": {"matchLabels": by_name}}]}]),
    )
