"""`namewall lint`: what is valid in policies and hardly meant, with file, line, and what would be right."""

from __future__ import annotations

import sys

import click

from namewall.cli.context import WRONG_USAGE
from namewall.cli.inputs import dumped, texts
from namewall.cli.scenarios import place
from namewall.policy.lint.finding import SEVERITIES
from namewall.policy.lint.run import IDS
from namewall.review.complaints import Complaint, clean, documents
from namewall.review.lint import Invalid, Row, linted
from namewall.review.objects import is_other, is_scenario, is_world, objects
from namewall.review.scenarios import Placed, ScenarioFile

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
    unread: list[Complaint] = []
    placed: list[Placed] = []
    scenarios: list[ScenarioFile] = []
    for source, text in texts(files, unread):
        for document in documents(source, text, unread):
            if is_scenario(document) or is_world(document):
                scenarios.append(place(source, document))
            else:
                placed += [Placed(source, document, p, o) for p, o in objects(document) if not is_other(o)]
    given = _world(world, unread) if world is not None else None
    invalid = [Invalid((each,)) for each in unread]
    invalid += [Invalid(tuple(one.complaints)) for one in (*scenarios, given) if one and one.complaints]
    rows: list[Row] = []
    worlds = [(one.policies, one) for one in scenarios if one.scenario]
    for policies, beside in [(placed, given), *worlds] if placed else worlds:
        found, refused = linted(policies, beside)
        rows += [row for row in found if row["rule"] not in ignore]
        invalid += refused
    for one in invalid:
        for problem in one.problems:
            click.echo(str(problem), err=True)
    if not placed and not scenarios and not invalid:
        click.echo("namewall: no policy found", err=True)
        sys.exit(WRONG_USAGE)
    if output == "text":
        for row in rows:
            where = f"{row['file']}:{row['line']}"
            click.echo(clean(f"{where}: {row['severity']}: {row['path']}: {row['message']} [{row['rule']}]"))
            click.echo(clean(f"    {row['hint']}"))
    else:
        click.echo(dumped([row for one in invalid for row in one.rows()] + rows, output), nl=False)
    counts = [f"{sum(row['severity'] == s for row in rows)} {s}" for s in SEVERITIES]
    click.echo(f"namewall: {', '.join(counts)}{f', {len(invalid)} invalid' if invalid else ''}", err=True)
    grave = any(row["severity"] in GRAVE for row in rows)
    sys.exit(WRONG_USAGE if invalid else 1 if grave else 0)


def _world(path: str, unread: list[Complaint]) -> ScenarioFile | None:
    for source, text in texts([path], unread):
        for document in documents(source, text, unread):
            return place(source, document)
    return None
