"""The `Valid` condition of Cilium's policies, in Cilium's operator's words (semantics.md section 1).

Admission refuses what is not valid; what an older version stored is judged again here. A condition that says already
what is so is not written again, and lastTransitionTime moves only when the status flips.
"""

from __future__ import annotations

from collections.abc import Iterable

from namewall.apiserver import admission
from namewall.apiserver.controllers.base import keys_of
from namewall.apiserver.registry import BY_KEY
from namewall.apiserver.store import Change, Key
from namewall.apiserver.values import deep_copy, set_condition
from namewall.apiserver.writer import Writer

MANAGER = "cilium-operator"
RESOURCES = ("ciliumnetworkpolicies.cilium.io", "ciliumclusterwidenetworkpolicies.cilium.io")


class PolicyStatusController:
    name = "policy-status"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def interested(self, change: Change) -> Iterable[Key]:
        return [change.key] if change.key.resource in RESOURCES and change.type != "DELETED" else ()

    def initial(self) -> Iterable[Key]:
        return keys_of(self._writer.store, *RESOURCES)

    def reconcile(self, key: Key) -> float | None:
        policy = self._writer.store.get(key)
        if policy is None:
            return None
        problems = [problem for problem in admission.policy_problems(policy) if not problem.unknown_field]
        condition = {
            "type": "Valid",
            "status": "False" if problems else "True",
            "message": "\n".join(map(str, problems)) or "Policy validation succeeded",
        }
        status = deep_copy(policy.get("status") or {})
        if set_condition(status, condition, self._writer.clock()):
            self._writer.write_status(BY_KEY[key.resource], policy, status, MANAGER)
        return None
