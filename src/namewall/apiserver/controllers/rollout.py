"""The pure part of rolling a template out: which set runs it, and the replicas that are safe now.

`plan` takes the deployment's sets as they are to the replicas each should have now. It is called again after every
change of a set's status, so each call takes only the steps that are safe at once (pkg/controller/deployment).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from namewall.apiserver.values import Object, dig, dumps

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
HISTORY = "deployment.kubernetes.io/revision-history"
OWN_ANNOTATIONS = (REVISION, DESIRED, MAXIMUM, HISTORY, "kubectl.kubernetes.io/last-applied-configuration")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Object, collisions: int = 0) -> str:
    """A short name for a template, of letters that make no words."""
    number = zlib.crc32(dumps(template), collisions)
    digits = ""
    for _ in range(9):
        number, digit = divmod(number, len(_ALPHABET))
        digits += _ALPHABET[digit]
        number += zlib.crc32(digits.encode()) >> 8
    return digits


def same_template(deployment: Object, replica_set: Object) -> bool:
    """Whether the set runs the deployment's template; the hash label is the controller's own."""
    wanted = dig(deployment, "spec", "template", default={})
    found = dict(dig(replica_set, "spec", "template", default={}))
    metadata = dict(found.get("metadata") or {})
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    if not metadata["labels"]:
        del metadata["labels"]
    found["metadata"] = metadata
    return dumps(_sorted(found)) == dumps(_sorted(wanted))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value) if value[key] is not None}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def resolve(amount: Any, total: int, *, up: bool) -> int:
    """A number or a percentage of `total`, rounded up or down (intstr.GetScaledValueFromIntOrPercent)."""
    if isinstance(amount, int):
        return amount
    percent = int(str(amount or "0").rstrip("%") or 0)
    return -(-percent * total // 100) if up else percent * total // 100


def limits(deployment: Object) -> tuple[int, int]:
    """maxSurge and maxUnavailable in pods; never both 0."""
    wanted = int(dig(deployment, "spec", "replicas", default=1))
    rolling = dig(deployment, "spec", "strategy", "rollingUpdate", default={})
    surge = resolve(rolling.get("maxSurge"), wanted, up=True)
    unavailable = resolve(rolling.get("maxUnavailable"), wanted, up=False)
    return surge, unavailable if surge or unavailable else 1


@dataclass(frozen=True, slots=True)
class SetState:
    """A ReplicaSet as `plan` sees it. `pods` counts those that exist, also such that are ending."""

    name: str
    replicas: int
    available: int
    pods: int


def plan(
    wanted: int, surge: int, unavailable: int, new: SetState, old: list[SetState], *, recreate: bool = False
) -> dict[str, int]:
    """Replicas that sets should have now, by name, those only that change. `old` is oldest first."""
    changes: dict[str, int] = {}
    if recreate:
        for state in old:
            if state.replicas:
                changes[state.name] = 0
        if not any(state.replicas or state.pods for state in old) and new.replicas != wanted:
            changes[new.name] = wanted
        return changes
    total = new.replicas + sum(state.replicas for state in old)
    grown = new.replicas
    if new.replicas > wanted:
        grown = wanted
    elif new.replicas < wanted:
        grown = new.replicas + max(0, min(wanted + surge - total, wanted - new.replicas))
    if grown != new.replicas:
        changes[new.name] = grown
        if grown > new.replicas:
            # As Kubernetes: one direction at a time, the set's status tells when to go on.
            return changes
        total += grown - new.replicas
    least = wanted - unavailable
    room = total - least - (grown - min(new.available, grown))
    if room <= 0:
        return changes
    left = {state.name: state.replicas for state in old}
    for state in old:
        # Pods that are not available do no good: they go first.
        sick = min(max(0, state.replicas - state.available), room)
        left[state.name] -= sick
        room -= sick
    spare = min(new.available, grown) + sum(min(s.available, left[s.name]) for s in old) - least
    for state in old:
        down = max(0, min(left[state.name], spare))
        left[state.name] -= down
        spare -= down
    changes |= {state.name: left[state.name] for state in old if left[state.name] != state.replicas}
    return changes


def revision(obj: Object) -> int:
    text = dig(obj, "metadata", "annotations", REVISION, default="0")
    return int(text) if str(text).isdigit() else 0
