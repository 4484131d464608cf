"""`namewall validate`: everything that is wrong with policies, each problem with its file, line and field."""

from __future__ import annotations

import sys

import click

from namewall.cli.context import WRONG_USAGE
from namewall.cli.inputs import BadRow, Row, batch, counted, dumped, only_one, texts
from namewall.cli.scenarios import place
from namewall.review.complaints import Complaint, documents
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
    broken: list[Complaint] = []
    found: list[Verdict] = []
    others = 0
    for source, text in texts(files):
        for document in documents(source, text, broken):
            if is_scenario(document):
                found.append(scenario_verdict(place(source, document)))
                if output == "text":
                    _say(found[-1])
                continue
            for path, obj in objects(document):
                if is_other(obj):
                    others += 1
                    continue
                one = verdict(source, document, path, obj)
                found.append(one)
                if output == "text":
                    _say(one)
        if output == "text" and broken and broken[-1].source == source:
            click.echo(str(broken[-1]))
    if output != "text":
        rows = {
            "policies": [one.to_dict() for one in found],
            "unreadable": [one.to_dict() for one in broken],
        }
        click.echo(dumped(rows, output), nl=False)
    invalid = sum(1 for one in found if not one.accepted) + len(broken)
    left = f", {counted(others, 'other object')} left out" if others else ""
    if not found and not broken:
        click.echo(f"namewall: no policy found{left}", err=True)
        sys.exit(WRONG_USAGE)
    refused = sum(1 for one in found if one.unenforceable)
    also = f", {refused} not enforceable here" if refused else ""
    click.echo(f"namewall: {len(found) + len(broken)} checked, {invalid} invalid{also}{left}", err=True)
    sys.exit(WRONG_USAGE if invalid else 0)


def _say(one: Verdict) -> None:
    lines = [str(problem) for problem in one.problems]
    lines += [f"{problem} (valid, but refused by apply)" for problem in one.unenforceable]
    if lines:
        click.echo("\n".join(lines))
