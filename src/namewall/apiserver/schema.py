"""Schemas of the kinds: where a field is, what a list's merge key is, which fields are unknown or of a wrong type.

Two sources under one reader: Kubernetes' definitions for the built-in kinds (schemas/definitions.json.gz, read at the
first need) and the structural schemas of Cilium's kinds (`namewall.policy.schema.crd_schema`). Nodes are the
OpenAPI dicts themselves; `resolve` follows `$ref`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from namewall.apiserver import admission
from namewall.apiserver.registry import Resource
from namewall.apiserver.values import Object

_PREFIX = "#/components/schemas/"
OPEN: Object = {"x-kubernetes-preserve-unknown-fields": True}
"""The schema of a value that may be anything."""


@cache
def definitions() -> dict[str, Object]:
    data = (files("namewall.apiserver") / "schemas" / "definitions.json.gz").read_bytes()
    result: dict[str, Object] = json.loads(gzip.decompress(data))
    return result


@cache
def custom(kind: str) -> Object:
    """The OpenAPI v3 schema of one of Cilium's kinds, with ObjectMeta left to the server."""
    return admission.custom_schema(kind)


_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def of(resource: Resource) -> Object:
    """The schema of a resource's objects."""
    if resource.strategic:
        return definitions()[resource.schema]
    node = custom(resource.kind)
    properties = dict(node.get("properties") or {})
    properties["apiVersion"] = properties["kind"] = {"type": "string"}
    properties["metadata"] = {"$ref": _PREFIX + _META}
    return {**node, "properties": properties}


def resolve(node: Object) -> Object:
    """The node itself, or what its `$ref` names, with the neighbours of the `$ref` on top."""
    reference = node.get("$ref")
    if reference is None:
        return node
    target = definitions()[reference.removeprefix(_PREFIX)]
    return target if len(node) == 1 else {**target, **node, "$ref": None}


def child(node: Object, key: str) -> Object | None:
    """The schema of member `key`, OPEN where anything goes, None where there is no such member."""
    properties = node.get("properties")
    if properties and key in properties:
        return resolve(properties[key])
    more = node.get("additionalProperties")
    if isinstance(more, dict):
        return resolve(more)
    if more or is_open(node):
        return OPEN
    return None


def items(node: Object) -> Object:
    found = node.get("items")
    return resolve(found) if found else OPEN


def is_open(node: Object) -> bool:
    """Whether members outside `properties` are kept: RawExtension and the like, or an empty schema."""
    if node.get("x-kubernetes-preserve-unknown-fields"):
        return True
    return "properties" not in node and "additionalProperties" not in node and "items" not in node


def is_map(node: Object) -> bool:
    """A map of free keys, as opposed to a struct with named fields."""
    return "properties" not in node


@dataclass(frozen=True, slots=True)
class WrongType:
    """A value of another JSON type than the schema's. `path` as in `spec.egress[0].toFQDNs`."""

    path: str
    found: str
    wanted: str


def unknown_fields(node: Object, value: Any, path: str = "") -> Iterator[str]:
    """The paths of members that the schema does not have."""
    if isinstance(value, dict):
        if node.get("x-kubernetes-int-or-string") or ("oneOf" in node and "properties" not in node):
            return
        for key, item in value.items():
            here = f"{path}.{key}" if path else key
            below = child(node, key)
            if below is None:
                yield here
            elif below is not OPEN:
                yield from unknown_fields(below, item, here)
    elif isinstance(value, list):
        below = items(node)
        if below is not OPEN:
            for index, item in enumerate(value):
                yield from unknown_fields(below, item, f"{path}[{index}]")


def prune(node: Object, value: Any) -> Any:
    """A copy without unknown members, as a server that is not strict stores it."""
    if isinstance(value, dict):
        result = {}
        for key, item in value.items():
            below = child(node, key)
            if below is OPEN:
                result[key] = item
            elif below is not None:
                result[key] = prune(below, item)
        return result
    if isinstance(value, list):
        below = items(node)
        return value if below is OPEN else [prune(below, item) for item in value]
    return value


_GO_KINDS = {"integer": "int32", "boolean": "bool", "string": "string", "number": "float64"}


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    names: dict[type, str] = {str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def type_errors(node: Object, value: Any, path: str = "") -> Iterator[WrongType]:
    """Values whose JSON type is not the schema's, in the words of Go's decoder."""
    if value is None or node is OPEN:
        return
    found = _json_kind(value)
    if "properties" not in node and ("oneOf" in node or node.get("x-kubernetes-int-or-string")):
        if found not in ("string", "number"):
            yield WrongType(
                path, found, "intstr.IntOrString" if "integer" in str(node) else "resource.Quantity"
            )
        return
    kind = node.get("type")
    if kind == "object" or "properties" in node:
        if not isinstance(value, dict):
            yield WrongType(path, found, "object")
            return
        for key, item in value.items():
            below = child(node, key)
            if below is not None:
                yield from type_errors(below, item, f"{path}.{key}" if path else key)
    elif kind == "array":
        if not isinstance(value, list):
            yield WrongType(path, found, "array")
            return
        below = items(node)
        for index, item in enumerate(value):
            yield from type_errors(below, item, f"{path}[{index}]")
    elif kind in _GO_KINDS:
        fits = found == {"integer": "number", "boolean": "bool"}.get(kind, kind)
        wanted = str(node.get("format") or _GO_KINDS[kind])
        if not fits or (kind == "integer" and not isinstance(value, int)):
            yield WrongType(path, found, wanted)
        elif kind == "integer" and not -(1 << 63) <= value < 1 << 63:
            yield WrongType(path, f"number {value}", "int64")
        elif kind == "integer" and wanted == "int32" and not -(1 << 31) <= value < 1 << 31:
            yield WrongType(path, f"number {value}", wanted)
