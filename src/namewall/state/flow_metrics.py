"""Counts of flows under Hubble's metric names, as its handlers for flow, drop, dns, tcp and policy count them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from namewall.model.exposition import Family
from namewall.model.flow import MatchType
from namewall.model.net import Direction, Protocol
from namewall.state.flow_json import RCODES, protocol_name, query_type, tcp_flags
from namewall.state.observed import EventKind, Observed, Verdict

_TYPES = {
    EventKind.DROP: "Drop",
    EventKind.CAPTURE: "Capture",
    EventKind.TRACE: "Trace",
    EventKind.POLICY_VERDICT: "PolicyVerdict",
    EventKind.TRACE_SOCK: "TraceSock",
    EventKind.L7: "L7",
}
MATCH_WORDS = {
    MatchType.NONE: "none",
    MatchType.L3_ONLY: "L3-Only",
    MatchType.L3_L4: "L3-L4",
    MatchType.L4_ONLY: "L4-Only",
    MatchType.ALL: "all",
    MatchType.L3_PROTO: "L3-Proto",
    MatchType.PROTO_ONLY: "Proto-Only",
}


class FlowMetrics:
    """Labels are few by kind (verdicts, protocols, reasons), never names or addresses."""

    def __init__(self) -> None:
        self._flows: Counter[tuple[str, str, str, str]] = Counter()
        self._drops: Counter[tuple[str, str]] = Counter()
        self._queries: Counter[tuple[str, str, str]] = Counter()
        self._answers: Counter[tuple[str, str, str]] = Counter()
        self._records: Counter[tuple[str, str]] = Counter()
        self._flags: Counter[tuple[str, str]] = Counter()
        self._verdicts: Counter[tuple[str, str, str]] = Counter()

    def count(self, flow: Observed) -> None:
        """A flow counts as often as it stands for (`times`)."""
        protocol = protocol_name(flow)
        self._flows[_TYPES[flow.kind], _subtype(flow), flow.verdict.name, protocol] += flow.times
        if flow.reason is not None and flow.verdict is Verdict.DROPPED:
            self._drops[flow.reason.name, protocol] += flow.times
        if flow.kind is EventKind.POLICY_VERDICT:
            action = {Verdict.FORWARDED: "forwarded", Verdict.AUDIT: "audit"}.get(flow.verdict, "dropped")
            self._verdicts[flow.direction.name.lower(), MATCH_WORDS[flow.match], action] += flow.times
        if flow.protocol == Protocol.TCP:
            for flag in tcp_flags(flow.tcp_flags):
                self._flags[flag, f"IPv{flow.source_ip.version}"] += flow.times
        if flow.dns is not None:
            kind = query_type(flow.dns.query_type)
            if not flow.dns.response:
                rcode = "Policy denied" if flow.verdict is Verdict.DROPPED else ""
                self._queries[rcode, kind, "0"] += flow.times
                return
            # The question passed: the kernel tells of it by its answer.
            self._queries["", kind, "0"] += 1
            self._answers[RCODES.get(flow.dns.rcode, str(flow.dns.rcode)), kind, str(len(flow.dns.ips))] += 1
            for version in {address.version for address in flow.dns.ips}:
                self._records["A" if version == 4 else "AAAA", kind] += 1

    def families(self) -> list[Family]:
        return [
            _family(
                "hubble_flows_processed_total",
                "Total number of flows processed",
                ("type", "subtype", "verdict", "protocol"),
                self._flows,
            ),
            _family("hubble_drop_total", "Number of drops", ("reason", "protocol"), self._drops),
            _family(
                "hubble_policy_verdicts_total",
                "Total number of verdicts events",
                ("direction", "match", "action"),
                self._verdicts,
            ),
            _family(
                "hubble_dns_queries_total",
                "Number of DNS queries observed",
                ("rcode", "qtypes", "ips_returned"),
                self._queries,
            ),
            _family(
                "hubble_dns_responses_total",
                "Number of DNS responses observed",
                ("rcode", "qtypes", "ips_returned"),
                self._answers,
            ),
            _family(
                "hubble_dns_response_types_total",
                "Number of DNS response records observed, by type",
                ("type", "qtypes"),
                self._records,
            ),
            _family("hubble_tcp_flags_total", "TCP flag occurrences", ("flag", "family"), self._flags),
        ]


def _family(name: str, help_: str, labels: tuple[str, ...], counts: Mapping[Any, int]) -> Family:
    samples = [(dict(zip(labels, values, strict=True)), count) for values, count in sorted(counts.items())]
    return Family(name, "counter", help_, samples)


def _subtype(flow: Observed) -> str:
    if flow.kind is EventKind.TRACE:
        return "to-endpoint" if flow.direction is Direction.INGRESS else "to-stack"
    if flow.kind is EventKind.DROP and flow.reason is not None:
        return flow.reason.name
    return "DNS" if flow.dns is not None else ""
