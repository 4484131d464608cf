"""`namewall diff OLD NEW`: which flows change their verdict from one set of policies to another.

Each side is policies (files, folders, `-`) or a scenario.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from namewall.cli.context import WRONG_USAGE, fail
from namewall.cli.inputs import counted, dumped, texts
from namewall.cli.scenarios import opened
from namewall.policy.diff.groups import Group, document
from namewall.policy.diff.universe import Universe
from namewall.policy.diff.words import said
from namewall.policy.explain.words import rule_names
from namewall.review.complaints import Complaint, clean
from namewall.review.diff import Side, compare, side_of

SHOWN = 8
"""Names of one group that are written out."""


@click.command("diff")
@click.argument("old")
@click.argument("new")
@click.option(
    "--scenario", "world", metavar="FILE", help="A scenario: its endpoints and names are the known ones."
)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True
)
def diff_command(old: str, new: str, world: str | None, output: str) -> None:
    """Compare the policies of OLD with those of NEW (files, folders, scenarios, or `-`), flow by flow.

    Known are the endpoints, names and ports of a scenario, or else what the policies themselves speak of. Exit codes:
    0 no flow changes; 1 some do; 2 something is not valid.
    """
    if old == new == "-":
        raise click.UsageError("only one of OLD and NEW can be standard input")
    broken: list[Complaint] = []
    before, after = _read(old, broken), _read(new, broken)
    given = _read(world, broken).worlds if world is not None else []
    if world is not None and not given and not broken:
        fail(f"--scenario: {clean(world)} holds no scenario", WRONG_USAGE)
    for each in broken:
        click.echo(str(each), err=True)
    if broken:
        sys.exit(WRONG_USAGE)
    groups, universe = compare(before, after, given)
    if output == "text":
        _say(groups, universe)
    else:
        click.echo(dumped(document(groups, universe), output), nl=False)
    sys.exit(1 if groups else 0)


def _read(path: str, broken: list[Complaint]) -> Side:
    return side_of(texts([path], broken), broken, opened)


def _say(groups: list[Group], universe: Universe) -> None:
    everybody = [known.name for known in universe.endpoints] + list(universe.peers)
    for group in groups:
        click.echo(clean(f"{_names(group.sources, everybody)} → {_names(group.targets, everybody)}"))
        for ports, name, old, new in said(group.ports, universe.unnumbered):
            what = ", ".join(ports) if not name else f"question {name} over {', '.join(ports)}"
            click.echo(clean(f"  {what}: {old} → {new}"))
        if group.rules:
            click.echo(clean(f"  {'by' if group.by_new else 'was by'} {rule_names(group.rules)}"))
    pairs = sum(len(group.sources) * len(group.targets) for group in groups)
    words = "no flow changes"
    if groups:
        verb = "changes" if pairs == 1 else "change"
        words = f"{counted(pairs, 'pair')} of ends in {counted(len(groups), 'group')} {verb}"
    names = counted(len(universe.questions), "name")
    known = (
        f"{counted(len(universe.endpoints), 'endpoint')}, {counted(len(universe.peers), 'other')}, {names}"
    )
    click.echo(f"namewall: {words} (known: {known})", err=True)


def _names(names: Iterable[str], everybody: list[str]) -> str:
    """Written out, or by those that are left out, whichever is shorter."""
    listed = list(names)
    if len(listed) <= SHOWN:
        return ", ".join(listed)
    missing = [name for name in everybody if name not in set(listed)]
    if len(missing) <= SHOWN:
        return f"all but {', '.join(missing)}" if missing else "all"
    return f"{', '.join(listed[:SHOWN])} and {len(listed) - SHOWN} more"
