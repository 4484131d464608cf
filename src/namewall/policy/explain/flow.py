"""One query of a scenario explained: its answer, the steps behind it, the nearest rule, the smallest patch.

`Scenario.answer` judges; a patch is a list of changes after which the same query of the same world is answered
`allow`. Invariant: what is printed is what `answer` said, before and after the patch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from namewall.model.net import Direction, Protocol, never_granted
from namewall.policy.decide import PeerFacts
from namewall.policy.expand import CidrGroup
from namewall.policy.explain.anatomy import Catalog, Raw, key_of
from namewall.policy.explain.case import Case
from namewall.policy.explain.edits import Change
from namewall.policy.explain.filtered import filtered
from namewall.policy.explain.nearest import Nearest, nearest
from namewall.policy.explain.patch import Patch, smallest, why_none
from namewall.policy.explain.steps import Step, steps_of
from namewall.policy.explain.words import rule_name, rule_names
from namewall.policy.lookup import POLICY_DENIED
from namewall.policy.map_state import RuleOrigin
from namewall.policy.parse import CIDR_GROUP
from namewall.policy.scenario import (
    DNS_PORT,
    SOMEWHERE,
    Answer,
    Endpoint,
    Name,
    Query,
    Scenario,
    Side,
    query_of,
)
from namewall.policy.structural import parse_cidr

Locate = Callable[[RuleOrigin], tuple[str, int] | None]
"""Where a rule stands: (file, line); None where the objects came from no file."""

MOST_CHANGES = 24
"""Changes of one patch: a Service has up to 16 backends, each with two ends."""


def nowhere(origin: RuleOrigin) -> tuple[str, int] | None:
    return None


@dataclass(frozen=True, slots=True)
class Explanation:
    """`no_patch` says why there is none for a denied flow; "" otherwise. `nearest` is of the first denied side."""

    query: Query
    answer: Answer
    steps: tuple[Step, ...]
    nearest: Nearest | None
    patch: Patch | None
    no_patch: str

    @property
    def allowed(self) -> bool:
        return self.answer.verdict == "allow"


def catalog_of(scenario: Scenario, objects: Iterable[Any], document: Mapping[str, Any]) -> Catalog:
    """`objects` as `parse_scenario` got them: `policies` of the document, then those of its policyFiles."""
    raws = [obj for obj in objects if isinstance(obj, dict)]
    groups = []
    for raw in raws:
        if raw.get("kind") == CIDR_GROUP:
            groups.append(CidrGroup.parse(raw))
    for row in document.get("cidrGroups", ()):
        prefixes = (parse_cidr(text) for text in row["externalCIDRs"])
        known = frozenset(prefix for prefix in prefixes if prefix is not None)
        groups.append(CidrGroup(row["name"], row.get("labels", {}), known))
    return Catalog(raws, [service.facts for service in scenario.services], groups)


def explain(scenario: Scenario, catalog: Catalog, query: Query) -> Explanation:
    """`catalog` holds the objects whose policies the scenario has."""
    answer = scenario.answer(query)
    steps = list(_told(scenario, catalog, query, answer))
    if not answer.sides and answer.verdict == "deny":
        steps.append(Step("verdict", f"denied before any policy is asked: {answer.reason}"))
    if answer.verdict == "allow":
        return Explanation(query, answer, tuple(steps), None, None, "")
    near = None
    if (denied := _denied(answer)) is not None:
        near = nearest(catalog, case_of(scenario, query, denied), denied.decision)
    found = _search(scenario, catalog, query)
    patch, why = (None, found) if isinstance(found, str) else (found, "")
    return Explanation(query, answer, tuple(steps), near, patch, why)


def _told(scenario: Scenario, catalog: Catalog, query: Query, answer: Answer) -> Iterator[Step]:
    """The question that comes first, what was learned, then the flow. Nothing is said twice."""
    cases = [(side, case_of(scenario, query, side)) for side in answer.sides]
    lookup = [number for number, (_, case) in enumerate(cases) if case.question and query.dns is None]
    flow = (lookup[-1] + 1 if lookup else 0) if query.dns is None else 0
    if (never_asked := _never_asked(scenario, query, answer)) is not None:
        yield never_asked
    while lookup and flow < len(cases) and _answers(cases[flow][0], cases[lookup[-1]][0]):
        flow += 1
    said: set[Step] = set()
    for number, (side, case) in enumerate([*cases, (None, None)]):
        if number == flow:
            yield from (Step("lookup", note) for note in answer.lookup_notes)
            yield from (Step("target", note) for note in answer.target_notes)
        if side is None or case is None:
            return
        if number in lookup:
            yield Step("lookup", f"{case.who} asks {case.whom} for {_plain(case.question or '')} first")
        for step in steps_of(catalog, case, side.decision):
            if step not in said or step.kind not in ("subject", "default_deny"):
                yield step
            said.add(step)
        if number in lookup and side.decision.reason == POLICY_DENIED:
            missing = (
                f"egress to {case.whom} at {DNS_PORT}/ANY with rules.dns for {_plain(case.question or '')}"
            )
            yield Step("lookup", f"the rule that is missing: {missing}", side.direction)


def _never_asked(scenario: Scenario, query: Query, answer: Answer) -> Step | None:
    """Names of `externals` count as learned; whether they could be looked up is said all the same."""
    if not isinstance(query.target, Name) or not isinstance(query.source, Endpoint) or query.dns is not None:
        return None
    name = query.target.name
    if not any(name in names for names in scenario.names.values()) or any(s.question for s in answer.sides):
        return None
    for server in scenario.cluster_dns:
        asked = scenario.answer(query_of(query.source, server, DNS_PORT, Protocol.UDP, name))
        if asked.verdict == "deny":
            why = f"a lookup of it now would be denied ({asked.reason})"
            return Step("lookup", f"{_plain(name)} counts as learned, since `externals` say so; {why}")
    return None


def _answers(side: Side, question: Side) -> bool:
    """The other end of a question: ingress at the server."""
    return side.direction is Direction.INGRESS and str(side.subject) == question.peer


def case_of(scenario: Scenario, query: Query, side: Side) -> Case:
    """The question behind one side of the answer, as it can be asked again under other policies."""
    ingress = side.direction is Direction.INGRESS
    asked_by_name = isinstance(query.target, Name) and not side.facts.inside and not ingress
    return Case(
        who=str(side.subject),
        subject=side.subject.labels,
        direction=side.direction,
        whom=side.peer,
        peer=side.facts,
        protocol=side.protocol,
        port=side.port,
        question=side.question,
        own_ports=side.subject.ports,
        cluster_ports=scenario.cluster_ports,
        name=query.target.name if isinstance(query.target, Name) and asked_by_name else "",
        unlearned=side.facts.address == SOMEWHERE,
        must_teach=scenario.strict_dns_rules and side.question is not None and query.dns is None,
    )


def _plain(name: str) -> str:
    return name.removesuffix(".") or "."


def _denied(answer: Answer) -> Side | None:
    """The first side that denied: what is asked first comes first."""
    return next((side for side in answer.sides if side.decision.verdict == "deny"), None)


def _search(scenario: Scenario, catalog: Catalog, query: Query) -> Patch | str:
    """A patch after which the query is answered `allow`, or why there is none."""
    known = [endpoint.labels for endpoint in scenario.endpoints]
    world, now = scenario, catalog
    changes: list[Change] = []
    while len(changes) < MOST_CHANGES:
        answer = world.answer(query)
        if answer.verdict == "allow":
            return Patch(tuple(changes), tuple(now.raws))
        side = _denied(answer)
        if side is None:
            return f"no policy decides here: {answer.reason}"
        case = case_of(world, query, side)
        if reason := why_none(case, side.decision):
            return world.lacking(query) or reason
        if side.decision.reason == POLICY_DENIED and (held := filtered(now, case)) is not None:
            why = f"{rule_name(held.rule)} would allow it, but for {held.said}"
            return f"{why}; a plain rule beside it would let all pass"
        if _is_unlearned(case):
            found = _teach(world, query, case)
            if isinstance(found, str):
                return _rules_and_a_lookup(case, changes) if changes else found
            case = found
        step = smallest(now, case, known)
        if step is None:
            return f"no rule that can be written here means {case.whom}"
        change, now = step
        changes.append(change)
        world = replace(world, policies=now.policies, expanded=now.policies)
    return f"more than {MOST_CHANGES} changes are needed"


def _rules_and_a_lookup(case: Case, changes: Sequence[Change]) -> str:
    """Where rules are missing and, once they are there, a lookup too: no rule alone opens the address asked for."""
    added = "a rule is" if len(changes) == 1 else f"{len(changes)} rules are"
    return (
        f"{added} missing, and {case.who} has no live lookup of {_plain(case.name)} either; "
        "leave that name's lookups out to see which"
    )


def _is_unlearned(case: Case) -> bool:
    """The flow goes to an address of the name, which the endpoint has no grant for."""
    return bool(case.name) and case.question is None and case.name not in case.peer.names


def _teach(world: Scenario, query: Query, case: Case) -> Case | str:
    """What must be allowed for a grant: the question, or, if it is allowed, the connection once there is one."""
    assert isinstance(query.source, Endpoint)
    for server in world.cluster_dns:
        asked = world.answer(query_of(query.source, server, DNS_PORT, Protocol.UDP, case.name))
        side = _denied(asked)
        if side is not None:
            question = case_of(world, query, side)
            return why_none(question, side.decision) or question
        if asked.l7dns != "allow" and world.strict_dns_rules:
            return next(case_of(world, query, side) for side in asked.sides if side.question is not None)
    if case.peer.address is not None and never_granted(case.peer.address):
        return f"no lookup opens {case.peer.address} (loopback, link-local, multicast and reserved addresses)"
    peer = PeerFacts.outside(case.peer.address or SOMEWHERE, {*case.peer.names, case.name})
    learned = replace(case, peer=peer)
    decision = learned.decided(world.expanded)
    if decision.verdict == "deny":
        return why_none(learned, decision) or learned
    opened = f"; then {rule_names(decision.rules)} opens it" if decision.rules else ""
    return (
        f"no rule is missing: {case.who} has no live lookup of {_plain(case.name)}. Looked up again{opened}"
    )


def rule_row(origin: RuleOrigin, direction: Direction | None, locate: Locate = nowhere) -> dict[str, Any]:
    """A row of `rules`, with the place where the rule stands."""
    place = locate(origin)
    return {
        "policy": origin.name,
        "kind": origin.kind,
        "namespace": origin.namespace or None,
        "direction": None if direction is None else direction.name.lower(),
        "rule": origin.rule,
        "file": place[0] if place else None,
        "line": place[1] if place else None,
    }


def document(catalog: Catalog, explanation: Explanation, locate: Locate = nowhere) -> dict[str, Any]:
    """`explain -o json` (docs/schemas/explain.json): the query's row, and steps, nearest, patch, noPatch."""
    near, answer = explanation.nearest, explanation.answer
    denied = _denied(answer)
    return {
        **answer.to_dict(),
        "rules": [rule_row(rule.origin, rule.direction, locate) for rule in answer.rules],
        "steps": [
            {
                "step": step.kind,
                "direction": None if step.direction is None else step.direction.name.lower(),
                "text": step.text,
                "rules": [rule_row(origin, step.direction, locate) for origin in step.rules],
            }
            for step in explanation.steps
        ],
        "nearest": None
        if near is None or denied is None
        else {
            **rule_row(near.rule, denied.direction, locate),
            "field": near.field,
            "want": near.want,
            "got": near.got,
        },
        "patch": _patch_document(catalog, explanation.patch),
        "noPatch": explanation.no_patch or None,
    }


def _patch_document(catalog: Catalog, patch: Patch | None) -> dict[str, Any] | None:
    """`changes` as `add`s of JSON Patch, each with its policy; `policies` as they are afterwards."""
    if patch is None:
        return None
    changes = []
    for change in patch.changes:
        raw: Raw = change.value if change.index is None else patch.after[change.index]
        kind, namespace, name = key_of(raw)
        changes.append(
            {
                "policy": name,
                "kind": kind,
                "namespace": namespace or None,
                "op": "add",
                "path": change.path,
                "value": change.value,
            }
        )
    return {"changes": changes, "policies": [after for _, after in patch.changed(catalog.raws)]}
