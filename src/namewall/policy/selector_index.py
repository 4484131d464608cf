"""Which of many label selectors select one label set, without asking each of them.

A selector with an `In` condition can select only what has one of its labels, so it waits under those labels, of
several conditions under the one with the fewest others; a label set asks those under its own labels. Selectors
without such a condition are few, and are always asked.

Used in both directions: which rules protect a new endpoint, and which peer sets a new identity joins.
"""

from __future__ import annotations

from collections.abc import Iterator

from namewall.model.labels import Labels, view
from namewall.policy.selectors import LabelSelector, Requirement

Place = tuple[tuple[str, str], str]
"""A label as a condition names it: (source, key), value."""


class SelectorIndex:
    """A set of selectors."""

    def __init__(self) -> None:
        self._places: dict[LabelSelector, tuple[Place, ...]] = {}
        self._waiting: dict[Place, dict[LabelSelector, None]] = {}
        self._always: dict[LabelSelector, None] = {}

    def __contains__(self, selector: LabelSelector) -> bool:
        return selector in self._places

    def __iter__(self) -> Iterator[LabelSelector]:
        return iter(self._places)

    def add(self, selector: LabelSelector) -> None:
        if selector in self._places:
            return
        choices = [_places(r) for r in selector.requirements if r.operator == "In"]
        if not choices:
            self._places[selector] = ()
            self._always[selector] = None
            return
        places = min(choices, key=lambda each: sum(len(self._waiting.get(place, ())) for place in each))
        self._places[selector] = places
        for place in places:
            self._waiting.setdefault(place, {})[selector] = None

    def discard(self, selector: LabelSelector) -> None:
        for place in self._places.pop(selector, ()):
            del self._waiting[place][selector]
            if not self._waiting[place]:
                del self._waiting[place]
        self._always.pop(selector, None)

    def selecting(self, labels: Labels) -> list[LabelSelector]:
        """Those that select this label set."""
        if not self._places:
            return []
        found = [selector for selector in self._always if selector.matches(labels)]
        for place in view(labels).items():  # a selector is under one of these labels only
            if waiting := self._waiting.get(place):
                found += [selector for selector in waiting if selector.matches(labels)]
        return found


def _places(requirement: Requirement) -> tuple[Place, ...]:
    return tuple(((requirement.source, requirement.key), value) for value in requirement.values)
