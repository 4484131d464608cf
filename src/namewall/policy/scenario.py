"""Scenarios: a cluster in small, and the verdict of any flow in it, by `decide`.

A Scenario is a value (`scenario_parse.parse_scenario` reads one from its document); `answer` judges one query.
What holds here beyond `decide`:

  - `externals` with names are live grants for every endpoint;
  - a lookup is a grant for the endpoint that asked, from when it was made for max(ttl, 60) seconds (or what
    `namewall.io/min-ttl` says in the place of 60), if the answer
    would have taught: the question got to its server and was not refused, and either a `rules.dns` let it
    through or the server is the cluster DNS (design.md section 5; `strict_dns_rules` leaves the second out);
  - a DNS name as a target is the addresses of its lookups, or of the externals that carry it; a name that neither
    knows is looked up at the cluster DNS at that moment, and its address belongs to nobody else;
  - a Service is judged as the kernel judges it: each ready endpoint must be allowed on its own target port, and a
    question must pass wherever names are judged;
  - the cluster DNS is the Service kube-dns of kube-system, else the pods there that are k8s-app=kube-dns or called
    kube-dns, else a pod like that which stands in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import ip_address
from typing import Any

from namewall.model.labels import Labels
from namewall.model.names import fqdn
from namewall.model.net import Address, Direction, Protocol, is_private, never_granted
from namewall.policy.decide import Decision, PeerFacts, decide
from namewall.policy.lookup import ALLOWED, DNS_REFUSED, NO_POLICY, Verdict
from namewall.policy.map_state import RuleOrigin
from namewall.policy.metadata import of_subject
from namewall.policy.ports import NO_NAMES, NamedPorts
from namewall.policy.rules import Options, Policy
from namewall.policy.scenario_values import (
    MIN_TTL,
    RESERVED_NAMES,
    Answer,
    DecidedRule,
    DnsVerdict,
    Endpoint,
    Lookup,
    Name,
    Node,
    Party,
    PolicyResult,
    Query,
    Service,
    ServicePort,
    Side,
    protocol_name,
)
from namewall.policy.selectors import CidrSelector, LabelSelector
from namewall.policy.terms import selecting

DNS_PORT = 53
MAX_BACKENDS = 16
"""Different (peer, target port) pairs of one Service that the kernel judges (bpf/types.h)."""
NO_BACKEND = "SERVICE_BACKEND_NOT_FOUND"
TOO_MANY_BACKENDS = "TOO_MANY_BACKENDS"
SOMEWHERE = ip_address("192.0.0.8")
"""Stands for an address nobody wrote down (the IPv4 dummy address, RFC 7600): in no prefix but the widest."""


@dataclass(frozen=True, slots=True, eq=False)
class _Hop:
    """One address a flow may end at."""

    peer: str
    facts: PeerFacts
    port: int
    endpoint: Endpoint | None = None
    behind: bool = False
    """A Service's address is what the packet carries."""


class _Known:
    """Lookups, and which of them taught. A query's own come on top of the scenario's, `below`."""

    def __init__(self, below: _Known | None = None) -> None:
        self._below = below
        self._taught: dict[tuple[Party | None, Address], list[Lookup]] = {}
        self._of_name: dict[str, list[Lookup]] = {}
        self._notes: dict[Party, list[str]] = {}

    def add(self, lookup: Lookup, why_not: str) -> None:
        """`why_not` is empty for one that taught."""
        self._of_name.setdefault(lookup.name, []).append(lookup)
        if why_not:
            name = lookup.name.removesuffix(".")
            note = f"the lookup of `{name}` by {lookup.source} at {lookup.at:g} taught nothing: {why_not}"
            self._notes.setdefault(lookup.source, []).append(note)
            return
        for address in lookup.addresses:
            self._taught.setdefault((lookup.source, address), []).append(lookup)

    def names(self, asker: Party | None, address: Address, now: float, min_ttl: float) -> Iterator[str]:
        """What the address is granted under to who asked for it."""
        if self._below is not None:
            yield from self._below.names(asker, address, now, min_ttl)
        for lookup in self._taught.get((asker, address), ()):
            if lookup.live(now, min_ttl):
                yield lookup.name

    def notes(self, asker: Party) -> tuple[str, ...]:
        """Why lookups of his taught nothing."""
        own = self._notes.get(asker, ())
        return tuple(own) if self._below is None else (*self._below.notes(asker), *own)

    def of_name(self, name: str) -> list[Lookup]:
        found = self._of_name.get(name, [])
        return found if self._below is None else [*self._below.of_name(name), *found]


