"""Services as the node must know them: which address and port leads to which ready backends.

Pure: from Service and EndpointSlice objects to the datapath's two views of them, the policy map's (what
traffic at a VIP needs allowed) and nft's (where it is sent). Both come from one function, so they agree.

Ready is what the EndpointSlice says (`conditions.ready` absent means ready, discovery/v1); a Service port
without ready backends is there with none: traffic to it is dropped. Headless Services and external names have
no VIP. nodePort and external addresses are not served on this node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from namewall.datapath.nat import NatTables
from namewall.model.net import Address, Network, Protocol
from namewall.state.tables import ServiceBackend, VipKey

Object = dict[str, Any]
Name = tuple[str, str]


def service_tables(
    services: Iterable[Object], slices: Iterable[Object]
) -> dict[VipKey, tuple[ServiceBackend, ...]]:
    """NodeTables.services."""
    by_service = slices_by_service(slices)
    return {
        vip: backends
        for service in services
        for vip, backends in _vips(service, by_service.get(name_of(service), []))
    }


def nat_tables(
    services: Iterable[Object],
    slices: Iterable[Object],
    *,
    pod_ranges: tuple[Network, ...],
    service_ranges: tuple[Network, ...],
    nodes: tuple[Address, ...] = (),
) -> NatTables:
    services = list(services)
    sticky = frozenset(
        vip
        for service in services
        if service.get("spec", {}).get("sessionAffinity") == "ClientIP"
        for vip, _ in _vips(service, [])
    )
    return NatTables(service_tables(services, slices), sticky, pod_ranges, service_ranges, nodes)


def slices_by_service(slices: Iterable[Object]) -> dict[Name, list[Object]]:
    """A Service's slices carry its name as a label."""
    found: dict[Name, list[Object]] = {}
    for each in slices:
        metadata = each.get("metadata", {})
        name = (metadata.get("labels") or {}).get("kubernetes.io/service-name")
        if name:
            found.setdefault((metadata.get("namespace", ""), name), []).append(each)
    return found


def ready_endpoints(slices: Iterable[Object]) -> Iterator[tuple[Address, Object, list[Object]]]:
    """Each ready endpoint: its address, the endpoint object, the slice's ports.

    Only the first of an endpoint's addresses counts (discovery/v1: consumers may ignore the others).
    """
    for each in slices:
        if each.get("addressType") not in ("IPv4", "IPv6"):
            continue
        for endpoint in each.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False or not endpoint.get("addresses"):
                continue
            yield ip_address(endpoint["addresses"][0]), endpoint, each.get("ports") or []


def cluster_ips(service: Object) -> tuple[Address, ...]:
    """None for headless Services and external names."""
    spec = service.get("spec", {})
    if spec.get("type") == "ExternalName":
        return ()
    texts = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return tuple(ip_address(text) for text in texts if text and text != "None")


def name_of(obj: Object) -> Name:
    metadata = obj.get("metadata", {})
    return metadata.get("namespace", ""), metadata.get("name", "")


def _vips(service: Object, slices: list[Object]) -> Iterator[tuple[VipKey, tuple[ServiceBackend, ...]]]:
    for address in cluster_ips(service):
        for port in service.get("spec", {}).get("ports") or ():
            protocol = port.get("protocol", "TCP")
            if protocol not in Protocol.__members__:
                continue
            key = VipKey(address, port["port"], int(Protocol[protocol]))
            yield key, tuple(sorted(set(_backends(address, port, slices)), key=_order))


def _backends(vip: Address, port: Mapping[str, Any], slices: list[Object]) -> Iterator[ServiceBackend]:
    wanted = (port.get("name") or "", port.get("protocol", "TCP"))
    for address, _, ports in ready_endpoints(slices):
        if address.version != vip.version:
            continue
        for there in ports:
            if (there.get("name") or "", there.get("protocol", "TCP")) == wanted and there.get("port"):
                yield ServiceBackend(address, there["port"])


def _order(backend: ServiceBackend) -> tuple[bytes, int]:
    return backend.address.packed, backend.port
