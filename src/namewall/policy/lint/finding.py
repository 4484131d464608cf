"""Findings, and the material that rules look at.

A Project is a set of policies meant to hold together, with or without a world (a Scenario) by which it can be told
whether a selector selects anybody. Invariant: a rule judges by what the policies mean together, never by one alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from namewall.model.labels import K8S, METADATA_NAME, NAMESPACE, Labels
from namewall.model.net import Direction
from namewall.policy.diff.universe import representatives
from namewall.policy.explain.anatomy import Catalog, Raw, at
from namewall.policy.lint.contained import form_within, world_families
from namewall.policy.lint.subjects import Subjects
from namewall.policy.lint.suffixes import Suffixes
from namewall.policy.lint.wider import Wider
from namewall.policy.rules import EVERYTHING, Policy, Rule
from namewall.policy.scenario import Scenario
from namewall.policy.selectors import WILDCARD, FqdnSelector, LabelSelector

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""The gravest first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`index` is the object's number in the project, `path` the field, `hint` what would be right."""

    rule: str
    severity: Severity
    index: int
    path: str
    message: str
    hint: str


@dataclass(frozen=True)
class Project:
    catalog: Catalog
    scenario: Scenario | None = None
    suffixes: Suffixes = field(default_factory=Suffixes)
    nulls: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """By object's number: its fields that are null in the text (parse.stored)."""

    @cached_property
    def rules(self) -> list[tuple[int, Rule]]:
        """(object's number, rule), in order."""
        return [(index, rule) for index, policy in self.catalog.numbered() for rule in policy.rules]

    @cached_property
    def _policies(self) -> dict[int, Policy]:
        return dict(self.catalog.numbered())

    def rules_of(self, index: int, beginning: str) -> list[Rule]:
        """The rules of an object whose paths begin so, as `spec.egressDeny[`."""
        return [rule for rule in self._policies[index].rules if rule.origin.rule.startswith(beginning)]

    @cached_property
    def by_subject(self) -> Subjects:
        return Subjects(self.rules)

    @cached_property
    def _around(self) -> dict[tuple[LabelSelector, Direction, bool], list[tuple[int, Rule]]]:
        return {}

    @cached_property
    def _wider(self) -> dict[int, Wider]:
        """By the id of a list of `_around`, which lives as long."""
        return {}

    @cached_property
    def _open(self) -> dict[int, list[tuple[int, Rule]]]:
        return {}

    @cached_property
    def audited(self) -> frozenset[int]:
        """Numbers of the policies that are in audit: they decide nothing for those enforced."""
        return frozenset(index for index, policy in self.catalog.numbered() if policy.audit)

    def around(self, rule: Rule) -> list[tuple[int, Rule]]:
        """The rules of its direction that protect everyone whom the rule protects, itself among them."""
        tried = bool(self.audited) and self.catalog.number_of(rule.origin) in self.audited
        key = rule.subject, rule.direction, tried
        found = self._around.get(key)
        if found is None:
            found = self._around[key] = [
                each
                for each in self.by_subject.around(rule.subject)
                if each[1].direction is rule.direction and (tried or each[0] not in self.audited)
            ]
        return found

    def wider(self, rule: Rule) -> list[tuple[int, Rule]]:
        """Those of `around` that may say all that the rule says."""
        return self.index(rule).candidates(rule)

    def name_is_said(self, rule: Rule, form: str) -> bool:
        """Whether `around` has a name or pattern for all that a form (of policy.patterns) matches."""
        said = self.index(rule).peers(FqdnSelector(form))
        return any(isinstance(peer, FqdnSelector) and form_within(form, peer.form) for peer in said)

    def index(self, rule: Rule) -> Wider:
        """Of `around`."""
        around = self.around(rule)
        if id(around) not in self._wider:
            self._wider[id(around)] = Wider(around)
        return self._wider[id(around)]

    def open_around(self, rule: Rule) -> list[tuple[int, Rule]]:
        """Those of `around` that let out to the world."""
        around = self.around(rule)
        if id(around) not in self._open:
            self._open[id(around)] = [
                each for each in around if any(world_families(peer) for peer in each[1].peers)
            ]
        return self._open[id(around)]

    def allows(self, direction: Direction | None = None) -> Iterator[tuple[int, Rule]]:
        for index, rule in self.rules:
            if not rule.deny and direction in (None, rule.direction):
                yield index, rule

    def specs(self) -> Iterator[tuple[int, str, Raw]]:
        """(object's number, path, spec) of all kinds."""
        for index, _ in self.catalog.numbered():
            raw = self.catalog.raws[index]
            if raw.get("spec") is not None:
                yield index, "spec", raw["spec"]
            for number, spec in enumerate(raw.get("specs") or ()):
                yield index, f"specs[{number}]", spec

    def kind(self, index: int) -> str:
        return str(self.catalog.raws[index]["kind"])

    def item(self, rule: Rule) -> Raw:
        """The item of a rule; of a NetworkPolicy's rule without items its spec."""
        return self.catalog.item(rule.origin)

    def subjects(self, rule: Rule) -> list[Labels]:
        """Label sets the rule protects: the world's, else made up."""
        if self.scenario is not None:
            known = [e.labels for e in self.scenario.endpoints if rule.subject.matches(e.labels)]
            if known:
                return list(dict.fromkeys(known))
        return list(representatives(rule.subject, rule.origin.namespace or "default"))

    def value(self, index: int, path: str) -> Any:
        return at(self.catalog.raws[index], path)


def is_for_all(rule: Rule) -> bool:
    """Whether it means everybody at every port."""
    return WILDCARD in rule.peers and EVERYTHING in rule.ports


def in_namespace(kind: str, namespace: str) -> str:
    """What a peer selector needs to mean pods of another namespace."""
    if kind == "NetworkPolicy":
        return f"namespaceSelector: {{matchLabels: {{{METADATA_NAME}: {namespace}}}}}"
    return f"{K8S}:{NAMESPACE}: {namespace}"
