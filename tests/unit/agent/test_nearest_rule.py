"""The nearest rule, in an Event's words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from namewall.agent.nearest_rule import NearestRule
from namewall.model.flow import DropReason
from namewall.model.net import Direction
from namewall.state.observed import Observed, PolicyRef
from tests.unit.state.flows import BACKEND, DENIER, DNS_SERVICE, FRONTEND, SITE, allowed, denied, refused

DNS_PORTS = [{"port": "53", "protocol": "ANY"}]
POLICY: dict[str, Any] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "egress-fqdn", "namespace": "default"},
    "spec": {
        "endpointSelector": {"matchLabels": {"app": "backend"}},
        "egress": [
            {
                "toEndpoints": [{"matchLabels": {"k8s-app": "kube-dns"}}],
                "toPorts": [{"ports": DNS_PORTS, "rules": {"dns": [{"matchPattern": "*.io"}]}}],
            },
            {"toFQDNs": [{"matchName": "kubernetes.io"}], "toPorts": [{"ports": [{"port": "443"}]}]},
        ],
        "ingress": [{"fromEndpoints": [{"matchLabels": {"app": "other"}}]}],
    },
}


def said(flow: Observed, policy: dict[str, Any] | None = POLICY) -> str:
    return NearestRule(lambda ref: policy if ref == DENIER else None, lambda: ((), ())).of(flow)


def test_the_name_that_was_meant() -> None:
    assert said(denied()) == (
        "nearest is cnp default/egress-fqdn spec.egress[1]: spec.egress[1].toFQDNs wants kubernetes.io, got cilium.io"
    )


def test_the_port_that_was_meant() -> None:
    flow = denied(destination=replace(SITE, names=("kubernetes.io",)), destination_port=8443)
    assert said(flow) == (
        "nearest is cnp default/egress-fqdn spec.egress[1]: spec.egress[1].toPorts wants 443/ANY, got 8443/TCP"
    )


def test_who_may_come_in() -> None:
    flow = denied(direction=Direction.INGRESS, source=FRONTEND, destination=BACKEND)
    assert "spec.ingress[0].fromEndpoints[0].matchLabels[app] wants other, got frontend" in said(flow)


def test_a_refused_name() -> None:
    labels = (
        "io.kubernetes.pod.namespace=default",
        "k8s-app=kube-dns",
        "io.cilium.k8s.policy.cluster=default",
    )
    server = replace(DNS_SERVICE, labels=tuple(f"k8s:{label}" for label in labels))
    flow = refused(destination=server, dns=replace(refused().dns, query="cilium.com."))
    assert "*.io" in said(flow)
    assert "cilium.com" in said(flow)


def test_nothing_is_said_where_nothing_is_sure() -> None:
    assert said(allowed()) == ""
    assert said(denied(reason=DropReason.POLICY_DENY)) == ""
    assert said(denied(), None) == ""
    assert said(denied(destination=DNS_SERVICE)) == ""
    # The policy of now allows it: it was another one that dropped it.
    assert said(denied(destination=replace(SITE, names=("kubernetes.io",)))) == ""


def test_policies_of_others_are_not_asked() -> None:
    flow = denied(
        grounds=replace(denied().grounds, selected_by=(PolicyRef("NetworkPolicy", "default", "x"),))
    )
    assert said(flow) == ""
