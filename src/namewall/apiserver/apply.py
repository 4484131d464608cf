"""Server-side apply: merges what a manager applies into the live object by field ownership.

Rules (kubernetes.io, Server-Side Apply; sigs.k8s.io/structured-merge-diff):
  - what the manager applies, it owns; several may own a field as long as they agree on its value
  - a field owned by another and changed by this apply is a conflict, unless `force` takes it over
  - a field the manager owned, and now leaves out, is removed if nobody else owns it
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from namewall.apiserver import managed, schema
from namewall.apiserver.errors import ApiError
from namewall.apiserver.managed import Fields, Manager, Path
from namewall.apiserver.patch import reorder
from namewall.apiserver.values import Object, deep_copy, timestamp


def merge(node: Object, live: Any, applied: Any) -> Any:
    """The live value with everything applied put in."""
    if isinstance(applied, dict) and isinstance(live, dict) and not managed.is_atomic(node):
        result = dict(live)
        for key, value in applied.items():
            below = schema.child(node, key) or schema.OPEN
            result[key] = merge(below, live[key], value) if key in live else deep_copy(value)
        return result
    if isinstance(applied, list) and isinstance(live, list) and managed.list_kind(node) != "atomic":
        below = schema.items(node)
        found = {managed.item_element(node, item): index for index, item in enumerate(live)}
        items = list(live)
        for item in applied:
            index = found.get(managed.item_element(node, item))
            if index is None:
                items.append(deep_copy(item))
            else:
                items[index] = merge(below, live[index], item)
        keys = node.get("x-kubernetes-list-map-keys") or []
        return reorder(items, applied, live, keys[0]) if len(keys) == 1 else items
    return deep_copy(applied)


def _remove(node: Object, value: Any, gone: set[Path]) -> Any:
    """The value without the members in `gone` (paths relative to it); None where nothing is left of it."""
    here = {path[0] for path in gone if len(path) == 1}
    below: dict[str, set[Path]] = {}
    for path in gone:
        if len(path) > 1 and path[0] not in here:
            below.setdefault(path[0], set()).add(path[1:])
    if isinstance(value, dict):
        result = {}
        for key, item in value.items():
            element = "f:" + key
            if element in here:
                continue
            if element in below:
                item = _remove(schema.child(node, key) or schema.OPEN, item, below[element])
                if item is None:
                    continue
            result[key] = item
        return result or None
    if isinstance(value, list):
        items = []
        for item in value:
            element = managed.item_element(node, item)
            if element in here:
                continue
            if element in below:
                item = _remove(schema.items(node), item, below[element])
            items.append(item)
        return items or None
    return value


def _owned_below(path: Path, fields: Fields) -> bool:
    return any(other[: len(path)] == path for other in fields)


def _show(path: Path) -> str:
    """`.spec.containers[name="x"].image`, as conflicts are reported."""
    text = ""
    for element in path:
        kind, rest = element[:2], element[2:]
        if kind == "f:":
            text += "." + rest
        elif kind == "k:":
            text += "[" + rest.strip("{}").replace('":', "=").replace('"', "", 1).replace(',"', ",") + "]"
        else:
            text += f"[={rest}]"
    return text


def _conflict(found: list[tuple[Manager, list[Path]]]) -> ApiError:
    number = sum(len(paths) for _, paths in found)
    parts, causes = [], []
    for manager, paths in found:
        who = manager.describe()
        shown = [_show(path) for path in paths]
        if len(shown) == 1:
            parts.append(f"conflict with {who}: {shown[0]}")
        else:
            parts.append(f"conflicts with {who}:\n" + "\n".join(f"- {path}" for path in shown))
        causes += [
            {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path}
            for path in shown
        ]
    message = f"Apply failed with {number} conflict{'s' if number > 1 else ''}: " + "\n".join(parts)
    return ApiError(409, "Conflict", message, details={"causes": causes})


def apply(
    node: Object,
    live: Object,
    applied: Object,
    manager: str,
    now: float,
    *,
    force: bool = False,
    subresource: str = "",
) -> Object:
    """The object after `manager` applied `applied` to `live`, managedFields set. Raises a 409 on conflicts."""
    own_fields = frozenset(managed.flatten(node, applied))
    writer = Manager(manager, "Apply", applied["apiVersion"], own_fields, subresource, timestamp(now))
    managers = managed.decode(live["metadata"].get("managedFields"))
    previous = next((entry for entry in managers if entry.same(writer)), None)
    others = [entry for entry in managers if not entry.same(writer)]

    merged: Object = merge(node, live, applied)
    if previous is not None:
        held: Fields = frozenset().union(*(entry.fields for entry in others))
        gone = {path for path in previous.fields - own_fields if not _owned_below(path, held | own_fields)}
        merged = _remove(node, merged, gone) or {}

    before, after = managed.flatten(node, live), managed.flatten(node, merged)
    changed = {path for path in own_fields if path in after and before.get(path, merged) != after[path]}
    clashes = [(entry, sorted(entry.fields & changed)) for entry in others if entry.fields & changed]
    if clashes and not force:
        raise _conflict(clashes)
    kept = [replace(entry, fields=entry.fields - changed) for entry in others]
    if previous is not None and previous.fields == own_fields:
        writer = previous
    merged["metadata"] = {
        **live["metadata"],
        **merged.get("metadata", {}),
        "managedFields": managed.encode([*kept, writer]),
    }
    return merged
