"""`namewall test`: policy unit tests. A test file is a scenario whose `tests` say what they expect."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable

import click

from namewall.cli.context import WRONG_USAGE
from namewall.cli.inputs import cannot, dumped
from namewall.cli.scenarios import read_scenarios
from namewall.cli.test_report import MARKS, WIDTH, Case, Report
from namewall.policy.expectation import differences
from namewall.review.complaints import Complaint, clean
from namewall.review.scenarios import ScenarioFile


def selector(expression: str) -> Callable[[str], bool]:
    """`-k`: words that a test's name or file must contain, of any case, joined by `and`, `or` and `not`. Raises
    ValueError where that is not what it is."""
    alternatives = [
        [_term(words) for words in _split(each, "and")] for each in _split(expression.split(), "or")
    ]
    return lambda name: any(all(fits(name) for fits in terms) for terms in alternatives)


_NO_WORD = re.compile(r"[()]|&&|\|\|")
"""What other expressions are made of."""


def _split(words: list[str], joint: str) -> list[list[str]]:
    """Between the joints."""
    found: list[list[str]] = [[]]
    for word in words:
        if word == joint:
            found.append([])
        else:
            found[-1].append(word)
    return found


def _term(words: list[str]) -> Callable[[str], bool]:
    wanted = True
    while words and words[0].lower() == "not":
        words, wanted = words[1:], not wanted
    text = " ".join(words).lower()
    if not text:
        raise ValueError("a word is missing beside `and`, `or` or `not`")
    if odd := _NO_WORD.search(text):
        raise ValueError(f"`{odd[0]}` means nothing here; join words by `and`, `or` and `not`")
    return lambda name: (text in name.lower()) is wanted


def run(file: ScenarioFile, chosen: Callable[[str], bool], report: Report) -> list[Case]:
    """The cases of one file, added to the report. A policy that was not accepted is an error of the file, and then
    there are none: what the others let through says nothing of what was meant."""
    wrong = list(file.complaints)
    if file.scenario is not None:
        line = file.line_of("policy_results")
        wrong += file.rejected()
        wrong += [Complaint(file.source, line, "", text) for text in file.policy_differences()]
    report.complaints += wrong
    if file.scenario is None or wrong:
        return []
    report.warnings += file.unenforceable() + file.replaced()
    if not file.scenario.queries:
        report.complaints.append(
            Complaint(file.source, file.document.line, "tests", "there is no test in it")
        )
    cases = []
    for query in file.scenario.queries:
        if not chosen(f"{file.name} {query.name} {query}"):
            report.deselected += 1
            continue
        answer = file.scenario.answer(query)
        cases.append(Case(file, query, answer, tuple(differences(query, answer))))
    report.cases += cases
    return cases


@click.command("test")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-k", "expression", metavar="EXPRESSION", default="", help="Only tests whose name fits, as in pytest."
)
@click.option("--junit", metavar="FILE", help="Write the report as JUnit XML too.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True
)
def test_command(files: tuple[str, ...], expression: str, junit: str | None, output: str) -> None:
    """Run the policy tests in FILEs, folders or `-`.

    Exit codes: 0 all passed; 1 a test failed; 2 a file is not valid, or there was nothing to test.
    """
    begun = time.monotonic()
    report = Report()
    try:
        chosen = selector(expression) if expression else lambda name: True
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'-k'") from None
    last, column = "", 0
    for file in read_scenarios(files, report.complaints):
        known = len(report.complaints)
        cases = run(file, chosen, report)
        if output != "text":
            continue
        if file.source != last:
            click.echo(("\n" if last else "") + clean(file.source) + " ", nl=False)
            last, column = file.source, len(file.source) + 1
        marks = [MARKS[case.outcome] for case in cases]
        marks += [MARKS["error"]] if len(report.complaints) > known else []
        for mark in marks:
            if column >= WIDTH:
                click.echo()
                column = 0
            click.echo(mark, nl=False)
            column += 1
    report.seconds = time.monotonic() - begun
    if output == "text":
        click.echo(("\n" if last else "") + "\n".join(report.details()))
    else:
        click.echo(dumped(report.to_dict(), output), nl=False)
    if junit is not None:
        try:
            os.makedirs(os.path.dirname(junit) or ".", exist_ok=True)
            with open(junit, "wb") as written:
                written.write(report.junit())
        except (OSError, ValueError) as error:
            cannot("write", junit, error)
    if not report.cases and not report.deselected and not report.complaints:
        click.echo(
            "namewall: no test found; a test file has `tests`, each with `from`, `to` and `expect`", err=True
        )
    if report.count("error") or not report.cases:
        sys.exit(WRONG_USAGE)
    sys.exit(1 if report.count("failed") else 0)
