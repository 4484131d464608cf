"""Stores edited policies: all of them are tried on the server first, and none is stored that it would refuse.

A policy is created, or replaced as a whole (as `kubectl replace` does): what the page shows is then what is stored,
also where a field was taken out that another tool once set, which server-side apply would leave there. The version
that was read goes along, so that a change in between is a conflict and not lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from namewall.kube import request as requests
from namewall.kube.client import Client
from namewall.kube.errors import ApiError
from namewall.kube.merge import LAST_APPLIED
from namewall.kube.request import Query
from namewall.kube.resources import Resource
from namewall.review.live import POLICIES
from namewall.review.papers import Papers
from namewall.review.wrong import Wrong

Object = dict[str, Any]
MANAGER = "namewall-editor"
_TYPES: Mapping[str, Resource] = {resource.kind: resource for resource in POLICIES}


async def apply(
    client: Client, files: Iterable[tuple[str, str]], dry_run: bool, versions: Mapping[str, str]
) -> list[Object]:
    """Rows of `POST /api/apply`, each with `error` and, if there is one, HTTP's `status`. `versions` are the
    resourceVersions that were edited, by `KIND/NAMESPACE/NAME`. Raises Wrong and Unreachable."""
    papers = Papers.read(files)
    for broken in papers.broken:
        raise Wrong(str(broken), "files")
    objects = []
    for one in papers.placed:
        if not isinstance(one.object, dict) or one.object.get("kind") not in _TYPES:
            raise Wrong(f"{one.source}:{one.line_of()}: only policies are applied here", "files")
        if not one.key[2] or not isinstance((one.object.get("metadata") or {}).get("name"), str):
            raise Wrong(f"{one.source}:{one.line_of()}: a policy needs metadata.name", "files")
        objects.append(one.object)
    if not objects:
        raise Wrong("there is no policy in the files", "files")
    tried = [await _row(client, obj, True, versions) for obj in objects]
    if dry_run or any(row["error"] for row in tried):
        return tried
    return [await _row(client, obj, False, versions) for obj in objects]


async def _row(client: Client, obj: Object, dry_run: bool, versions: Mapping[str, str]) -> Object:
    resource = _TYPES[obj["kind"]]
    metadata = obj["metadata"]
    namespace = (metadata.get("namespace") or "default") if resource.namespaced else None
    name = metadata["name"]
    row: Object = {
        "kind": obj["kind"],
        "namespace": namespace,
        "name": name,
        "operation": None,
        "error": None,
        "status": 200,
    }
    try:
        done, version = await _put(
            client, resource, namespace, obj, dry_run, versions.get(f"{obj['kind']}/{namespace or ''}/{name}")
        )
        return {**row, "operation": done, "resourceVersion": version}
    except ApiError as error:
        return {**row, "error": error.message, "status": error.code}
    except ValueError as error:
        return {**row, "error": str(error), "status": 400}


async def _put(
    client: Client, resource: Resource, namespace: str | None, obj: Object, dry_run: bool, version: str | None
) -> tuple[str, Any]:
    query: Query = (("fieldManager", MANAGER), ("fieldValidation", "Strict"))
    if dry_run:
        query = (*query, ("dryRun", "All"))
    metadata = {
        key: value for key, value in obj["metadata"].items() if key in ("name", "labels", "annotations")
    }
    if namespace is not None:
        metadata["namespace"] = namespace
    wanted = {**{key: value for key, value in obj.items() if key != "status"}, "metadata": metadata}
    try:
        stored = await client.get(resource, namespace, metadata["name"])
    except ApiError as error:
        if error.reason != "NotFound":
            raise
        if version is not None:
            raise ApiError(409, "Conflict", "it was deleted since it was read") from error
        made = await client.send(requests.create(resource, namespace, wanted, query=query))
        return "created", made["metadata"].get("resourceVersion")
    now = stored["metadata"]
    if version not in (None, now.get("resourceVersion")):
        raise ApiError(409, "Conflict", "it was changed since it was read; read it again, then apply")
    last = (now.get("annotations") or {}).get(LAST_APPLIED)
    if last is not None:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), LAST_APPLIED: last}
    if _said(wanted) == _said(stored):
        return "unchanged", now.get("resourceVersion")
    metadata["resourceVersion"] = now["resourceVersion"]
    if now.get("finalizers"):
        metadata["finalizers"] = now["finalizers"]
    if now.get("ownerReferences"):
        metadata["ownerReferences"] = now["ownerReferences"]
    done = await client.send(requests.replace(resource, namespace, wanted, query=query))
    return "configured", done["metadata"].get("resourceVersion")


def _said(obj: Object) -> Object:
    metadata = obj["metadata"]
    body = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    return {**body, "labels": metadata.get("labels") or {}, "annotations": metadata.get("annotations") or {}}
