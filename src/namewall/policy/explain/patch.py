"""The smallest patch that allows a flow: found by trying, never by believing.

Each candidate is applied to the documents, which are read and decided again; the first one that allows, in the
order of cost, is it. Candidates come from `edits`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from namewall.model.labels import Labels
from namewall.policy.decide import Decision
from namewall.policy.explain.anatomy import Catalog, Raw
from namewall.policy.explain.case import Case
from namewall.policy.explain.edits import Candidate, Change, apply, candidates
from namewall.policy.explain.words import rule_names
from namewall.policy.lookup import POLICY_DENY

MOST_TRIED = 400
"""Candidates that are applied and decided again; reached only by worlds of hundreds of rules for one pod."""


@dataclass(frozen=True, slots=True)
class Patch:
    """`changes` in order; `after` are all objects once they are applied."""

    changes: tuple[Change, ...]
    after: tuple[Raw, ...]

    def changed(self, before: Sequence[Raw]) -> Iterator[tuple[Raw | None, Raw]]:
        """(old object or None, new object) of each object that differs."""
        for index, raw in enumerate(self.after):
            old = before[index] if index < len(before) else None
            if old is None or old != raw:
                yield old, raw


def why_none(case: Case, decision: Decision) -> str:
    """Why no added rule allows a denied flow; "" where one may."""
    if decision.reason == POLICY_DENY and decision.rules:
        return f"a deny rule denies it, and no allow wins over one: {rule_names(decision.rules)}"
    if case.peer.closed:
        return f"{case.whom} lies in a closed range and nothing known owns it: no rule opens it"
    if case.peer.inside and not case.peer.labels and case.peer.address is None:
        return f"nothing is known of {case.whom} that a rule could select"
    return ""


def smallest(catalog: Catalog, case: Case, known: Sequence[Labels]) -> tuple[Change, Catalog] | None:
    """The cheapest change that meets the case, and the world with it; None if nothing that can be written does."""
    ordered = sorted(candidates(catalog, case, known), key=lambda candidate: candidate.cost)
    tried: set[str] = set()
    for candidate in ordered[:MOST_TRIED]:
        if (text := _text(candidate)) in tried:
            continue
        tried.add(text)
        after = _applied(catalog, case, candidate)
        if after is not None:
            return candidate.change, after
    return None


def _text(candidate: Candidate) -> str:
    return f"{candidate.change.index} {candidate.cost[2]}"


def _applied(catalog: Catalog, case: Case, candidate: Candidate) -> Catalog | None:
    """The world after the change, where it is valid and allows the case."""
    index = candidate.change.index
    raws = apply(catalog.raws, [candidate.change])
    after = catalog.with_changed(raws, len(raws) - 1 if index is None else index)
    if after is None or not case.is_met_by(after.policies):
        return None
    return after
