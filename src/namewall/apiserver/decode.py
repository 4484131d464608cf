"""From a request's body to an object of its kind: parsed, checked for types and unknown fields, pruned, defaulted.

`fieldValidation` says what an unknown field is: an error (Strict), a warning (Warn, the default), or nothing (Ignore);
stored it is never.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from namewall.apiserver import admission, defaults, protobuf, schema
from namewall.apiserver.errors import ApiError, Cause, bad_request, invalid, unsupported_media_type
from namewall.apiserver.registry import Resource
from namewall.apiserver.values import Object
from namewall.model.nulls import drop_nulls

JSON = "application/json"
YAML = "application/yaml"
MAX_DEPTH = 200
"""Levels of a YAML body."""
MODES = ("Strict", "Warn", "Ignore")


def _unique(pairs: list[tuple[str, Any]]) -> Object:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Duplicate(key)
            seen.add(key)
    return result


class _Duplicate(ValueError):
    pass


def parse(body: bytes, content_type: str, *, strict: bool = False) -> Any:
    """The JSON value of a body in JSON, YAML or protobuf; 400 or 415 where it is none."""
    media = content_type.split(";")[0].strip().lower()
    if media in ("", JSON) or media.endswith("+json"):
        try:
            return _json(body, strict=strict)
        except _Duplicate as error:
            raise bad_request(f'strict decoding error: duplicate field "{error}"') from error
        except (ValueError, RecursionError) as error:
            raise bad_request(f"the body is not JSON: {error}") from error
    if media in (YAML, "application/apply-patch+yaml"):
        return parse_yaml(body)
    if media == protobuf.MEDIA_TYPE:
        return protobuf.decode(body)
    raise unsupported_media_type((JSON, YAML, protobuf.MEDIA_TYPE))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"`{text}` is not a finite number")
    return number


def _json(body: bytes, *, strict: bool = False) -> Any:
    """JSON without Python's additions (NaN, Infinity), which could not be written out again."""
    hook = _unique if strict else None
    return json.loads(body, object_pairs_hook=hook, parse_float=_finite, parse_constant=_finite)


def parse_yaml(body: bytes) -> Any:
    """YAML, of which JSON is the usual case: kubectl sends its YAML as JSON."""
    try:
        return _json(body)
    except (ValueError, RecursionError):
        pass
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_yaml(yaml.parse(body, Loader=loader))
        value = yaml.load(body, Loader=loader)
        # YAML knows dates, numbers as keys and more that JSON does not.
        return _json(json.dumps(value, allow_nan=False).encode())
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise bad_request(f"the body is neither JSON nor YAML: {error}") from error


def _check_yaml(events: Iterable[Any]) -> None:
    """Before anything is built: libyaml's loader recurses in C, and aliases grow without bound when written out."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            raise bad_request(
                "YAML aliases are not taken in a request's body: write the value out, or send JSON"
            )
        if depth > MAX_DEPTH:
            raise bad_request(f"the body is nested more than {MAX_DEPTH} levels deep")


def expect(resource: Resource, obj: Any) -> Object:
    """The body as an object of this kind and version; Kubernetes' messages where it is another."""
    if not isinstance(obj, dict):
        raise bad_request(f"the body must be an object of kind {resource.kind}")
    kind, version = obj.get("kind"), obj.get("apiVersion")
    if not kind or not version:
        missing = "Kind" if not kind else "apiVersion"
        raise bad_request(f"Object '{missing}' is missing in the body: send kind and apiVersion")
    if kind != resource.kind:
        wanted = f"{resource.group_version}, Kind={resource.kind}"
        raise bad_request(
            f"{kind} in version {json.dumps(version)} cannot be handled as a {resource.kind}: "
            f"converting ({version}, Kind={kind}) to ({wanted}): unknown conversion"
        )
    if version != resource.group_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({resource.group_version})"
        )
    metadata = obj.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise bad_request(f"{_cannot(resource)}: metadata must be an object")
    return {**obj, "metadata": metadata or {}}


def _cannot(resource: Resource) -> str:
    return f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'


def _check_types(resource: Resource, node: Object, obj: Object) -> None:
    """Built-in kinds: a 400 as Go's decoder gives it. Custom kinds: their metadata too; the rest is validation."""
    if resource.strategic:
        for wrong in schema.type_errors(node, obj):
            raise bad_request(
                f"{_cannot(resource)}: json: cannot unmarshal {wrong.found} into Go struct field "
                f"{resource.kind}.{wrong.path} of type {wrong.wanted}"
            )
        return
    meta = schema.child(node, "metadata") or schema.OPEN
    for wrong in schema.type_errors(meta, obj["metadata"], "metadata"):
        raise bad_request(
            f"{_cannot(resource)}: json: cannot unmarshal {wrong.found} into Go struct field "
            f"{wrong.path} of type {wrong.wanted}"
        )
    causes = [
        Cause(
            wrong.path,
            f'Invalid value: "{wrong.found}": {wrong.path} in body must be of type {wrong.wanted}: '
            f'"{wrong.found}"',
            "FieldValueTypeInvalid",
        )
        for wrong in schema.type_errors(node, obj)
    ]
    if causes:
        raise invalid(resource.group, resource.kind, str(obj["metadata"].get("name", "")), causes)


def decode(resource: Resource, obj: Any, mode: str, warnings: list[str]) -> Object:
    """An object of the resource's kind, fit for defaulting and validation. Findings go to `warnings` in mode Warn."""
    obj = expect(resource, obj)
    node = schema.of(resource)
    obj = without_nulls(resource, obj)
    unknown = list(schema.unknown_fields(node, obj))
    if unknown and mode == "Strict":
        listed = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise bad_request(f"{_cannot(resource)}: strict decoding error: {listed}")
    _check_types(resource, node, obj)
    if unknown:
        if mode == "Warn":
            warnings += [f'unknown field "{path}"' for path in unknown]
        obj = schema.prune(node, obj)
    result: Object = obj
    defaults.apply(resource.key, result)
    return result


def without_nulls(resource: Resource, obj: Object) -> Object:
    """A copy without nulls, which here mean what is left out; the values of `matchLabels` stay."""
    if resource.strategic:
        plain: Object = drop_nulls(obj)
        return plain
    return {**admission.without_nulls(resource.kind, obj), "metadata": drop_nulls(obj["metadata"])}


def validation_mode(text: str) -> str:
    if text and text not in MODES:
        raise ApiError(
            422,
            "Invalid",
            f'PatchOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "{text}": '
            'supported values: "Ignore", "Strict", "Warn"',
        )
    return text or "Warn"
