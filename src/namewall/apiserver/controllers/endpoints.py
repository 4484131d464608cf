"""EndpointSlices and Endpoints of Services with a selector (pkg/controller/endpointslice, .../endpoint).

`slices_of` is the pure part: a Service and the pods it selects to the slices there should be. Named target ports are
looked up in each pod, so pods with other numbers come in slices of their own. Endpoints have the first family only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from namewall.apiserver import selectors
from namewall.apiserver.controllers.base import is_deleted, key_of, keys_of
from namewall.apiserver.controllers.replica_set import ready_since
from namewall.apiserver.deletion import DeleteOptions
from namewall.apiserver.registry import BY_KEY
from namewall.apiserver.store import Change, Key
from namewall.apiserver.values import Object, deep_copy, dig, owner_reference
from namewall.apiserver.writer import Options, Writer

SLICES = "endpointslices.discovery.k8s.io"
SLICE_MANAGER = "endpointslice-controller.k8s.io"
ENDPOINTS_MANAGER = "endpoint-controller"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
PER_SLICE = 100


def target_port(port: Object, pod: Object) -> int | None:
    """The number a Service's port has in a pod; None where the pod has no port of that name."""
    target = port.get("targetPort", port.get("port"))
    if isinstance(target, int):
        return target
    for container in dig(pod, "spec", "containers", default=[]):
        for found in container.get("ports") or []:
            if found.get("name") == target and found.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(found["containerPort"])
    return None


def addresses(pod: Object) -> dict[str, str]:
    """A pod's addresses by family."""
    listed = [entry.get("ip") for entry in dig(pod, "status", "podIPs", default=[])]
    listed = listed or [dig(pod, "status", "podIP")]
    return {"IPv6" if ":" in ip else "IPv4": ip for ip in reversed(listed) if ip}


def _ports(service: Object, pod: Object) -> tuple[tuple[str, int, str, str], ...]:
    ports = []
    for port in dig(service, "spec", "ports", default=[]):
        number = target_port(port, pod)
        if number is not None:
            ports.append(
                (port.get("name", ""), number, port.get("protocol", "TCP"), port.get("appProtocol", ""))
            )
    return tuple(ports)


def _serves(pod: Object) -> bool:
    return dig(pod, "status", "phase") not in ("Succeeded", "Failed")


def _endpoint(pod: Object, address: str, *, publish_all: bool) -> Object:
    serving = ready_since(pod) is not None
    ending = is_deleted(pod)
    endpoint: Object = {
        "addresses": [address],
        "conditions": {
            "ready": publish_all or (serving and not ending),
            "serving": serving,
            "terminating": ending,
        },
        "targetRef": _reference(pod),
    }
    if node := dig(pod, "spec", "nodeName"):
        endpoint["nodeName"] = node
    return endpoint


