"""OpenAPI v3 documents: one per group version, enough for kubectl explain, its validation and its patches.

kubectl reads: the `paths` (whether PATCH takes `fieldValidation` and strategic merge), and per schema its
`x-kubernetes-group-version-kind`. Documents of the built-in kinds are finished files (see
scripts/generate_kube_schemas.py) that are sent as they are, never unpacked here; those of Cilium's kinds are made
at the first question from `namewall.policy.schema` and kept compressed.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from namewall.apiserver import registry, schema
from namewall.apiserver.registry import Resource
from namewall.apiserver.values import Object, dumps

V2_PROTOBUF = b"\x0a\x032.0\x12\x17\x0a\x08Namewall\x12\x0bunversioned\x42\x00\x4a\x00"
"""The least OpenAPI v2 document kubectl takes: swagger "2.0", Info{title, version}, no paths, no definitions."""

V2_MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


def file_name(group_version: str) -> str:
    return group_version.replace("/", "_") + ".json.gz"


def _operation(resource: Resource, action: str, **more: Any) -> Object:
    gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return {
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk,
        **more,
    }


def _query(*names: str) -> list[Object]:
    return [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]


def paths(resources: Iterable[Resource]) -> Object:
    """The paths of the resources, with what kubectl looks for in them."""
    result: Object = {}
    for resource in resources:
        base = f"{resource.prefix}/namespaces/{{namespace}}" if resource.namespaced else resource.prefix
        types = [kind for kind in PATCH_TYPES if resource.strategic or "strategic" not in kind]
        ref = {"$ref": f"#/components/schemas/{resource.schema}"}
        body = {"content": {"application/json": {"schema": ref}}}
        checked = _query("dryRun", "fieldManager", "fieldValidation")
        collection: Object = {
            "get": _operation(resource, "list", parameters=_query("labelSelector", "fieldSelector"))
        }
        one: Object = {"get": _operation(resource, "get")}
        if "create" in resource.verbs:
            collection["post"] = _operation(resource, "post", parameters=checked, requestBody=body)
            one["put"] = _operation(resource, "put", parameters=checked, requestBody=body)
            one["patch"] = _operation(
                resource,
                "patch",
                parameters=[*checked, *_query("force")],
                requestBody={"content": {kind: {"schema": {"type": "object"}} for kind in types}},
            )
            one["delete"] = _operation(resource, "delete", parameters=_query("dryRun"))
        result[f"{base}/{resource.plural}"] = collection
        result[f"{base}/{resource.plural}/{{name}}"] = one
    return result


def document(resources: Iterable[Resource], schemas: Object, version: str) -> Object:
    """A whole document. `schemas` become its components; each resource's own gets its kind's name."""
    resources = list(resources)
    for resource in resources:
        gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        schemas[resource.schema]["x-kubernetes-group-version-kind"] = [gvk]
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": paths(resources),
        "components": {"schemas": schemas},
    }


def path_of(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _with_documents() -> dict[str, list[Resource]]:
    result: dict[str, list[Resource]] = {}
    for resource in registry.RESOURCES:
        result.setdefault(path_of(resource.group, resource.version), []).append(resource)
    return result


@cache
def compressed(path: str) -> bytes | None:
    """The gzipped document of `api/v1` or `apis/GROUP/VERSION`; None where there is none."""
    resources = _with_documents().get(path)
    if not resources:
        return None
    if resources[0].strategic:
        name = file_name(resources[0].group_version)
        return (files("namewall.apiserver") / "schemas" / "openapi" / name).read_bytes()
    schemas = {resource.schema: dict(schema.custom(resource.kind)) for resource in resources}
    return gzip.compress(dumps(document(resources, schemas, "v2")), 6, mtime=0)


@cache
def digest(path: str) -> str:
    return hashlib.sha256(compressed(path) or b"").hexdigest()[:32].upper()


@cache
def index() -> bytes:
    entries = {
        path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest(path)}"}
        for path in sorted(_with_documents())
    }
    return dumps({"paths": entries})
