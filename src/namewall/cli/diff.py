"""`namewall diff OLD NEW`: which flows change their verdict from one set of policies to another.

Each side is policies (files, folders, `-`) or a scenario. Who is known comes from the scenarios, else from the
policies themselves (policy/diff/universe.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import click

from namewall.cli.context import WRONG_USAGE, fail
from namewall.cli.inputs import Complaint, clean, complaint, documents, dumped, texts
from namewall.cli.lint import is_world
from namewall.cli.policy_objects import is_other, is_scenario, objects
from namewall.cli.scenarios import ScenarioFile, place
from namewall.cli.validate import judge
from namewall.policy.diff.changes import Comparison
from namewall.policy.diff.groups import Group, document, grouped, said
from namewall.policy.diff.universe import Known, Universe, from_policies, outside_peers, question_names
from namewall.policy.expand import CidrGroup, expand
from namewall.policy.explain.words import rule_names
from namewall.policy.parse import parse
from namewall.policy.rules import Policy
from namewall.policy.scenario import Scenario

SHOWN = 8
"""Names of one group that are written out."""


@dataclass
class _Side:
    policies: list[Policy] = field(default_factory=list)
    groups: list[CidrGroup] = field(default_factory=list)
    worlds: list[Scenario] = field(default_factory=list)


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
    worlds = given or [*after.worlds, *before.worlds]
    services = [service.facts for scenario in worlds for service in scenario.services]
    old_policies = expand(before.policies, services, before.groups)
    new_policies = expand(after.policies, services, after.groups)
    universe = _universe([*old_policies, *new_policies], worlds)
    comparison = Comparison(old_policies, new_policies, universe)
    groups = grouped(comparison.changes(), comparison)
    if output == "text":
        _say(groups, universe)
    else:
        click.echo(dumped(document(groups), output), nl=False)
    sys.exit(1 if groups else 0)


def _read(path: str, broken: list[Complaint]) -> _Side:
    side = _Side()
    for source, text in texts([path]):
        for found in documents(source, text, broken):
            if is_scenario(found) or is_world(found):
                one = place(source, found)
                broken += one.complaints or one.rejected()
                _take(side, one)
                continue
            for where, obj in objects(found):
                if is_other(obj):
                    continue
                problems, _ = judge(obj)
                broken += [complaint(source, found, problem, where) for problem in problems]
                if problems:
                    continue
                if obj["kind"] == "CiliumCIDRGroup":
                    side.groups.append(CidrGroup.parse(obj))
                elif (policy := parse(obj)[0]) is not None:
                    side.policies.append(policy)
    return side


def _take(side: _Side, one: ScenarioFile) -> None:
    if one.scenario is not None:
        side.policies += one.scenario.expanded
        side.worlds.append(one.scenario)


def _universe(policies: list[Policy], worlds: list[Scenario]) -> Universe:
    """Endpoints of the worlds, the first one's where two have the same; names and borders of the policies too."""
    if not worlds:
        return from_policies(policies)
    endpoints: dict[str, Known] = {}
    names: dict[str, None] = {}
    for scenario in worlds:
        for e in scenario.endpoints:
            known = Known(str(e), e.labels, e.address_like(None), e.ports)
            endpoints.setdefault(known.name, known)
        names.update(dict.fromkeys(name for held in scenario.names.values() for name in held))
        names.update(dict.fromkeys(lookup.name for lookup in scenario.lookups))
    peers = outside_peers(policies, names)
    for scenario in worlds:
        for address in scenario.names:
            if scenario.owner(address) is None:
                peers[str(address)] = scenario.facts(address)
    questions = tuple(dict.fromkeys((*names, *question_names(policies))))
    return Universe(tuple(endpoints.values()), peers, questions, worlds[0].cluster_ports)


def _say(groups: list[Group], universe: Universe) -> None:
    everybody = [known.name for known in universe.endpoints] + list(universe.peers)
    for group in groups:
        click.echo(clean(f"{_names(group.sources, everybody)} → {_names(group.targets, everybody)}"))
        for ports, name, old, new in said(group.ports):
            what = ", ".join(ports) if not name else f"question {name} over {', '.join(ports)}"
            click.echo(clean(f"  {what}: {old} → {new}"))
        if group.rules:
            click.echo(clean(f"  {'by' if group.by_new else 'was by'} {rule_names(group.rules)}"))
    pairs = sum(len(group.sources) * len(group.targets) for group in groups)
    words = f"{pairs} pairs of ends in {len(groups)} groups change" if groups else "no flow changes"
    known = (
        f"{len(universe.endpoints)} endpoints, {len(universe.peers)} others, {len(universe.questions)} names"
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
