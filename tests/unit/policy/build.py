"""Tiny constructors, so that a case is a line."""

from __future__ import annotations

from typing import Any

from namewall.model.errors import Problem
from namewall.model.labels import Labels, identity_labels
from namewall.policy.parse import parse
from namewall.policy.rules import Policy

Raw = dict[str, Any]


def cnp(spec: Any = None, *, name: str = "p", namespace: str = "default", **more: Any) -> Raw:
    obj: Raw = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        **more,
    }
    return obj if spec is None else {**obj, "spec": spec}


def ccnp(spec: Raw, name: str = "p") -> Raw:
    return {**cnp(spec), "kind": "CiliumClusterwideNetworkPolicy", "metadata": {"name": name}}


def netpol(spec: Raw, name: str = "n", namespace: str = "default") -> Raw:
    version = "networking.k8s.io/v1"
    return {**cnp(spec, name=name, namespace=namespace), "apiVersion": version, "kind": "NetworkPolicy"}


def egress(*items: Raw, **spec: Any) -> Raw:
    return cnp({"endpointSelector": {}, "egress": list(items), **spec})


def good(obj: Raw) -> Policy:
    policy, problems = parse(obj)
    assert policy is not None, problems
    return policy


def bad(obj: Any) -> list[Problem]:
    policy, problems = parse(obj)
    assert policy is None
    assert problems
    return problems


def pod(namespace: str = "default", namespace_labels: dict[str, str] | None = None, **labels: str) -> Labels:
    return identity_labels(
        {k.replace("_", "-"): v for k, v in labels.items()}, namespace, namespace_labels or {}
    )
