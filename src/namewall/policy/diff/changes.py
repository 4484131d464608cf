"""Compares the verdicts of all known flows under two sets of policies.

Endpoints with the same rules, and peers that none of those rules tells apart, are judged once; so are all ports
between two borders that the rules draw. What is left is judged by `decide`, under both sets, flow by flow: egress
at the source and ingress at the destination. Law: equal to deciding every flow alone (tests/property).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from namewall.model.net import Direction, Protocol
from namewall.policy.decide import Decision, PeerFacts, decide
from namewall.policy.diff.universe import Known, Universe
from namewall.policy.lookup import Verdict, dns_passes
from namewall.policy.map_state import DnsRules, RuleOrigin
from namewall.policy.patterns import granted
from namewall.policy.ports import NamedPorts, resolve
from namewall.policy.rules import Policy, Rule
from namewall.policy.selectors import CidrSelector, FqdnSelector, LabelSelector, PeerSelector
from namewall.policy.terms import INIT, selecting

PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP, Protocol.ICMPV6)
LAST = dict.fromkeys(PROTOCOLS, 65535) | {Protocol.ICMP: 255, Protocol.ICMPV6: 255}

Value = tuple[Verdict, DnsRules | None]
Piece = tuple[Protocol, int, Value]
"""From this port on, up to the next piece of the protocol."""
Function = tuple[Piece, ...]
"""The verdicts of one side over all protocols and ports."""


@dataclass(frozen=True, slots=True)
class PortChange:
    """Ports `first` to `last` of a protocol. `question`: the name whose question changes; "" for the flow."""

    protocol: Protocol
    first: int
    last: int
    old: Verdict
    new: Verdict
    question: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What changes between two ends. Ends are names of the universe."""

    source: str
    target: str
    ports: tuple[PortChange, ...]


class _Side:
    """One set of policies over one universe. `judged` is shared by both sides: equal rules are judged once."""

    def __init__(
        self,
        policies: Iterable[Policy],
        universe: Universe,
        interned: dict[Rule, Rule],
        judged: dict[tuple[object, ...], _Group],
    ) -> None:
        rules = [interned.setdefault(rule, rule) for policy in policies for rule in policy.rules]
        self._groups: dict[tuple[str, Direction], _Group] = {}
        selected: dict[tuple[object, Direction], list[Rule]] = {}
        for known in universe.endpoints:
            for direction in Direction:
                key = (known.labels, direction)
                if key not in selected:
                    selected[key] = selecting(rules, known.labels, direction)
                mine = selected[key]
                names = known.own_ports if direction is Direction.INGRESS else universe.cluster_ports
                named = any(port.name for rule in mine for port in rule.ports)
                ports = tuple(sorted((n, p, tuple(v)) for (n, p), v in names.items())) if named else ()
                init = INIT in known.labels
                same = (direction, frozenset(map(id, mine)), ports, init)
                if same not in judged:
                    judged[same] = _Group(mine, known, direction, names)
                self._groups[known.name, direction] = judged[same]

    def group(self, known: Known, direction: Direction) -> _Group:
        return self._groups[known.name, direction]


