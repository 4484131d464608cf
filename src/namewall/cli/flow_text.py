"""Flows as lines for people, as Hubble's printer writes them: compact, dict and table. Pure.

Input are the JSON objects of `hubble observe -o jsonpb`. Names and labels come from workloads: whatever is not
printable in them is escaped, so that no flow can speak to the terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from namewall.model.drop_words import drop_words
from namewall.model.flow import DropReason
from namewall.model.identity import Reserved

Json = dict[str, Any]

MATCHES = {0: "none", 1: "L3-Only", 2: "L3-L4", 3: "L4-Only", 4: "all", 5: "L3-Proto", 6: "Proto-Only"}
SEPARATOR = "------------"
HEADER = ("TIMESTAMP", "SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY")
DROP, TRACE, POLICY_VERDICT = 1, 4, 5
_JUDGED = {
    "FORWARDED": "ALLOWED",
    "REDIRECTED": "ALLOWED",
    "DROPPED": "DENIED",
    "ERROR": "DENIED",
    "AUDIT": "AUDITED",
}
_COLOURS = {"FORWARDED": 32, "DROPPED": 31, "AUDIT": 33}


def escaped(text: str) -> str:
    """Nothing that is not printable: `\\x1b` for an escape, `\\u202e` for what turns text around."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _stamp_milli(moment: datetime, nanoseconds: int) -> str:
    return f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S}.{nanoseconds // 1_000_000:03d}"


TIME_FORMATS: dict[str, Callable[[datetime, int], str]] = {
    "StampMilli": _stamp_milli,
    "YearMonthDay": lambda moment, _: f"{moment:%Y-%m-%d}",
    "YearMonthDayHour": lambda moment, _: f"{moment:%Y-%m-%dT%H}",
    "YearMonthDayHourMinute": lambda moment, _: f"{moment:%Y-%m-%dT%H:%M}",
    "RFC3339": lambda moment, _: f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    "RFC3339Milli": lambda moment, ns: f"{moment:%Y-%m-%dT%H:%M:%S}.{ns // 1_000_000:03d}Z",
    "RFC3339Micro": lambda moment, ns: f"{moment:%Y-%m-%dT%H:%M:%S}.{ns // 1000:06d}Z",
    "RFC3339Nano": lambda moment, ns: f"{moment:%Y-%m-%dT%H:%M:%S}.{ns:09d}Z",
    "RFC1123Z": lambda moment, _: f"{moment:%a, %d %b %Y %H:%M:%S} +0000",
}
"""Hubble's --time-format; times are in UTC."""


class FlowText:
    """How flows are written. `names` False shows addresses; `policies` adds the policies that decided."""

    def __init__(
        self,
        *,
        time_format: str = "StampMilli",
        names: bool = True,
        node: bool = False,
        policies: bool = False,
        colour: bool = False,
    ) -> None:
        self._time = TIME_FORMATS[time_format]
        self._names, self._node, self._policies, self._colour = names, node, policies, colour

    def compact(self, flow: Json) -> str:
        source, destination = self._host(flow, "source"), self._host(flow, "destination")
        identities = [identity_word(flow.get(side) or {}) for side in ("source", "destination")]
        arrow = "->"
        if "is_reply" not in flow:
            arrow = "<>"
        elif flow["is_reply"]:
            source, destination = destination, source
            identities.reverse()
            arrow = "<-"
        node = f" [{escaped(flow.get('node_name', ''))}]" if self._node else ""
        return (
            f"{self._when(flow)}{node}: {source} {identities[0]} {arrow} {destination} {identities[1]} "
            f"{kind(flow)} {self._verdict(flow)} ({self._summary(flow)})"
        )

    def dict(self, flow: Json) -> str:
        """Without the line between flows."""
        lines = [("TIMESTAMP", self._when(flow))]
        if self._node:
            lines.append(("NODE", escaped(flow.get("node_name", ""))))
        lines += [
            ("SOURCE", self._host(flow, "source")),
            ("DESTINATION", self._host(flow, "destination")),
            ("TYPE", kind(flow)),
            ("VERDICT", self._verdict(flow)),
            ("SUMMARY", self._summary(flow)),
        ]
        return "\n".join(f"{name:>11}: {value}" for name, value in lines)

    def row(self, flow: Json) -> tuple[str, ...]:
        """The cells of `header`."""
        cells = [
            self._host(flow, "source"),
            self._host(flow, "destination"),
            kind(flow),
            verdict_word(flow),
            self._summary(flow),
        ]
        if self._node:
            cells.insert(0, escaped(flow.get("node_name", "")))
        return (self._when(flow), *cells)

    def header(self) -> tuple[str, ...]:
        return (HEADER[0], "NODE", *HEADER[1:]) if self._node else HEADER

    def lost(self, lost: Json) -> str:
        return f"EVENTS LOST: {escaped(lost.get('source', ''))} CPU(0) {lost.get('num_events_lost', 0)}"

    def _when(self, flow: Json) -> str:
        text = flow["time"]
        head, _, rest = text.removesuffix("Z").partition(".")
        moment = datetime.fromisoformat(head).replace(tzinfo=UTC)
        return self._time(moment, int(rest.ljust(9, "0")[:9] or 0))

    def _host(self, flow: Json, side: str) -> str:
        end = flow.get(side) or {}
        host = (flow.get("IP") or {}).get(side, "")
        if self._names:
            service = flow.get(f"{side}_service") or {}
            names = flow.get(f"{side}_names") or []
            if end.get("pod_name"):
                host = _joined(end.get("namespace", ""), end["pod_name"])
            elif service:
                host = _joined(service.get("namespace", ""), service.get("name", ""))
            elif names:
                host = ",".join(names)
        port = _port(flow, side)
        if not port:
            return escaped(host)
        return escaped(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

    def _summary(self, flow: Json) -> str:
        words = [flow.get("Summary", "")]
        if self._policies:
            names = policy_names(flow)
            selecting = [_joined(ref["namespace"], ref["name"]) for ref in _ours(flow, "selected_by")]
            if names:
                words.append(f"by {', '.join(names)}")
            elif selecting:
                words.append(f"by default deny of {', '.join(selecting)}")
        return escaped("; ".join(filter(None, words)))

    def _verdict(self, flow: Json) -> str:
        word = verdict_word(flow)
        colour = _COLOURS.get(flow.get("verdict", ""))
        return f"\x1b[{colour}m{word}\x1b[0m" if self._colour and colour else word


def policy_names(flow: Json) -> list[str]:
    """The policies that decided, with the rule where it is known."""
    found = []
    for direction in ("egress", "ingress"):
        for verdict in ("allowed", "denied"):
            for policy in flow.get(f"{direction}_{verdict}_by") or ():
                rule = next((x for x in policy.get("labels") or () if x.startswith("namewall:rule=")), "")
                name = _joined(policy.get("namespace", ""), policy.get("name", ""))
                found.append(f"{name} {rule.removeprefix('namewall:rule=')}".rstrip())
    return list(dict.fromkeys(found))


def _ours(flow: Json, name: str) -> list[Json]:
    found: list[Json] = (flow.get("namewall") or {}).get(name) or []
    return found


def verdict_word(flow: Json) -> str:
    verdict = str(flow.get("verdict", ""))
    if (flow.get("event_type") or {}).get("type") == POLICY_VERDICT:
        return _JUDGED.get(verdict, verdict)
    return verdict


def kind(flow: Json) -> str:
    """`policy-verdict:L3-L4 EGRESS`, `dns-request kernel`, `to-stack`, or a drop reason in words."""
    layer7 = flow.get("l7")
    if layer7:
        dns = layer7.get("dns") or {}
        return escaped(f"dns-{layer7.get('type', '').lower()} {dns.get('observation_source', '')}")
    event = flow.get("event_type") or {}
    direction = flow.get("traffic_direction", "")
    if event.get("type") == POLICY_VERDICT:
        return f"policy-verdict:{MATCHES.get(flow.get('policy_match_type', 0), 'none')} {direction}"
    if event.get("type") == TRACE:
        return "to-endpoint" if direction == "INGRESS" else "to-stack"
    reason = flow.get("drop_reason_desc", "")
    if event.get("type") == DROP and reason in DropReason.__members__:
        return drop_words(DropReason[reason])
    return "UNKNOWN"


def identity_word(end: Json) -> str:
    """`(ID:1234)`, `(host)`; the world of either IP version is `(world)`."""
    number = end.get("identity", 0)
    if number in (Reserved.WORLD_IPV4, Reserved.WORLD_IPV6):
        return "(world)"
    if number in Reserved.__members__.values():
        return f"({Reserved(number).name.lower().replace('_', '-')})"
    return f"(ID:{number})"


def _joined(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _port(flow: Json, side: str) -> int:
    for layer in (flow.get("l4") or {}).values():
        if isinstance(layer, dict):
            return int(layer.get(f"{side}_port", 0))
    return 0
