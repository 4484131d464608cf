"""What is valid in policies and hardly meant, as rows with file, line, and what would be right.

The rules are policy/lint's, docs/lint.md explains them. The list of public suffixes is publicsuffixlist's, which
carries it in the package: no network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from namewall.policy.explain.flow import catalog_of
from namewall.policy.lint.finding import Finding, Project
from namewall.policy.lint.run import lint
from namewall.policy.scenario_parse import parse_scenario
from namewall.review.complaints import Complaint, complaint
from namewall.review.scenarios import Placed, ScenarioFile
from namewall.review.validate import judge


def linted(placed: list[Placed], world: ScenarioFile | None, broken: list[Complaint]) -> list[dict[str, Any]]:
    """The rows of `lint -o json`. `world` may be the file the policies come from, or another one. Invalid objects
    say nothing."""
    raws: list[dict[str, Any]] = []
    for one in placed:
        problems, _ = judge(one.object)
        broken += [
            refused(one, complaint(one.source, one.document, problem, one.path)) for problem in problems
        ]
        raws.append({} if problems else one.object)
    document = {} if world is None else world.document.value
    scenario = None if world is None else world.scenario
    if world is not None and world.policies is not placed:
        given = {key: value for key, value in document.items() if key != "policyFiles"}
        scenario, _ = parse_scenario({**given, "policies": raws})
    nothing, _ = parse_scenario({"policies": []})
    assert nothing is not None
    catalog = catalog_of(scenario or nothing, raws, document)
    found = lint(Project(catalog, scenario, public_suffixes()))
    return [row(placed[finding.index], finding) for finding in found]


def refused(one: Placed, found: Complaint) -> Complaint:
    """With what would be right, where Cilium's words do not say so."""
    if "Deny[" in found.path and found.path.endswith(".toFQDNs"):
        why = "a deny rule cannot name names; leave them out of the allow rules instead"
        return replace(found, message=f"{found.message}; {why}")
    return found


def row(placed: Placed, finding: Finding) -> dict[str, Any]:
    kind, namespace, name = placed.key
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "file": placed.source,
        "line": placed.line_of(finding.path),
        "kind": kind,
        "namespace": namespace or None,
        "policy": name,
        "path": finding.path,
        "message": finding.message,
        "hint": finding.hint,
    }


@cache
def public_suffixes() -> Callable[[str], bool]:
    """Whether a domain is one below which anybody may register. Imported here: reading the list takes a while."""
    from publicsuffixlist import PublicSuffixList

    known = PublicSuffixList(accept_unknown=False)
    return lambda name: bool(known.is_public(name))
