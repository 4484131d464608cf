"""From what a node knows to what its kernel tables should hold: one step function.

The resolver keeps what is dear between steps; everything else is put together anew, since it is small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from namewall.model.identity import Reserved
from namewall.model.net import Address, Network, Protocol
from namewall.policy.map_state import MapState
from namewall.policy.ports import NO_NAMES, NamedPorts
from namewall.policy.resolver import Resolver
from namewall.state.identities import Labels
from namewall.state.tables import (
    DnsSettings,
    EndpointRow,
    IpcacheRow,
    KnownName,
    NodeTables,
    ServiceBackend,
    VipKey,
)

PolicyOf = tuple[Labels, frozenset[tuple[tuple[str, Protocol], frozenset[int]]], bool]
"""What an endpoint's MapState depends on: its labels and its own named ports."""
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
    search: tuple[str, ...] = ()
    """The search domains that its resolv.conf was made with, canonical."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """`closed` are the pod and Service ranges, `node_addresses` every address the host answers to."""

    endpoints: tuple[EndpointFacts, ...]
    closed: tuple[Network, ...]
    node_addresses: tuple[Address, ...]
    services: Mapping[VipKey, tuple[ServiceBackend, ...]]
    trusted_resolvers: frozenset[Address]
    known_names: frozenset[KnownName]
    min_ttl: int
    dns: DnsSettings = field(default_factory=DnsSettings)


class PolicyNumbers:
    """A number for each MapState that endpoints have: the key of its rows.

    Endpoints that share a MapState share the number, so the kernel holds each once. A MapState that stays keeps its
    number; one that changes keeps it too, unless others of its endpoints' went another way, so that the datapath
    finds what to compare with. Numbers only grow: none is given to another policy while its rows may still be there.
    """

    def __init__(self) -> None:
        self._held: dict[PolicyOf, tuple[int, MapState]] = {}
        self._last = 0

    def give(self, wanted: Mapping[PolicyOf, MapState]) -> dict[PolicyOf, int]:
        """The numbers of these and no others. MapStates are told apart by being another object."""
        held = {id(state): number for number, state in self._held.values()}
        given = {id(state): held[id(state)] for state in wanted.values() if id(state) in held}
        taken = set(given.values())
        for key, state in wanted.items():
            if id(state) not in given:
                number = self._held[key][0] if key in self._held else 0
                if not number or number in taken:
                    self._last += 1
                    number = self._last
                given[id(state)] = number
                taken.add(number)
        self._held = {key: (given[id(state)], state) for key, state in wanted.items()}
        return {key: number for key, (number, _) in self._held.items()}


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
    ports = [frozenset(endpoint.own_ports.items()) for endpoint in facts.endpoints]
    keys = [(endpoint.labels, its, False) for endpoint, its in zip(facts.endpoints, ports, strict=True)]
    states: dict[PolicyOf, MapState] = {}
    for key, endpoint in zip(keys, facts.endpoints, strict=True):
        states[key] = resolver.resolve(endpoint.labels, endpoint.own_ports)
        audit = resolver.audit(endpoint.labels, endpoint.own_ports)
        if audit is not None:
            states[*key[:2], True] = audit
    number_of = numbers.give(states)
    options = {
        key: resolver.options(endpoint.labels, endpoint.own_ports)
        for key, endpoint in zip(keys, facts.endpoints, strict=True)
    }
    rows = {
        endpoint.id: EndpointRow(
            id=endpoint.id,
            scope=endpoint.scope,
            ifname=endpoint.ifname,
            ifindex=endpoint.ifindex,
            mac=endpoint.mac,
            gateway_mac=endpoint.gateway_mac,
            addresses=endpoint.addresses,
            identity=endpoint.identity,
            policy=number_of[key],
            min_ttl=options[key].min_ttl,
            strict=options[key].strict,
            verify=options[key].verify,
            search=endpoint.search,
            audit=number_of.get((*key[:2], True), 0),
        )
        for key, endpoint in zip(keys, facts.endpoints, strict=True)
    }
    resolver.keep_subjects(endpoint.labels for endpoint in facts.endpoints)
    return NodeTables(
        endpoints=rows,
        policies={number_of[key]: state for key, state in states.items()},
        ipcache=ipcache(facts),
        services=facts.services,
        trusted_resolvers=facts.trusted_resolvers,
        known_names=facts.known_names,
        prefixes=resolver.prefixes,
        min_ttl=facts.min_ttl,
        dns=facts.dns,
    )
