"""Protobuf bodies of typed creates: kubectl sends them (`create deployment`, `auth can-i`) and has no way back to JSON.

Envelope: the four bytes `k8s\\0`, then runtime.Unknown{1: TypeMeta{1 apiVersion, 2 kind}, 2: the object's bytes}.
Only the fields such commands set are known; answers are JSON always, which kubectl takes.
Go writes non-pointer fields also when empty, so empty strings, empty messages and zeros of such fields are dropped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from namewall.apiserver.errors import bad_request
from namewall.apiserver.values import Object, timestamp

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"


@dataclass(frozen=True, slots=True)
class Field:
    """`kind`: str, int, bool, bytes, map, time, intstr, or a message (a table of fields). `keep` keeps zeros."""

    name: str
    kind: Any = "str"
    repeated: bool = False
    keep: bool = False


Message = dict[int, Field]


def _list(name: str, kind: Any = "str") -> Field:
    return Field(name, kind, repeated=True)


_OWNER: Message = {
    1: Field("kind"),
    3: Field("name"),
    4: Field("uid"),
    5: Field("apiVersion"),
    6: Field("controller", "bool", keep=True),
    7: Field("blockOwnerDeletion", "bool", keep=True),
}
_META: Message = {
    1: Field("name"),
    2: Field("generateName"),
    3: Field("namespace"),
    5: Field("uid"),
    6: Field("resourceVersion"),
    8: Field("creationTimestamp", "time"),
    11: Field("labels", "map"),
    12: Field("annotations", "map"),
    13: _list("ownerReferences", _OWNER),
    14: _list("finalizers"),
}
_EXPRESSION: Message = {1: Field("key"), 2: Field("operator"), 3: _list("values")}
_SELECTOR: Message = {1: Field("matchLabels", "map"), 2: _list("matchExpressions", _EXPRESSION)}
_QUANTITY: Message = {1: Field("string")}
_ENV: Message = {1: Field("name"), 2: Field("value")}
_CONTAINER_PORT: Message = {
    1: Field("name"),
    2: Field("hostPort", "int"),
    3: Field("containerPort", "int"),
    4: Field("protocol"),
}
_CONTAINER: Message = {
    1: Field("name"),
    2: Field("image"),
    3: _list("command"),
    4: _list("args"),
    5: Field("workingDir"),
    6: _list("ports", _CONTAINER_PORT),
    7: _list("env", _ENV),
    14: Field("imagePullPolicy"),
    16: Field("stdin", "bool"),
    18: Field("tty", "bool"),
}
_POD_SPEC: Message = {
    2: _list("containers", _CONTAINER),
    3: Field("restartPolicy"),
    4: Field("terminationGracePeriodSeconds", "int", keep=True),
    6: Field("dnsPolicy"),
    7: Field("nodeSelector", "map"),
    8: Field("serviceAccountName"),
    10: Field("nodeName"),
    11: Field("hostNetwork", "bool"),
    12: Field("hostPID", "bool"),
    13: Field("hostIPC", "bool"),
    20: _list("initContainers", _CONTAINER),
    29: Field("runtimeClassName"),
}
_TEMPLATE: Message = {1: Field("metadata", _META), 2: Field("spec", _POD_SPEC)}
_STRATEGY: Message = {
    1: Field("type"),
    2: Field("rollingUpdate", {1: Field("maxUnavailable", "intstr"), 2: Field("maxSurge", "intstr")}),
}
_SERVICE_PORT: Message = {
    1: Field("name"),
    2: Field("protocol"),
    3: Field("port", "int"),
    4: Field("targetPort", "intstr"),
    5: Field("nodePort", "int"),
    6: Field("appProtocol"),
}
_SERVICE_SPEC: Message = {
    1: _list("ports", _SERVICE_PORT),
    2: Field("selector", "map"),
    3: Field("clusterIP"),
    4: Field("type"),
    5: _list("externalIPs"),
    7: Field("sessionAffinity"),
    10: Field("externalName"),
    13: Field("publishNotReadyAddresses", "bool"),
    17: Field("ipFamilyPolicy"),
    18: _list("clusterIPs"),
    19: _list("ipFamilies"),
}
_REFERENCE: Message = {1: Field("kind"), 2: Field("namespace"), 3: Field("name"), 4: Field("uid")}
_RESOURCE_ATTRIBUTES: Message = {
    1: Field("namespace"),
    2: Field("verb"),
    3: Field("group"),
    4: Field("version"),
    5: Field("resource"),
    6: Field("subresource"),
    7: Field("name"),
}
_PATH_ATTRIBUTES: Message = {1: Field("path"), 2: Field("verb")}

_KINDS: dict[tuple[str, str], Message] = {
    ("v1", "Namespace"): {1: Field("metadata", _META), 2: Field("spec", {1: _list("finalizers")})},
    ("v1", "ConfigMap"): {
        1: Field("metadata", _META),
        2: Field("data", "map"),
        3: Field("binaryData", "bytesmap"),
        4: Field("immutable", "bool", keep=True),
    },
    ("v1", "ServiceAccount"): {1: Field("metadata", _META)},
    ("v1", "Service"): {1: Field("metadata", _META), 2: Field("spec", _SERVICE_SPEC)},
    ("v1", "Pod"): {1: Field("metadata", _META), 2: Field("spec", _POD_SPEC)},
    ("v1", "Binding"): {1: Field("metadata", _META), 2: Field("target", _REFERENCE)},
    ("apps/v1", "Deployment"): {
        1: Field("metadata", _META),
        2: Field(
            "spec",
            {
                1: Field("replicas", "int", keep=True),
                2: Field("selector", _SELECTOR),
                3: Field("template", _TEMPLATE),
                4: Field("strategy", _STRATEGY),
                5: Field("minReadySeconds", "int"),
                6: Field("revisionHistoryLimit", "int", keep=True),
                7: Field("paused", "bool"),
                9: Field("progressDeadlineSeconds", "int", keep=True),
            },
        ),
    },
    ("policy/v1", "Eviction"): {1: Field("metadata", _META)},
    ("authentication.k8s.io/v1", "SelfSubjectReview"): {1: Field("metadata", _META)},
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"): {
        1: Field("metadata", _META),
        2: Field(
            "spec",
            {
                1: Field("resourceAttributes", _RESOURCE_ATTRIBUTES),
                2: Field("nonResourceAttributes", _PATH_ATTRIBUTES),
            },
        ),
    },
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview"): {
        1: Field("metadata", _META),
        2: Field("spec", {1: Field("namespace")}),
    },
}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("varint is too long")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            yield number, data[at : at + size]
            at += size
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("truncated")
            yield number, data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {wire}")


def _signed(value: int | bytes) -> int:
    number = value if isinstance(value, int) else int.from_bytes(value, "little")
    return number - (1 << 64) if number >> 63 else number


def _raw(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def _scalar(field: Field, value: int | bytes) -> Any:
    match field.kind:
        case "str":
            return _raw(value).decode()
        case "int":
            return _signed(value)
        case "bool":
            return bool(value)
        case "time":
            seconds = dict(_fields(_raw(value))).get(1)
            return timestamp(_signed(seconds)) if seconds is not None else None
        case "intstr":
            parts = dict(_fields(_raw(value)))
            if parts.get(1, 0):
                return _raw(parts.get(3, b"")).decode()
            return _signed(parts.get(2, 0))
        case _:
            return _message(field.kind, _raw(value))


def _message(table: Message, data: bytes) -> Object:
    result: Object = {}
    for number, value in _fields(data):
        field = table.get(number)
        if field is None:
            continue
        if field.kind in ("map", "bytesmap"):
            entry = dict(_fields(_raw(value)))
            item = _raw(entry.get(2, b""))
            text = base64.b64encode(item).decode() if field.kind == "bytesmap" else item.decode()
            result.setdefault(field.name, {})[_raw(entry.get(1, b"")).decode()] = text
            continue
        decoded = _scalar(field, value)
        if field.kind == "intstr" and decoded == 0:
            continue
        if field.repeated:
            result.setdefault(field.name, []).append(decoded)
        elif decoded or (field.keep and decoded is not None):
            result[field.name] = decoded
    return result


def decode(body: bytes) -> Object:
    """The object in a protobuf body; a 400 where it is none of the kinds known here."""
    if not body.startswith(_MAGIC):
        raise bad_request("the protobuf body does not begin with the Kubernetes prefix")
    try:
        envelope = dict(_fields(body[len(_MAGIC) :]))
        meta = _message({1: Field("apiVersion"), 2: Field("kind")}, _raw(envelope.get(1, b"")))
        kind = (meta.get("apiVersion", ""), meta.get("kind", ""))
        table = _KINDS.get(kind)
        if table is None:
            raise bad_request(f"{kind[1]} in version {kind[0]} cannot be read from protobuf, send JSON")
        return {"apiVersion": kind[0], "kind": kind[1], **_message(table, _raw(envelope.get(2, b"")))}
    except (ValueError, IndexError) as error:
        raise bad_request(f"the protobuf body is malformed: {error}") from error
