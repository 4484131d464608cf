"""The running cluster as a scenario document: objects from the API server, names from what the node learned.

`explain` and `lint` put questions to it as to a scenario of a file. The names are those the kernel granted to the one
endpoint that asks, as the agent wrote them down; without root they are unknown, and a name counts as not looked up.
"""

from __future__ import annotations

import json
import time
from typing import Any

from namewall.cli.context import instance, load_cluster
from namewall.cli.kubectl import Session
from namewall.kube import resources
from namewall.kube.errors import ApiError
from namewall.kube.request import list_
from namewall.kube.resources import Resource

Object = dict[str, Any]


def live_scenario(kubeconfig: str | None, asker: str, namespace: str | None = None) -> Object:
    """A scenario document. `asker` is the endpoint whose grants count, as `--from` names it."""
    with Session.open(kubeconfig) as session:

        def items(resource: Resource) -> list[Object]:
            try:
                answer = session.client.send(list_(resource))
            except ApiError as error:
                if error.reason == "NotFound":
                    return []
                raise
            kind, version = resource.kind, answer.get("apiVersion")
            return [{"apiVersion": version, "kind": kind, **item} for item in answer.get("items") or ()]

        pods = [pod for pod in items(resources.PODS) if _runs(pod)]
        policies = [
            _policy(policy)
            for resource in (
                resources.CILIUM_NETWORK_POLICIES,
                resources.CILIUM_CLUSTERWIDE_NETWORK_POLICIES,
                resources.NETWORK_POLICIES,
                resources.CILIUM_CIDR_GROUPS,
            )
            for policy in items(resource)
        ]
        cluster = load_cluster(instance())
        return {
            "namespaces": [
                {"name": n["metadata"]["name"], "labels": n["metadata"].get("labels") or {}}
                for n in items(resources.NAMESPACES)
            ],
            "endpoints": [_endpoint(pod) for pod in pods],
            "services": [_service(service) for service in items(resources.SERVICES)],
            "externals": _grants(_scope(pods, asker, namespace or session.namespace)),
            "policies": policies,
            "strictDnsRules": cluster.strict_dns_rules if cluster is not None else False,
        }


def _runs(pod: Object) -> bool:
    status = pod.get("status") or {}
    return status.get("phase") not in ("Succeeded", "Failed") and bool(status.get("podIP"))


def _policy(obj: Object) -> Object:
    """As its author wrote it: what the server adds is none of policy."""
    metadata = {
        k: v for k, v in obj["metadata"].items() if k in ("name", "namespace", "labels", "annotations")
    }
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": metadata}


def _endpoint(pod: Object) -> Object:
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


def _service(service: Object) -> Object:
    metadata, spec = service["metadata"], service.get("spec") or {}
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


def _scope(pods: list[Object], asker: str, namespace: str) -> int | None:
    """The owner number of a pod's grants (agent.endpoints.Endpoint.scope)."""
    words = asker.removeprefix("pod/").split("/")
    wanted = (words[0], words[1]) if len(words) == 2 else (namespace, words[0])
    for pod in pods:
        metadata = pod["metadata"]
        if (metadata["namespace"], metadata["name"]) == wanted:
            return int(metadata["uid"].replace("-", "")[:8], 16)
    return None


def _grants(scope: int | None) -> list[Object]:
    """Address and names of each live grant of a scope, from the agent's file of what the kernel told."""
    try:
        with open(f"{instance().run_dir}/names.json", encoding="utf-8") as file:
            rows = json.load(file)
    except (OSError, ValueError):
        return []
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    found: dict[str, list[str]] = {}
    for owner, name, address, deadline in rows:
        if owner == scope and deadline > now:
            found.setdefault(address, []).append(name)
    return [{"ip": address, "names": sorted(names)} for address, names in found.items()]
