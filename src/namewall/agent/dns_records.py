"""Tells the cluster DNS what there is: writes its records document into ConfigMap kube-system/cluster-dns.

`records` is pure: from objects to the document. `RecordsWriter` keeps the ConfigMap up to date: many changes
in a row make one write, a write that fails is tried again, one that somebody undid is done again in a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from namewall.agent.services import cluster_ips, name_of, ready_endpoints, slices_by_service
from namewall.clusterdns.records import (
    CONFIG_MAP,
    KEY,
    NAMESPACE,
    Endpoint,
    Port,
    Records,
    Service,
    to_json,
)
from namewall.kube.client import Client
from namewall.kube.errors import ApiError, KubeError
from namewall.kube.resources import CONFIG_MAPS
from namewall.model.cluster import Resolver
from namewall.model.errors import Cannot
from namewall.model.net import Address, Network

log = logging.getLogger("namewall.agent")

Object = dict[str, Any]

DEBOUNCE = 0.05
"""Seconds that changes are gathered before they are written."""
RESYNC = 30.0
"""Seconds after which the ConfigMap is looked at again though nothing changed."""
FIRST_RETRY, LAST_RETRY = 0.1, 5.0

RESOLV_CONF = "/etc/resolv.conf"
RESOLVED_CONF = "/run/systemd/resolve/resolv.conf"
"""What systemd-resolved itself asks; /etc/resolv.conf then names only its own stub, 127.0.0.53."""


def records(
    services: Iterable[Object],
    slices: Iterable[Object],
    pods: Iterable[Object],
    *,
    domain: str,
    upstreams: tuple[Resolver, ...],
    ranges: tuple[Network, ...],
) -> Records:
    """The document; the same objects in another order give the same."""
    by_service = slices_by_service(slices)
    addresses: dict[str, set[Address]] = {}
    for pod in pods:
        status = pod.get("status", {})
        if status.get("phase") not in ("Succeeded", "Failed"):
            found = {ip_address(each["ip"]) for each in status.get("podIPs") or () if each.get("ip")}
            if found:
                addresses.setdefault(name_of(pod)[0], set()).update(found)
    return Records(
        domain=domain,
        upstreams=upstreams,
        ranges=ranges,
        services=tuple(
            _service(service, by_service.get(name_of(service), []))
            for service in sorted(services, key=name_of)
        ),
        pods={namespace: _sorted(addresses[namespace]) for namespace in sorted(addresses)},
    )


def _service(service: Object, slices: list[Object]) -> Service:
    spec = service.get("spec", {})
    namespace, name = name_of(service)
    ports = tuple(sorted(_port(port) for port in spec.get("ports") or ()))
    if spec.get("type") == "ExternalName":
        return Service(namespace, name, external_name=spec.get("externalName", ""))
    if own := cluster_ips(service):
        return Service(namespace, name, own, ports)
    endpoints = {
        Endpoint(address, endpoint.get("hostname") or "", tuple(sorted(_port(port) for port in there)))
        for address, endpoint, there in ready_endpoints(slices)
    }
    return Service(
        namespace,
        name,
        ports=ports,
        endpoints=tuple(
            sorted(endpoints, key=lambda each: (_order(each.address), each.hostname, each.ports))
        ),
    )


def _port(port: Object) -> Port:
    return Port(port.get("name") or "", port.get("protocol", "TCP"), port.get("port") or 0)


def _sorted(addresses: Iterable[Address]) -> tuple[Address, ...]:
    return tuple(sorted(addresses, key=_order))


def _order(address: Address) -> tuple[int, bytes]:
    return address.version, address.packed


def host_resolvers(
    resolv_conf: str = RESOLV_CONF, resolved_conf: str = RESOLVED_CONF
) -> tuple[Resolver, ...]:
    """Where this host's own questions go in the end. Raises Cannot where no server is left that pods can ask.

    A stub on loopback is the host's alone: inside the DNS pod that address is the pod itself. For
    systemd-resolved's stub its real servers are taken.
    """
    servers = _nameservers(resolv_conf)
    if any(str(server) in ("127.0.0.53", "127.0.0.54") for server in servers):
        servers = _nameservers(resolved_conf)
    usable = tuple(
        Resolver(server) for server in servers if not (server.is_loopback or server.is_unspecified)
    )
    if not usable:
        there = ", ".join(str(server) for server in servers) or "no server"
        raise Cannot(
            f"the cluster DNS has nowhere to forward: {resolv_conf} names {there}, which pods cannot reach; "
            "name a resolver with --dns-upstream IP[:PORT]"
        )
    return usable


def _nameservers(path: str) -> list[Address]:
    """resolv.conf(5). Link-local servers are left out: their zone means nothing in another namespace."""
    found = []
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver":
                with contextlib.suppress(ValueError):
                    server = ip_address(words[1].partition("%")[0])
                    if not server.is_link_local and server not in found:
                        found.append(server)
    return found


class RecordsWriter:
    """`wanted` gives the document of now; `trigger` says that it may have changed."""

    def __init__(self, client: Client, wanted: Callable[[], Records]) -> None:
        self._client = client
        self._wanted = wanted
        self._wake = asyncio.Event()

    def trigger(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        retry = FIRST_RETRY
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESYNC):
                    await self._wake.wait()
            await asyncio.sleep(DEBOUNCE)
            self._wake.clear()
            try:
                await self.write()
            except KubeError as error:
                log.warning("the records of the cluster DNS were not written: %s; trying again", error)
                self._wake.set()
                await asyncio.sleep(retry)
                retry = min(retry * 2, LAST_RETRY)
            else:
                retry = FIRST_RETRY

    async def write(self) -> bool:
        """Makes the ConfigMap what is wanted; whether it was not. Raises KubeError."""
        text = to_json(self._wanted())
        try:
            there = await self._client.get(CONFIG_MAPS, NAMESPACE, CONFIG_MAP)
        except ApiError as error:
            if error.code != 404:
                raise
            await self._client.create(CONFIG_MAPS, NAMESPACE, _config_map(text))
            return True
        if (there.get("data") or {}).get(KEY) == text:
            return False
        await self._client.patch(CONFIG_MAPS, NAMESPACE, CONFIG_MAP, {"data": {KEY: text}})
        return True


def _config_map(text: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": CONFIG_MAP,
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/managed-by": "namewall"},
        },
        "data": {KEY: text},
    }
