"""CiliumEndpoint and CiliumIdentity objects: what `kubectl get cep,ciliumid` shows (semantics.md section 13).

Written by the embedded server's one agent, never in a cluster. They are a mirror for people and for the next
agent, which takes the identities' numbers up again; enforcement does not wait for them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from namewall.agent.endpoints import Endpoint, Endpoints
from namewall.kube.client import Client
from namewall.kube.errors import ApiError, KubeError
from namewall.kube.resources import CILIUM_ENDPOINTS, CILIUM_IDENTITIES, Resource
from namewall.model.labels import NAMESPACE, parse_label
from namewall.model.net import Address

Object = dict[str, Any]
log = logging.getLogger("namewall.agent")

RETRY = 1.0
"""Seconds before a mirror that could not be written is tried again."""


def identity_object(number: int, labels: frozenset[str]) -> Object:
    parsed = sorted((parse_label(label) for label in labels), key=str)
    security = {f"{label.source}:{label.key}": label.value for label in parsed}
    shown = {
        label.key: label.value
        for label in parsed
        if label.source == "k8s" and (label.key == NAMESPACE or not label.key.startswith("io.cilium."))
    }
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumIdentity",
        "metadata": {"name": str(number), "labels": shown},
        "security-labels": security,
    }


def identity_labels_of(obj: Object) -> frozenset[str]:
    """The inverse of `identity_object`."""
    return frozenset(
        f"{key}={value}" if value else key for key, value in (obj.get("security-labels") or {}).items()
    )


def endpoint_object(endpoint: Endpoint, pod: Object, node: tuple[Address, ...]) -> Object:
    addressing: dict[str, str] = {}
    for address in endpoint.sandbox.addresses:
        addressing[f"ipv{address.version}"] = str(address)
    named_ports = [
        {"name": port["name"], "port": port["containerPort"], "protocol": port.get("protocol", "TCP")}
        for container in pod.get("spec", {}).get("containers", [])
        for port in container.get("ports") or []
        if port.get("name")
    ]
    status: Object = {
        "id": endpoint.sandbox.id,
        "identity": {"id": endpoint.identity, "labels": sorted(endpoint.labels)},
        "networking": {"addressing": [addressing]},
        "state": "ready",
        "external-identifiers": {
            "k8s-namespace": endpoint.sandbox.namespace,
            "k8s-pod-name": endpoint.sandbox.name,
            "pod-name": f"{endpoint.sandbox.namespace}/{endpoint.sandbox.name}",
        },
        "service-account": pod.get("spec", {}).get("serviceAccountName") or "default",
    }
    if node:
        status["networking"]["node"] = str(node[0])
    if named_ports:
        status["named-ports"] = named_ports
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumEndpoint",
        "metadata": {
            "name": endpoint.sandbox.name,
            "namespace": endpoint.sandbox.namespace,
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": endpoint.sandbox.name,
                    "uid": endpoint.sandbox.uid,
                }
            ],
        },
        "status": status,
    }


class Mirror:
    """Writes what changed since the last pass; `trigger` after every change."""

    def __init__(self, client: Client, endpoints: Endpoints, pods: dict[tuple[str, str], Object]) -> None:
        self._client = client
        self._endpoints = endpoints
        self._pods = pods
        self._wake = asyncio.Event()
        self._written: dict[tuple[str, str | None, str], Object] = {}
        self.node: tuple[Address, ...] = ()

    async def load(self) -> None:
        """Mirrors an earlier agent wrote, so that those nobody owns any more go."""
        for resource in (CILIUM_IDENTITIES, CILIUM_ENDPOINTS):
            for obj in (await self._client.list(resource))[0]:
                metadata = obj["metadata"]
                self._written[resource.plural, metadata.get("namespace"), metadata["name"]] = {}

    def trigger(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._write()
            except KubeError as error:
                log.warning("a CiliumEndpoint or CiliumIdentity was not written: %s", error)
                self._wake.set()
                await asyncio.sleep(RETRY)

    async def _write(self) -> None:
        wanted: dict[tuple[str, str | None, str], tuple[Resource, Object]] = {}
        for endpoint in self._endpoints.all().values():
            identity = identity_object(endpoint.identity, endpoint.labels)
            number = identity["metadata"]["name"]
            wanted[CILIUM_IDENTITIES.plural, None, number] = CILIUM_IDENTITIES, identity
            pod = self._pods.get((endpoint.sandbox.namespace, endpoint.sandbox.name), {})
            mirror = endpoint_object(endpoint, pod, self.node)
            sandbox = endpoint.sandbox
            wanted[CILIUM_ENDPOINTS.plural, sandbox.namespace, sandbox.name] = CILIUM_ENDPOINTS, mirror
        for key, (resource, obj) in wanted.items():
            if self._written.get(key) != obj:
                await self._put(resource, key[1], obj)
                self._written[key] = obj
        for gone in [key for key in self._written if key not in wanted]:
            resource = CILIUM_ENDPOINTS if gone[0] == CILIUM_ENDPOINTS.plural else CILIUM_IDENTITIES
            try:
                await self._client.delete(resource, gone[1], gone[2])
            except ApiError as error:
                if error.code != 404:
                    raise
            del self._written[gone]

    async def _put(self, resource: Resource, namespace: str | None, obj: Object) -> None:
        try:
            await self._client.create(resource, namespace, obj)
        except ApiError as error:
            if error.code != 409:
                raise
            await self._client.patch(resource, namespace, obj["metadata"]["name"], obj, kind="merge")