NOTHING = _Known()


@dataclass(frozen=True, eq=False)
class Scenario:
    """`policies` are the accepted ones as written, `expanded` the same without references (`policy.expand`)."""

    policies: tuple[Policy, ...]
    expanded: tuple[Policy, ...]
    results: tuple[PolicyResult, ...]
    endpoints: tuple[Endpoint, ...]
    services: tuple[Service, ...] = ()
    names: Mapping[Address, frozenset[str]] = field(default_factory=dict)
    """externals: address → canonical names."""
    lookups: tuple[Lookup, ...] = ()
    at: float | None = None
    strict_dns_rules: bool = False
    cluster_ports: NamedPorts = field(default_factory=lambda: NO_NAMES)
    stand_in: Endpoint | None = None
    """The cluster DNS where the document has none."""
    queries: tuple[Query, ...] = ()
    about: str = ""

    def now(self, query: Query) -> float:
        """When a query is asked."""
        if query.at is not None:
            return query.at
        if self.at is not None and not query.lookups:
            return self.at
        own = (lookup.at for lookup in query.lookups)
        return max((*own, self._last_lookup, self.at or 0.0))

    def answer(self, query: Query) -> Answer:
        """The verdict of one query, at its time, after its lookups."""
        now = self.now(query)
        known = self._judge_lookups(query.lookups, self._known) if query.lookups else self._known
        source, target = query.source, query.target
        if isinstance(target, Name):
            addresses = self._addresses(target.name, source, known, now)
            if not addresses and isinstance(source, Endpoint):
                found = self._look_up_first(query, source, target, known, now)
            else:
                hops = [self._outside(a, source, known, now, query.port) for a in addresses or (SOMEWHERE,)]
                found = self._flow(source, hops, query.protocol, query.dns)
                if isinstance(source, Endpoint) and found.verdict == "deny":
                    found = replace(found, lookup_notes=_not_learned(source, target, hops))
        elif isinstance(source, Endpoint) and _stays(source, target):
            own = f"{target} is {source} itself: what does not leave a pod is not judged"
            found = Answer(egress="allow", reason=NO_POLICY, target_notes=(own,))
        else:
            found = self._to(target, source, known, now, query.port, query.protocol, query.dns)
        return replace(
            found,
            lookup_notes=(*known.notes(source), *found.lookup_notes),
            target_notes=(
                *found.target_notes,
                *filter(None, [self.lacking(query), self._unaddressed(found.sides)]),
            ),
        )

    def _unaddressed(self, sides: Iterable[Side]) -> str:
        """A sentence where an ipBlock let a pod in that has no address here (spec/semantics.md 8.7); else ""."""
        for side in sides:
            peer, origins = side.facts, side.decision.rules
            if side.direction is Direction.EGRESS or peer.address is not None or not peer.inside:
                continue
            for block, origin in self._blocks:
                if origin in origins and block.matches(peer.labels):
                    return (
                        f"{side.peer} has no `ips` here: as in Cilium's engine, ipBlocks then mean the pods of "
                        f"their policy's namespace ({origin.name} {origin.rule}); with `ips` addresses decide"
                    )
        return ""

    @cached_property
    def _blocks(self) -> list[tuple[LabelSelector, RuleOrigin]]:
        """What ipBlocks mean where pods have no addresses."""
        return [
            (peer.unaddressed, rule.origin)
            for policy in self.expanded
            for rule in policy.rules
            for peer in rule.peers
            if isinstance(peer, CidrSelector) and peer.unaddressed is not None
        ]

    def lacking(self, query: Query) -> str:
        """A sentence where the query goes to a Service, by name or by address, that has no such port; else ""."""
        target = query.target
        meant = self.owner(target) if isinstance(target, Address) else target
        return meant.lacks(query.port, query.protocol) if isinstance(meant, Service) else ""

    def _look_up_first(
        self, query: Query, source: Endpoint, target: Name, known: _Known, now: float
    ) -> Answer:
        """The question at the cluster DNS, and if it passes the flow to an address that only this name has."""
        asked = self._question(source, target.name, self.cluster_dns, known, now)
        if asked.verdict == "deny":
            return replace(asked, lookup_notes=(f"`{target}` cannot be looked up: {_why(asked)}",))
        learned = self._teaches(asked, trusted=True)
        names = {target.name} if learned else ()
        hop = _Hop(str(target), PeerFacts.outside(SOMEWHERE, names), query.port)
        found = self._flow(source, [hop], query.protocol, query.dns)
        note = "learned" if learned else "not learned: no `rules.dns` saw it"
        notes = (f"`{target}` was looked up first, and {note}",)
        return replace(found, lookup_notes=notes, sides=(*asked.sides, *found.sides))

    def facts(self, party: Party, asker: Endpoint | None = None, now: float = 0.0) -> PeerFacts:
        """What `decide` knows of one end: for an address outside, with the names granted to `asker`."""
        if isinstance(party, Endpoint):
            return PeerFacts(party.labels, party.address_like(None))
        if isinstance(party, Node):
            return PeerFacts.reserved(RESERVED_NAMES[party.name])
        if isinstance(party, Name):
            return PeerFacts.outside(SOMEWHERE, {party.name})
        if isinstance(party, Service):
            return PeerFacts(closed=True)
        return self._outside(party, asker, self._known, now, 0).facts

    def judge(
        self,
        subject: Endpoint,
        direction: Direction,
        peer: PeerFacts,
        protocol: Protocol,
        port: int,
        question: str | None = None,
        policies: Iterable[Policy] | None = None,
    ) -> Decision:
        """`decide` with this scenario's ports and, unless others are given, its policies."""
        return decide(
            self._selecting(subject.labels, direction) if policies is None else policies,
            subject.labels,
            direction,
            peer,
            protocol,
            port,
            question=question,
            own_ports=subject.ports,
            cluster_ports=self.cluster_ports,
        )

    @cached_property
    def _last_lookup(self) -> float:
        return max((lookup.at for lookup in self.lookups), default=0.0)

    @cached_property
    def _externals(self) -> dict[str, list[Address]]:
        found: dict[str, list[Address]] = {}
        for address, names in self.names.items():
            for name in names:
                found.setdefault(name, []).append(address)
        return found

    @cached_property
    def _kept(self) -> dict[Any, Any]:
        """What was found before: the scenario is a value, so it stays true."""
        return {}

    def _selecting(self, subject: Labels, direction: Direction) -> tuple[Policy, ...]:
        """The policies with those of their rules that select the subject, which many queries have in common."""
        key = subject, direction
        if key not in self._kept:
            found = (replace(p, rules=tuple(selecting(p.rules, subject, direction))) for p in self.expanded)
            self._kept[key] = tuple(policy for policy in found if policy.rules)
        policies: tuple[Policy, ...] = self._kept[key]
        return policies

    @cached_property
    def cluster_dns(self) -> tuple[Party, ...]:
        """The Service kube-dns, else the pods behind it, else the stand-in."""
        for service in self.services:
            if (service.facts.namespace, service.facts.name) == ("kube-system", "kube-dns"):
                return (service,)
        pods = tuple(e for e in self.endpoints if is_cluster_dns(e))
        return pods or ((self.stand_in,) if self.stand_in else ())

    @cached_property
    def _by_address(self) -> dict[Address, Endpoint | Service]:
        found: dict[Address, Endpoint | Service] = {a: s for s in self.services for a in s.ips}
        return found | {a: e for e in self.endpoints for a in e.addresses}

    def owner(self, address: Address) -> Endpoint | Service | None:
        """The pod or Service an address belongs to; None for those outside the cluster."""
        return self._by_address.get(address)

    # Names.

    @cached_property
    def _known(self) -> _Known:
        return self._judge_lookups(self.lookups, None)

    def _judge_lookups(self, lookups: Iterable[Lookup], below: _Known | None) -> _Known:
        """In the order of their times: an earlier one may open the way to the server of a later one."""
        known = _Known(below)
        for lookup in sorted(lookups, key=lambda one: one.at):
            servers = self.cluster_dns if lookup.server is None else (lookup.server,)
            asked = self._question(lookup.source, lookup.name, servers, known, lookup.at)
            trusted = all(server in self._trusted for server in servers)
            if asked.verdict == "deny":
                known.add(lookup, _why(asked))
            else:
                known.add(lookup, "" if self._teaches(asked, trusted) else "no `rules.dns` is on its way")
        return known

    @cached_property
    def _trusted(self) -> tuple[Party, ...]:
        backends = (e for s in self.cluster_dns if isinstance(s, Service) for e in (*s.endpoints, *s.ips))
        return (*self.cluster_dns, *backends)

    def _teaches(self, asked: Answer, trusted: bool) -> bool:
        """Whether the answer to a question that passed is learned (design.md section 5)."""
        return asked.l7dns == "allow" or (trusted and not self.strict_dns_rules)

    def _question(
        self, source: Endpoint, name: str, servers: Iterable[Party], known: _Known, now: float
    ) -> Answer:
        """The answer to a question, which every one of the servers may get."""
        hops: list[_Hop] = []
        for server in servers:
            found = self._hops(server, source, known, now, DNS_PORT, Protocol.UDP)
            if isinstance(found, str):
                return Answer(egress="deny", reason=found)
            hops += found
        return self._flow(source, hops, Protocol.UDP, name)

    def _addresses(self, name: str, source: Party, known: _Known, now: float) -> tuple[Address, ...]:
        """Where a name leads: the externals that carry it, and the latest lookup of it up to now, the source's own
        before others', past ones before those to come."""
        of_name = known.of_name(name)
        found = list(self._externals.get(name, ()))
        if of_name:

            def rank(lookup: Lookup) -> tuple[bool, bool, float]:
                past = lookup.at <= now
                return lookup.source is source, past, lookup.at if past else -lookup.at

            best = max(map(rank, of_name))
            found += [a for lookup in of_name if rank(lookup) == best for a in lookup.addresses]
        return tuple(dict.fromkeys(found))

    def _options(self, endpoint: Endpoint) -> Options:
        """What annotations say for it."""
        if endpoint.labels not in self._known_options:
            self._known_options[endpoint.labels] = of_subject(self.policies, endpoint.labels)
        return self._known_options[endpoint.labels]

    @cached_property
    def _known_options(self) -> dict[Labels, Options]:
        return {}

    def _outside(self, address: Address, asker: Party | None, known: _Known, now: float, port: int) -> _Hop:
        """An address that no pod and no Service of the scenario has."""
        owner = self._by_address.get(address)
        if owner is not None:
            return self._hop(owner, port) if isinstance(owner, Endpoint) else _closed(address, port)
        options = self._options(asker) if isinstance(asker, Endpoint) else Options()
        if options.strict and is_private(address):
            return _Hop(str(address), PeerFacts.outside(address), port)
        names = set(self.names.get(address, ()))
        if not never_granted(address):
            min_ttl = MIN_TTL if options.min_ttl is None else options.min_ttl
            names.update(known.names(asker, address, now, min_ttl))
        return _Hop(str(address), PeerFacts.outside(address, names), port)

    # Flows.

    def _hop(self, endpoint: Endpoint, port: int, address: Address | None = None) -> _Hop:
        known = address or endpoint.address_like(None)
        return _Hop(str(endpoint), PeerFacts(endpoint.labels, known), port, endpoint)

    def _hops(
        self,
        target: Party,
        asker: Party,
        known: _Known,
        now: float,
        port: int,
        protocol: Protocol,
    ) -> list[_Hop] | str:
        """Where a flow to `target` may end, or the reason why it ends nowhere."""
        if isinstance(target, Endpoint):
            return [self._hop(target, port)]
        if isinstance(target, Node):
            return [_Hop(target.name, self.facts(target), port)]
        if isinstance(target, Service):
            return self._behind(target, port, protocol)
        assert not isinstance(target, Name), "a name leads to addresses; see `answer`"
        owner = self._by_address.get(target)
        if isinstance(owner, Endpoint):
            return [self._hop(owner, port, target)]
        if isinstance(owner, Service):
            return self._behind(owner, port, protocol)
        return [self._outside(target, asker, known, now, port)]

    def _to(
        self,
        target: Party,
        source: Party,
        known: _Known,
        now: float,
        port: int,
        protocol: Protocol,
        question: str | None,
    ) -> Answer:
        """A flow to whom `target` names; one that ends nowhere is denied where it begins."""
        found = self._hops(target, source, known, now, port, protocol)
        if not isinstance(found, str):
            return self._flow(source, found, protocol, question)
        return Answer(egress="deny", reason=found) if isinstance(source, Endpoint) else Answer()

    def _behind(self, service: Service, port: int, protocol: Protocol) -> list[_Hop] | str:
        """The ready endpoints of a Service's port. A port it does not have leads to its bare address."""
        ports = [one for one in service.ports if (one.port, one.protocol) == (port, protocol)]
        if not ports:
            return [_closed(service, port)]
        hops: list[_Hop] = []
        for backend in service.endpoints:
            target = ports[0].target
            if isinstance(backend, Endpoint):
                numbers = backend.ports.get((str(target).lower(), protocol), frozenset())
                number = target if isinstance(target, int) else next(iter(sorted(numbers)), None)
                if number is not None:
                    hops.append(self._hop(backend, number))
            elif isinstance(target, int):
                hops.append(self._outside(backend, None, NOTHING, 0.0, target))
        return [replace(hop, behind=True) for hop in hops] or NO_BACKEND

    def _flow(self, source: Party, hops: Sequence[_Hop], protocol: Protocol, question: str | None) -> Answer:
        """Every hop must be allowed: which one gets the packet is decided after us."""
        egress = [
            self._side(source, Direction.EGRESS, hop.peer, hop.facts, protocol, hop.port, question)
            for hop in hops
            if isinstance(source, Endpoint)
        ]
        backends = {(hop.facts, hop.port) for hop in hops if hop.behind}
        if len(backends) > MAX_BACKENDS and any(side.decision.reason != NO_POLICY for side in egress):
            return Answer(egress="deny", reason=TOO_MANY_BACKENDS)
        ingress = []
        for hop in hops:
            if hop.endpoint is not None:
                facts = self._seen_from(source, hop.facts.address)
                side = self._side(
                    hop.endpoint, Direction.INGRESS, str(source), facts, protocol, hop.port, None
                )
                ingress.append(side)
        refused = [side for side in egress if side.decision.reason == DNS_REFUSED]
        blocked = [side for side in egress if side.decision.verdict == "deny" and side not in refused]
        barred = [side for side in ingress if side.decision.verdict == "deny"]
        judged = [side for side in egress if side.decision.dns is not None]
        l7dns: DnsVerdict | None = None
        if egress and not blocked:
            if question is None:
                l7dns = "redirect" if judged else None
            else:
                l7dns = "deny" if refused else "allow" if judged else "none"
        sides = (*egress, *ingress)
        decisive = blocked or refused or barred
        if decisive:
            reason = decisive[0].decision.reason
            decisive = [side for side in decisive if side.decision.reason == reason]
        else:
            decisive = list(sides)
            allowed = any(side.decision.reason == ALLOWED for side in sides)
            reason = ALLOWED if allowed else NO_POLICY
        rules = dict.fromkeys(
            DecidedRule(side.direction, origin) for side in decisive for origin in side.decision.rules
        )
        return Answer(
            _verdict(egress, blocked), _verdict(ingress, barred), l7dns, reason, tuple(rules), sides=sides
        )

    def _seen_from(self, source: Party, target: Address | None) -> PeerFacts:
        if isinstance(source, Endpoint):
            return PeerFacts(source.labels, source.address_like(target))
        return self.facts(source)

    def _side(
        self,
        subject: Party,
        direction: Direction,
        peer: str,
        facts: PeerFacts,
        protocol: Protocol,
        port: int,
        question: str | None,
    ) -> Side:
        assert isinstance(subject, Endpoint)
        decision = self.judge(subject, direction, facts, protocol, port, question)
        return Side(direction, subject, peer, facts, protocol, port, question, decision)