def _reference(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def slices_of(service: Object, pods: list[Object]) -> list[Object]:
    """The slices a Service should have: addressType, ports and endpoints of each, in a stable order."""
    publish_all = bool(dig(service, "spec", "publishNotReadyAddresses"))
    result = []
    for family in dig(service, "spec", "ipFamilies", default=["IPv4"]):
        groups: dict[tuple[tuple[str, int, str, str], ...], list[Object]] = {}
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
            address = addresses(pod).get(family)
            if address and _serves(pod):
                endpoint = _endpoint(pod, address, publish_all=publish_all)
                groups.setdefault(_ports(service, pod), []).append(endpoint)
        for ports, endpoints in sorted(groups.items()) or [((), [])]:
            for start in range(0, max(1, len(endpoints)), PER_SLICE):
                result.append(
                    {
                        "addressType": family,
                        "ports": [_slice_port(*port) for port in ports],
                        "endpoints": endpoints[start : start + PER_SLICE],
                    }
                )
    return result


def _slice_port(name: str, number: int, protocol: str, app_protocol: str) -> Object:
    port: Object = {"name": name, "port": number, "protocol": protocol}
    return {**port, "appProtocol": app_protocol} if app_protocol else port


def subsets_of(service: Object, pods: list[Object]) -> list[Object]:
    """The subsets of the Service's Endpoints object."""
    family = dig(service, "spec", "ipFamilies", 0, default="IPv4")
    publish_all = bool(dig(service, "spec", "publishNotReadyAddresses"))
    groups: dict[tuple[tuple[str, int, str, str], ...], tuple[list[Object], list[Object]]] = {}
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        address = addresses(pod).get(family)
        if not address or not _serves(pod) or (is_deleted(pod) and not publish_all):
            continue
        entry: Object = {"ip": address, "targetRef": _reference(pod)}
        if node := dig(pod, "spec", "nodeName"):
            entry["nodeName"] = node
        ready, waiting = groups.setdefault(_ports(service, pod), ([], []))
        (ready if publish_all or ready_since(pod) is not None else waiting).append(entry)
    subsets = []
    for ports, (ready, waiting) in sorted(groups.items(), key=lambda group: group[0]):
        subset: Object = {}
        if ready:
            subset["addresses"] = ready
        if waiting:
            subset["notReadyAddresses"] = waiting
        if ports:
            subset["ports"] = [
                {key: value for key, value in _slice_port(*port).items() if value} for port in ports
            ]
        subsets.append(subset)
    return subsets


class EndpointsController:
    name = "endpoints"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._selectors: dict[Key, Object] = {}

    def interested(self, change: Change) -> Iterable[Key]:
        resource, namespace = change.key.resource, change.key.namespace
        if resource == "services":
            self._note_selector(change.key, None if change.type == "DELETED" else change.object())
            return [change.key]
        if resource == "pods":
            return self._selecting(change)
        if resource == SLICES and change.type != "ADDED":
            name = dig(change.object(), "metadata", "labels", SERVICE_NAME)
            return [Key("services", namespace, name)] if name else ()
        if resource == "endpoints" and change.type != "ADDED":
            return [Key("services", namespace, change.key.name)]
        return ()

    def _selecting(self, change: Change) -> list[Key]:
        """The Services that select a pod, as it is or as it was."""
        states = [change.object(), *([json.loads(change.old)] if change.old else [])]
        labels = [dig(state, "metadata", "labels", default={}) for state in states]
        return [
            key
            for key, wanted in self._selectors.items()
            if key.namespace == change.key.namespace
            and any(wanted.items() <= found.items() for found in labels)
        ]

    def _note_selector(self, key: Key, service: Object | None) -> None:
        """Keeps the selectors at hand: every change of every pod is compared with them."""
        selector = dig(service, "spec", "selector", default={})
        if selector:
            self._selectors[key] = selector
        else:
            self._selectors.pop(key, None)

    def initial(self) -> Iterable[Key]:
        for service in self._writer.store.objects("services"):
            self._note_selector(key_of("services", service), service)
        return list(keys_of(self._writer.store, "services"))

    def reconcile(self, key: Key) -> float | None:
        service = self._writer.store.get(key)
        if service is None or is_deleted(service):
            self._remove_endpoints(key)
            return None
        selector = dig(service, "spec", "selector")
        if not selector or dig(service, "spec", "type") == "ExternalName":
            return None
        chosen = selectors.from_map(selector)
        pods = [
            pod
            for pod in self._writer.store.objects("pods", key.namespace)
            if chosen.matches(dig(pod, "metadata", "labels", default={}))
        ]
        self._write_slices(service, slices_of(service, pods))
        self._write_endpoints(service, subsets_of(service, pods))
        return None

    def _write_slices(self, service: Object, wanted: list[Object]) -> None:
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        resource = BY_KEY[SLICES]
        stored = [
            found
            for found in self._writer.store.objects(SLICES, namespace)
            if dig(found, "metadata", "labels", SERVICE_NAME) == name
            and dig(found, "metadata", "labels", MANAGED_BY) == SLICE_MANAGER
        ]
        for state in wanted:
            match = next((found for found in stored if _fits(found, state)), None)
            match = match or next((f for f in stored if f["addressType"] == state["addressType"]), None)
            if match is None:
                self._create_slice(service, state)
                continue
            stored.remove(match)
            changed = {**match, **deep_copy(state)}
            if any(match.get(field) != changed.get(field) for field in ("ports", "endpoints")):
                self._writer.write(resource, match, changed, SLICE_MANAGER)
        for found in stored:
            self._writer.delete(resource, namespace, found["metadata"]["name"], DeleteOptions())

    def _create_slice(self, service: Object, state: Object) -> None:
        metadata = service["metadata"]
        labels = {**(metadata.get("labels") or {}), SERVICE_NAME: metadata["name"], MANAGED_BY: SLICE_MANAGER}
        slice_: Object = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "labels": labels,
                "ownerReferences": [owner_reference(service)],
            },
            **deep_copy(state),
        }
        self._writer.create(BY_KEY[SLICES], metadata["namespace"], slice_, Options(SLICE_MANAGER))

    def _write_endpoints(self, service: Object, subsets: list[Object]) -> None:
        metadata = service["metadata"]
        resource = BY_KEY["endpoints"]
        stored = self._writer.store.get(Key("endpoints", metadata["namespace"], metadata["name"]))
        labels: dict[str, Any] = {
            **(metadata.get("labels") or {}),
            "endpoints.kubernetes.io/managed-by": ENDPOINTS_MANAGER,
        }
        if stored is None:
            obj: Object = {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {"name": metadata["name"], "labels": labels},
            }
            if subsets:
                obj["subsets"] = subsets
            self._writer.create(resource, metadata["namespace"], obj, Options(ENDPOINTS_MANAGER))
        elif (stored.get("subsets") or []) != subsets or dig(stored, "metadata", "labels") != labels:
            changed = {**stored, "metadata": {**stored["metadata"], "labels": labels}, "subsets": subsets}
            if not subsets:
                del changed["subsets"]
            self._writer.write(resource, stored, changed, ENDPOINTS_MANAGER)

    def _remove_endpoints(self, key: Key) -> None:
        found = self._writer.store.get(Key("endpoints", key.namespace, key.name))
        managed_by = dig(found, "metadata", "labels", "endpoints.kubernetes.io/managed-by")
        if found is not None and managed_by == ENDPOINTS_MANAGER:
            self._writer.delete(BY_KEY["endpoints"], key.namespace, key.name, DeleteOptions())


def _fits(stored: Object, state: Object) -> bool:
    same_family = bool(stored["addressType"] == state["addressType"])
    return same_family and (stored.get("ports") or []) == state["ports"]
