"""The finished OpenAPI files fit the table of resources; schemas answer what the patches ask them."""

from __future__ import annotations

import gzip
import json

import pytest

from namewall.apiserver import defaults, openapi, registry, schema
from namewall.apiserver.request import Target, negotiate, parse_path, wants_aggregated_discovery
from namewall.apiserver.values import deep_copy
from tests.compat import manifests


@pytest.mark.parametrize("group", sorted({resource.group for resource in registry.RESOURCES}))
def test_every_resource_is_in_its_document_with_todays_paths(group: str) -> None:
    resources = [resource for resource in registry.RESOURCES if resource.group == group]
    data = openapi.compressed(openapi.path_of(group, resources[0].version))
    assert data is not None
    document = json.loads(gzip.decompress(data))
    assert document["paths"] == openapi.paths(resources), "run scripts/generate_kube_schemas.py"
    for resource in resources:
        gvk = {"group": group, "version": resource.version, "kind": resource.kind}
        assert document["components"]["schemas"][resource.schema]["x-kubernetes-group-version-kind"] == [gvk]
    named = set(document["components"]["schemas"])
    references = {ref.rsplit("/", 1)[-1] for ref in _references(document)}
    assert references <= named


def _references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(_references, node.values()))
    if isinstance(node, list):
        return set().union(*map(_references, node))
    return set()


def test_merge_keys_of_the_built_in_kinds() -> None:
    pod = schema.of(registry.BY_KEY["pods"])
    spec = schema.child(pod, "spec") or {}
    containers = schema.child(spec, "containers") or {}
    container = schema.items(containers)
    keys = {"containers": containers["x-kubernetes-patch-merge-key"]}
    for name in ("env", "ports", "volumeMounts"):
        keys[name] = (schema.child(container, name) or {})["x-kubernetes-patch-merge-key"]
    assert keys == {
        "containers": "name",
        "env": "name",
        "ports": "containerPort",
        "volumeMounts": "mountPath",
    }


def test_unknown_fields_and_wrong_types_are_found_at_any_depth() -> None:
    node = schema.of(registry.BY_KEY["deployments.apps"])
    obj = manifests.deployment("x")
    assert not list(schema.unknown_fields(node, obj))
    assert not list(schema.type_errors(node, obj))
    container = obj["spec"]["template"]["spec"]["containers"][0]
    container["ports"][0]["prot"] = "TCP"
    container["env"][0]["value"] = 1
    obj["spec"]["replicas"] = 1 << 40
    path = "spec.template.spec.containers[0]"
    assert list(schema.unknown_fields(node, obj)) == [f"{path}.ports[0].prot"]
    assert {(wrong.path, wrong.wanted) for wrong in schema.type_errors(node, obj)} == {
        ("spec.replicas", "int32"),
        (f"{path}.env[0].value", "string"),
    }
    pruned = schema.prune(node, obj)
    assert not list(schema.unknown_fields(node, pruned))


@pytest.mark.parametrize(
    "obj",
    [manifests.pod("a"), manifests.deployment("a"), manifests.service("a"), manifests.network_policy("a")],
    ids=lambda obj: obj["kind"],
)
def test_defaulting_twice_changes_nothing(obj: manifests.Object) -> None:
    resource = registry.BY_KIND[obj["apiVersion"], obj["kind"]]
    once = deep_copy(obj)
    defaults.apply(resource.key, once)
    twice = deep_copy(once)
    defaults.apply(resource.key, twice)
    assert twice == once
    assert not list(schema.unknown_fields(schema.of(resource), once))
    assert not list(schema.type_errors(schema.of(resource), once))


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        ("/api/v1/pods", "pods", ("", "", "")),
        ("/api/v1/namespaces", "namespaces", ("", "", "")),
        ("/api/v1/namespaces/a", "namespaces", ("", "a", "")),
        ("/api/v1/namespaces/a/finalize", "namespaces", ("", "a", "finalize")),
        ("/api/v1/namespaces/a/pods", "pods", ("a", "", "")),
        ("/api/v1/namespaces/a/pods/b/exec", "pods", ("a", "b", "exec")),
        ("/apis/apps/v1/namespaces/a/deployments/b/scale", "deployments.apps", ("a", "b", "scale")),
    ],
)
def test_paths(path: str, key: str, place: tuple[str, str, str]) -> None:
    found = parse_path(path)
    assert isinstance(found, Target)
    assert found.resource.key == key
    assert (found.namespace, found.name, found.subresource) == place


def test_accept_headers() -> None:
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    assert negotiate("") == negotiate("*/*") == negotiate("application/json, */*") == "object"
    assert negotiate(f"{table},application/json") == "table"
    assert negotiate("application/vnd.kubernetes.protobuf,application/json") == "object"
    aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    assert wants_aggregated_discovery(f"{aggregated},application/json")
    assert not wants_aggregated_discovery("application/json")