class _Group:
    """Endpoints that the same rules select in one direction; `known` stands for all of them."""

    def __init__(self, rules: list[Rule], known: Known, direction: Direction, names: NamedPorts) -> None:
        self._policy = Policy("", "", "", "", tuple(rules))
        self._known, self._direction, self._names = known, direction, names
        self._selectors = list(dict.fromkeys(peer for rule in rules for peer in rule.peers))
        self._cuts = _cuts(rules, names)
        self._functions: dict[tuple[object, ...], Function] = {}
        self._by_name: dict[str, Function] = {}

    def function(self, name: str, peer: PeerFacts) -> Function:
        """`name` is the peer's, unique in the universe."""
        known = self._by_name.get(name)
        if known is None:
            known = self._by_name[name] = self._function(peer)
        return known

    def _function(self, peer: PeerFacts) -> Function:
        alike = (
            peer.inside,
            peer.host,
            peer.closed,
            peer.address is None,
            *(tells(selector, peer) for selector in self._selectors),
        )
        found = self._functions.get(alike)
        if found is None:
            found = self._functions[alike] = tuple(self._pieces(peer))
        return found

    def _pieces(self, peer: PeerFacts) -> Iterator[Piece]:
        for protocol in PROTOCOLS:
            last: Value | None = None
            for port in self._cuts[protocol]:
                decision = self.decide(peer, protocol, port)
                value = (decision.verdict, decision.dns)
                if value != last:
                    yield protocol, port, value
                last = value

    def decide(self, peer: PeerFacts, protocol: int, port: int, question: str | None = None) -> Decision:
        return decide(
            (self._policy,),
            self._known.labels,
            self._direction,
            peer,
            protocol,
            port,
            question=question,
            own_ports=self._names,
            cluster_ports=self._names,
        )


def _of_group(group: _Group | None, name: str, peer: PeerFacts) -> Function | None:
    return None if group is None else group.function(name, peer)


def tells(selector: PeerSelector, peer: PeerFacts) -> bool:
    """Whether the selector could tell this peer from another: as fine as `decide`, or finer."""
    if isinstance(selector, LabelSelector):
        return selector.is_wildcard or (bool(peer.labels) and selector.matches(peer.labels))
    if isinstance(selector, CidrSelector):
        if peer.address is None:
            return selector.unaddressed is not None and selector.unaddressed.matches(peer.labels)
        return selector.selects_address(peer.address)
    if isinstance(selector, FqdnSelector):
        return any(granted(selector.form, name) for name in peer.names)
    return False


def _cuts(rules: Iterable[Rule], names: NamedPorts) -> dict[Protocol, list[int]]:
    """Ports at which a verdict may change, 0 among them."""
    cuts: dict[Protocol, set[int]] = {protocol: {0} for protocol in PROTOCOLS}
    for rule in rules:
        for match in rule.ports:
            l4 = resolve(replace(match, dns=None), names)
            if l4 is None or l4.protocol is Protocol.ANY:
                continue
            cuts[l4.protocol] |= {l4.first, l4.last + 1}
    return {protocol: sorted(p for p in found if p <= LAST[protocol]) for protocol, found in cuts.items()}


