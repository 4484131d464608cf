"""The three-way merge of `apply`: from what was applied last, what is wanted now and what is live, the patch.

As kubectl computes it on the client (strategicpatch.CreateThreeWayMergePatch, and jsonmergepatch for custom
kinds): a member is set where live differs from wanted, and deleted only where it was applied earlier and is
wanted no more; what others added stays. An empty patch means "unchanged". Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from namewall.kube.jsonpath import go_json

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_POD_LISTS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "schedulingGates": "name",
    "resourceClaims": "name",
    "topologySpreadConstraints": "topologyKey",
}
_CONTAINER_LISTS = {
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
}

# (the member above, the member) -> the merge key of its items; "" for lists of plain values. Every other list
# is replaced as a whole. A test compares this with Kubernetes' own definitions.
MERGE_KEYS: Mapping[tuple[str, str], str] = {
    ("metadata", "finalizers"): "",
    ("metadata", "ownerReferences"): "uid",
    ("ServiceAccount", "secrets"): "name",
    ("spec", "ports"): "port",
    ("spec", "podCIDRs"): "",
    **{("spec", name): key for name, key in _POD_LISTS.items()},
    **{
        (holder, name): key
        for holder in ("containers", "initContainers", "ephemeralContainers")
        for name, key in _CONTAINER_LISTS.items()
    },
}
RETAIN_KEYS = frozenset({("spec", "strategy"), ("spec", "volumes"), ("spec", "resourceClaims")})
"""Members of which exactly one kind may be set: the patch lists the keys to keep."""

STRATEGIC_GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)
"""The built-in groups; custom kinds have no strategic merge."""

_ABSENT: Any = object()


def annotated(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The object as it is sent: with itself, in one line, as its last-applied annotation."""
    metadata = dict(obj.get("metadata") or {})
    notes = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    bare = {**obj, "metadata": {**metadata, "annotations": notes}}
    line = go_json(bare) + "\n"
    return {**obj, "metadata": {**metadata, "annotations": {**notes, LAST_APPLIED: line}}}


def last_applied(live: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the annotation of a live object says; None where there is none. ValueError where it is damaged."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    if text is None:
        return None
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"the annotation {LAST_APPLIED} is not an object")
    return value


def three_way(
    original: Mapping[str, Any] | None,
    modified: Mapping[str, Any],
    live: Mapping[str, Any],
    *,
    strategic: bool,
) -> dict[str, Any]:
    """The patch: strategic for built-in kinds, else a JSON merge patch (RFC 7396). {} where nothing is to do."""
    return _map(original or {}, modified, live, str(modified.get("kind", "")), strategic)


def _map(
    original: Mapping[str, Any],
    modified: Mapping[str, Any],
    live: Mapping[str, Any],
    above: str,
    strategic: bool,
) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for key, wanted in modified.items():
        have, before = live.get(key, _ABSENT), original.get(key, _ABSENT)
        if wanted is None:
            if have is not _ABSENT and have is not None:
                patch[key] = None
        elif have is _ABSENT or have is None:
            patch[key] = wanted
        elif isinstance(wanted, dict) and isinstance(have, dict):
            inner = _map(before if isinstance(before, dict) else {}, wanted, have, key, strategic)
            if inner:
                patch[key] = inner
                if strategic and (above, key) in RETAIN_KEYS:
                    inner["$retainKeys"] = sorted(wanted)
        elif isinstance(wanted, list) and isinstance(have, list):
            known = before if isinstance(before, list) else []
            patch.update(_list(key, known, wanted, have, above, strategic))
        elif wanted != have or isinstance(wanted, bool) is not isinstance(have, bool):
            patch[key] = wanted
    for key, before in original.items():
        if key not in modified and before is not None:
            patch[key] = None
    return patch


def _list(
    name: str, original: list[Any], wanted: list[Any], have: list[Any], above: str, strategic: bool
) -> dict[str, Any]:
    key = MERGE_KEYS.get((above, name)) if strategic else None
    if key is None:
        return {} if wanted == have else {name: wanted}
    if key == "":
        return _plain_list(name, original, wanted, have)
    if not all(isinstance(item, dict) and key in item for item in [*wanted, *have]):
        return {} if wanted == have else {name: wanted}
    live = {_hashable(item[key]): item for item in have}
    before = {_hashable(item[key]): item for item in original if isinstance(item, dict) and key in item}
    items: list[Any] = []
    for item in wanted:
        ident = _hashable(item[key])
        if ident not in live:
            items.append(item)
            continue
        inner = _map(before.get(ident, {}), item, live[ident], name, strategic)
        if inner:
            if (above, name) in RETAIN_KEYS:
                inner["$retainKeys"] = sorted(item)
            items.append({**inner, key: item[key]})
    still = {_hashable(item[key]) for item in wanted}
    items += [{"$patch": "delete", key: item[key]} for ident, item in before.items() if ident not in still]
    patch: dict[str, Any] = {name: items} if items else {}
    if items or [item[key] for item in wanted] != [item[key] for item in have]:
        patch[f"$setElementOrder/{name}"] = [{key: item[key]} for item in wanted]
    return patch


def _plain_list(name: str, original: list[Any], wanted: list[Any], have: list[Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    if added := [item for item in wanted if item not in have]:
        patch[name] = added
    if gone := [item for item in original if item not in wanted]:
        patch[f"$deleteFromPrimitiveList/{name}"] = gone
    if patch:
        patch[f"$setElementOrder/{name}"] = wanted
    return patch


def _hashable(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
