"""Builds the requests of the Kubernetes API as values; sends nothing. Pure.

Decides paths, query parameters, content types and bodies (Kubernetes API conventions and client-go's habits).
Invariant: whatever a caller passes as a name, namespace or selector cannot leave its place in the URL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlencode

from namewall.kube.resources import Resource

PatchKind = Literal["merge", "json", "strategic", "apply"]

JSON = "application/json"
TABLE = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,"
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
AGGREGATED_DISCOVERY = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)
PATCH_TYPES: Mapping[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",  # JSON is YAML
}
Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request below the server's URL. Query values repeat (`command=a&command=b`), hence pairs."""

    method: str
    path: str
    query: Query = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def target(self) -> str:
        """Path and query, as it stands in the request line."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def path(resource: Resource, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
    """`namespace` None or "" is all of them; for a cluster-wide type it is ignored."""
    parts = ["apis", resource.group, resource.version] if resource.group else ["api", resource.version]
    if namespace and resource.namespaced:
        parts += ["namespaces", _segment(namespace)]
    parts.append(resource.plural)
    if name:
        parts.append(_segment(name))
    if subresource:
        parts.append(subresource)
    return "/" + "/".join(parts)


def list_(
    resource: Resource,
    namespace: str | None = None,
    *,
    label_selector: str = "",
    field_selector: str = "",
    limit: int = 0,
    continue_: str = "",
    accept: str = JSON,
    include_object: str = "",
) -> Request:
    """GET a collection; `limit` 0 asks for all of it at once."""
    query = _selectors(label_selector, field_selector)
    if limit:
        query += (("limit", str(limit)),)
    if continue_:
        query += (("continue", continue_),)
    if include_object:
        query += (("includeObject", include_object),)
    return Request("GET", path(resource, namespace), query, {"Accept": accept})


def get(resource: Resource, namespace: str | None, name: str, *, accept: str = JSON) -> Request:
    """GET one object."""
    return Request("GET", path(resource, namespace, _required(name)), (), {"Accept": accept})


def watch(
    resource: Resource,
    namespace: str | None = None,
    *,
    resource_version: str = "",
    label_selector: str = "",
    field_selector: str = "",
    timeout_seconds: int = 0,
    bookmarks: bool = True,
    accept: str = JSON,
) -> Request:
    """GET the changes of a collection after `resource_version`, as one JSON frame a line."""
    query: Query = (*_selectors(label_selector, field_selector), ("watch", "true"))
    if resource_version:
        query += (("resourceVersion", resource_version),)
    if bookmarks:
        query += (("allowWatchBookmarks", "true"),)
    if timeout_seconds:
        query += (("timeoutSeconds", str(timeout_seconds)),)
    return Request("GET", path(resource, namespace), query, {"Accept": accept})


def create(
    resource: Resource,
    namespace: str | None,
    obj: Mapping[str, Any],
    *,
    query: Query = (),
    accept: str = JSON,
) -> Request:
    """POST a new object; the namespace of the path must be the object's own."""
    return _with_body("POST", path(resource, namespace), obj, JSON, query, accept)


def replace(
    resource: Resource,
    namespace: str | None,
    obj: Mapping[str, Any],
    *,
    subresource: str = "",
    query: Query = (),
) -> Request:
    """PUT a whole object; with its `metadata.resourceVersion` a concurrent change is a 409."""
    name = _required(str(obj.get("metadata", {}).get("name", "")))
    return _with_body("PUT", path(resource, namespace, name, subresource), obj, JSON, query, JSON)


def patch(
    resource: Resource,
    namespace: str | None,
    name: str,
    body: Any,
    *,
    kind: PatchKind = "merge",
    subresource: str = "",
    field_manager: str = "",
    force: bool = False,
    query: Query = (),
) -> Request:
    """PATCH an object. `force` takes fields over from other managers; only an apply patch has it."""
    if field_manager:
        query = (("fieldManager", field_manager), *query)
    if kind == "apply":
        query = (*query, ("force", "true" if force else "false"))
    target = path(resource, namespace, _required(name), subresource)
    return _with_body("PATCH", target, body, PATCH_TYPES[kind], query, JSON)


def delete(
    resource: Resource,
    namespace: str | None,
    name: str,
    *,
    grace_period_seconds: int | None = None,
    propagation: str | None = None,
    uid: str | None = None,
    dry_run: bool = False,
) -> Request:
    """DELETE an object; `uid` makes it a 409 when the name now belongs to another one."""
    options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
    if grace_period_seconds is not None:
        options["gracePeriodSeconds"] = grace_period_seconds
    if propagation:
        options["propagationPolicy"] = propagation
    if uid:
        options["preconditions"] = {"uid": uid}
    if dry_run:
        options["dryRun"] = ["All"]
    return _with_body("DELETE", path(resource, namespace, _required(name)), options, JSON, (), JSON)


def _with_body(method: str, target: str, body: Any, content_type: str, query: Query, accept: str) -> Request:
    headers = {"Accept": accept, "Content-Type": content_type}
    return Request(method, target, query, headers, json.dumps(body, separators=(",", ":")).encode())


def _selectors(label_selector: str, field_selector: str) -> Query:
    query: Query = ()
    if label_selector:
        query += (("labelSelector", label_selector),)
    if field_selector:
        query += (("fieldSelector", field_selector),)
    return query


def _required(name: str) -> str:
    """An empty name would address the whole collection."""
    if not name:
        raise ValueError("resource name may not be empty")
    return name


def _segment(text: str) -> str:
    """One path segment. `.` and `..` would climb; Kubernetes refuses them as names as well."""
    if text in (".", ".."):
        raise ValueError(f"`{text}` cannot be a name")
    return quote(text, safe="")
