"""The kernel's tables as rows for people and programs: names beside numbers, seconds left beside deadlines.

Rows are JSON objects with the same keys always; None where nothing is known. `pods` is endpoint id → `ns/pod`;
what it does not have is shown by number. `now` is seconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any

from namewall.datapath.reading import Pins, identity_word
from namewall.model.net import Address
from namewall.state.tables import KnownName

Row = dict[str, Any]
Pods = Mapping[int, str]


def policy_rows(pins: Pins, pods: Pods) -> list[Row]:
    """One for each entry of the policy map."""
    users: dict[int, list[str]] = {}
    of_identity: dict[int, list[str]] = {}
    for endpoint in pins.endpoints():
        name = pods.get(endpoint.id, str(endpoint.id))
        users.setdefault(endpoint.policy, []).append(name)
        of_identity.setdefault(endpoint.identity, []).append(name)
    return [
        {
            "policy": row.policy,
            "endpoints": users.get(row.policy, []),
            "direction": row.direction,
            "peer": row.peer,
            "identity": row.identity,
            "peerEndpoints": of_identity.get(row.identity or 0, []),
            "protocol": row.protocol,
            "port": _ports(row.port, row.port_bits),
            "action": row.action,
            "dnsNames": list(row.names),
            "aside": row.aside,
        }
        for row in pins.policies()
    ]


def grant_rows(pins: Pins, pods: Pods, known: Iterable[KnownName], now: float) -> list[Row]:
    """One for each address and name class of an endpoint."""
    endpoints = {row.scope: row.id for row in pins.endpoints()}
    learned: dict[tuple[int, Address], set[str]] = {}
    for name in known:
        learned.setdefault((name.scope, name.address), set()).add(name.name.removesuffix("."))
    live = _live(pins, now)
    return [
        {
            "endpoint": endpoints.get(row.scope),
            "pod": pods.get(endpoints.get(row.scope, 0)),
            "scope": row.scope,
            "address": str(row.address),
            "class": row.name_class & 0x7FFFFFFF,
            "selectors": list(row.selectors),
            "names": sorted(learned.get((row.scope, row.address), ())),
            "secondsLeft": max(0, row.deadline - int(now)),
            "connections": live[endpoints.get(row.scope, 0), row.address],
        }
        for row in pins.grants()
    ]


def connection_rows(pins: Pins, pods: Pods, now: float) -> list[Row]:
    return [
        {
            "endpoint": row.endpoint,
            "pod": pods.get(row.endpoint),
            "direction": row.direction,
            "protocol": row.protocol,
            "local": _socket(row.local, row.local_port),
            "remote": _socket(row.remote, row.remote_port),
            "ageSeconds": max(0, int(now) - row.created),
            "secondsLeft": max(0, row.expires - int(now)),
            "replied": row.replied,
            "closing": row.closing,
            "selectors": list(row.selectors),
        }
        for row in pins.connections()
        if row.expires >= now
    ]


def ipcache_rows(pins: Pins, pods: Pods) -> list[Row]:
    of_address = {
        str(address): pods.get(endpoint.id) for endpoint in pins.endpoints() for address in endpoint.addresses
    }
    return [
        {
            "prefix": row.prefix,
            "identity": row.identity,
            "name": identity_word(row.identity),
            "inside": row.inside,
            "pod": _pod_at(row.prefix, of_address),
        }
        for row in pins.ipcache()
    ]


def service_rows(pins: Pins) -> list[Row]:
    return [
        {
            "address": str(row.address),
            "port": row.port,
            "protocol": row.protocol,
            "backends": [{"identity": identity, "port": port} for identity, port in row.backends],
        }
        for row in pins.services()
    ]


def endpoint_rows(pins: Pins, pods: Pods) -> list[Row]:
    """What the kernel alone knows of endpoints."""
    return [
        {
            "id": row.id,
            "pod": pods.get(row.id),
            "identity": row.identity,
            "enforcement": enforcement(row.enforce_ingress, row.enforce_egress),
            "addresses": [str(address) for address in row.addresses],
            "mac": row.mac,
            "interfaceIndex": row.ifindex,
            "policy": row.policy,
        }
        for row in pins.endpoints()
    ]


def size_rows(pins: Pins) -> list[Row]:
    return [
        {
            "table": row.name,
            "used": row.used,
            "most": row.most,
            "pressure": round(row.pressure, 2),
            "bytes": row.bytes,
        }
        for row in pins.sizes()
    ]


def name_rows(pins: Pins, pods: Pods, known: Iterable[KnownName], now: float) -> list[Row]:
    """What endpoints learned: a name with the addresses that are good until the same second."""
    endpoints = {row.scope: row.id for row in pins.endpoints()}
    live = _live(pins, now)
    selectors: dict[tuple[int, Address], set[str]] = {}
    for grant in pins.grants():
        if grant.deadline >= now or live[endpoints.get(grant.scope, 0), grant.address]:
            selectors.setdefault((grant.scope, grant.address), set()).update(grant.selectors)
    grouped: dict[tuple[int, str, int], list[Address]] = {}
    for name in known:
        grouped.setdefault((name.scope, name.name, int(name.deadline)), []).append(name.address)
    found = []
    for (scope, name_text, deadline), addresses in sorted(grouped.items(), key=lambda item: item[0]):
        endpoint = endpoints.get(scope)
        if endpoint is None:
            continue
        addresses.sort(key=lambda address: (address.version, address))
        granted = set().union(*(selectors.get((scope, address), set()) for address in addresses))
        found.append(
            {
                "endpoint": endpoint,
                "pod": pods.get(endpoint),
                "fqdn": name_text,
                "ips": [str(address) for address in addresses],
                "secondsLeft": max(0, int(deadline - now)),
                "selectors": sorted(each for each in granted if each.startswith("fqdn:")),
                "connections": sum(live[endpoint, address] for address in addresses),
            }
        )
    return found


def enforcement(ingress: bool, egress: bool) -> str:
    """Cilium's words: both, ingress, egress, none."""
    if ingress and egress:
        return "both"
    return "ingress" if ingress else "egress" if egress else "none"


def _live(pins: Pins, now: float) -> Counter[tuple[int, Address]]:
    """Living connections by endpoint and peer."""
    return Counter((row.endpoint, row.remote) for row in pins.connections() if row.expires >= now)


def _ports(port: int, bits: int) -> str:
    """`443`, `1024-2047`, or `any`."""
    if not bits:
        return "any"
    if bits == 16:
        return str(port)
    return f"{port}-{port + (1 << (16 - bits)) - 1}"


def _socket(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _pod_at(prefix: str, of_address: Mapping[str, str | None]) -> str | None:
    network = ip_network(prefix)
    return of_address.get(str(network.network_address)) if network.num_addresses == 1 else None
