"""What the cluster DNS is told: one JSON document, kept in a ConfigMap by the agent.

The document holds facts (Services, ready endpoints, pods, upstreams), not resource records: which records
follow from them is `zone`'s to say. `to_json` and `from_json` are each other's inverse, and equal records
give equal text, so that a writer can compare.

    {"version": 1, "domain": "cluster.local", "upstreams": ["198.51.100.53"], "ranges": ["10.220.0.0/16"],
     "services": [{"namespace": "default", "name": "db", "addresses": ["10.220.0.7"], "externalName": "",
                   "ports": [{"name": "sql", "protocol": "TCP", "port": 5432}],
                   "endpoints": [{"address": "10.219.0.4", "hostname": "db-0", "ports": […]}]}],
     "pods": {"default": ["10.219.0.4"]}}

A Service with an external name is an alias, one with addresses has a ClusterIP, any other is headless; only
headless ones need their endpoints here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from namewall.model.cluster import Resolver
from namewall.model.net import Address, Network

VERSION = 1
KEY = "records.json"
"""The document's key in the ConfigMap, hence its file name in the volume."""
CONFIG_MAP = "cluster-dns"
NAMESPACE = "kube-system"


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """`protocol` as Kubernetes writes it (`TCP`); an unnamed port has the name ""."""

    name: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A ready one. `hostname` is the pod's own where it asked for a name below the Service, else ""."""

    address: Address
    hostname: str = ""
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    namespace: str
    name: str
    addresses: tuple[Address, ...] = ()
    ports: tuple[Port, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    external_name: str = ""


@dataclass(frozen=True, slots=True)
class Records:
    """`ranges` are those of Services and pods: their reverse zones are answered here. `pods` by namespace."""

    domain: str = "cluster.local"
    upstreams: tuple[Resolver, ...] = ()
    ranges: tuple[Network, ...] = ()
    services: tuple[Service, ...] = ()
    pods: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)


def to_json(records: Records) -> str:
    """One line, keys sorted."""
    document = {
        "version": VERSION,
        "domain": records.domain,
        "upstreams": [str(upstream) for upstream in records.upstreams],
        "ranges": [str(network) for network in records.ranges],
        "services": [
            {
                "namespace": service.namespace,
                "name": service.name,
                "addresses": [str(address) for address in service.addresses],
                "ports": _ports_out(service.ports),
                "endpoints": [
                    {
                        "address": str(endpoint.address),
                        "hostname": endpoint.hostname,
                        "ports": _ports_out(endpoint.ports),
                    }
                    for endpoint in service.endpoints
                ],
                "externalName": service.external_name,
            }
            for service in records.services
        ],
        "pods": {namespace: [str(pod) for pod in pods] for namespace, pods in records.pods.items()},
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def from_json(text: str | bytes) -> Records:
    """Raises ValueError with one sentence; unknown fields are passed over, so a newer agent may add some."""
    document = json.loads(text)
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ValueError(f"this is no records document of version {VERSION}")
    try:
        return Records(
            domain=document["domain"].strip(".").lower(),
            upstreams=tuple(Resolver.parse(text) for text in document["upstreams"]),
            ranges=tuple(ip_network(text) for text in document["ranges"]),
            services=tuple(_service(item) for item in document["services"]),
            pods={namespace: _addresses(pods) for namespace, pods in document["pods"].items()},
        )
    except KeyError as error:
        raise ValueError(f"the records document lacks the field `{error.args[0]}`") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"a field of the records document has the wrong type: {error}") from None


def _service(item: dict[str, Any]) -> Service:
    return Service(
        namespace=item["namespace"],
        name=item["name"],
        addresses=_addresses(item["addresses"]),
        ports=_ports_in(item["ports"]),
        endpoints=tuple(
            Endpoint(ip_address(endpoint["address"]), endpoint["hostname"], _ports_in(endpoint["ports"]))
            for endpoint in item["endpoints"]
        ),
        external_name=item["externalName"],
    )


def _addresses(texts: list[str]) -> tuple[Address, ...]:
    return tuple(ip_address(text) for text in texts)


def _ports_in(items: list[dict[str, Any]]) -> tuple[Port, ...]:
    return tuple(Port(item["name"], item["protocol"], item["port"]) for item in items)


def _ports_out(ports: tuple[Port, ...]) -> list[dict[str, Any]]:
    return [{"name": port.name, "protocol": port.protocol, "port": port.port} for port in ports]
