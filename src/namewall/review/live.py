"""The running cluster as a scenario document: objects of the API server, names from what the node learned.

Questions are put to it as to a scenario of a file. The names are those that the kernel granted to the one endpoint that
asks; where they are unknown, a name counts as not looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from namewall.kube import resources
from namewall.kube.resources import Resource
from namewall.policy.explain.anatomy import key_of
from namewall.review.written import as_written

Object = dict[str, Any]

POLICIES = (
    resources.CILIUM_NETWORK_POLICIES,
    resources.CILIUM_CLUSTERWIDE_NETWORK_POLICIES,
    resources.NETWORK_POLICIES,
    resources.CILIUM_CIDR_GROUPS,
)
TYPES = (resources.NAMESPACES, resources.PODS, resources.SERVICES, *POLICIES)
"""What `scenario` wants the objects of."""

Grant = tuple[str, str]
"""An address, and a name that it is open under."""


def scenario(objects: Mapping[Resource, list[Object]], grants: Iterable[Grant], strict: bool) -> Object:
    """A scenario document. Objects have their `apiVersion` and `kind`; a type that the server lacks has none."""
    return {
        "namespaces": [
            {"name": n["metadata"]["name"], "labels": n["metadata"].get("labels") or {}}
            for n in objects.get(resources.NAMESPACES, ())
        ],
        "endpoints": [endpoint(pod) for pod in objects.get(resources.PODS, ()) if runs(pod)],
        "services": [service(each) for each in objects.get(resources.SERVICES, ())],
        "externals": _externals(grants),
        "policies": [as_written(policy) for each in POLICIES for policy in objects.get(each, ())],
        "strictDnsRules": strict,
    }


def runs(pod: Object) -> bool:
    status = pod.get("status") or {}
    return status.get("phase") not in ("Succeeded", "Failed") and bool(status.get("podIP"))


def versions(objects: Mapping[Resource, list[Object]]) -> dict[str, str]:
    """The resourceVersions of the policies, by `KIND/NAMESPACE/NAME`."""
    return {
        "/".join(key_of(policy)): policy["metadata"]["resourceVersion"]
        for each in POLICIES
        for policy in objects.get(each, ())
    }


def endpoint(pod: Object) -> Object:
    metadata, spec, status = pod["metadata"], pod["spec"], pod["status"]
    addresses = [each["ip"] for each in status.get("podIPs") or ()] or [status["podIP"]]
    ports = [
        {"name": port["name"], "port": port["containerPort"], "protocol": port.get("protocol", "TCP")}
        for container in spec.get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("name")
    ]
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": metadata.get("labels") or {},
        "serviceAccount": spec.get("serviceAccountName") or "default",
        "ips": [] if spec.get("hostNetwork") else addresses,
        "namedPorts": ports,
    }


def service(obj: Object) -> Object:
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    addresses = [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP")] if ip and ip != "None"]
    row = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": metadata.get("labels") or {},
        "ips": addresses,
        "ports": [
            {
                "port": port["port"],
                "targetPort": port.get("targetPort") or port["port"],
                "protocol": port.get("protocol", "TCP"),
            }
            for port in spec.get("ports") or ()
        ],
    }
    return {**row, "selector": spec["selector"]} if spec.get("selector") else {**row, "endpoints": []}


def scope(pods: Iterable[Object], asker: str, namespace: str) -> int | None:
    """The owner number of a pod's grants (agent.endpoints.Endpoint.scope). `asker` as `--from` names it."""
    words = asker.removeprefix("pod/").split("/")
    wanted = (words[0], words[1]) if len(words) == 2 else (namespace, words[0])
    for pod in pods:
        metadata = pod["metadata"]
        if runs(pod) and (metadata["namespace"], metadata["name"]) == wanted:
            return int(metadata["uid"].replace("-", "")[:8], 16)
    return None


def _externals(grants: Iterable[Grant]) -> list[Object]:
    found: dict[str, list[str]] = {}
    for address, name in grants:
        found.setdefault(address, []).append(name)
    return [{"ip": address, "names": sorted(names)} for address, names in found.items()]
