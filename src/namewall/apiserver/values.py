"""Small helpers over API objects as they travel: JSON objects, timestamps, durations as kubectl prints them.

Objects stay plain dicts (design: dicts at the border). Nothing here knows a kind.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
"""One JSON object of the API, or a part of one."""


def dig(obj: Any, *path: str | int, default: Any = None) -> Any:
    """The value at a path of keys and indexes, or `default` where any step is absent or null."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(obj, list) or not -len(obj) <= step < len(obj):
                return default
            obj = obj[step]
        else:
            if not isinstance(obj, dict):
                return default
            obj = obj.get(step)
        if obj is None:
            return default
    return obj


def dumps(obj: Any) -> bytes:
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def deep_copy(value: Any) -> Any:
    """A copy of a JSON value; several times quicker than copy.deepcopy, which must look for cycles."""
    if isinstance(value, dict):
        return {key: deep_copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [deep_copy(item) for item in value]
    return value


def timestamp(seconds: float) -> str:
    """metav1.Time: RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time; ValueError where it is none."""
    return datetime.fromisoformat(text).timestamp()


def human_duration(seconds: float) -> str:
    """An age as `kubectl get` prints it (k8s.io/apimachinery/pkg/util/duration, HumanDuration)."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 60 * 2:
        return f"{whole}s"
    minutes = whole // 60
    if minutes < 10:
        rest = whole % 60
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 60 * 3:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        rest = hours % 24
        return f"{hours // 24}d{rest}h" if rest else f"{hours // 24}d"
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    if hours < 24 * 365 * 8:
        rest = hours // 24 % 365
        return f"{hours // 24 // 365}y{rest}d" if rest else f"{hours // 24 // 365}y"
    return f"{hours // 24 // 365}y"


def age(obj: Object, now: float) -> str:
    created = dig(obj, "metadata", "creationTimestamp")
    return human_duration(now - parse_timestamp(created)) if created else "<unknown>"


def owner_reference(owner: Object, *, controller: bool = True) -> Object:
    """The ownerReferences entry that makes `owner` an object's controller."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": controller,
        "blockOwnerDeletion": controller,
    }


def controller_of(obj: Object) -> Object | None:
    """The owner reference of the object's controller, if it has one."""
    references: list[Object] = dig(obj, "metadata", "ownerReferences", default=[])
    return next((reference for reference in references if reference.get("controller")), None)


def set_condition(status: Object, condition: Object, now: float, *, updates: bool = False) -> bool:
    """Puts `condition` (type, status, reason, message) in status.conditions; True if anything changed.

    lastTransitionTime moves only when `status` flips; with `updates` lastUpdateTime moves with any change
    (Deployments have both).
    """
    conditions: list[Object] = status.setdefault("conditions", [])
    found = next((entry for entry in conditions if entry.get("type") == condition["type"]), None)
    if found is None:
        found = {"type": condition["type"]}
        conditions.append(found)
    elif all(found.get(key) == value for key, value in condition.items()):
        return False
    flipped = found.get("status") != condition["status"]
    found.update(condition)
    if updates:
        found["lastUpdateTime"] = timestamp(now)
    if flipped:
        found["lastTransitionTime"] = timestamp(now)
    return True
