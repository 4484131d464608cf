"""Which flows change their verdict from one set of policies to another, and among whom that is asked.

Who is known comes from scenarios among the files, else from the policies themselves (policy/diff/universe.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from namewall.policy.diff.changes import Comparison
from namewall.policy.diff.groups import Group, grouped
from namewall.policy.diff.universe import Known, Universe, from_policies, outside_peers, question_names
from namewall.policy.expand import CidrGroup, expand
from namewall.policy.parse import CIDR_GROUP, parse
from namewall.policy.rules import Policy, in_force
from namewall.policy.scenario import Scenario
from namewall.review.complaints import Complaint, complaint, documents
from namewall.review.objects import is_other, is_scenario, is_world, objects
from namewall.review.scenarios import Opener, ScenarioFile, nothing, place
from namewall.review.validate import judge


@dataclass
class Side:
    policies: list[Policy] = field(default_factory=list)
    groups: list[CidrGroup] = field(default_factory=list)
    worlds: list[Scenario] = field(default_factory=list)


def side_of(files: Iterable[tuple[str, bytes]], broken: list[Complaint], opened: Opener = nothing) -> Side:
    """The policies and scenarios of (source, text); what is wrong with them is added to `broken`."""
    side = Side()
    for source, text in files:
        for found in documents(source, text, broken):
            if is_scenario(found) or is_world(found):
                one = place(source, found, opened)
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
                if obj["kind"] == CIDR_GROUP:
                    side.groups.append(CidrGroup.parse(obj))
                elif (policy := parse(obj)[0]) is not None:
                    side.policies.append(policy)
    return side


def _take(side: Side, one: ScenarioFile) -> None:
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
        for e in (*scenario.endpoints, *filter(None, [scenario.stand_in])):
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


def compare(before: Side, after: Side, given: Iterable[Scenario] = ()) -> tuple[list[Group], Universe]:
    """The flows that change, in groups, and who was asked about. `given` are worlds to ask instead."""
    worlds = list(given) or [*after.worlds, *before.worlds]
    services = [service.facts for scenario in worlds for service in scenario.services]
    old = expand(in_force(before.policies), services, before.groups)
    new = expand(in_force(after.policies), services, after.groups)
    universe = _universe([*old, *new], worlds)
    comparison = Comparison(old, new, universe)
    return grouped(comparison.changes(), comparison), universe