class Comparison:
    """Two sets of policies over one universe."""

    def __init__(self, old: Iterable[Policy], new: Iterable[Policy], universe: Universe) -> None:
        self._universe = universe
        interned: dict[Rule, Rule] = {}
        judged: dict[tuple[object, ...], _Group] = {}
        self._old = _Side(old, universe, interned, judged)
        self._new = _Side(new, universe, interned, judged)
        self._compared: dict[tuple[Function | None, ...], tuple[PortChange, ...]] = {}
        self._ends: dict[str, Known | PeerFacts] = {
            **universe.peers,
            **{known.name: known for known in universe.endpoints},
        }

    def changes(self) -> Iterator[Change]:
        """In the order of the universe; only what changes."""
        peers = [(name, facts, None) for name, facts in self._universe.peers.items()]
        pods = [(known.name, known.facts, known) for known in self._universe.endpoints]
        into = {known.name: self._groups(known, Direction.INGRESS) for _, _, known in pods}
        entered = [pod for pod in pods if into[pod[0]][0] is not into[pod[0]][1]]
        for source_name, source_facts, source in [*pods, *peers]:
            out = self._groups(source, Direction.EGRESS) if source is not None else (None, None)
            every = [*pods, *peers] if out[0] is not out[1] else entered
            for target_name, target_facts, target in every:
                in_ = into[target.name] if target is not None else (None, None)
                if source_name == target_name:
                    continue
                egress_old, egress_new = (_of_group(g, target_name, target_facts) for g in out)
                ingress_old, ingress_new = (_of_group(g, source_name, source_facts) for g in in_)
                if egress_old == egress_new and ingress_old == ingress_new:
                    continue
                ports = self._compare(egress_old, ingress_old, egress_new, ingress_new)
                if ports:
                    yield Change(source_name, target_name, ports)

    def _groups(self, known: Known, direction: Direction) -> tuple[_Group, _Group]:
        """(old, new); the same one where the same rules select."""
        return self._old.group(known, direction), self._new.group(known, direction)

    def because(self, change: Change) -> tuple[bool, tuple[RuleOrigin, ...]]:
        """The rules that decide the first changed port: (True, those of now), or (False, those of before)."""
        port = change.ports[0]
        source, target = self._ends[change.source], self._ends[change.target]
        for side in (self._new, self._old):
            found: dict[RuleOrigin, None] = {}
            decisions = []
            if isinstance(source, Known):
                group = side.group(source, Direction.EGRESS)
                peer = target.facts if isinstance(target, Known) else target
                decisions.append(group.decide(peer, port.protocol, port.first, port.question or None))
            if isinstance(target, Known):
                group = side.group(target, Direction.INGRESS)
                peer = source.facts if isinstance(source, Known) else source
                decisions.append(group.decide(peer, port.protocol, port.first))
            denied = [decision for decision in decisions if decision.verdict == "deny"]
            for decision in denied or decisions:
                found.update(dict.fromkeys(decision.rules))
            if found:
                return side is self._new, tuple(found)
        return True, ()

    def _compare(self, *functions: Function | None) -> tuple[PortChange, ...]:
        found = self._compared.get(functions)
        if found is None:
            found = self._compared[functions] = tuple(_merged(self._differences(*functions)))
        return found

    def _differences(
        self,
        egress_old: Function | None,
        ingress_old: Function | None,
        egress_new: Function | None,
        ingress_new: Function | None,
    ) -> Iterator[PortChange]:
        functions = (egress_old, ingress_old, egress_new, ingress_new)
        for protocol in PROTOCOLS:
            pieces = [_of(function, protocol) for function in functions]
            cuts = sorted({port for piece in pieces for port, _ in piece})
            for number, first in enumerate(cuts):
                last = cuts[number + 1] - 1 if number + 1 < len(cuts) else LAST[protocol]
                values = [_at(piece, first) for piece in pieces]
                old, new = _both(values[0], values[1]), _both(values[2], values[3])
                if old[0] != new[0]:
                    yield PortChange(protocol, first, last, old[0], new[0])
                elif old[0] == "allow" and old[1] != new[1]:
                    for name in self._universe.questions:
                        asked = _may(old[1], name), _may(new[1], name)
                        if asked[0] != asked[1]:
                            yield PortChange(protocol, first, last, *asked, name)


def _may(dns: DnsRules | None, name: str) -> Verdict:
    return "allow" if dns_passes(dns, name) else "deny"


def _both(egress: Value | None, ingress: Value | None) -> Value:
    denied = any(value is not None and value[0] == "deny" for value in (egress, ingress))
    return ("deny" if denied else "allow"), (egress[1] if egress is not None else None)


def _of(function: Function | None, protocol: Protocol) -> list[tuple[int, Value]]:
    return [(port, value) for each, port, value in function or () if each is protocol]


def _at(pieces: list[tuple[int, Value]], port: int) -> Value | None:
    found = None
    for first, value in pieces:
        if first > port:
            break
        found = value
    return found


def _merged(changes: Iterable[PortChange]) -> Iterator[PortChange]:
    """Neighbouring ranges that change alike are one."""
    ordered = sorted(changes, key=lambda c: (c.question, PROTOCOLS.index(c.protocol), c.first))
    held: PortChange | None = None
    for change in ordered:
        if (
            held is not None
            and held.last + 1 == change.first
            and replace(held, first=0, last=0) == replace(change, first=0, last=0)
        ):
            held = replace(held, last=change.last)
            continue
        if held is not None:
            yield held
        held = change
    if held is not None:
        yield held
