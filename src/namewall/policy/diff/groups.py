"""Makes thousands of changed flows readable: ends that change alike stand together.

A group is sources times targets, all of which change in the same way. Invariant: every change is in one group, and
a group holds nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from namewall.model.net import Protocol
from namewall.policy.diff.changes import LAST, PROTOCOLS, Change, Comparison, PortChange
from namewall.policy.explain.words import PROTOCOL_NAMES, port_name
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


def document(groups: Iterable[Group]) -> dict[str, Any]:
    """`diff -o json`."""
    known = list(groups)
    rows = [
        {
            "from": list(group.sources),
            "to": list(group.targets),
            "changes": [
                {"ports": ports, "dns": name or None, "old": old, "new": new}
                for ports, name, old, new in said(group.ports)
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


def said(ports: Iterable[PortChange]) -> Iterator[tuple[list[str], str, str, str]]:
    """(ports as words, name of the question or "", old, new): protocols that change alike are one word."""
    together: dict[tuple[str, str, str], list[PortChange]] = {}
    for port in ports:
        key = (port.question.removesuffix("."), port.old, port.new)
        together.setdefault(key, []).append(port)
    for (name, old, new), found in together.items():
        yield list(_words(found)), name, old, new


def _words(ports: list[PortChange]) -> Iterator[str]:
    whole = {p.protocol for p in ports if p.first == 0 and p.last == LAST[p.protocol]}
    if whole == set(PROTOCOLS):
        yield "every protocol"
        return
    ranges: dict[tuple[int, int], list[Protocol]] = {}
    for port in ports:
        if port.protocol not in (Protocol.ICMP, Protocol.ICMPV6):
            ranges.setdefault((port.first, port.last), []).append(port.protocol)
    for (first, last), protocols in ranges.items():
        one = str(first) if first == last else f"{first}-{last}"
        where = "every port" if (first, last) == (0, 65535) else one
        every = len(protocols) == 3
        yield f"{where}/{'ANY' if every else ','.join(PROTOCOL_NAMES[p] for p in protocols)}"
    for port in ports:
        if port.protocol in (Protocol.ICMP, Protocol.ICMPV6):
            if port.first == 0 and port.last == LAST[port.protocol]:
                yield PROTOCOL_NAMES[port.protocol]
            elif port.first == port.last:
                yield port_name(port.protocol, port.first)
            else:
                yield f"types {port.first}-{port.last} of {PROTOCOL_NAMES[port.protocol]}"


def reversed_change(change: Change) -> Change:
    """The change from new to old."""
    return replace(change, ports=tuple(replace(port, old=port.new, new=port.old) for port in change.ports))
