"""The verdict of one side of a flow as steps, in the order in which policy is read (spec/semantics.md).

Who is selected, is default deny on and by whom, what is known of the peer, what denies, what allows and by which
member, which of several allows stands, may the question be asked, the verdict. Steps only tell; `decide` judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from namewall.model.net import Direction
from namewall.policy.decide import Decision
from namewall.policy.explain.anatomy import Catalog
from namewall.policy.explain.case import Case
from namewall.policy.explain.words import (
    listed,
    peer_words,
    policy_name,
    port_name,
    rule_name,
    rule_names,
    wanted_peer,
    wanted_port,
)
from namewall.policy.lookup import ALLOWED, DNS_REFUSED, NO_POLICY, POLICY_DENY
from namewall.policy.map_state import RuleOrigin
from namewall.policy.rules import Rule
from namewall.policy.selectors import FqdnSelector
from namewall.policy.terms import posture, selecting

Kind = Literal[
    "target", "lookup", "subject", "default_deny", "peer", "deny", "allow", "port", "dns", "verdict"
]

TOLD = 8
"""Allows that are told one by one."""


@dataclass(frozen=True, slots=True)
class Step:
    """`direction` is None for what is said of the flow as a whole."""

    kind: Kind
    text: str
    direction: Direction | None = None
    rules: tuple[RuleOrigin, ...] = ()


def steps_of(catalog: Catalog, case: Case, decision: Decision) -> list[Step]:
    return [Step(kind, text, case.direction, rules) for kind, text, rules in _steps(catalog, case, decision)]


_Said = tuple[Kind, str, tuple[RuleOrigin, ...]]


def _steps(catalog: Catalog, case: Case, decision: Decision) -> Iterator[_Said]:
    way = case.direction.name.lower()
    rules = selecting(catalog.enforced, case.subject, case.direction)
    origins = tuple(rule.origin for rule in rules)
    policies = {(o.kind, o.namespace, o.name): None for o in origins}
    if decision.reason == NO_POLICY:
        yield "subject", f"no policy selects {case.who} for {way}", ()
        yield "verdict", f"{way} allowed: where no policy selects, everything passes", ()
        return
    names = listed(policy_name(*key) for key in policies)
    if rules:
        count = f"{len(rules)} rule{'s' * (len(rules) > 1)}"
        yield "subject", f"{case.who} is selected for {way} by {count} of {names}", origins
    else:
        yield "subject", f"{case.who} is not initialised yet (reserved:init): both directions are closed", ()
    denying = tuple(rule.origin for rule in rules if rule.default_deny)
    if posture(rules, case.subject).default_deny:
        turning = {policy_name(o.kind, o.namespace, o.name): None for o in denying}
        by = f", turned on by {listed(turning, 3)}" if denying else ""
        yield "default_deny", f"default deny is on{by}: only what is allowed passes", denying
    else:
        yield "default_deny", "default deny is off (enableDefaultDeny): what is not denied passes", ()
    yield "peer", peer_words(case.whom, case.peer), ()
    yield from _denies(case, rules, decision)
    yield from _allows(catalog, case, rules, decision)
    yield from _dns(case, decision)
    yield "verdict", f"{way} {_outcome(case, decision)}", decision.rules


def _outcome(case: Case, decision: Decision) -> str:
    if decision.verdict == "allow":
        return "allowed" if decision.rules else "allowed without a rule that says so"
    if decision.reason == DNS_REFUSED:
        return (
            f"allowed, but the question {case.question.removesuffix('.') if case.question else ''} is refused"
        )
    if decision.reason == POLICY_DENY:
        return "denied by a rule" if decision.rules else "denied: a closed range"
    return "denied: no rule allows it (POLICY_DENIED)"


def _denies(case: Case, rules: list[Rule], decision: Decision) -> Iterator[_Said]:
    if decision.reason == POLICY_DENY and decision.rules:
        yield "deny", f"denied by {rule_names(decision.rules)}: a deny wins over every allow", decision.rules
    elif decision.reason == POLICY_DENY:
        yield "deny", "nobody known owns the address, and default deny opens no closed range", ()
    elif any(rule.deny for rule in rules):
        yield "deny", "no deny rule means this flow", ()


def _allows(catalog: Catalog, case: Case, rules: list[Rule], decision: Decision) -> Iterator[_Said]:
    if decision.reason == POLICY_DENY:
        return
    hits = [r for r in rules if not r.deny and case.means_peer(r.peers) and case.means_port(r.ports)]
    for rule in hits[:TOLD]:
        text = f"{rule_name(rule.origin)} means the peer {_by_peer(catalog, case, rule)}"
        yield "allow", f"{text} and the port {_by_port(catalog, case, rule)}", (rule.origin,)
    if len(hits) > TOLD:
        yield "allow", f"{len(hits) - TOLD} more rules mean it", tuple(rule.origin for rule in hits[TOLD:])
    if not hits and decision.rules == () and decision.reason == ALLOWED and case.peer.host:
        yield "allow", "the host may always come in to a pod of its own", ()
    elif not hits:
        others = sum(not rule.deny for rule in rules)
        what = f"{case.whom} at {port_name(case.protocol, case.port)}"
        if others:
            yield "allow", f"none of {others} allow rule{'s' * (others > 1)} means {what}", ()
        else:
            yield "allow", "no rule that selects it allows anything (deny rules turn on default deny too)", ()
    beaten = tuple(rule.origin for rule in hits if rule.origin not in decision.rules)
    if beaten and decision.rules:
        text = f"{rule_names(decision.rules)} stands: the more specific port wins, then the named peer"
        yield "port", text, decision.rules


def _by_peer(catalog: Catalog, case: Case, rule: Rule) -> str:
    parts = catalog.peer_parts(rule)
    if not parts:
        return "(it names none: every one)"
    for part in parts:
        if case.means_peer(part.peers):
            by = f"by {part.member} {wanted_peer(part)}"
            if any(isinstance(peer, FqdnSelector) for peer in part.peers):
                names = listed(sorted(name.removesuffix(".") for name in case.peer.names))
                return f"{by} (looked up as {names})"
            return by
    return "by several members"


def _by_port(catalog: Catalog, case: Case, rule: Rule) -> str:
    parts = catalog.port_parts(rule)
    if not parts:
        return "(it names none: every one)"
    return f"by {listed(wanted_port(part) for part in parts if case.means_port(part.ports))}"


def _dns(case: Case, decision: Decision) -> Iterator[_Said]:
    if decision.verdict == "deny" and decision.reason != DNS_REFUSED:
        return
    if case.question is None:
        if decision.dns is not None:
            yield "dns", "questions over it are judged by DNS rules", decision.rules
        return
    asked = case.question.removesuffix(".")
    if decision.dns is None:
        yield "dns", f"no DNS rule is on the path: {asked} may be asked, unjudged", ()
        return
    wanted: Any = decision.dns
    passed = "every name" if wanted == "any" else listed(sorted(form.removesuffix(".") for form in wanted))
    verb = "refuse" if decision.reason == DNS_REFUSED else "pass"
    text = f"the DNS rules of {rule_names(decision.rules)} {verb} {asked}; they pass {passed or 'no name'}"
    yield "dns", text, decision.rules
