"""Compares the verdicts of all known flows under two sets of policies.

Endpoints with the same rules, and peers that none of those rules tells apart, are judged once; so are all ports
between two borders that the rules draw. What is left is judged by `decide`, under both sets, flow by flow: egress
at the source and ingress at the destination. Law: equal to deciding every flow alone (tests/property).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from namewall.model.labels import Labels
from namewall.model.net import Direction, Protocol
from namewall.policy.cilium import TRANSPORTS
from namewall.policy.decide import PeerFacts, SubjectRules
from namewall.policy.diff.peers import Peers
from namewall.policy.diff.universe import Known, Universe
from namewall.policy.lookup import Verdict, dns_passes
from namewall.policy.map_state import DnsRules, RuleOrigin
from namewall.policy.ports import NamedPorts, names_for, resolve
from namewall.policy.rules import Policy, Rule
from namewall.policy.selectors import LabelSelector
from namewall.policy.terms import INIT

PROTOCOLS = (*TRANSPORTS, Protocol.ICMP, Protocol.ICMPV6)
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


class _Judge:
    """What both sides share, so that equal rules, and peers and functions that are alike, are judged once."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        self.peers = Peers({**universe.peers, **{known.name: known.facts for known in universe.endpoints}})
        self._rules: dict[Rule, Rule] = {}
        self._groups: dict[tuple[object, ...], _Group] = {}
        self._functions: dict[Function, Function] = {}

    def interned(self, rule: Rule) -> Rule:
        return self._rules.setdefault(rule, rule)

    def function(self, pieces: Function) -> Function:
        """Equal functions are one object."""
        return self._functions.setdefault(pieces, pieces)

    def group(self, rules: list[Rule], known: Known, direction: Direction) -> _Group:
        names = names_for(direction, known.own_ports, self.universe.cluster_ports)
        named = any(port.name for rule in rules for port in rule.ports)
        ports = tuple(sorted((n, p, tuple(v)) for (n, p), v in names.items())) if named else ()
        same = (direction, frozenset(map(id, rules)), ports, INIT in known.labels)
        if same not in self._groups:
            self._groups[same] = _Group(self, rules, known, direction, names)
        return self._groups[same]


class _Side:
    """One set of policies over the universe: the group of each endpoint, for each direction."""

    def __init__(self, policies: Iterable[Policy], judge: _Judge) -> None:
        by_subject: dict[LabelSelector, list[Rule]] = {}
        for policy in policies:
            for rule in () if policy.audit else policy.rules:
                by_subject.setdefault(rule.subject, []).append(judge.interned(rule))
        selected: dict[Labels, list[Rule]] = {}
        self._groups: dict[tuple[str, Direction], _Group] = {}
        for known in judge.universe.endpoints:
            mine = selected.get(known.labels)
            if mine is None:
                mine = [
                    r for subject, rules in by_subject.items() if subject.matches(known.labels) for r in rules
                ]
                selected[known.labels] = mine
            for direction in Direction:
                rules = [rule for rule in mine if rule.direction is direction]
                self._groups[known.name, direction] = judge.group(rules, known, direction)

    def group(self, known: Known, direction: Direction) -> _Group:
        return self._groups[known.name, direction]


class _Group:
    """Endpoints that the same rules select in one direction; `known` stands for all of them."""

    def __init__(
        self, judge: _Judge, rules: list[Rule], known: Known, direction: Direction, names: NamedPorts
    ) -> None:
        self._judge = judge
        self.rules = SubjectRules(rules, known.labels, direction, names)
        self._cuts = _cuts(rules, names)
        self._functions: dict[tuple[object, ...], Function] = {}
        self._told: dict[str, tuple[int, ...]] = {}
        for number, selector in enumerate(dict.fromkeys(peer for rule in rules for peer in rule.peers)):
            for name in judge.peers.told(selector):
                self._told[name] = (*self._told.get(name, ()), number)

    def function(self, name: str) -> Function:
        """The verdicts for one peer. Those that no selector of these rules tells apart have one function."""
        alike = (self._judge.peers.kinds[name], self._told.get(name, ()))
        found = self._functions.get(alike)
        if found is None:
            pieces = tuple(self._pieces(self._judge.peers.facts[name]))
            found = self._functions[alike] = self._judge.function(pieces)
        return found

    def _pieces(self, peer: PeerFacts) -> Iterator[Piece]:
        for protocol in PROTOCOLS:
            last: Value | None = None
            for port in self._cuts[protocol]:
                decision = self.rules.decide(peer, protocol, port)
                value = (decision.verdict, decision.dns)
                if value != last:
                    yield protocol, port, value
                last = value


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
        judge = _Judge(universe)
        self._facts = judge.peers.facts
        self._old, self._new = _Side(old, judge), _Side(new, judge)
        self._compared: dict[tuple[int, ...], tuple[PortChange, ...]] = {}

    def changes(self) -> Iterator[Change]:
        """In the order of the universe; only what changes."""
        pods = self._universe.endpoints
        out = {pod.name: self._groups(pod, Direction.EGRESS) for pod in pods}
        into = {pod.name: self._groups(pod, Direction.INGRESS) for pod in pods}
        names = [pod.name for pod in pods]
        entered = [name for name in names if into[name][0] is not into[name][1]]
        for source in [*names, *self._universe.peers]:
            leaves = out.get(source)
            every = entered if leaves is None or leaves[0] is leaves[1] else [*names, *self._universe.peers]
            for target in every:
                if source == target and not self._universe.made_up:
                    continue
                enters = into.get(target)
                functions = (
                    leaves[0].function(target) if leaves else None,
                    enters[0].function(source) if enters else None,
                    leaves[1].function(target) if leaves else None,
                    enters[1].function(source) if enters else None,
                )
                if functions[0] is functions[2] and functions[1] is functions[3]:
                    continue
                if ports := self._compare(*functions):
                    yield Change(source, target, ports)

    def _groups(self, known: Known, direction: Direction) -> tuple[_Group, _Group]:
        """(old, new); the same one where the same rules select."""
        return self._old.group(known, direction), self._new.group(known, direction)

    def because(self, change: Change) -> tuple[bool, tuple[RuleOrigin, ...]]:
        """The rules that decide the first changed port: (True, those of now), or (False, those of before)."""
        port = change.ports[0]
        ends = {known.name: known for known in self._universe.endpoints}
        source, target = ends.get(change.source), ends.get(change.target)
        for side in (self._new, self._old):
            found: dict[RuleOrigin, None] = {}
            decisions = []
            if source is not None:
                rules, peer = side.group(source, Direction.EGRESS).rules, self._facts[change.target]
                question = port.question or None
                decisions.append(rules.decide(peer, port.protocol, port.first, question=question))
            if target is not None:
                rules, peer = side.group(target, Direction.INGRESS).rules, self._facts[change.source]
                decisions.append(rules.decide(peer, port.protocol, port.first))
            denied = [decision for decision in decisions if decision.verdict == "deny"]
            for decision in denied or decisions:
                found.update(dict.fromkeys(decision.rules))
            if found:
                return side is self._new, tuple(found)
        return True, ()

    def _compare(self, *functions: Function | None) -> tuple[PortChange, ...]:
        # Equal functions are one object, and all of them live as long as this comparison.
        key = tuple(map(id, functions))
        found = self._compared.get(key)
        if found is None:
            found = self._compared[key] = tuple(_merged(self._differences(*functions)))
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
