"""What a policy means, slowly and obviously: spec/semantics.md as a program.

Judges what spec/reading.py reads; both share nothing with namewall.policy but `parse`, which says what is valid:
namespaces, entities, ports, names and precedence are all said again. Each function notes the clauses it applies in
`clauses`, so that a test can show that its examples reach every one of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from namewall.model.net import Address, Direction, Protocol
from spec.reading import Meant, Port, Range, Rule, World, by, clauses, holds

__all__ = ["Answer", "Peer", "World", "answer", "clauses", "matches", "passes"]

Names = Mapping[tuple[str, Protocol], frozenset[int]]


@dataclass(frozen=True)
class Peer:
    """The other end. `names` are those its address was learned under, as they were asked."""

    labels: frozenset[str]
    address: Address | None
    inside: bool
    names: frozenset[str]
    is_host: bool
    is_closed: bool


@dataclass(frozen=True)
class Answer:
    """`judged` False: names are not looked at. `passes` is about the question, True without one."""

    allowed: bool
    judged: bool = False
    passes: bool = True


def classes(rule: Rule, peer: Peer) -> set[str]:
    """The classes of the peer that the rule means; none if it does not mean the peer."""
    return {as_class for meant in rule.peers if (as_class := selected(meant, peer))}


def selected(meant: Meant, peer: Peer) -> str | None:
    if isinstance(meant, list):
        if not meant:
            by("3.7")
            return "any"
        by("3.2")
        return "identity" if peer.labels and holds(meant, peer.labels) else None
    if isinstance(meant, Range):
        return in_range(meant, peer)
    if peer.inside:
        return None
    by("3.6")
    return meant if any(learned(meant, name) for name in peer.names) else None


def in_range(meant: Range, peer: Peer) -> str | None:
    if peer.address is None:
        if not meant.stand_in or not peer.labels:
            return None
        by("8.7")
        return "identity" if holds(meant.stand_in, peer.labels) else None
    if peer.inside and not meant.is_block:
        by("3.3")
        return None
    by("3.4" if peer.inside else "3.3")
    if peer.address.version != meant.prefix.version:
        by("3.19")
        return None
    if peer.address not in meant.prefix:
        return None
    if any(peer.address in excluded for excluded in meant.excepts):
        by("3.5")
        return None
    return "block" if meant.is_block else "cidr"


# --- section 4: ports ---

Span = tuple[int, int, int]


def span_of(port: Port, names: Names) -> Span | None:
    first, last = port.first, port.last
    if port.name:
        by("4.4")
        numbers = names.get((port.name, port.protocol), frozenset())
        if len(numbers) != 1:
            return None
        first = min(numbers)
        last = max(first, last)
    return port.protocol, first, last


def reaches(span: Span, protocol: int, port: int) -> bool:
    if span[0] == Protocol.ANY:
        return True
    by("4.2", "4.3")
    return span[0] == protocol and span[1] <= port <= span[2]


def length(span: Span, port: int) -> int:
    if span[0] == Protocol.ANY:
        return 0
    by("5.2")
    for bits in range(17):
        size = 1 << (16 - bits)
        start = port - port % size
        if span[1] <= start and start + size - 1 <= span[2]:
            return 1 + bits
    raise AssertionError("the port is not in the span")


# --- sections 2, 5 and 6: the verdict, and what may be asked ---


def answer(
    world: World,
    subject: frozenset[str],
    direction: Direction,
    peer: Peer,
    protocol: int,
    port: int,
    question: str | None = None,
    own_ports: Names | None = None,
    cluster_ports: Names | None = None,
) -> Answer:
    rules = [rule for rule in world.rules if rule.direction is direction and holds(rule.protects, subject)]
    is_init = "reserved:init" in subject
    if not rules and not is_init:
        by("2.1")
        return Answer(allowed=True)
    default_deny = is_init or any(rule.default_deny for rule in rules)
    by("2.4" if is_init else "2.2" if default_deny else "2.3")
    if peer.is_closed and default_deny:
        by("3.8")
        return Answer(allowed=False)
    names = (own_ports if direction is Direction.INGRESS else cluster_ports) or {}
    spans = [
        (rule, each, span)
        for rule in rules
        for each in rule.ports
        if (span := span_of(each, names)) is not None and reaches(span, protocol, port)
    ]
    if any(rule.deny and classes(rule, peer) for rule, _, _ in spans):
        by("5.1")
        return Answer(allowed=False)
    allows = [
        Allow(as_class, each, span, ("*",) if each.names is not None and not default_deny else each.names)
        for rule, each, span in spans  # no deny of these means the peer
        for as_class in classes(rule, peer)
    ]
    if not default_deny:
        everything = Port(Protocol.ANY)
        allows.append(Allow("any", everything, (Protocol.ANY, everything.first, everything.last), None))
    if not allows:
        host = peer.is_host and direction is Direction.INGRESS
        by("5.4" if host else "5.5")
        return Answer(allowed=host)
    judged = {
        (*span, each.name)
        for rule, each, span in spans
        if not rule.deny and rule.peers and each.names is not None
    }
    return may_ask(allows, judged, default_deny, port, question)


@dataclass(frozen=True)
class Allow:
    as_class: str
    port: Port
    span: Span
    names: tuple[str, ...] | None

    @property
    def l4(self) -> tuple[Any, ...]:
        return (*self.span, self.port.name)


def may_ask(
    allows: list[Allow], judged: set[Any], default_deny: bool, port: int, question: str | None
) -> Answer:
    longest = max(length(allow.span, port) for allow in allows)
    standing = [allow for allow in allows if length(allow.span, port) == longest]
    lists = {l4 for l4 in judged if length(l4, port) == longest}
    by_name = {l4 for l4 in lists if l4[3]}
    if default_deny and by_name and by_name != lists:
        by("6.5")
        lists = by_name
    classes_standing = {allow.as_class for allow in standing}
    if "any" in classes_standing and len(classes_standing) > 1:
        by("5.3")
    if all(allow.names is None for allow in standing):
        return Answer(allowed=True)
    by("6.1", "6.2")
    if len(classes_standing - {"any"}) > 1:
        by("6.4")
    listed = [allow for allow in standing if allow.l4 in lists]
    if len(listed) < len(standing):
        by("6.3")
    said = {item for allow in listed for item in (("*",) if allow.names is None else allow.names)}
    return Answer(True, True, question is None or any(passes(item, question) for item in said))


def passes(form: str, question: str) -> bool:
    by("6.6")
    return form == "*" or matches(form, question)


# --- section 7: names ---

CHARACTER = "[-a-z0-9_]"


def learned(form: str, name: str) -> bool:
    if len(form) > 255:
        by("7.5")
        return False
    return matches(form, name)


@cache
def expression(form: str) -> re.Pattern[str]:
    if form == "*":
        return re.compile(rf"({CHARACTER}+\.)+|\.")
    head = ""
    if form.startswith("**."):
        head, form = rf"{CHARACTER}+(\.{CHARACTER}+)*\.", form[3:]
    return re.compile(head + re.escape(form).replace(r"\*", f"{CHARACTER}*"))


def matches(form: str, name: str) -> bool:
    by("7.1", "7.4" if form == "*" else "7.3" if form.startswith("**.") else "7.2" if "*" in form else "7.6")
    return expression(form).fullmatch(name.lower() if name.endswith(".") else name.lower() + ".") is not None
