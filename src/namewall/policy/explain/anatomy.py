"""Policies beside the objects they were read from: which member of which item gives which peers and ports.

`Catalog` holds the objects of one world with the rules they make; paths are those of RuleOrigin
(`spec.egress[1]`), longer by the member (`spec.egress[1].toFQDNs[0]`). Rejected objects are in no rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from namewall.model.net import Direction
from namewall.policy import cilium
from namewall.policy.expand import CidrGroup, ServiceFacts, expand
from namewall.policy.map_state import RuleOrigin
from namewall.policy.parse import parse
from namewall.policy.rules import EVERYTHING, Policy, PortMatch, Rule, replaced
from namewall.policy.sanitize import EGRESS_PEERS, INGRESS_PEERS
from namewall.policy.selectors import PeerSelector

Raw = dict[str, Any]
_STEP = re.compile(r"([A-Za-z]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class PeerPart:
    """One entry of one peer list of an item. `member` as `toFQDNs`, or `to` and `from` of NetworkPolicy."""

    path: str
    member: str
    raw: Any
    peers: tuple[PeerSelector, ...]


@dataclass(frozen=True, slots=True)
class PortPart:
    """One port of an item. `toports` is the path of the toPorts item that holds it, "" where there is none."""

    path: str
    toports: str
    raw: Any
    ports: tuple[PortMatch, ...]
    judged: bool


def steps(path: str) -> list[str | int]:
    """`spec.egress[1]` as keys and indexes."""
    return [word or int(number) for word, number in _STEP.findall(path)]


def at(raw: Any, path: str) -> Any:
    for step in steps(path):
        raw = raw[step]
    return raw


def pointer(path: str) -> str:
    """The path as a JSON pointer (RFC 6901); keys of policies need no escapes."""
    return "".join(f"/{step}" for step in steps(path))


def key_of(raw: Raw) -> tuple[str, str, str]:
    """(kind, namespace, name) of a valid object, as its Policy has them."""
    metadata = raw["metadata"]
    clusterwide = raw["kind"] == "CiliumClusterwideNetworkPolicy"
    return raw["kind"], "" if clusterwide else metadata.get("namespace") or "default", metadata["name"]


def parts_of_ports(port_rule: Raw, path: str) -> Iterator[PortPart]:
    """Of a toPorts item of Cilium's kinds."""
    judged = bool((port_rule.get("rules") or {}).get("dns"))
    for index, raw in enumerate(port_rule.get("ports") or ()):
        ports = cilium.read_ports({"toPorts": [{**port_rule, "ports": [raw]}]})
        yield PortPart(f"{path}.ports[{index}]", path, raw, ports, judged)


class Catalog:
    """The policies of one world. `raws` keeps its order and its rejected objects, so that indexes stay true."""

    def __init__(
        self,
        raws: Sequence[Raw],
        services: Iterable[ServiceFacts] = (),
        groups: Iterable[CidrGroup] = (),
        read: Iterable[Policy | None] | None = None,
    ) -> None:
        """`read` are the policies of the objects, None where one is rejected, if they were parsed before."""
        self.raws = list(raws)
        self.services, self.groups = tuple(services), tuple(groups)
        known = [parse(raw)[0] for raw in self.raws] if read is None else list(read)
        self.replaced = replaced(known)
        """Policies that are not in force, since a later one has their name."""
        self._read: list[Policy | None] = [
            None if number in self.replaced else self._expanded_policy(policy)
            for number, policy in enumerate(known)
        ]

    def _expanded_policy(self, policy: Policy | None) -> Policy | None:
        return None if policy is None else expand([policy], self.services, self.groups)[0]

    def with_changed(self, raws: Sequence[Raw], index: int) -> Catalog | None:
        """These objects instead, of which only the one at `index` differs; None where that one is rejected."""
        changed = self._expanded_policy(parse(raws[index])[0])
        if changed is None:
            return None
        result = Catalog((), self.services, self.groups)
        result.raws = list(raws)
        result.replaced = self.replaced
        result._read = [*self._read[:index], changed, *self._read[index + 1 :]]
        return result

    @cached_property
    def policies(self) -> tuple[Policy, ...]:
        return tuple(policy for policy in self._read if policy is not None)

    @cached_property
    def enforced(self) -> tuple[Rule, ...]:
        """The rules that decide: those of policies in audit do not."""
        return tuple(rule for policy in self.policies if not policy.audit for rule in policy.rules)

    def numbered(self) -> Iterator[tuple[int, Policy]]:
        """(index in `raws`, policy)."""
        return ((index, policy) for index, policy in enumerate(self._read) if policy is not None)

    @cached_property
    def _index(self) -> dict[RuleOrigin, tuple[int, Rule]]:
        return {rule.origin: (index, rule) for index, policy in self.numbered() for rule in policy.rules}

    def number_of(self, origin: RuleOrigin) -> int:
        return self._index[origin][0]

    def rule(self, origin: RuleOrigin) -> Rule:
        return self._index[origin][1]

    def item(self, origin: RuleOrigin) -> Raw:
        found = at(self.raws[self.number_of(origin)], origin.rule)
        assert isinstance(found, dict)
        return found

    def peer_parts(self, rule: Rule) -> list[PeerPart]:
        """Empty for a rule that names no peer (which means every one, or nobody)."""
        item, path, ingress = self.item(rule.origin), rule.origin.rule, rule.direction is Direction.INGRESS
        if rule.origin.kind == "NetworkPolicy":
            member = "from" if ingress else "to"
            raws = item.get(member) or () if path != "spec" else ()
            return [
                PeerPart(f"{path}.{member}[{number}]", member, raw, (rule.peers[number],))
                for number, raw in enumerate(raws)
            ]
        context = cilium.Context(rule.origin.kind, rule.origin.namespace, rule.origin.name)
        wild = rule.subject.has_key("init", "reserved")
        found = []
        for member in INGRESS_PEERS if ingress else EGRESS_PEERS:
            for number, raw in enumerate(item.get(member) or ()):
                peers = cilium.read_peers({member: [raw]}, ingress, context, wild)
                found.append(PeerPart(f"{path}.{member}[{number}]", member, raw, self._expanded(rule, peers)))
        return found

    def _expanded(self, rule: Rule, peers: tuple[PeerSelector, ...]) -> tuple[PeerSelector, ...]:
        alone = Rule(rule.origin, rule.subject, rule.direction, peers, (EVERYTHING,))
        (policy,) = expand([Policy("", "", "", "", (alone,))], self.services, self.groups)
        return policy.rules[0].peers

    def port_parts(self, rule: Rule) -> list[PortPart]:
        """Empty for a rule that names no port (which means every one)."""
        item, path = self.item(rule.origin), rule.origin.rule
        if rule.origin.kind == "NetworkPolicy":
            raws = item.get("ports") or () if path != "spec" else ()
            return [
                PortPart(f"{path}.ports[{number}]", "", raw, (rule.ports[number],), False)
                for number, raw in enumerate(raws)
                if number < len(rule.ports)
            ]
        found: list[PortPart] = []
        for number, port_rule in enumerate(item.get("toPorts") or ()):
            if not cilium.beyond.of_port_rule(port_rule):
                found += parts_of_ports(port_rule, f"{path}.toPorts[{number}]")
        for number, icmp in enumerate(item.get("icmps") or ()):
            for index, raw in enumerate(icmp.get("fields") or ()):
                ports = cilium.read_ports({"icmps": [{"fields": [raw]}]})
                found.append(PortPart(f"{path}.icmps[{number}].fields[{index}]", "", raw, ports, False))
        return found
