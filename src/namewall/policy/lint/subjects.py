"""Which rules protect the subjects of a rule too: found by an index, so that a thousand policies are quick to lint.

A selector that asks for one value of a label can only hold where that label has the value: it waits in the bucket of
that label, and only the few without such a requirement are asked every time.
"""

from __future__ import annotations

from collections.abc import Iterable

from namewall.model.labels import Labels, parse_label
from namewall.policy.lint.contained import label_within, own_requirements
from namewall.policy.rules import Rule
from namewall.policy.selectors import LabelSelector

_Found = list[tuple[int, Rule]]
_Anchor = tuple[str, str]
"""A label's key and value."""


class Subjects:
    """Rules of one project, each with the number of its object."""

    def __init__(self, rules: Iterable[tuple[int, Rule]]) -> None:
        self._rules: dict[LabelSelector, _Found] = {}
        for index, rule in rules:
            self._rules.setdefault(rule.subject, []).append((index, rule))
        self._buckets: dict[_Anchor | None, list[LabelSelector]] = {}
        for subject in self._rules:
            anchors = sorted(_anchors(LabelSelector(tuple(own_requirements(subject))))) or sorted(
                _anchors(subject)
            )
            self._buckets.setdefault(anchors[0] if anchors else None, []).append(subject)
        self._around: dict[LabelSelector, _Found] = {}
        self._selecting: dict[Labels, _Found] = {}

    def around(self, subject: LabelSelector) -> _Found:
        """The rules that protect everyone whom `subject` selects."""
        found = self._around.get(subject)
        if found is None:
            wider = [each for each in self._near(_anchors(subject)) if label_within(subject, each)]
            found = self._around[subject] = [rule for each in wider for rule in self._rules[each]]
        return found

    def selecting(self, labels: Labels) -> _Found:
        """The rules that protect this label set."""
        found = self._selecting.get(labels)
        if found is None:
            known = {(label.key, label.value) for label in map(parse_label, labels)}
            chosen = [each for each in self._near(known) if each.matches(labels)]
            found = self._selecting[labels] = [rule for each in chosen for rule in self._rules[each]]
        return found

    def _near(self, anchors: set[_Anchor]) -> list[LabelSelector]:
        keys: list[_Anchor | None] = [None, *sorted(anchors)]
        return [subject for key in keys for subject in self._buckets.get(key, ())]


def _anchors(subject: LabelSelector) -> set[_Anchor]:
    return {
        (r.key, next(iter(r.values)))
        for r in subject.requirements
        if r.operator == "In" and len(r.values) == 1
    }
