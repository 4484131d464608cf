"""Writes that are not of the whole object: pods/binding, */scale, namespaces/finalize."""

from __future__ import annotations

from namewall.apiserver import managed, schema
from namewall.apiserver.columns import format_selector
from namewall.apiserver.deletion import is_finished
from namewall.apiserver.errors import MODIFIED, conflict, invalid, invalid_value
from namewall.apiserver.registry import BY_KEY, Resource
from namewall.apiserver.store import Key
from namewall.apiserver.values import Object, deep_copy, dig, timestamp
from namewall.apiserver.writer import Options, Writer


def bind(writer: Writer, namespace: str, name: str, node: str, options: Options) -> Object:
    """pods/binding: gives a pending pod its node."""
    pods = BY_KEY["pods"]
    old = writer.get(pods, namespace, name)
    bound = dig(old, "spec", "nodeName")
    if bound:
        raise conflict("", "pods/binding", name, f'pod {name} is already assigned to node "{bound}"')
    obj: Object = deep_copy(old)
    obj["spec"]["nodeName"] = node
    now = writer.clock()
    conditions = [
        entry for entry in dig(obj, "status", "conditions", default=[]) if entry["type"] != "PodScheduled"
    ]
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastTransitionTime": timestamp(now),
    }
    obj["status"]["conditions"] = [*conditions, scheduled]
    obj["metadata"]["managedFields"] = managed.track_update(schema.of(pods), old, obj, options.manager, now)
    if options.dry_run:
        return obj
    return writer.store.update(Key("pods", namespace, name), obj)


def scale_of(writer: Writer, resource: Resource, namespace: str, name: str) -> Object:
    """autoscaling/v1 Scale of a Deployment or ReplicaSet."""
    obj = writer.get(resource, namespace, name)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    metadata = {key: obj["metadata"][key] for key in kept if key in obj["metadata"]}
    selector = format_selector(dig(obj, "spec", "selector"))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": dig(obj, "spec", "replicas", default=0)},
        "status": {"replicas": dig(obj, "status", "replicas", default=0), "selector": selector},
    }


def write_scale(
    writer: Writer, resource: Resource, namespace: str, name: str, scale: Object, options: Options
) -> Object:
    replicas = dig(scale, "spec", "replicas", default=0)
    if not isinstance(replicas, int) or replicas < 0:
        cause = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("autoscaling", "Scale", name, [cause])
    old = writer.get(resource, namespace, name)
    version = dig(scale, "metadata", "resourceVersion")
    if version and version != old["metadata"]["resourceVersion"]:
        raise conflict(resource.group, resource.plural, name, MODIFIED)
    obj = deep_copy(old)
    obj["spec"]["replicas"] = replicas
    writer.replace(resource, old, obj, options)
    return scale_of(writer, resource, namespace, name)


def finalize(writer: Writer, namespace: str, body: Object, options: Options) -> Object:
    """namespaces/finalize: sets spec.finalizers, and lets the namespace go when there are none left."""
    namespaces = BY_KEY["namespaces"]
    old = writer.get(namespaces, "", namespace)
    obj = {**old, "spec": {"finalizers": list(dig(body, "spec", "finalizers", default=[]))}}
    if options.dry_run:
        return obj
    key = Key("namespaces", "", namespace)
    if old["metadata"].get("deletionTimestamp") and is_finished(namespaces, obj):
        return writer.store.delete(key, obj)
    return writer.store.update(key, obj)
