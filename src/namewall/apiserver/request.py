"""What a request asks for, read from its path, query and Accept header. Pure.

The paths are Kubernetes' (API concepts): /api/v1/... and /apis/GROUP/VERSION/..., below them
[namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE]].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from namewall.apiserver import registry
from namewall.apiserver.errors import bad_request, no_such_page, not_acceptable
from namewall.apiserver.registry import Resource

Form = Literal["object", "table", "partial"]


@dataclass(frozen=True, slots=True)
class Target:
    """The resource a path names; `name` "" is the collection."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """A kind that is only asked."""

    group: str
    version: str
    plural: str
    kind: str


def parse_path(path: str) -> Target | Review:
    """The target of a path below /api or /apis; a 404 where there is no such resource."""
    parts = [part for part in path.split("/") if part]
    if parts[0] == "api":
        group, rest = "", parts[1:]
    else:
        group, rest = parts[1] if len(parts) > 1 else "", parts[2:]
    if len(rest) < 2:
        raise no_such_page()
    version, rest = rest[0], rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and _is_namespace_part(rest[2])):
        namespace, rest = rest[1], rest[2:]
    for found_group, found_version, plural, kind, _ in registry.REVIEWS:
        if (group, version, rest[0]) == (found_group, found_version, plural) and len(rest) == 1:
            return Review(group, version, plural, kind)
    resource = registry.BY_PATH.get((group, version, rest[0]))
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        raise no_such_page()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if resource.namespaced and name and not namespace:
        raise no_such_page()
    return Target(resource, namespace, name, subresource)


def _is_namespace_part(word: str) -> bool:
    """/api/v1/namespaces/NAME/status is a namespace's own subresource, not a resource in it."""
    return word in ("status", "finalize")


class Query:
    """The query of a URL; a name may come more than once."""

    def __init__(self, raw: bytes) -> None:
        self._items: Sequence[tuple[str, str]] = parse_qsl(raw.decode("latin-1"), keep_blank_values=True)

    def get(self, name: str, default: str = "") -> str:
        return next((value for key, value in self._items if key == name), default)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._items if key == name]

    def flag(self, name: str) -> bool:
        return self.get(name).lower() in ("true", "1")

    def number(self, name: str) -> int | None:
        text = self.get(name)
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise bad_request(f"`{name}` must be a whole number, not `{text}`") from None

    def dry_run(self) -> bool:
        values = self.all("dryRun")
        if any(value not in ("", "All") for value in values):
            raise bad_request(f"`dryRun` must be `All`, not `{values[0]}`")
        return "All" in values


def accepts(header: str) -> list[tuple[str, Mapping[str, str]]]:
    """The media types of an Accept header in order, each with its parameters."""
    result: list[tuple[str, Mapping[str, str]]] = []
    for entry in header.split(","):
        media, *parameters = [part.strip() for part in entry.split(";")]
        if media:
            pairs = dict(p.split("=", 1) for p in parameters if "=" in p)
            result.append((media.lower(), pairs))
    return result


def negotiate(header: str) -> Form:
    """The form of the answer: the first one the client names that is offered here, in JSON always."""
    entries = accepts(header) or [("*/*", {})]
    for media, parameters in entries:
        if media not in ("application/json", "application/*", "*/*"):
            continue
        wanted = parameters.get("as")
        if wanted is None:
            return "object"
        if parameters.get("g") == "meta.k8s.io" and parameters.get("v") in ("v1", "v1beta1"):
            if wanted == "Table":
                return "table"
            if wanted in ("PartialObjectMetadata", "PartialObjectMetadataList"):
                return "partial"
    raise not_acceptable("application/json")


def wants_aggregated_discovery(header: str) -> bool:
    for media, parameters in accepts(header):
        if media == "application/json":
            group, version = parameters.get("g"), parameters.get("v")
            if (group, version, parameters.get("as")) == (
                "apidiscovery.k8s.io",
                "v2",
                "APIGroupDiscoveryList",
            ):
                return True
            if "as" not in parameters:
                return False
    return False
