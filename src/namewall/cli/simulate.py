"""`namewall simulate`: the verdict of every query of a scenario, and how it differs from what was expected."""

from __future__ import annotations

import sys
from typing import Any

import click

from namewall.cli.context import WRONG_USAGE
from namewall.cli.inputs import BadRow, Row, batch, dumped, only_one, table
from namewall.cli.scenarios import read_scenarios, say_of_policies
from namewall.policy.expectation import differences
from namewall.policy.explain.anatomy import steps
from namewall.policy.scenario import Answer, Scenario
from namewall.policy.scenario_parse import parse_scenario
from namewall.review.complaints import Complaint, clean
from namewall.review.scenarios import ScenarioFile, policy_differences
from namewall.review.sheet import value_at

KEYS = ("policy_results", "queries")


def result(scenario: Scenario, answers: list[Answer]) -> dict[str, Any]:
    return {
        "policy_results": [one.to_dict() for one in scenario.results],
        "queries": [one.to_dict() for one in answers],
    }


def described(file: ScenarioFile, answers: list[Answer], differ: list[list[str]]) -> dict[str, Any]:
    """A result as `-o json` has it: with what was asked, where that stands, and what is not as expected."""
    assert file.scenario is not None
    found = result(file.scenario, answers)
    found["queries"] = [
        {
            "query": str(query),
            "name": query.name or None,
            "path": query.path,
            "line": file.line_of(query.path),
            **row,
            "differences": texts,
        }
        for query, row, texts in zip(file.scenario.queries, found["queries"], differ, strict=True)
    ]
    value = file.document.value
    where = {"file": file.source, "line": file.document.line, "name": value.get("name")}
    return {"id": value.get("id"), **where, **found}


class _Batch:
    """The rows of one batch; `differ` counts those that are not as expected."""

    def __init__(self) -> None:
        self.differ = 0

    def answer(self, row: Row) -> Row:
        if "policyFiles" in row:
            raise BadRow(
                "policyFiles: not in a batch, whose lines may be anybody's; write the policies in `policies`"
            )
        policies = {"policies": row["policies"]} if row.get("policies") is not None else {}
        row = _given({**row, "policies": None}) | policies  # what is null in a policy is Cilium's to judge
        scenario, problems = parse_scenario(row)
        if problems and all(problem.unknown_field for problem in problems):
            # Made by a program that knows more than we do: what we know is answered, and the rest is told.
            for problem in problems:
                click.echo(clean(f"{row.get('id')}: {problem}: it is left out"), err=True)
                *way, key = steps(problem.path)
                del value_at(row, tuple(way))[key]
            scenario, problems = parse_scenario(row)
        if scenario is None:
            raise BadRow("\n".join(map(str, problems)))
        answers = [scenario.answer(query) for query in scenario.queries]
        wrong = policy_differences(row, scenario) + [
            f"{query.path}: {query}: {text}"
            for query, answer in zip(scenario.queries, answers, strict=True)
            for text in differences(query, answer)
        ]
        self.differ += bool(wrong)
        for text in wrong:
            click.echo(clean(f"{row.get('id')}: {text}"), err=True)
        return result(scenario, answers)


def _given(value: Any) -> Any:
    """Without what is null: programs write that for what is absent. A copy."""
    if isinstance(value, dict):
        return {key: _given(each) for key, each in value.items() if each is not None}
    return [_given(each) for each in value] if isinstance(value, list) else value


@click.command("simulate")
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@click.option("--batch", "batch_file", metavar="FILE", help="Scenarios as JSON lines; - is stdin.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "json", "yaml"]), default="table", show_default=True
)
def simulate_command(scenarios: tuple[str, ...], batch_file: str | None, output: str) -> None:
    """Answer the queries of SCENARIOs (YAML or JSON; files, folders or `-`): no root, no cluster.

    Where a query carries `expect`, differences are listed on stderr. Exit codes: 0 as expected; 1 something differs;
    2 a scenario is not valid.
    """
    only_one(scenarios, batch_file, "SCENARIOs")
    if batch_file is not None:
        rows = _Batch()
        good = batch(batch_file, KEYS, rows.answer)
        sys.exit(WRONG_USAGE if not good else 1 if rows.differ else 0)
    broken: list[Complaint] = []
    printed: list[dict[str, Any]] = []
    wrong = count = 0
    for file in read_scenarios(scenarios, broken):
        count += 1
        broken += file.complaints
        if file.scenario is None:
            continue
        answers = [file.scenario.answer(query) for query in file.scenario.queries]
        differ = [differences(*each) for each in zip(file.scenario.queries, answers, strict=True)]
        if output in ("table", "wide"):
            if printed:
                click.echo()
            click.echo(_table(file, answers, wide=output == "wide"))
        printed.append(described(file, answers, differ))
        wrong += _differences(file, differ)
    for complaint in broken:
        click.echo(str(complaint), err=True)
    if output in ("json", "yaml") and printed:
        click.echo(dumped(printed[0] if len(printed) == 1 else printed, output), nl=False)
    if not count and not broken:
        click.echo("namewall: no scenario found; one has `queries` or `tests`", err=True)
        sys.exit(WRONG_USAGE)
    if wrong:
        click.echo(f"namewall: {wrong} of the answers differ from what is expected", err=True)
    sys.exit(WRONG_USAGE if broken else 1 if wrong else 0)


def _differences(file: ScenarioFile, differ: list[list[str]]) -> int:
    """Says on stderr what is not as expected, and what became of policies."""
    assert file.scenario is not None
    say_of_policies(file)
    wrong = 0
    for text in file.policy_differences():
        wrong += 1
        click.echo(clean(f"{file.source}:{file.line_of('policy_results')}: {text}"), err=True)
    for query, texts in zip(file.scenario.queries, differ, strict=True):
        wrong += bool(texts)
        for text in texts:
            click.echo(str(Complaint(file.source, file.line_of(query.path), query.path, text)), err=True)
    return wrong


def _table(file: ScenarioFile, answers: list[Answer], *, wide: bool) -> str:
    assert file.scenario is not None
    head = ["QUERY", "EGRESS", "INGRESS", "DNS", "VERDICT", "REASON", "RULES"]
    rows = [[*head, "NOTES"] if wide else head]
    for query, answer in zip(file.scenario.queries, answers, strict=True):
        row = [
            clean(query.name or str(query)),
            answer.egress or "-",
            answer.ingress or "-",
            answer.l7dns or "-",
            answer.verdict,
            answer.reason,
            clean(", ".join(f"{rule.origin.name} {rule.origin.rule}" for rule in answer.rules)) or "-",
        ]
        rows.append([*row, clean("; ".join(answer.notes)) or "-"] if wide else row)
    return table(rows)
