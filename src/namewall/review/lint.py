"""What is valid in policies and hardly meant, as rows with file, line, and what would be right.

The rules are policy/lint's, docs/lint.md explains them. The list of public suffixes is publicsuffixlist's, which
carries it in the package: no network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from namewall.policy.explain.anatomy import Catalog
from namewall.policy.explain.flow import catalog_of
from namewall.policy.lint.finding import Finding, Project
from namewall.policy.lint.run import lint
from namewall.policy.lint.suffixes import Suffixes
from namewall.policy.scenario import Scenario
from namewall.policy.scenario_parse import parse_scenario
from namewall.review.complaints import Complaint, complaint
from namewall.review.scenarios import Placed, ScenarioFile
from namewall.review.validate import judge

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Invalid:
    """One policy, or a text or scenario that cannot be read (`placed` None), and why it is not looked at."""

    problems: tuple[Complaint, ...]
    placed: Placed | None = None

    def rows(self) -> Iterator[Row]:
        """Shaped as findings are, of the rule `invalid`."""
        kind, namespace, name = (None, None, None) if self.placed is None else self.placed.key
        for problem in self.problems:
            yield {
                "rule": "invalid",
                "severity": "error",
                "file": problem.source,
                "line": problem.line or None,
                "kind": kind,
                "namespace": namespace or None,
                "policy": name,
                "path": problem.path,
                "message": problem.message,
                "hint": problem.hint or (f"write `{problem.meant}`" if problem.meant else ""),
            }


def linted(placed: list[Placed], world: ScenarioFile | None) -> tuple[list[Row], list[Invalid]]:
    """The rows of `lint -o json`, and the invalid objects, which say nothing. `world` may be the file the policies
    come from, or another one."""
    raws: list[dict[str, Any]] = []
    invalid: list[Invalid] = []
    for one in placed:
        problems, _ = judge(one.written)
        if problems:
            said = (complaint(one.source, one.document, problem, one.path) for problem in problems)
            invalid.append(Invalid(tuple(refused(one, each) for each in said), one))
        raws.append({} if problems else one.object)
    document = {} if world is None else world.document.value
    scenario = None if world is None else world.scenario
    if world is not None and world.policies is not placed:
        given = {key: value for key, value in document.items() if key != "policyFiles"}
        scenario, _ = parse_scenario({**given, "policies": raws})
    nothing, _ = parse_scenario({"policies": []})
    assert nothing is not None
    catalog = catalog_of(scenario or nothing, raws, document)
    found = lint(project_of(placed, catalog, scenario))
    return [row(placed[finding.index], finding) for finding in found], invalid


def project_of(placed: list[Placed], catalog: Catalog, scenario: Scenario | None = None) -> Project:
    """`catalog` is of these objects."""
    nulls = {index: one.nulls for index, one in enumerate(placed) if one.nulls}
    return Project(catalog, scenario, public_suffixes(), nulls)


def refused(one: Placed, found: Complaint) -> Complaint:
    """With what would be right, where Cilium's words do not say so."""
    if "Deny[" in found.path and found.path.endswith(".toFQDNs"):
        why = "a deny rule cannot name names; leave them out of the allow rules instead"
        return replace(found, message=f"{found.message}; {why}")
    return found


def row(placed: Placed, finding: Finding) -> Row:
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


STORAGE = frozenset({"storage.googleapis.com", "commondatastorage.googleapis.com"})
"""In the place of the list's `googleapis.com`, which is there for the sake of cookies: below it are Google's own APIs,
and what strangers can have is a bucket."""


@cache
def public_suffixes() -> Suffixes:
    """Imported here: reading the list takes a while."""
    from publicsuffixlist import PSLFILE

    with open(PSLFILE, encoding="utf-8") as lines:
        entries = {line.split()[0] for line in lines if line.strip() and not line.startswith("//")}
    ascii_entries = {each if each.isascii() else each.encode("idna").decode() for each in entries}
    return Suffixes((ascii_entries - {"googleapis.com"}) | STORAGE)
