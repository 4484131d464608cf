"""From the flags of `observe` to Hubble's filters (a whitelist and a blacklist of FlowFilters). Pure.

A flag that means either end (`--pod`) makes two filters, one for each end, of which one must hold. `--not` puts
the next flag into the blacklist. The values of one flag are alternatives; different flags must all hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from namewall.state.flow_filter import EVENT_KINDS, identity_numbers

Filter = dict[str, list[Any]]

ENDS = {
    "pod": "pod",
    "fqdn": "fqdn",
    "ip": "ip",
    "label": "label",
    "service": "service",
    "port": "port",
    "workload": "workload",
    "identity": "identity",
}
"""Flag → field; `--from-FLAG` and `--to-FLAG` are one end, `--FLAG` either."""
WHOLE = {
    "verdict": "verdict",
    "drop-reason-desc": "drop_reason_desc",
    "type": "event_type",
    "protocol": "protocol",
    "tcp-flags": "tcp_flags",
    "traffic-direction": "traffic_direction",
    "ip-version": "ip_version",
    "policy": "policy",
    "dns-query": "dns_query",
}
LISTS = {"verdict", "drop-reason-desc", "protocol"}
"""Flags whose value may be several, with commas between."""
TO_STACK, TO_ENDPOINT = 3, 0

CONFLICTS = (
    ("namespace", "from-namespace", "to-namespace", "all-namespaces"),
    ("pod", "from-pod"),
    ("pod", "to-pod"),
    ("ip", "from-ip"),
    ("ip", "to-ip"),
    ("fqdn", "from-fqdn"),
    ("fqdn", "to-fqdn"),
    ("label", "from-label"),
    ("label", "to-label"),
    ("service", "from-service"),
    ("service", "to-service"),
    ("port", "from-port"),
    ("port", "to-port"),
    ("identity", "from-identity"),
    ("identity", "to-identity"),
    ("workload", "from-workload"),
    ("workload", "to-workload"),
)
"""A flag for either end and one for one end would each need two filters of the other: Hubble refuses them too."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag as it was written."""

    name: str
    value: str
    negated: bool = False


@dataclass(slots=True)
class _Tracker:
    """`left` or `right` must hold."""

    left: Filter = field(default_factory=dict)
    right: Filter = field(default_factory=dict)
    namespaces: dict[str, list[str]] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)

    def both(self, name: str, values: Sequence[Any]) -> None:
        self.left.setdefault(name, []).extend(values)
        self.right.setdefault(name, []).extend(values)

    def filters(self) -> list[Filter]:
        if not self.given:
            return []
        for name, where in (("from-namespace", "source"), ("to-namespace", "destination")):
            for side in (self.left, self.right):
                _within(side, where, self.namespaces.get(name, ()))
        either = self.namespaces.get("namespace", ())
        _within(self.left, "source", either)
        _within(self.right, "destination", either)
        return [self.left] if self.left == self.right else [self.left, self.right]


def build(flags: Iterable[Flag]) -> tuple[list[Filter], list[Filter]]:
    """Whitelist and blacklist. Raises ValueError with the flag's name and what would be right."""
    allow, deny = _Tracker(), _Tracker()
    for flag in flags:
        _set(deny if flag.negated else allow, flag)
    for tracker in (allow, deny):
        for group in CONFLICTS:
            clash = [name for name in group if name in tracker.given]
            if len(clash) > 1 and not (
                group[0] == "namespace" and set(clash) == {"from-namespace", "to-namespace"}
            ):
                raise ValueError(f"--{clash[0]} and --{clash[1]} cannot be combined")
    return allow.filters(), deny.filters()


def _set(tracker: _Tracker, flag: Flag) -> None:
    tracker.given.add(flag.name)
    name, value = flag.name, flag.value
    if name.endswith("all-namespaces"):
        tracker.namespaces.setdefault(name.replace("all-namespaces", "namespace"), []).append("")
        return
    if name.endswith("namespace"):
        tracker.namespaces.setdefault(name, []).append(value)
        return
    side, _, end = name.partition("-")
    if name in ENDS:
        values = _values(name, value)
        tracker.left.setdefault(f"source_{ENDS[name]}", []).extend(values)
        tracker.right.setdefault(f"destination_{ENDS[name]}", []).extend(values)
    elif side in ("from", "to") and end in ENDS:
        where = "source" if side == "from" else "destination"
        tracker.both(f"{where}_{ENDS[end]}", _values(end, value))
    elif name in WHOLE:
        parts = value.split(",") if name in LISTS else [value]
        tracker.both(WHOLE[name], [each for part in parts for each in _values(name, part)])
    else:
        raise ValueError(f"--{name} is no filter")


def _values(name: str, value: str) -> list[Any]:
    """What stands in the filter for a flag's value."""
    try:
        if name == "identity":
            return list(identity_numbers(value))
        if name == "type":
            return [_event_type(value)]
        if name == "workload":
            kind, slash, workload = value.partition("/")
            return [{"kind": kind, "name": workload} if slash else {"name": value}]
        if name == "tcp-flags":
            return [{flag.strip().upper(): True for flag in value.split(",")}]
        if name == "ip-version":
            word = {"4": "IPv4", "6": "IPv6"}.get(value.lower().removeprefix("ip").removeprefix("v"))
            if word is None:
                raise ValueError(f"`{value}` is no IP version; write v4 or v6")
            return [word]
    except ValueError as error:
        raise ValueError(f"--{name}: {error}") from None
    return [value]


def _event_type(text: str) -> dict[str, Any]:
    name, colon, sub = text.partition(":")
    if name not in EVENT_KINDS:
        raise ValueError(f"`{name}` is no event type; write one of {', '.join(EVENT_KINDS)}")
    found: dict[str, Any] = {"type": int(EVENT_KINDS[name])}
    if colon:
        number = {"to-endpoint": TO_ENDPOINT, "to-stack": TO_STACK}.get(sub)
        if number is None:
            if not sub.isdigit():
                raise ValueError(f"`{sub}` is no sub-type; write a number, to-endpoint or to-stack")
            number = int(sub)
        found |= {"match_sub_type": True, "sub_type": number}
    return found


def _within(side: Filter, where: str, namespaces: Sequence[str]) -> None:
    """Names without a namespace get these; where none is named, all of them are meant."""
    if not namespaces:
        return
    pods, services = f"{where}_pod", f"{where}_service"
    if pods not in side and services not in side:
        side[pods] = [""]
    for name in (pods, services):
        if name in side:
            side[name] = [
                full
                for value in side[name]
                for full in (
                    [value] if "/" in value else [f"{namespace}/{value}" for namespace in namespaces]
                )
            ]
