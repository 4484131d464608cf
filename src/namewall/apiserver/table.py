"""Answers in the forms clients ask for: the object itself, a Table (kubectl get), or metadata only."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass

from namewall.apiserver.errors import bad_request, expired
from namewall.apiserver.registry import Resource
from namewall.apiserver.values import Object


def _row(resource: Resource, obj: Object, now: float, include: str) -> Object:
    row: Object = {"cells": [column.cell(obj, now) for column in resource.columns]}
    if include == "Object":
        row["object"] = obj
    elif include != "None":
        row["object"] = partial(obj)
    return row


def partial(obj: Object) -> Object:
    """PartialObjectMetadata."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}


def table(
    resource: Resource,
    objects: Iterable[Object],
    now: float,
    *,
    metadata: Object,
    include: str = "Metadata",
    columns: bool = True,
) -> Object:
    """A meta.k8s.io/v1 Table. `include` is the includeObject parameter: None, Metadata or Object."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in resource.columns] if columns else None,
        "rows": [_row(resource, obj, now, include) for obj in objects],
    }


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where the next page of a list begins. The list keeps the resourceVersion of its first page."""

    version: int
    namespace: str
    name: str

    def encode(self) -> str:
        data = json.dumps({"v": "meta.k8s.io/v1", "rv": self.version, "start": [self.namespace, self.name]})
        return base64.urlsafe_b64encode(data.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, token: str) -> Continuation:
        try:
            data = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            version, (namespace, name) = int(data["rv"]), data["start"]
        except (ValueError, KeyError, TypeError) as error:
            raise bad_request("continue key is not valid: it is not one this server gave out") from error
        if not isinstance(namespace, str) or not isinstance(name, str):
            raise expired("The provided continue parameter is not valid")
        return cls(version, namespace, name)
