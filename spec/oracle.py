"""What a policy means, slowly and obviously: spec/semantics.md as a program.

Reads parsed policies as data and shares no code with namewall.policy beyond that: selectors, ports, names and
precedence are all said again. Each function notes the clauses it applies in `clauses`, so that a test can
show that its examples reach every one of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from namewall.model.net import Address, Direction, Protocol
from namewall.policy.rules import Policy, PortMatch, Rule

clauses: Counter[str] = Counter()


def by(*numbers: str) -> None:
    clauses.update(numbers)


@dataclass(frozen=True)
class Peer:
    """The other end. `names` are those its address was learned under, as they were asked."""

    labels: frozenset[str] = frozenset()
    address: Address | None = None
    inside: bool = True
    names: frozenset[str] = frozenset()
    is_host: bool = False
    is_closed: bool = False


@dataclass(frozen=True)
class Answer:
    """`judged` False: names are not looked at. `passes` is about the question, True without one."""

    allowed: bool
    judged: bool = False
    passes: bool = True


Names = Mapping[tuple[str, Protocol], frozenset[int]]


def answer(
    policies: Iterable[Policy],
    subject: frozenset[str],
    direction: Direction,
    peer: Peer,
    protocol: int,
    port: int,
    question: str | None = None,
    own_ports: Names | None = None,
    cluster_ports: Names | None = None,
) -> Answer:
    rules = [
        rule
        for policy in policies
        for rule in policy.rules
        if rule.direction is direction and holds(rule.subject, subject)
    ]
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
        (rule, match, span)
        for rule in rules
        for match in rule.ports
        if (span := ports(match, names)) is not None and reaches(span, protocol, port)
    ]
    if any(rule.deny and means(rule, peer) for rule, _, _ in spans):
        by("5.1")
        return Answer(allowed=False)
    allows = [
        Allow(as_class, match, span, "any" if match.dns is not None and not default_deny else match.dns)
        for rule, match, span in spans
        if not rule.deny
        for as_class in means(rule, peer)
    ]
    if not default_deny:
        allows.append(Allow("any", PortMatch(Protocol.ANY), (0, 0, 65535), None))
    if not allows:
        if peer.is_host and direction is Direction.INGRESS:
            by("5.4")
            return Answer(allowed=True)
        by("5.5")
        return Answer(allowed=False)
    everyone = [
        (match, span)
        for rule, match, span in spans
        if default_deny and not rule.deny and match.dns is not None and rule.peers
    ]
    return names_of(stand(allows, port), allows, everyone, question)


@dataclass(frozen=True)
class Allow:
    as_class: str
    match: PortMatch
    span: tuple[int, int, int]
    dns: Any

    @property
    def l4(self) -> tuple[Any, ...]:
        return (*self.span, self.match.name)


# --- sections 1 and 3: who ---


def holds(selector: Any, labels: frozenset[str]) -> bool:
    by("1.1")
    return all(requirement_holds(requirement, labels) for requirement in selector.requirements)


@cache
def split(label: str) -> tuple[str, str, str]:
    source, _, rest = label.partition(":")
    key, _, value = rest.partition("=")
    return source, key, value


def requirement_holds(requirement: Any, labels: frozenset[str]) -> bool:
    by("1.2", "1.3")
    values = [
        value
        for source, key, value in map(split, labels)
        if key == requirement.key and requirement.source in ("any", source)
    ]
    found = any(value in requirement.values for value in values)
    match requirement.operator:
        case "In":
            return found
        case "NotIn":
            return not found
        case "Exists":
            return bool(values)
        case _:
            return not values


def means(rule: Rule, peer: Peer) -> set[str]:
    """The classes of the peer that the rule means; none if it does not mean the peer."""
    if not rule.peers:
        by("3.1")
    return {as_class for selector in rule.peers if (as_class := selected(selector, peer))}


def selected(selector: Any, peer: Peer) -> str | None:
    if hasattr(selector, "requirements"):
        if not selector.requirements:
            by("3.7")
            return "any"
        by("3.2")
        return "identity" if peer.labels and holds(selector, peer.labels) else None
    if hasattr(selector, "cidr"):
        if peer.address is None:
            own = selector.unaddressed
            return "identity" if own is not None and peer.labels and holds(own, peer.labels) else None
        if peer.inside and not selector.pods:
            by("3.3")
            return None
        by("3.4" if peer.inside else "3.3")
        if peer.address not in selector.cidr:
            return None
        if any(peer.address in excluded for excluded in selector.excepts):
            by("3.5")
            return None
        return "block" if selector.pods else "cidr"
    if peer.inside:
        return None
    by("3.6")
    return selector.form if any(learned(selector.form, name) for name in peer.names) else None


# --- section 4: ports ---


def ports(match: PortMatch, names: Names) -> tuple[int, int, int] | None:
    first, last = match.first, match.last
    if match.name:
        by("4.4")
        numbers = names.get((match.name, match.protocol), frozenset())
        if len(numbers) != 1:
            return None
        first = min(numbers)
        last = max(first, last)
    return match.protocol, first, last


def reaches(span: tuple[int, int, int], protocol: int, port: int) -> bool:
    if span[0] == Protocol.ANY:
        by("4.1")
        return True
    by("4.5" if protocol in (Protocol.ICMP, Protocol.ICMPV6) else "4.2")
    by("4.3")
    return span[0] == protocol and span[1] <= port <= span[2]


def length(span: tuple[int, int, int], port: int) -> int:
    if span[0] == Protocol.ANY:
        return 0
    by("5.2")
    for bits in range(17):
        size = 1 << (16 - bits)
        start = port - port % size
        if span[1] <= start and start + size - 1 <= span[2]:
            return 1 + bits
    raise AssertionError("the port is not in the span")


# --- sections 5 and 6: who wins, and what may be asked ---


def stand(allows: list[Allow], port: int) -> list[Allow]:
    longest = max(length(allow.span, port) for allow in allows)
    standing = [allow for allow in allows if length(allow.span, port) == longest]
    specific = [allow for allow in standing if allow.as_class != "any"]
    by("5.3")
    return specific or standing


def names_of(standing: list[Allow], allows: list[Allow], everyone: list[Any], question: str | None) -> Answer:
    by_name = {span for match, span in everyone if match.name}
    classes = sorted({allow.as_class for allow in standing})
    said: list[list[Any] | None] = []
    for as_class in classes:
        judged: list[list[Any]] = []
        for l4 in {allow.l4 for allow in standing if allow.as_class == as_class}:
            by("6.2")
            together = [a for a in allows if a.l4 == l4 and a.as_class in (as_class, "any")]
            if all(allow.dns is None for allow in together):
                continue
            if not l4[3] and l4[:3] in by_name:
                by("6.5")
                judged.append([])
            else:
                judged.append(["every" if a.dns in (None, "any") else a.dns for a in together])
        if len({a.l4 for a in standing if a.as_class == as_class}) > 1:
            by("6.3")
        said.append([item for items in judged for item in items] if judged else None)
    if len(classes) > 1:
        by("6.4")
    if all(items is None for items in said):
        return Answer(allowed=True)
    by("6.1")
    items_said = [item for items in said for item in (["every"] if items is None else items)]
    return Answer(True, True, question is None or any(passes(item, question) for item in items_said))


def passes(item: Any, question: str) -> bool:
    by("6.6")
    return item == "every" or any(form == "*" or matches(form, question) for form in item)


# --- section 7: names ---

CHARACTER = "[-a-z0-9_]"


def learned(form: str, name: str) -> bool:
    by("7.5")
    return len(form) <= 255 and matches(form, name)


@cache
def expression(form: str) -> re.Pattern[str]:
    if form == "*":
        by("7.4")
        return re.compile(rf"({CHARACTER}+\.)+|\.")
    head = ""
    if form.startswith("**."):
        by("7.3")
        head, form = rf"{CHARACTER}+(\.{CHARACTER}+)*\.", form[3:]
    by("7.2")
    return re.compile(head + re.escape(form).replace(r"\*", f"{CHARACTER}*"))


def matches(form: str, name: str) -> bool:
    by("7.1")
    canonical = name.lower() if name.endswith(".") else name.lower() + "."
    return expression(form).fullmatch(canonical) is not None
