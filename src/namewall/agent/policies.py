"""Policy objects as they come and go, parsed once each; what cannot be parsed leaves its last good version.

That is Cilium's rule (semantics.md section 1): a failed update is told, and does not open what the earlier
version closed. Objects that parse but ask for what the datapath cannot enforce count as failed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from namewall.kube.informer import Change
from namewall.policy.metadata import Annotations, read_annotations
from namewall.policy.parse import enforceable, parse
from namewall.policy.rules import Policy
from namewall.state.observed import PolicyRef

Object = dict[str, Any]
Key = tuple[str, str, str]
log = logging.getLogger("namewall.agent")


def in_modes(policies: Iterable[Policy], namespaces: Mapping[str, Object]) -> list[Policy]:
    """The policies, those of a namespace with `namewall.io/mode: audit` in audit whatever they say themselves."""
    audited = {
        name
        for name, namespace in namespaces.items()
        if read_annotations(namespace.get("metadata") or {})[0].audit
    }
    return [
        replace(policy, audit=True) if policy.namespace in audited and not policy.audit else policy
        for policy in policies
    ]


class Policies:
    """`good` is what is enforced, by kind, namespace and name; `problems` why an object is not, by its uid."""

    def __init__(self) -> None:
        self.good: dict[Key, Policy] = {}
        self.objects: dict[str, Object] = {}
        self.problems: dict[str, str] = {}
        self._generations: dict[str, tuple[int, Annotations]] = {}
        self.changes = self.refusals = 0
        """Versions taken, versions that cannot be enforced."""

    def take(self, change: Change, obj: Object) -> bool:
        """Whether what is enforced may have changed."""
        metadata = obj["metadata"]
        uid = metadata["uid"]
        key = obj["kind"], metadata.get("namespace") or "", metadata["name"]
        if change == "deleted":
            self.objects.pop(uid, None)
            self.problems.pop(uid, None)
            self._generations.pop(uid, None)
            self.changes += 1
            return self.good.pop(key, None) is not None
        self.objects[uid] = obj
        # Annotations are no part of the generation; ours are part of the policy.
        version = metadata.get("generation", 1), read_annotations(metadata)[0]
        if self._generations.get(uid) == version:
            return False
        self._generations[uid] = version
        policy, found = parse(obj)
        if policy is not None:
            found = [*found, *enforceable(policy)]
        if policy is None or found:
            self.problems[uid] = "; ".join(str(problem) for problem in found)
            self.refusals += 1
            log.warning("%s %s/%s is not enforced: %s", *key, self.problems[uid])
            return False
        self.problems.pop(uid, None)
        self.changes += 1
        self.good[key] = policy
        return True

    def object_of(self, ref: PolicyRef) -> Object | None:
        """The policy object itself, as it was seen last."""
        for obj in self.objects.values():
            metadata = obj["metadata"]
            if (obj["kind"], metadata.get("namespace") or "", metadata["name"]) == (
                ref.kind,
                ref.namespace,
                ref.name,
            ):
                return obj
        return None
