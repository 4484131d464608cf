"""Who set which field: metadata.managedFields, as sigs.k8s.io/structured-merge-diff keeps it.

A field set is a frozenset of paths; a path is a tuple of FieldsV1 elements: `f:NAME` a field, `k:{...}` the item of a
keyed list, `v:VALUE` the item of a set. Members are leaves (atomic lists and maps count as one), items of keyed
lists, and keys of free maps. Fields that only the server sets (metadata.uid, ...) belong to nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from namewall.apiserver import schema
from namewall.apiserver.values import Object, timestamp

Path = tuple[str, ...]
Fields = frozenset[Path]

_CONTAINER = object()
"""The value of a member that is a container: compared by what is below it, not by itself."""

_SERVER_METADATA = frozenset(
    [
        "name",
        "namespace",
        "generateName",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    ]
)


def _key_element(node: Object, item: Any, keys: list[str]) -> str:
    """`k:{...}` of an item. A key that is left out has its default; the only such key in use is `protocol`."""
    values = {key: item.get(key, "TCP" if key == "protocol" else None) for key in sorted(keys)}
    return "k:" + json.dumps(values, separators=(",", ":"))


def list_kind(node: Object) -> str:
    """`atomic`, `set` or `map`; a map's keys are in x-kubernetes-list-map-keys."""
    return str(node.get("x-kubernetes-list-type") or "atomic")


def item_element(node: Object, item: Any) -> str:
    """The path element of an item in a `set` or `map` list of the schema `node`."""
    if list_kind(node) == "map" and isinstance(item, dict):
        return _key_element(node, item, node.get("x-kubernetes-list-map-keys") or [])
    return "v:" + json.dumps(item, separators=(",", ":"))


def is_atomic(node: Object) -> bool:
    return node.get("x-kubernetes-map-type") == "atomic"


def _flatten(node: Object, value: Any, path: Path, into: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value and not is_atomic(node):
        free = schema.is_map(node)
        for key, item in value.items():
            here = (*path, "f:" + key)
            below = schema.child(node, key) or schema.OPEN
            if free and isinstance(item, dict | list):
                into[here] = _CONTAINER
            _flatten(below, item, here, into)
    elif isinstance(value, list) and value and list_kind(node) != "atomic":
        below = schema.items(node)
        for item in value:
            here = (*path, item_element(node, item))
            into[here] = _CONTAINER
            if isinstance(item, dict):
                _flatten(below, item, here, into)
    else:
        into[path] = value


def flatten(node: Object, obj: Object) -> dict[Path, Any]:
    """Every member of the object's field set with its value; apiVersion, kind and the server's metadata left out."""
    into: dict[Path, Any] = {}
    for key, value in obj.items():
        below = schema.child(node, key) or schema.OPEN
        if key == "metadata":
            kept = {name: item for name, item in value.items() if name not in _SERVER_METADATA}
            if kept:
                _flatten(below, kept, ("f:metadata",), into)
        elif key not in ("apiVersion", "kind"):
            _flatten(below, value, ("f:" + key,), into)
    return into


def to_fields_v1(fields: Iterable[Path]) -> Object:
    root: Object = {}
    for path in sorted(fields):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}

    def simplify(node: Object) -> Object:
        if set(node) == {"."}:
            return {}
        return {key: value if key == "." else simplify(value) for key, value in node.items()}

    return simplify(root)


def from_fields_v1(node: Object) -> Fields:
    found: set[Path] = set()

    def walk(node: Object, path: Path) -> None:
        if not node or "." in node:
            found.add(path)
        for key, value in node.items():
            if key != ".":
                walk(value if isinstance(value, dict) else {}, (*path, key))

    for key, value in node.items():
        walk(value if isinstance(value, dict) else {}, (key,))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Manager:
    """One entry of managedFields."""

    name: str
    operation: str
    api_version: str
    fields: Fields
    subresource: str = ""
    time: str = ""

    def same(self, other: Manager) -> bool:
        """Whether both are entries of the same writer (then there is only one)."""
        return (self.name, self.operation, self.subresource, self.api_version) == (
            other.name,
            other.operation,
            other.subresource,
            other.api_version,
        )

    def entry(self) -> Object:
        entry: Object = {
            "manager": self.name,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(self.fields),
        }
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry

    def describe(self) -> str:
        """As messages about conflicts name it."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == "Update":
            text += f" using {self.api_version}"
        return text


def decode(entries: Any) -> list[Manager]:
    """The managers of an object; entries that are not FieldsV1 are dropped."""
    result = []
    for entry in entries or []:
        if isinstance(entry, dict) and isinstance(entry.get("fieldsV1"), dict):
            result.append(
                Manager(
                    str(entry.get("manager", "")),
                    str(entry.get("operation", "Update")),
                    str(entry.get("apiVersion", "")),
                    from_fields_v1(entry["fieldsV1"]),
                    str(entry.get("subresource", "")),
                    str(entry.get("time", "")),
                )
            )
    return result


def encode(managers: list[Manager]) -> list[Object]:
    return [manager.entry() for manager in managers if manager.fields]


def _base(old: Object | None, new: Object, subresource: str) -> list[Manager]:
    """The managers an update starts from: those the request carries, or else those stored.

    A list with one empty entry resets; a request through a subresource cannot set them.
    """
    live = (old or {}).get("metadata", {}).get("managedFields")
    sent = new["metadata"].get("managedFields")
    if subresource:
        return decode(live)
    if sent == [{}]:
        return []
    return decode(sent) or decode(live)


def track_update(
    node: Object, old: Object | None, new: Object, manager: str, now: float, subresource: str = ""
) -> list[Object]:
    """The managedFields after `manager` made `new` out of `old` (None: created) by other means than apply."""
    before = flatten(node, old) if old is not None else {}
    after = flatten(node, new)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    lost = changed | (before.keys() - after.keys())
    writer = Manager(manager, "Update", new["apiVersion"], frozenset(), subresource, timestamp(now))
    result = []
    own: Fields = frozenset()
    for other in _base(old, new, subresource):
        if other.same(writer):
            own |= other.fields
            if not changed:
                result.append(replace(other, fields=other.fields & after.keys()))
        else:
            result.append(replace(other, fields=other.fields - lost))
    if changed:
        result.append(replace(writer, fields=(own | changed) & after.keys()))
    return encode(result)
