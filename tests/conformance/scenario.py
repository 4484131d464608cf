"""Conformance scenarios (conformance/README.md) put through the two readings of policy: decide, and compile +
lookup.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from namewall.model.identity import Reserved
from namewall.model.labels import Labels, identity_labels
from namewall.model.names import fqdn
from namewall.model.net import Direction, Protocol
from namewall.policy.compile import compile
from namewall.policy.decide import PeerFacts, decide
from namewall.policy.lookup import DNS_REFUSED, cidr_classes, granted_selectors, lookup
from namewall.policy.map_state import CidrPeer, DnsRules, MapState
from namewall.policy.parse import parse
from namewall.policy.ports import NO_NAMES, NamedPorts, named_ports
from namewall.policy.rules import fqdn_selectors, policy_prefixes

SHARED = Path(__file__).parents[2].parent / "shared" / "conformance"

RESERVED = {
    "host": Reserved.HOST,
    "remote-node": Reserved.REMOTE_NODE,
    "kube-apiserver": Reserved.KUBE_APISERVER,
    "health": Reserved.HEALTH,
    "ingress": Reserved.INGRESS,
}
PROTOCOLS = {"ICMPv6": Protocol.ICMPV6} | {p.name: p for p in Protocol if p.name != "ICMPV6"}

Row = dict[str, Any]


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


class Scenario:
    def __init__(self, row: Row) -> None:
        parsed = [parse(policy)[0] for policy in row["policies"]]
        self.accepted = [policy is not None for policy in parsed]
        self.policies = [policy for policy in parsed if policy is not None]
        namespaces = {n["name"]: n["labels"] for n in row["namespaces"]}
        self.labels: dict[str, Labels] = {}
        self.own_ports: dict[str, NamedPorts] = {}
        for pod in row["endpoints"]:
            account = pod.get("serviceAccount", "default")
            labels = identity_labels(
                pod["labels"], pod["namespace"], namespaces.get(pod["namespace"], {}), account
            )
            self.labels[pod["name"]] = labels
            self.own_ports[pod["name"]] = named_ports(_ports([pod]))
        self.cluster_ports = named_ports(_ports(row["endpoints"]))
        self.number = {labels: 256 + n for n, labels in enumerate(dict.fromkeys(self.labels.values()))}
        self.names = {x["ip"]: frozenset(map(fqdn, x.get("names", ()))) for x in row.get("externals", ())}
        self.prefixes = policy_prefixes(self.policies)
        self.fqdns = fqdn_selectors(self.policies)
        self._states: dict[str, MapState] = {}

    def state(self, endpoint: str) -> MapState:
        if endpoint not in self._states:
            self._states[endpoint] = compile(
                self.policies,
                self.labels[endpoint],
                {number: labels for labels, number in self.number.items()},
                own_ports=self.own_ports[endpoint],
                cluster_ports=self.cluster_ports,
                addressless=True,
            )
        return self._states[endpoint]

    def facts(self, who: str) -> PeerFacts:
        if who in self.labels:
            return PeerFacts(self.labels[who])
        if who in RESERVED:
            return PeerFacts.reserved(RESERVED[who])
        return PeerFacts.outside(ip_address(who), self.names.get(who, ()))

    def numbers(self, who: str) -> tuple[int, tuple[CidrPeer, ...], frozenset[str]]:
        """What the kernel knows of a peer: identity, CIDR classes, granted FQDN selectors."""
        if who in self.labels:
            return self.number[self.labels[who]], (), frozenset()
        if who in RESERVED:
            return RESERVED[who], (), frozenset()
        address = ip_address(who)
        number = Reserved.WORLD_IPV4 if address.version == 4 else Reserved.WORLD_IPV6
        granted = granted_selectors(self.names.get(who, ()), self.fqdns)
        return number, cidr_classes(address, self.prefixes, inside=False), granted

    def decided(self, query: Row) -> Row:
        def one(
            subject: str, direction: Direction, peer: str, name: str | None
        ) -> tuple[str, str, DnsRules | None]:
            own = self.own_ports[subject] if direction is Direction.INGRESS else NO_NAMES
            decision = decide(
                self.policies,
                self.labels[subject],
                direction,
                self.facts(peer),
                PROTOCOLS[query["protocol"]],
                query["port"],
                question=name,
                own_ports=own,
                cluster_ports=self.cluster_ports,
            )
            return decision.verdict, decision.reason, decision.dns

        result: Row = {"egress": None, "ingress": None, "l7dns": None}
        if query["from"] in self.labels:
            verdict, reason, dns = one(query["from"], Direction.EGRESS, query["to"], query.get("dns"))
            refused = reason == DNS_REFUSED
            result["egress"] = "allow" if refused else verdict
            if refused:
                result["l7dns"] = "deny"
            elif verdict == "allow":
                result["l7dns"] = _l7dns(query, dns, refused=False)
        if query["to"] in self.labels:
            result["ingress"] = one(query["to"], Direction.INGRESS, query["from"], None)[0]
        return _with_verdict(result)

    def looked_up(self, query: Row) -> Row:
        result: Row = {"egress": None, "ingress": None, "l7dns": None}
        protocol, port = PROTOCOLS[query["protocol"]], query["port"]
        if query["from"] in self.labels:
            state = self.state(query["from"])
            found = lookup(state, Direction.EGRESS, *self.numbers(query["to"]), protocol, port)
            result["egress"] = found.verdict
            if found.verdict == "allow":
                refused = bool(query.get("dns")) and not found.passes(query["dns"])
                result["l7dns"] = _l7dns(query, found.dns, refused)
        if query["to"] in self.labels:
            state = self.state(query["to"])
            peer = self.numbers(query["from"])
            result["ingress"] = lookup(state, Direction.INGRESS, *peer, protocol, port).verdict
        return _with_verdict(result)


def _ports(pods: list[Row]) -> list[tuple[str, str, int]]:
    return [(p["name"], p["protocol"], p["port"]) for pod in pods for p in pod.get("namedPorts", ())]


def _l7dns(query: Row, dns: DnsRules | None, refused: bool) -> str | None:
    if not query.get("dns"):
        return None if dns is None else "redirect"
    if dns is None:
        return "none"
    return "deny" if refused else "allow"


def _with_verdict(result: Row) -> Row:
    return {**result, "verdict": "deny" if "deny" in result.values() else "allow"}
