"""What scenarios are made of, as values: who there is, what was looked up, what is asked, what is answered.

Endpoints, Services, nodes, lookups and queries are equal only to themselves: two pods may look alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from namewall.model.errors import Problem
from namewall.model.identity import Reserved
from namewall.model.labels import Labels
from namewall.model.net import Address, Direction, Protocol
from namewall.policy.decide import Decision, PeerFacts
from namewall.policy.expand import ServiceFacts
from namewall.policy.lookup import NO_POLICY, Verdict
from namewall.policy.map_state import RuleOrigin
from namewall.policy.ports import NO_NAMES, NamedPorts

MIN_TTL = 60
"""Seconds a learned address stays granted at least."""

RESERVED_NAMES = {
    "host": Reserved.HOST,
    "remote-node": Reserved.REMOTE_NODE,
    "kube-apiserver": Reserved.KUBE_APISERVER,
    "health": Reserved.HEALTH,
    "ingress": Reserved.INGRESS,
}

DnsVerdict = Literal["allow", "deny", "none", "redirect"]


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """A pod. `labels` are its identity's, `own_labels` those written on it."""

    name: str
    namespace: str
    labels: Labels
    own_labels: Mapping[str, str] = field(default_factory=dict)
    ports: NamedPorts = field(default_factory=lambda: NO_NAMES)
    addresses: tuple[Address, ...] = ()
    node: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def address_like(self, other: Address | None) -> Address | None:
        """Its address of the other's family, else its first."""
        alike = (a for a in self.addresses if other is not None and a.version == other.version)
        return next(alike, self.addresses[0] if self.addresses else None)


@dataclass(frozen=True, slots=True)
class ServicePort:
    """`target` is a number, or the name of a container port that each endpoint has for itself."""

    port: int
    protocol: Protocol
    target: int | str


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """`endpoints` are the ready ones."""

    facts: ServiceFacts
    ips: tuple[Address, ...]
    ports: tuple[ServicePort, ...]
    endpoints: tuple[Endpoint | Address, ...]

    def __str__(self) -> str:
        return f"svc/{self.facts.namespace}/{self.facts.name}"

    def lacks(self, port: int, protocol: Protocol) -> str:
        """A sentence where it has no such port, "" where it does."""
        if any((one.port, one.protocol) == (port, protocol) for one in self.ports):
            return ""
        has = ", ".join(f"{one.port}/{protocol_name(one.protocol)}" for one in self.ports) or "none"
        return f"{self} has no port {port}/{protocol_name(protocol)}; it has {has}"


@dataclass(frozen=True, slots=True)
class Name:
    """A DNS name as a target, canonical."""

    name: str

    def __str__(self) -> str:
        return self.name.removesuffix(".") or "."


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One of the reserved identities."""

    name: str

    def __str__(self) -> str:
        return self.name


Party = Endpoint | Service | Node | Name | Address
"""Who can be named in a query."""


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """One DNS answer; `server` None is the cluster DNS. Times in seconds."""

    source: Endpoint
    name: str
    addresses: tuple[Address, ...]
    ttl: float
    at: float
    server: Party | None = None

    def live(self, now: float, min_ttl: float = MIN_TTL) -> bool:
        """To the last second, as the kernel has it."""
        return self.at <= now <= self.at + max(self.ttl, min_ttl)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """`port` is the type for ICMP. `at` None: when the scenario says, else after the last lookup. `expect` is as
    written: None, a word of EXPECTATIONS or a mapping. `path` is where it stands in the document."""

    source: Party
    target: Party
    port: int
    protocol: Protocol
    dns: str | None = None
    at: float | None = None
    lookups: tuple[Lookup, ...] = ()
    expect: Any = None
    name: str = ""
    path: str = ""

    def __str__(self) -> str:
        """`default/web → kubernetes.io:443/TCP`, with the name asked for and the time."""
        target = f"[{self.target}]" if ":" in str(self.target) else str(self.target)
        asked = f" dns {self.dns}" if self.dns else ""
        when = f" at {self.at:g}" if self.at is not None else ""
        return f"{self.source} → {target}:{self.port}/{protocol_name(self.protocol)}{asked}{when}"


def protocol_name(protocol: Protocol) -> str:
    return "ICMPv6" if protocol is Protocol.ICMPV6 else protocol.name


@dataclass(frozen=True, slots=True)
class DecidedRule:
    """A rule that decided, and in which direction."""

    direction: Direction
    origin: RuleOrigin

    def to_dict(self) -> dict[str, Any]:
        return {
            "policy": self.origin.name,
            "kind": self.origin.kind,
            "namespace": self.origin.namespace or None,
            "direction": self.direction.name.lower(),
            "rule": self.origin.rule,
        }

    def __str__(self) -> str:
        where = f"{self.origin.namespace}/{self.origin.name}" if self.origin.namespace else self.origin.name
        return f"{self.origin.kind} {where} {self.origin.rule}"


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One question that was put to `decide`, and its decision: what explain begins with."""

    direction: Direction
    subject: Endpoint
    peer: str
    facts: PeerFacts
    protocol: Protocol
    port: int
    question: str | None
    decision: Decision


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict of one query. `egress`, `ingress` and `l7dns` as in conformance/README.md.

    `reason` and `rules` are those of the side that denied (egress before DNS before ingress), or of all that allowed.
    `notes` are sentences for people: what was looked up first, which lookups taught nothing, and what is odd about
    where the flow goes. `sides` are the decisions behind it, those of a question asked first included.
    """

    egress: Verdict | None = None
    ingress: Verdict | None = None
    l7dns: DnsVerdict | None = None
    reason: str = NO_POLICY
    rules: tuple[DecidedRule, ...] = ()
    lookup_notes: tuple[str, ...] = ()
    target_notes: tuple[str, ...] = ()
    sides: tuple[Side, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.lookup_notes, *self.target_notes)

    @property
    def verdict(self) -> Verdict:
        return "deny" if "deny" in (self.egress, self.ingress, self.l7dns) else "allow"

    @property
    def refused(self) -> bool:
        """A DNS question was refused."""
        return self.l7dns == "deny"

    def to_dict(self) -> dict[str, Any]:
        """The row of `simulate --batch`: always these keys."""
        return {
            "egress": self.egress,
            "ingress": self.ingress,
            "l7dns": self.l7dns,
            "verdict": self.verdict,
            "reason": self.reason,
            "rules": [rule.to_dict() for rule in self.rules],
        }


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What became of one object of `policies`. `error` joins all problems; `unenforceable` is for accepted ones:
    what this datapath cannot enforce and therefore selects nothing. `replaced_by` is the number of a later result whose
    policy has the same name, so that this one is not in force."""

    name: str | None
    problems: tuple[Problem, ...] = ()
    unenforceable: tuple[Problem, ...] = ()
    replaced_by: int | None = None

    @property
    def accepted(self) -> bool:
        return not self.problems

    @property
    def error(self) -> str | None:
        return "; ".join(map(str, self.problems)) or None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "accepted": self.accepted,
            "error": self.error,
            "enforceable": not self.unenforceable if self.accepted else None,
            "reason": "; ".join(map(str, self.unenforceable)) or None,
        }
