"""From what a node knows to what its kernel tables should hold: one step function.

The resolver keeps what is dear between steps; everything else is put together anew, since it is small. Equal
MapStates share one policy number, and a number stays with its MapState's label set while an endpoint has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from namewall.model.identity import Reserved
from namewall.model.net import Address, Network
from namewall.policy.ports import NO_NAMES, NamedPorts
from namewall.policy.resolver import Resolver
from namewall.state.identities import Labels
from namewall.state.tables import (
    EndpointRow,
    IpcacheRow,
    KnownName,
    NodeTables,
    ServiceBackend,
    VipKey,
)

EVERYWHERE = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
GATEWAYS = (ip_network("169.254.1.1/32"), ip_network("fe80::1/128"))
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """An attached workload as the agent knows it; `own_ports` are its named container ports."""

    id: int
    scope: int
    ifname: str
    ifindex: int
    mac: bytes
    gateway_mac: bytes
    addresses: tuple[Address, ...]
    labels: Labels
    identity: int
    own_ports: NamedPorts = field(default_factory=lambda: NO_NAMES)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """`pods` are addresses of pods and their identities; `closed` the pod and Service ranges."""

    endpoints: tuple[EndpointFacts, ...]
    closed: tuple[Network, ...]
    node_addresses: tuple[Address, ...]
    services: Mapping[VipKey, tuple[ServiceBackend, ...]]
    trusted_resolvers: frozenset[Address]
    known_names: frozenset[KnownName]
    min_ttl: int


class PolicyNumbers:
    """A number for each (label set, own named ports) that an endpoint has: the key of its MapState.

    Numbers only grow, so one is never given to another label set while the kernel may still hold its rows.
    """

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._last = 0

    def of(self, key: object) -> int:
        if key not in self._numbers:
            self._last += 1
            self._numbers[key] = self._last
        return self._numbers[key]

    def keep(self, used: Iterable[object]) -> None:
        wanted = set(used)
        self._numbers = {key: number for key, number in self._numbers.items() if key in wanted}


def ipcache(facts: NodeFacts) -> dict[Network, IpcacheRow]:
    """Address → identity: the world, the closed ranges in it, the node, the pods; the longest prefix counts."""
    rows: dict[Network, IpcacheRow] = {
        EVERYWHERE[4]: IpcacheRow(Reserved.WORLD_IPV4, inside=False),
        EVERYWHERE[6]: IpcacheRow(Reserved.WORLD_IPV6, inside=False),
    }
    for network in (*facts.closed, *LOOPBACK):
        rows[network] = IpcacheRow(Reserved.CLOSED, inside=True)
    for network in (*GATEWAYS, *map(ip_network, facts.node_addresses)):
        rows[network] = IpcacheRow(Reserved.HOST, inside=True)
    for endpoint in facts.endpoints:
        for address in endpoint.addresses:
            rows[ip_network(address)] = IpcacheRow(endpoint.identity, inside=True)
    return rows


def desired(facts: NodeFacts, resolver: Resolver, numbers: PolicyNumbers) -> NodeTables:
    """The tables. The resolver must know the identities of `facts.endpoints`."""
    rows: dict[int, EndpointRow] = {}
    policies = {}
    keys = []
    for endpoint in facts.endpoints:
        key = (endpoint.labels, frozenset((*name, ports) for name, ports in endpoint.own_ports.items()))
        keys.append(key)
        number = numbers.of(key)
        policies[number] = resolver.resolve(endpoint.labels, endpoint.own_ports)
        rows[endpoint.id] = EndpointRow(
            id=endpoint.id,
            scope=endpoint.scope,
            ifname=endpoint.ifname,
            ifindex=endpoint.ifindex,
            mac=endpoint.mac,
            gateway_mac=endpoint.gateway_mac,
            addresses=endpoint.addresses,
            identity=endpoint.identity,
            policy=number,
        )
    numbers.keep(keys)
    resolver.keep_subjects(endpoint.labels for endpoint in facts.endpoints)
    return NodeTables(
        endpoints=rows,
        policies=policies,
        ipcache=ipcache(facts),
        services=facts.services,
        trusted_resolvers=facts.trusted_resolvers,
        known_names=facts.known_names,
        prefixes=resolver.prefixes,
        min_ttl=facts.min_ttl,
    )
