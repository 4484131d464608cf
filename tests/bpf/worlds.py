"""Conformance cases as the tables of a node: through the agent's own pipeline, on interfaces made once.

What the cases leave open is settled here. Pods of the scenarios have no addresses, so each gets some and, as its
longest prefix, a CIDR class of its own that no rule names: a CIDR rule never means it. The reserved peers have
addresses like that, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from bpf_lab import Lab, Pod

from namewall.datapath import layout, libbpf
from namewall.model.identity import Reserved
from namewall.model.labels import Labels, identity_labels
from namewall.model.names import fqdn
from namewall.model.net import Address, Protocol
from namewall.policy.compile import compile
from namewall.policy.map_state import MapState
from namewall.policy.parse import parse
from namewall.policy.ports import NamedPorts, named_ports
from namewall.policy.resolver import Resolver
from namewall.policy.rules import Policy
from namewall.policy.selectors import CidrSelector
from namewall.state.desired import EndpointFacts, NodeFacts, PolicyNumbers, desired
from namewall.state.tables import IpcacheRow, KnownName, NodeTables

SHARED = Path(__file__).parents[2].parent / "shared" / "conformance"
PROTOCOLS = {"ICMPv6": Protocol.ICMPV6} | {p.name: p for p in Protocol if p.name != "ICMPV6"}
NODE = (ip_address("100.127.0.1"), ip_address("2001:db8:fff::1"))
OTHERS = {
    "host": (Reserved.HOST, *NODE),
    "remote-node": (Reserved.REMOTE_NODE, ip_address("100.127.0.2"), ip_address("2001:db8:fff::2")),
    "kube-apiserver": (Reserved.KUBE_APISERVER, ip_address("100.127.0.3"), ip_address("2001:db8:fff::3")),
    "health": (Reserved.HEALTH, ip_address("100.127.0.4"), ip_address("2001:db8:fff::4")),
    "ingress": (Reserved.INGRESS, ip_address("100.127.0.5"), ip_address("2001:db8:fff::5")),
}
FOREVER = 2_000_000_000.0

Row = Mapping[str, Any]


def shared(name: str) -> Path:
    """A file of ../shared, or a skip that says so."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is absent: the conformance data is read from there, not copied")
    return path


def rows(name: str) -> Iterator[Row]:
    with shared(name).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


@dataclass(frozen=True, slots=True)
class Workload:
    """A pod of a case. `addresses` are one of each family, or those that the case gives it."""

    name: str
    labels: Labels
    ports: NamedPorts
    addresses: tuple[Address, ...]


