"""Makes thousands of changed flows readable: ends that change alike stand together.

A group is sources times targets, all of which change in the same way. Invariant: every change is in one group, and
a group holds nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from namewall.policy.diff.changes import Change, Comparison, PortChange
from namewall.policy.diff.universe import Universe
from namewall.policy.diff.words import said
from namewall.policy.map_state import RuleOrigin


@dataclass(frozen=True, slots=True)
class Group:
    """`ports` as in Change; `rules` decide the first flow of the group: new ones, or, if none does, old ones."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    ports: tuple[PortChange, ...]
    rules: tuple[RuleOrigin, ...] = ()
    by_new: bool = True


def grouped(changes: Iterable[Change], comparison: Comparison | None = None) -> list[Group]:
    """Ordered by source and target."""
    alike: dict[tuple[PortChange, ...], dict[str, dict[str, None]]] = {}
    by_id: dict[int, tuple[tuple[PortChange, ...], dict[str, dict[str, None]]]] = {}
    for change in changes:
        # Few tuples stand for many changes: looked up by what they hold once each.
        if (held := by_id.get(id(change.ports))) is None:
            held = by_id[id(change.ports)] = change.ports, alike.setdefault(change.ports, {})
        held[1].setdefault(change.source, {})[change.target] = None
    found: list[Group] = []
    for ports, by_source in alike.items():
        together: dict[tuple[str, ...], list[str]] = {}
        for source, targets in by_source.items():
            together.setdefault(tuple(targets), []).append(source)
        for to, sources in together.items():
            first = Change(sources[0], to[0], ports)
            by_new, rules = comparison.because(first) if comparison is not None else (True, ())
            found.append(Group(tuple(sources), to, ports, rules, by_new))
    return sorted(found, key=lambda group: (group.sources, group.targets))


def document(groups: Iterable[Group], universe: Universe) -> dict[str, Any]:
    """`diff -o json`."""
    known = list(groups)
    rows = [
        {
            "from": list(group.sources),
            "to": list(group.targets),
            "changes": [
                {"ports": ports, "dns": name or None, "old": old, "new": new}
                for ports, name, old, new in said(group.ports, universe.unnumbered)
            ],
            "rules": [
                {"policy": o.name, "kind": o.kind, "namespace": o.namespace or None, "rule": o.rule}
                for o in group.rules
            ],
            "rulesOf": ("new" if group.by_new else "old") if group.rules else None,
        }
        for group in known
    ]
    flows = sum(len(group.sources) * len(group.targets) for group in known)
    return {"changed": bool(rows), "pairs": flows, "groups": rows}


def reversed_change(change: Change) -> Change:
    """The change from new to old."""
    return replace(change, ports=tuple(replace(port, old=port.new, new=port.old) for port in change.ports))
