"""What a server has from its start: the namespaces, the runtime classes, and the definitions of Cilium's kinds."""

from __future__ import annotations

from namewall.apiserver import podfields, registry, schema
from namewall.apiserver.registry import BY_KEY, Resource
from namewall.apiserver.store import Key
from namewall.apiserver.values import Object, timestamp
from namewall.apiserver.writer import Options, Writer

NAMESPACES = ("default", "kube-system")


def seed(writer: Writer) -> None:
    """Creates what is missing, and brings definitions to this version's state. Idempotent."""
    for name in NAMESPACES:
        _create(
            writer,
            BY_KEY["namespaces"],
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        )
    for name in podfields.RUNTIME_CLASSES:
        runtime_class = {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": name},
            "handler": name,
        }
        _create(writer, BY_KEY["runtimeclasses.node.k8s.io"], runtime_class)
    for resource in registry.RESOURCES:
        if resource.group == "cilium.io":
            _define(writer, resource)


def _create(writer: Writer, resource: Resource, obj: Object) -> None:
    if writer.store.get_raw(Key(resource.key, "", obj["metadata"]["name"])) is None:
        writer.create(resource, "", obj, Options("namewall"))


def _define(writer: Writer, resource: Resource) -> None:
    """The CustomResourceDefinition of a kind: what `kubectl get crd` and `wait --for=condition=established` read.

    The whole schema is in the OpenAPI document; here stands only that the server knows it.
    """
    definitions = BY_KEY["customresourcedefinitions.apiextensions.k8s.io"]
    names: Object = {
        "plural": resource.plural,
        "singular": resource.singular,
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
    }
    version: Object = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {
            "openAPIV3Schema": {"type": "object", "description": schema.custom(resource.kind)["description"]}
        },
    }
    if resource.has_status:
        version["subresources"] = {"status": {}}
    spec = {
        "group": resource.group,
        "names": names,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "versions": [version],
        "conversion": {"strategy": "None"},
    }
    key = Key(definitions.key, "", resource.key)
    stored = writer.store.get(key)
    now = timestamp(writer.clock())
    condition = {"status": "True", "lastTransitionTime": now, "message": ""}
    status = {
        "acceptedNames": names,
        "storedVersions": [resource.version],
        "conditions": [
            {"type": "NamesAccepted", "reason": "NoConflicts", **condition},
            {"type": "Established", "reason": "InitialNamesAccepted", **condition},
        ],
    }
    if stored is None:
        obj = {
            "apiVersion": definitions.group_version,
            "kind": definitions.kind,
            "metadata": {"name": resource.key},
            "spec": spec,
            "status": status,
        }
        writer.create(definitions, "", obj, Options("namewall"))
    elif stored["spec"] != spec:
        writer.store.update(key, {**stored, "spec": spec})
