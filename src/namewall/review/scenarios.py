"""Scenario files: the document, the policies of its `policyFiles`, and the line of everything in both.

A file may hold several documents, each a scenario. Of policy files policies and CiliumCIDRGroups count, other objects
of Kubernetes are left out. Who calls knows where `policyFiles` are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from namewall.model.documents import Document
from namewall.model.errors import Problem
from namewall.policy.map_state import RuleOrigin
from namewall.policy.parse import CIDR_GROUP, stored
from namewall.policy.scenario import PolicyResult, Scenario
from namewall.policy.scenario_parse import parse_scenario
from namewall.review.complaints import Complaint, complaint, documents
from namewall.review.objects import is_other, is_scenario, objects

Opener = Callable[[str, str, list[Complaint]], Iterable[tuple[str, bytes]] | None]
"""From the scenario's source and a name in its `policyFiles` to (source, text) of each file meant; None for none. What
cannot be read is added to the list."""


def nothing(source: str, name: str, broken: list[Complaint]) -> None:
    """An Opener that has no files."""


@dataclass(frozen=True)
class Placed:
    """An object of `policies` or of a policy file, and where it is written."""

    source: str
    document: Document
    path: str
    written: Any

    @cached_property
    def _stored(self) -> tuple[Any, tuple[str, ...]]:
        return stored(self.written)

    @property
    def object(self) -> Any:
        """As an API server keeps it."""
        return self._stored[0]

    @property
    def nulls(self) -> tuple[str, ...]:
        """The fields that are written and null, and so are not in the object."""
        return self._stored[1]

    def line_of(self, path: str = "") -> int:
        return self.document.line_of(".".join(part for part in (self.path, path) if part))

    @property
    def key(self) -> tuple[str, str, str]:
        """Kind, namespace and name, as a RuleOrigin has them."""
        row = self.object if isinstance(self.object, dict) else {}
        metadata = row.get("metadata") if isinstance(row.get("metadata"), dict) else {}
        assert isinstance(metadata, dict)
        kind = str(row.get("kind"))
        clusterwide = kind == "CiliumClusterwideNetworkPolicy"
        namespace = "" if clusterwide else str(metadata.get("namespace") or "default")
        return kind, namespace, str(metadata.get("name"))


@dataclass
class ScenarioFile:
    """One scenario document. `scenario` is None where `complaints` are; `policies` are the objects in the order of
    `scenario.results` and CiliumCIDRGroups."""

    source: str
    document: Document
    scenario: Scenario | None = None
    complaints: list[Complaint] = field(default_factory=list)
    policies: list[Placed] = field(default_factory=list)

    @property
    def name(self) -> str:
        value = self.document.value
        named = value.get("name") or value.get("id") if isinstance(value, dict) else None
        return str(named) if named else self.source

    def line_of(self, path: str) -> int:
        """The line of a field of the scenario document, as `queries[3]`."""
        return self.document.line_of(path)

    def line_of_rule(self, origin: RuleOrigin) -> tuple[str, int] | None:
        """File and line of a rule that decided; of policies with one name the last counts."""
        for placed in reversed(self.policies):
            if placed.key == (origin.kind, origin.namespace, origin.name):
                return placed.source, placed.line_of(origin.rule)
        return None

    def judged(self) -> Iterator[tuple[Placed, PolicyResult]]:
        """The policies and what became of them."""
        assert self.scenario is not None
        found = [one for one in self.policies if one.key[0] != CIDR_GROUP]
        return zip(found, self.scenario.results, strict=True)

    def rejected(self) -> list[Complaint]:
        """What is wrong with the policies that were not accepted, but for those expected not to be."""
        expected = self.document.value.get("policy_results") or ()
        foreseen = {
            index
            for index, row in enumerate(expected)
            if isinstance(row, dict) and row.get("accepted") is False
        }
        return [
            complaint(placed.source, placed.document, problem, placed.path)
            for index, (placed, result) in enumerate(self.judged())
            for problem in result.problems
            if index not in foreseen
        ]

    def replaced(self) -> list[Complaint]:
        """The policies that are not in force, since another one with their name comes later."""
        judged = list(self.judged())
        found = []
        for placed, result in judged:
            if result.replaced_by is not None:
                by, _ = judged[result.replaced_by]
                place = f"{by.source}:{by.line_of('metadata.name')}"
                text = f"{place} has a policy of the same name, which replaces this one"
                problem = Problem("metadata.name", text, "agent")
                found.append(complaint(placed.source, placed.document, problem, placed.path))
        return found

    def unenforceable(self) -> list[Complaint]:
        return [
            complaint(placed.source, placed.document, problem, placed.path)
            for placed, result in self.judged()
            for problem in result.unenforceable
        ]

    def policy_differences(self) -> list[str]:
        """How the results of policies differ from the `policy_results` of the document."""
        assert self.scenario is not None
        return policy_differences(self.document.value, self.scenario)


def policy_differences(document: Any, scenario: Scenario) -> list[str]:
    expected = document.get("policy_results")
    if expected is None:
        return []
    results = scenario.results
    if len(expected) != len(results):
        return [f"policy_results: expected {len(expected)} policies, got {len(results)}"]
    return [
        f"policy_results[{index}]: `{result.name}`: expected accepted {row['accepted']}, got {result.accepted}"
        for index, (row, result) in enumerate(zip(expected, results, strict=True))
        if isinstance(row, dict) and "accepted" in row and row["accepted"] is not result.accepted
    ]


def place(source: str, document: Document, opened: Opener = nothing) -> ScenarioFile:
    """One document as a scenario, with the policies of its files."""
    file = ScenarioFile(source, document)
    value = document.value
    row = value if isinstance(value, dict) else {}
    own = row.get("policies")
    file.policies = [
        Placed(source, document, f"policies[{index}]", obj)
        for index, obj in enumerate(own if isinstance(own, list) else ())
    ]
    names = row.get("policyFiles")
    more: list[Placed] = []
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        for index, name in enumerate(names):
            more += _policies_of(file, f"policyFiles[{index}]", name, opened)
    file.policies += more
    scenario, problems = parse_scenario(value, [placed.object for placed in more])
    file.complaints += [_place_problem(file, problem) for problem in problems]
    file.scenario = None if file.complaints else scenario
    return file


def _policies_of(file: ScenarioFile, path: str, name: str, opened: Opener) -> list[Placed]:
    texts = opened(file.source, name, file.complaints)
    if texts is None:
        message = f"`{name}` does not exist; paths are relative to the file they stand in"
        file.complaints.append(Complaint(file.source, file.line_of(path), path, message))
        return []
    found = [
        Placed(source, document, where, obj)
        for source, text in texts
        for document in documents(source, text, file.complaints)
        for where, obj in objects(document)
        if not is_other(obj) and not is_scenario(document)
    ]
    if not found and not file.complaints:
        message = f"`{name}` has no policy"
        file.complaints.append(Complaint(file.source, file.line_of(path), path, message))
    return found


def _place_problem(file: ScenarioFile, problem: Problem) -> Complaint:
    """Problems of `policies[i]` may be those of a policy file."""
    for index, placed in enumerate(file.policies):
        prefix = f"policies[{index}]"
        if placed.source != file.source and problem.path.startswith(prefix):
            path = problem.path.removeprefix(prefix).removeprefix(".")
            line = placed.line_of(path)
            return Complaint(
                placed.source, line, path, problem.message, meant=problem.meant, hint=problem.hint
            )
    return complaint(file.source, file.document, problem)
