"""A whole flow explained: its lookup where a name is not known yet, then the connection, both ends of each.

`Leg`s come from the caller, who knows names and addresses; here they are judged, told, and patched together.
Invariant: the verdict is the one of `decide` for every case of every leg, and a patch makes all of them allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from namewall.model.labels import Labels
from namewall.model.net import Direction
from namewall.policy.decide import Decision
from namewall.policy.explain.anatomy import Catalog, Raw, key_of
from namewall.policy.explain.case import Case
from namewall.policy.explain.nearest import Nearest, nearest
from namewall.policy.explain.patch import Patch, search
from namewall.policy.explain.steps import Step, steps_of
from namewall.policy.lookup import DNS_REFUSED, NO_POLICY
from namewall.policy.map_state import RuleOrigin

Locate = Callable[[RuleOrigin], tuple[str, int] | None]
"""Where a rule stands: (file, line), None where the objects came from no file."""


def nowhere(origin: RuleOrigin) -> tuple[str, int] | None:
    return None


@dataclass(frozen=True, slots=True)
class Leg:
    """A lookup or a connection.

    `preface` is told before the leg's own steps, `reached` after them if the leg is allowed.
    """

    kind: Literal["lookup", "connection"]
    cases: tuple[Case, ...]
    preface: str = ""
    reached: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """`decided` is (leg, case, decision) of all that was judged, in order; a leg after a denied one is not."""

    decided: tuple[tuple[Leg, Case, Decision], ...]
    steps: tuple[Step, ...]
    nearest: Nearest | None
    patch: Patch | None
    no_patch: str

    @property
    def allowed(self) -> bool:
        return all(decision.verdict == "allow" for _, _, decision in self.decided)

    @property
    def failing(self) -> tuple[Case, Decision] | None:
        return next(((case, d) for _, case, d in self.decided if d.verdict == "deny"), None)

    def row(self, locate: Locate = nowhere) -> dict[str, Any]:
        """The keys of a query's row (egress, ingress, l7dns, verdict, reason, rules), lines with the rules."""
        sides: dict[str, str | None] = {"egress": None, "ingress": None, "l7dns": None}
        rules: list[dict[str, Any]] = []
        failing = self.failing
        reason = NO_POLICY
        for leg, case, decision in self.decided:
            way = case.direction.name.lower()
            if leg.kind == "connection" or decision.verdict == "deny":
                sides[way] = "allow" if decision.reason == DNS_REFUSED else decision.verdict
            if case.direction is Direction.EGRESS:
                sides["l7dns"] = _l7dns(case, decision) or sides["l7dns"]
            if failing is None and decision.reason != NO_POLICY:
                reason = decision.reason
            if failing is None or decision is failing[1]:
                rules += [rule_row(origin, case.direction, locate) for origin in decision.rules]
        if failing is not None:
            reason = failing[1].reason
        unique = list({tuple(row.items()): row for row in rules}.values())
        return {
            **sides,
            "verdict": "allow" if self.allowed else "deny",
            "reason": reason,
            "rules": unique,
        }


def _l7dns(case: Case, decision: Decision) -> str | None:
    if decision.reason == DNS_REFUSED:
        return "deny"
    if decision.verdict == "deny":
        return None
    if case.question is None:
        return None if decision.dns is None else "redirect"
    return "none" if decision.dns is None else "allow"


def rule_row(origin: RuleOrigin, direction: Direction, locate: Locate = nowhere) -> dict[str, Any]:
    place = locate(origin)
    return {
        "policy": origin.name,
        "kind": origin.kind,
        "namespace": origin.namespace or None,
        "direction": direction.name.lower(),
        "rule": origin.rule,
        "file": place[0] if place else None,
        "line": place[1] if place else None,
    }


def explain(catalog: Catalog, legs: Sequence[Leg], known: Sequence[Labels] = ()) -> Explanation:
    """`known` are the label sets of the world's endpoints."""
    decided: list[tuple[Leg, Case, Decision]] = []
    steps: list[Step] = []
    for leg in legs:
        if leg.preface:
            steps.append(Step("lookup" if leg.kind == "lookup" else "target", leg.preface))
        allowed = True
        for case in leg.cases:
            decision = case.decided(catalog.policies)
            decided.append((leg, case, decision))
            steps += steps_of(catalog, case, decision)
            allowed = allowed and decision.verdict == "allow"
        if not allowed and leg is not legs[-1]:
            steps.append(Step("lookup", "the name stays unknown to it, so no address is opened by name"))
        if not allowed:
            break
        if leg.reached:
            steps.append(Step("lookup", leg.reached))
    failing = next(((case, d) for _, case, d in decided if d.verdict == "deny"), None)
    if failing is None:
        return Explanation(tuple(decided), tuple(steps), None, None, "")
    found = search(catalog, [case for leg in legs for case in leg.cases], known)
    patch, why = (None, found) if isinstance(found, str) else (found, "")
    return Explanation(tuple(decided), tuple(steps), nearest(catalog, *failing), patch, why)


def document(catalog: Catalog, explanation: Explanation, locate: Locate = nowhere) -> dict[str, Any]:
    """`explain -o json` (docs/schemas/explain.json): the query's row, and steps, nearest, patch, noPatch."""
    near, failing = explanation.nearest, explanation.failing
    return {
        **explanation.row(locate),
        "steps": [
            {
                "step": step.kind,
                "direction": step.direction.name.lower() if step.direction is not None else None,
                "text": step.text,
                "rules": [rule_row(o, step.direction or Direction.EGRESS, locate) for o in step.rules],
            }
            for step in explanation.steps
        ],
        "nearest": None
        if near is None or failing is None
        else {
            **rule_row(near.rule, failing[0].direction, locate),
            "field": near.field,
            "want": near.want,
            "got": near.got,
        },
        "patch": patch_document(catalog, explanation.patch),
        "noPatch": explanation.no_patch or None,
    }


def patch_document(catalog: Catalog, patch: Patch | None) -> dict[str, Any] | None:
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
                "op": "add" if change.index is not None else "create",
                "path": change.path,
                "value": change.value,
            }
        )
    return {"changes": changes, "policies": [after for _, after in patch.changed(catalog.raws)]}


def sides(cases: Iterable[Case | None]) -> tuple[Case, ...]:
    return tuple(case for case in cases if case is not None)