@dataclass
class World:
    """Cases one after the other on the same interfaces, whose maps stay: to make those anew takes the kernel

    longer than all packets of a case. Grants are taken away; a connection is judged again in the next case.
    """

    lab: Lab
    size: int
    """Interfaces; those that a case has no workload for are labelled `unused`."""
    resolver: Resolver = field(default_factory=Resolver)
    numbers: PolicyNumbers = field(default_factory=PolicyNumbers)
    identities: dict[Labels, int] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    tables: NodeTables = field(default_factory=NodeTables)
    names: Mapping[Address, frozenset[str]] = field(default_factory=dict)

    def play(
        self,
        policies: list[Policy],
        workloads: list[Workload],
        cluster_ports: NamedPorts,
        names: Mapping[Address, frozenset[str]],
        addressless: bool,
    ) -> None:
        """Into the kernel. `names` are live grants of every workload."""
        self._forget_grants()
        self.names = names
        workloads = workloads + [unused(n) for n in range(len(workloads), self.size)]
        self.identities = {
            labels: 256 + n for n, labels in enumerate(dict.fromkeys(w.labels for w in workloads))
        }
        self.pods = {w.name: self.lab.pod(n + 1) for n, w in enumerate(workloads)}
        self.resolver.set_identities({n: labels for labels, n in self.identities.items()})
        self.resolver.set_cluster_ports(cluster_ports)
        self.resolver.set_policies(policies)
        facts = [self._facts(w) for w in workloads]
        known = frozenset(
            KnownName(each.scope, name, address, FOREVER)
            for each in facts
            for address, found in names.items()
            for name in found
        )
        tables = desired(
            NodeFacts(tuple(facts), (), NODE, {}, frozenset(), known, 60), self.resolver, self.numbers
        )
        ipcache = dict(tables.ipcache)
        own = {ip_network(a) for w in workloads for a in w.addresses} if addressless else set()
        for number, *addresses in OTHERS.values():
            for address in map(ip_network, addresses):
                ipcache[address] = IpcacheRow(number, inside=True)
                own.add(address)
        tables = replace(tables, ipcache=ipcache, prefixes=tables.prefixes | own)
        if addressless and _has_unaddressed(policies):
            tables = replace(tables, policies=self._addressless(policies, workloads, cluster_ports, tables))
        self.tables = tables
        self.lab.apply(tables)

    def state(self, name: str) -> MapState:
        return self.tables.policies[self.tables.endpoints[self.pods[name].number].policy]

    def _facts(self, workload: Workload) -> EndpointFacts:
        pod = self.pods[workload.name]
        return EndpointFacts(
            id=pod.number,
            scope=100 + pod.number,
            ifname=pod.ifname,
            ifindex=pod.ifindex,
            mac=pod.mac,
            gateway_mac=pod.gateway_mac,
            addresses=workload.addresses,
            labels=workload.labels,
            identity=self.identities[workload.labels],
            own_ports=workload.ports,
        )

    def _forget_grants(self) -> None:
        slots, names = self.lab.datapath._slots, self.lab.datapath._names
        names._granted.clear()
        for scope in {known.scope for known in self.tables.known_names}:
            fd = slots.grants.open(slots.of_scopes()[scope])
            assert fd is not None
            keys = [key for key, _ in libbpf.dump(fd, layout.GRANT_KEY.size, layout.GRANT_PAGE.size)]
            libbpf.delete_many(fd, keys)
            os.close(fd)

    def _addressless(
        self, policies: list[Policy], workloads: list[Workload], ports: NamedPorts, tables: NodeTables
    ) -> dict[int, MapState]:
        """The resolver's law with `addressless` (CidrSelector.unaddressed), which no node has."""
        return {
            tables.endpoints[self.pods[w.name].number].policy: compile(
                policies,
                w.labels,
                {n: labels for labels, n in self.identities.items()},
                own_ports=w.ports,
                cluster_ports=ports,
                addressless=True,
            )
            for w in workloads
        }


def unused(number: int) -> Workload:
    addresses = (ip_address("100.125.0.1") + number, ip_address("2001:db8:ffd::1") + number)
    return Workload(f"unused {number}", frozenset({"k8s:unused"}), {}, addresses)


def _has_unaddressed(policies: list[Policy]) -> bool:
    return any(
        isinstance(peer, CidrSelector) and peer.unaddressed is not None
        for policy in policies
        for rule in policy.rules
        for peer in rule.peers
    )


def play_scenario(world: World, row: Row) -> None:
    """A row of verdicts.jsonl."""
    parsed = [parse(policy)[0] for policy in row["policies"]]
    namespaces = {n["name"]: n["labels"] for n in row["namespaces"]}
    workloads = [
        Workload(
            name=pod["name"],
            labels=identity_labels(
                pod["labels"],
                pod["namespace"],
                namespaces.get(pod["namespace"], {}),
                pod.get("serviceAccount", "default"),
            ),
            ports=named_ports(_ports(pod)),
            addresses=(ip_address("100.126.0.1") + n, ip_address("2001:db8:ffe::1") + n),
        )
        for n, pod in enumerate(row["endpoints"])
    ]
    world.play(
        [policy for policy in parsed if policy is not None],
        workloads,
        named_ports(port for pod in row["endpoints"] for port in _ports(pod)),
        {ip_address(x["ip"]): frozenset(map(fqdn, x.get("names", ()))) for x in row.get("externals", ())},
        addressless=True,
    )


def _ports(pod: Row) -> list[tuple[str, str, int]]:
    return [(p["name"], p["protocol"], p["port"]) for p in pod.get("namedPorts", ())]
