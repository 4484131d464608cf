"""`namewall validate`: everything that is wrong with policies, each problem with its file, line and field."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import click

from namewall.cli.context import WRONG_USAGE
from namewall.cli.inputs import BadRow, Row, batch, counted, dumped, only_one, texts
from namewall.cli.scenarios import place
from namewall.review.complaints import Complaint, clean, documents
from namewall.review.objects import is_other, is_scenario, objects
from namewall.review.validate import Verdict, judge, scenario_verdict, verdict

KEYS = ("accepted", "error", "enforceable", "reason")


def answer(row: Row) -> Row:
    if "policy" not in row:
        raise BadRow("policy: a row needs one")
    problems, unenforceable = judge(row["policy"])
    return {
        "accepted": not problems,
        "error": "; ".join(map(str, problems)) or None,
        "enforceable": None if problems else not unenforceable,
        "reason": "; ".join(map(str, unenforceable)) or None,
    }


@click.command("validate")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--batch", "batch_file", metavar="FILE", help="JSON lines {id, policy}; - is stdin.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True
)
def validate_command(files: tuple[str, ...], batch_file: str | None, output: str) -> None:
    """Check policies in FILEs, folders or `-` (standard input), and say all that is wrong with them.

    Objects of Kubernetes that are no policies are left out. Exit codes: 0 all valid; 2 otherwise.
    """
    only_one(files, batch_file, "FILEs")
    if batch_file is not None:
        sys.exit(0 if batch(batch_file, KEYS, answer) else WRONG_USAGE)
    missed: list[Complaint] = []
    broken: list[Complaint] = []
    found: list[Verdict] = []
    empty: list[str] = []
    others = 0
    for source, text in texts(files, missed):
        known = len(broken)
        read = list(_judged(source, text, broken))
        found += (one for one in read if one is not None)
        others += read.count(None)
        if not read and len(broken) == known:
            empty.append(source)
        if output == "text":
            _say([one for one in read if one is not None], broken[known:])
    if output != "text":
        rows = {
            "policies": [one.to_dict() for one in found],
            "unreadable": [one.to_dict() for one in (*missed, *broken)],
        }
        click.echo(dumped(rows, output), nl=False)
    for one in missed:
        click.echo(str(one), err=True)
    left = f", {counted(others, 'other object')} left out" if others else ""
    judged = bool(found or broken)
    if empty or not (judged or missed):
        inside = f" in {', '.join(empty)}" if empty else ""
        click.echo(clean(f"namewall: no policy found{inside}{'' if judged else left}"), err=True)
    if not judged:
        sys.exit(WRONG_USAGE)
    invalid = sum(1 for one in found if not one.accepted) + len(broken)
    refused = sum(1 for one in found if one.unenforceable)
    also = f", {refused} not enforceable here" if refused else ""
    unread = f", {len(missed)} not read" if missed else ""
    checked = len(found) + len(broken)
    click.echo(f"namewall: {checked} checked, {invalid} invalid{also}{left}{unread}", err=True)
    sys.exit(WRONG_USAGE if invalid or missed else 0)


def _judged(source: str, text: bytes, broken: list[Complaint]) -> Iterator[Verdict | None]:
    """Of each policy and scenario of a text; None for another object."""
    for document in documents(source, text, broken):
        if is_scenario(document):
            yield scenario_verdict(place(source, document))
            continue
        for path, obj in objects(document):
            yield None if is_other(obj) else verdict(source, document, path, obj)


def _say(found: Iterable[Verdict], broken: Iterable[Complaint]) -> None:
    for one in found:
        for problem in one.problems:
            click.echo(str(problem))
        for problem in one.unenforceable:
            click.echo(f"{problem} (valid, but refused by apply)")
    for each in broken:
        click.echo(str(each))
