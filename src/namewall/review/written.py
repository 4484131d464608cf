"""A policy as its author writes it: the object, its text, the file that it would be in."""

from __future__ import annotations

from typing import Any

from namewall.kube.merge import LAST_APPLIED
from namewall.policy.explain.words import SHORT
from namewall.review.yaml_writing import block_yaml

Object = dict[str, Any]
_WRITTEN = ("name", "namespace", "labels", "annotations")
"""What an author says of metadata, in the order he does."""


def as_written(obj: Object) -> Object:
    """As its author wrote it: what the server adds is none of policy, nor what tools keep on it."""
    metadata = obj["metadata"]
    notes = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    told = {**metadata, "annotations": notes}
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {key: told[key] for key in _WRITTEN if told.get(key)},
        **{
            key: value
            for key, value in obj.items()
            if key not in ("apiVersion", "kind", "metadata", "status")
        },
    }


def text_of(obj: Object) -> str:
    """A policy as YAML, as its author would write it."""
    return block_yaml(as_written(obj))


def file_name(obj: Object) -> str:
    """`default/backend.cnp.yaml`."""
    kind, metadata = obj["kind"], obj["metadata"]
    short = SHORT.get(kind, kind.lower())
    namespace = (
        "" if kind == "CiliumClusterwideNetworkPolicy" else f"{metadata.get('namespace') or 'default'}/"
    )
    return f"{namespace}{metadata['name']}.{short}.yaml"