def _verdict(sides: Sequence[Side], denied: Sequence[Side]) -> Verdict | None:
    return None if not sides else "deny" if denied else "allow"


def _stays(source: Endpoint, target: Party) -> bool:
    """Whether an address leads back to the pod, past its interface and so past every policy."""
    return isinstance(target, Address) and (target.is_loopback or target in source.addresses)


def _not_learned(source: Endpoint, target: Name, hops: Iterable[_Hop]) -> tuple[str, ...]:
    """What a denied flow to a name goes to: addresses that were looked up for it, be it by others or long ago."""
    stale = [hop.peer for hop in hops if target.name not in hop.facts.names]
    if not stale:
        return ()
    return (f"`{target}` is {', '.join(stale)} here, and {source} has no live lookup of it",)


def _why(asked: Answer) -> str:
    if asked.refused:
        return "its question is refused"
    return f"its question does not reach the DNS server ({asked.reason})"


def _closed(what: object, port: int) -> _Hop:
    """An address of the closed ranges that nobody owns: no selector but the wildcard means it."""
    return _Hop(str(what), PeerFacts(closed=True), port)


def is_cluster_dns(endpoint: Endpoint) -> bool:
    if endpoint.namespace != "kube-system":
        return False
    return endpoint.name == "kube-dns" or endpoint.own_labels.get("k8s-app") == "kube-dns"


def query_of(
    source: Party, target: Party, port: int, protocol: Protocol = Protocol.TCP, dns: str | None = None
) -> Query:
    """A query without a document."""
    return Query(source, target, port, protocol, None if dns is None else fqdn(dns))


__all__ = [
    "MIN_TTL",
    "RESERVED_NAMES",
    "Answer",
    "DecidedRule",
    "Endpoint",
    "Lookup",
    "Name",
    "Node",
    "Party",
    "PolicyResult",
    "Query",
    "Scenario",
    "Service",
    "ServicePort",
    "Side",
    "is_cluster_dns",
    "protocol_name",
    "query_of",
]
