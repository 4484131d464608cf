"""What may be stored beyond its kind's own validation: policies judged by `namewall.policy`, pods by `podfields`.

The only file of the server that knows `namewall.policy`. It is imported at the first need: the policy engine's
modules are not small, and a server that only ever serves pods does without them.
"""

from __future__ import annotations

from typing import Any

from namewall.apiserver import podfields
from namewall.apiserver.errors import Cause
from namewall.apiserver.values import Object, dig

POLICIES = (
    "ciliumnetworkpolicies.cilium.io",
    "ciliumclusterwidenetworkpolicies.cilium.io",
    "networkpolicies.networking.k8s.io",
)


def custom_schema(kind: str) -> Object:
    """The OpenAPI v3 schema of a custom kind."""
    if kind == "CustomResourceDefinition":
        return {
            "type": "object",
            "description": "A kind that this server has beyond Kubernetes' own.",
            "x-kubernetes-preserve-unknown-fields": True,
        }
    from namewall.policy.schema import crd_schema

    found: Object = crd_schema(kind)
    return found


def without_nulls(kind: str, obj: Object) -> Object:
    """An object of a custom kind without its nulls, as apiextensions-apiserver keeps it."""
    from namewall.policy import structural

    found: Object = structural.without_nulls(custom_schema(kind), obj)
    return found


def warm() -> None:
    """Imports the policy engine."""
    import namewall.policy.parse  # noqa: F401


def policy_problems(obj: Object) -> list[Any]:
    """Everything wrong with a policy: what Cilium would refuse, and what this build cannot enforce."""
    from namewall.policy.parse import enforceable, parse

    policy, problems = parse(obj)
    problems = list(problems)
    if policy is not None and not problems:
        problems += enforceable(policy)
    return problems


def refused(resource: str, obj: Object) -> list[Cause]:
    """The causes to refuse an object that is otherwise valid."""
    namespace = dig(obj, "metadata", "namespace", default="")
    if resource in POLICIES:
        from namewall.policy.metadata import unknown_annotations

        problems = policy_problems(obj) + unknown_annotations(obj.get("metadata") or {})
        return [
            Cause(problem.path or "spec", problem.said) for problem in problems if not problem.unknown_field
        ]
    if resource == "pods":
        return podfields.refused(obj.get("spec") or {}, namespace)
    if resource in ("deployments.apps", "replicasets.apps"):
        return podfields.refused(
            dig(obj, "spec", "template", "spec", default={}), namespace, "spec.template.spec"
        )
    return []
