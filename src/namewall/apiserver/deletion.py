"""What deleting means before an object is gone: finalizers, grace periods, propagation. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from namewall.apiserver.errors import conflict, forbidden
from namewall.apiserver.registry import Resource
from namewall.apiserver.values import Object, deep_copy, dig, parse_timestamp, timestamp

PROTECTED_NAMESPACES = ("default", "kube-system")
ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """`propagation` is Background, Foreground or Orphan; `uid` and `version` are preconditions; `grace` in seconds."""

    grace: int | None = None
    propagation: str = "Background"
    uid: str | None = None
    version: str | None = None
    dry_run: bool = False


def is_finished(resource: Resource, obj: Object) -> bool:
    """Whether an object that is being deleted can go now."""
    if obj["metadata"].get("finalizers"):
        return False
    if resource.key == "namespaces":
        return not dig(obj, "spec", "finalizers", default=[])
    return resource.key != "pods" or obj["metadata"].get("deletionGracePeriodSeconds") == 0


def _grace(resource: Resource, obj: Object, options: DeleteOptions) -> int:
    """Seconds a pod has to end; what never ran, or has ended, needs none. Other kinds have none."""
    if resource.key != "pods":
        return 0
    if not dig(obj, "spec", "nodeName") or dig(obj, "status", "phase") in ("Succeeded", "Failed"):
        return 0
    grace = options.grace
    if grace is None:
        grace = int(dig(obj, "spec", "terminationGracePeriodSeconds", default=30))
    before = obj["metadata"].get("deletionGracePeriodSeconds")
    return max(0, grace if before is None else min(grace, before))


def _check(resource: Resource, metadata: Object, options: DeleteOptions) -> None:
    name = metadata["name"]
    for what, wanted, found in (
        ("UID", options.uid, metadata["uid"]),
        ("ResourceVersion", options.version, metadata["resourceVersion"]),
    ):
        if wanted is not None and wanted != found:
            why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            raise conflict(resource.group, resource.plural, name, why)
    if resource.key == "namespaces" and name in PROTECTED_NAMESPACES:
        raise forbidden("", "namespaces", name, "this namespace may not be deleted")


def marked(resource: Resource, obj: Object, options: DeleteOptions, now: float) -> Object:
    """The object with its deletion begun, or hurried where it was begun before. Raises a 409 or 403."""
    _check(resource, obj["metadata"], options)
    result: Object = deep_copy(obj)
    metadata = result["metadata"]
    finalizer = {"Orphan": ORPHAN, "Foreground": FOREGROUND}.get(options.propagation)
    if finalizer and finalizer not in (metadata.get("finalizers") or []):
        metadata["finalizers"] = [*(metadata.get("finalizers") or []), finalizer]
    grace = _grace(resource, obj, options)
    if not metadata.get("deletionTimestamp"):
        metadata["deletionTimestamp"] = timestamp(now + grace)
        metadata["deletionGracePeriodSeconds"] = grace
        if resource.has_spec:
            metadata["generation"] = metadata.get("generation", 0) + 1
    elif grace < metadata.get("deletionGracePeriodSeconds", 0):
        begun = parse_timestamp(metadata["deletionTimestamp"]) - metadata["deletionGracePeriodSeconds"]
        metadata["deletionTimestamp"] = timestamp(max(now, begun + grace) if grace else now)
        metadata["deletionGracePeriodSeconds"] = grace
    if resource.key == "namespaces":
        result["status"] = {**result.get("status", {}), "phase": "Terminating"}
    return result
