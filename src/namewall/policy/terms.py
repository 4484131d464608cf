"""What the rules that select a subject say together, before peers are looked at (semantics.md sections 5, 6).

Shared by `compile` and `decide`: which rules select, whether the direction is enforced and denies by default, and
the allows and denies by L4 and selector. The order of rules does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from namewall.model.labels import Labels
from namewall.model.net import Direction, Protocol
from namewall.policy.map_state import DnsRules, RuleOrigin
from namewall.policy.ports import L4, NamedPorts, resolve
from namewall.policy.rules import Rule
from namewall.policy.selectors import WILDCARD, PeerSelector

ALL = L4(Protocol.ANY, 0, 65535)
INIT = "reserved:init"


@dataclass(frozen=True, slots=True)
class Posture:
    """One direction of one subject: does any rule select it, and does one turn on default deny."""

    enforced: bool
    default_deny: bool


def selecting(rules: Iterable[Rule], subject: Labels, direction: Direction) -> list[Rule]:
    return [rule for rule in rules if rule.direction is direction and rule.subject.matches(subject)]


def posture(rules: Iterable[Rule], subject: Labels) -> Posture:
    """`rules` are those that select the subject in one direction."""
    flags = [rule.default_deny for rule in rules]
    if INIT in subject:
        return Posture(enforced=True, default_deny=True)
    return Posture(enforced=bool(flags), default_deny=any(flags))


@dataclass(slots=True)
class Term:
    """What the rules with one selector say at one L4."""

    plain: bool = False
    judged: bool = False
    """Some rule has DNS rules."""
    every_name: bool = False
    names: set[str] = field(default_factory=set)
    origins: set[RuleOrigin] = field(default_factory=set)

    def say(self, dns: DnsRules | None, origin: RuleOrigin | None) -> None:
        if dns is None:
            self.plain = True
        else:
            self.judged = True
            if dns == "any":
                self.every_name = True
            else:
                self.names |= dns
        if origin is not None:
            self.origins.add(origin)


def names_of(terms: Iterable[Term]) -> DnsRules:
    """What may be asked where these terms say it together: a plain one adds every name."""
    known = list(terms)
    if any(term.plain or term.every_name for term in known):
        return "any"
    return frozenset(name for term in known for name in term.names)


Filters = dict[L4, dict[PeerSelector, Term]]


def judging(terms: Mapping[PeerSelector, Term]) -> bool:
    """Whether some selector has DNS rules at this L4."""
    return any(term.judged for term in terms.values())


def telling(judging: Iterable[L4], stance: Posture) -> frozenset[L4]:
    """Of the L4s with DNS rules at one block of ports, those that tell which names may be asked there.

    In Cilium the proxy keeps one list of names for a port number, and a named port's is written last.
    """
    all_of_them = frozenset(judging)
    named = frozenset(l4 for l4 in all_of_them if l4.name)
    return named if named and stance.default_deny else all_of_them


def collect(rules: Iterable[Rule], names: NamedPorts, stance: Posture) -> tuple[Filters, Filters]:
    """The allows and denies of one direction, by L4 and selector. Equal selectors of any rules are one."""
    allows: Filters = {}
    denies: Filters = {}
    for rule in rules:
        filters = denies if rule.deny else allows
        for match in rule.ports:
            l4 = resolve(match, names)
            if l4 is None:
                continue
            # A rule that does not turn on default deny only watches, unless another one does.
            dns = "any" if match.dns is not None and not stance.default_deny else match.dns
            terms = filters.setdefault(l4, {})
            for peer in rule.peers:
                terms.setdefault(peer, Term()).say(dns, rule.origin)
    if stance.enforced and not stance.default_deny:
        allows.setdefault(ALL, {}).setdefault(WILDCARD, Term()).say(None, None)
    return allows, denies
