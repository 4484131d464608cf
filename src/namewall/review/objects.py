"""Which of the documents in a file are policies, which are scenarios, and which are neither. Pure."""

from __future__ import annotations

from typing import Any

from namewall.model.documents import Document
from namewall.model.near import near
from namewall.policy.parse import API_VERSIONS, CIDR_GROUP


def is_scenario(document: Document) -> bool:
    """As opposed to a policy that lies in the same folder."""
    value = document.value
    return isinstance(value, dict) and "kind" not in value and ("queries" in value or "tests" in value)


def is_other(obj: Any) -> bool:
    """An object of Kubernetes that is no policy and nobody's misspelt one, as files often hold beside policies."""
    if not isinstance(obj, dict) or obj.get("kind") in (*API_VERSIONS, CIDR_GROUP):
        return False
    version, kind = obj.get("apiVersion"), obj.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str) or not kind:
        return False
    group = version.rpartition("/")[0]
    known = group in ("", "apps", "batch", "autoscaling", "policy") or group.endswith(".k8s.io")
    misspelt = "NetworkPolicy" in kind or near(kind, API_VERSIONS) is not None
    return known and group != "networking.k8s.io" and not misspelt


def objects(document: Document) -> list[tuple[str, Any]]:
    """(path, object) of a document: itself, or the items of a List."""
    value = document.value
    kind = value.get("kind") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind.endswith("List") and isinstance(value.get("items"), list):
        return [(f"items[{index}]", item) for index, item in enumerate(value["items"])]
    return [("", value)]


def is_world(document: Document) -> bool:
    """A scenario that asks nothing: it only says who there is."""
    value = document.value
    return isinstance(value, dict) and "kind" not in value and "policies" in value
