"""`namewall lint`: what is valid in policies and hardly meant, with file, line, and what would be right.

The rules are policy/lint's, docs/lint.md explains them. The list of public suffixes is publicsuffixlist's, which
carries it in the package: no network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from namewall.cli.context import WRONG_USAGE
from namewall.cli.inputs import Complaint, clean, complaint, documents, dumped, texts
from namewall.cli.policy_objects import is_other, is_scenario, objects
from namewall.cli.scenarios import Placed, ScenarioFile, place
from namewall.cli.validate import judge
from namewall.model.documents import Document
from namewall.model.errors import Problem
from namewall.policy.explain.flow import catalog_of
from namewall.policy.lint.finding import SEVERITIES, Finding, Project
from namewall.policy.lint.run import IDS, lint
from namewall.policy.scenario_parse import parse_scenario

GRAVE = SEVERITIES[:2]
"""What makes the exit code 1."""


@click.command("lint")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--scenario", "world", metavar="FILE", help="A scenario: its endpoints say who can be selected."
)
@click.option("--ignore", multiple=True, metavar="RULE", type=click.Choice(IDS), help="Leave a rule out.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True
)
def lint_command(files: tuple[str, ...], world: str | None, ignore: tuple[str, ...], output: str) -> None:
    """Look for traps in the policies of FILEs, folders, scenarios or `-`, which are taken as holding together.

    Exit codes: 0 nothing graver than info; 1 findings; 2 invalid policies.
    """
    broken: list[Complaint] = []
    placed: list[Placed] = []
    scenarios: list[ScenarioFile] = []
    for source, text in texts(files):
        for document in documents(source, text, broken):
            if is_scenario(document) or is_world(document):
                one = place(source, document)
                broken += one.complaints
                scenarios.append(one)
            else:
                placed += [Placed(source, document, p, o) for p, o in objects(document) if not is_other(o)]
    given = _world(world, broken) if world is not None else None
    rows: list[dict[str, Any]] = []
    if placed:
        rows += _lint(placed, given, broken)
    for one in scenarios:
        if one.scenario is not None:
            rows += _lint(one.policies, one, broken)
    rows = [row for row in rows if row["rule"] not in ignore]
    for each in broken:
        click.echo(str(each), err=True)
    if not placed and not scenarios and not broken:
        click.echo("namewall: no policy found", err=True)
        sys.exit(WRONG_USAGE)
    if output == "text":
        for row in rows:
            where = f"{row['file']}:{row['line']}"
            click.echo(clean(f"{where}: {row['severity']}: {row['path']}: {row['message']} [{row['rule']}]"))
            click.echo(clean(f"    {row['hint']}"))
    else:
        click.echo(dumped(rows, output), nl=False)
    counts = [f"{sum(row['severity'] == s for row in rows)} {s}" for s in SEVERITIES]
    click.echo(f"namewall: {', '.join(counts)}{f', {len(broken)} invalid' if broken else ''}", err=True)
    grave = any(row["severity"] in GRAVE for row in rows)
    sys.exit(WRONG_USAGE if broken else 1 if grave else 0)


def is_world(document: Document) -> bool:
    value = document.value
    return isinstance(value, dict) and "kind" not in value and "policies" in value


def _world(path: str, broken: list[Complaint]) -> ScenarioFile | None:
    for source, text in texts([path]):
        for document in documents(source, text, broken):
            one = place(source, document)
            broken += one.complaints
            return one
    return None


def _lint(placed: list[Placed], world: ScenarioFile | None, broken: list[Complaint]) -> list[dict[str, Any]]:
    """`world` may be the file the policies come from, or another one. Invalid objects say nothing."""
    raws: list[dict[str, Any]] = []
    for one in placed:
        problems, _ = judge(one.object)
        broken += [_refused(one, problem) for problem in problems]
        raws.append({} if problems else one.object)
    document = {} if world is None else world.document.value
    scenario = None if world is None else world.scenario
    if world is not None and world.policies is not placed:
        given = {key: value for key, value in document.items() if key != "policyFiles"}
        scenario, _ = parse_scenario({**given, "policies": raws})
    nothing, _ = parse_scenario({"policies": []})
    assert nothing is not None
    catalog = catalog_of(scenario or nothing, raws, document)
    return _rows(placed, lint(Project(catalog, scenario, public_suffixes())))


def _refused(one: Placed, problem: Problem) -> Complaint:
    found = complaint(one.source, one.document, problem, one.path)
    if "Deny[" in problem.path and problem.path.endswith(".toFQDNs"):
        why = "a deny rule cannot name names; leave them out of the allow rules instead"
        return replace(found, message=f"{found.message}; {why}")
    return found


def _rows(placed: list[Placed], findings: list[Finding]) -> list[dict[str, Any]]:
    rows = []
    for finding in findings:
        one = placed[finding.index]
        kind, namespace, name = one.key
        rows.append(
            {
                "rule": finding.rule,
                "severity": finding.severity,
                "file": one.source,
                "line": one.line_of(finding.path),
                "kind": kind,
                "namespace": namespace or None,
                "policy": name,
                "path": finding.path,
                "message": finding.message,
                "hint": finding.hint,
            }
        )
    return rows


def public_suffixes() -> Callable[[str], bool]:
    """Whether a domain is one below which anybody may register. Imported here: reading the list takes a while."""
    from publicsuffixlist import PublicSuffixList

    known = PublicSuffixList(accept_unknown=False)
    return lambda name: bool(known.is_public(name))
