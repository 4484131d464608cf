"""Flows as an operator sees them: the datapath's events with names in the place of numbers.

Who an end is, what it is called and which rules decided is settled once, when the event is read: a pod that is
gone an hour later, or a name whose grant has ended, stays on the flow as it was. Verdicts, event types and match
types have Hubble's numbers (flow.proto).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

from namewall.model.flow import Audited, Dropped, DropReason, Event, Flow, Learned, MatchType, Refused
from namewall.model.net import Address, Direction
from namewall.model.net import Protocol as L4
from namewall.policy.map_state import RuleOrigin


class Verdict(IntEnum):
    """REDIRECTED, ERROR, TRACED and TRANSLATED are Hubble's words for what does not happen here."""

    FORWARDED = 1
    DROPPED = 2
    ERROR = 3
    AUDIT = 4
    REDIRECTED = 5
    TRACED = 6
    TRANSLATED = 7


class EventKind(IntEnum):
    """`event_type.type`: Cilium's monitor message types."""

    DROP = 1
    CAPTURE = 3
    TRACE = 4
    POLICY_VERDICT = 5
    TRACE_SOCK = 7
    L7 = 129


JUDGED = frozenset({DropReason.POLICY_DENIED, DropReason.POLICY_DENY})
"""Reasons that are policy's word on the first packet of a flow."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of a flow, as it was known when the flow was seen.

    `labels` are the identity's, sorted. `workloads` are (kind, name). `service` is (namespace, name) where the
    address is a ClusterIP. `names` are what the endpoint at the other end learned the address under, without
    the trailing dot; `stale`: no grant of them was good any more.
    """

    identity: int
    labels: tuple[str, ...] = ()
    endpoint: int = 0
    namespace: str = ""
    pod: str = ""
    workloads: tuple[tuple[str, str], ...] = ()
    service: tuple[str, str] | None = None
    names: tuple[str, ...] = ()
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Dns:
    """A question, or with `response` its answer. `query` has its trailing dot; `ttl` is as granted, in seconds."""

    query: str
    query_type: int
    response: bool = False
    ips: tuple[Address, ...] = ()
    ttl: int = 0
    rcode: int = 0


@dataclass(frozen=True, slots=True)
class PolicyRef:
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why: the rules whose entry decided, and for a default deny the policies that turned it on."""

    rules: tuple[RuleOrigin, ...] = ()
    logs: tuple[str, ...] = ()
    """The `log.value` of those rules."""
    selected_by: tuple[PolicyRef, ...] = ()


NO_GROUNDS = Grounds()


@dataclass(frozen=True, slots=True)
class Observed:
    """One flow. `time` is nanoseconds since the epoch; ports are 0 where the protocol has none.

    `reply` is None where it is not known. `times` counts this and those like it that were not told one by one.
    AUDIT is the verdict of all policies together, those in audit too, where what happened was another: `reason` is why
    they would drop it, None if they would not.
    """

    time: int
    kind: EventKind
    verdict: Verdict
    direction: Direction
    protocol: int
    source: End
    destination: End
    source_ip: Address
    destination_ip: Address
    source_port: int = 0
    destination_port: int = 0
    reason: DropReason | None = None
    match: MatchType = MatchType.NONE
    tcp_flags: int = 0
    icmp_type: int = 0
    reply: bool | None = False
    times: int = 1
    grounds: Grounds = NO_GROUNDS
    dns: Dns | None = None


class Who(Protocol):
    """What the node knows about the numbers of an event."""

    def endpoint(self, number: int) -> End:
        """An attached workload."""

    def address_of(self, number: int, version: int) -> Address:
        """An attached workload's address of one IP version (the unspecified one where it has none)."""

    def peer(self, endpoint: int, address: Address, identity: int, port: int, protocol: int) -> End:
        """The other end of an endpoint's flow. `identity` 0: the kernel did not look."""

    def grounds(self, event: Flow) -> Grounds:
        """Why policy decided as it did; NO_GROUNDS where it did not decide."""

    def refusal(self, endpoint: int) -> Grounds:
        """Which policies judge the questions of an endpoint."""


def observe(event: Event, who: Who, offset: int) -> Observed:
    """`offset` is what to add to CLOCK_BOOTTIME for the time of day, in nanoseconds."""
    time = int(event.time * 1e9) + offset
    if isinstance(event, Learned):
        return _answer(event, who, time)
    if isinstance(event, Refused):
        return _refusal(event, who, time)
    return _packet(event, who, time)


class _Side(NamedTuple):
    end: End
    address: Address
    port: int


def _packet(event: Flow, who: Who, time: int) -> Observed:
    reason = event.reason if isinstance(event, Dropped | Audited) else None
    judged = reason is None or reason in JUDGED
    egress = event.direction is Direction.EGRESS
    local = who.endpoint(event.endpoint)
    port = event.remote_port if egress else 0
    remote = who.peer(event.endpoint, event.remote, event.identity, port, event.protocol)
    kind = EventKind.POLICY_VERDICT
    if isinstance(event, Audited):
        pass  # a verdict, though no packet's
    elif reason is not None and not judged:
        kind = EventKind.DROP
    elif reason is None and event.match is MatchType.NONE:
        kind = EventKind.TRACE  # no policy in this direction: nothing was judged
    # Of an echo they are the identifier and who asked.
    has_ports = event.protocol not in (L4.ICMP, L4.ICMPV6)
    ours = _Side(local, event.local, event.local_port if has_ports else 0)
    theirs = _Side(remote, event.remote, event.remote_port if has_ports else 0)
    source, destination = (ours, theirs) if egress else (theirs, ours)
    return Observed(
        time,
        kind,
        _verdict(event),
        event.direction,
        event.protocol,
        source.end,
        destination.end,
        source.address,
        destination.address,
        source.port,
        destination.port,
        reason=reason,
        match=event.match,
        tcp_flags=event.tcp_flags if event.protocol == L4.TCP else 0,
        icmp_type=event.icmp_type,
        reply=False if judged else None,
        times=1 + (event.left_out if isinstance(event, Dropped | Audited) else 0),
        grounds=who.grounds(event) if judged else NO_GROUNDS,
    )


def _verdict(event: Flow) -> Verdict:
    if isinstance(event, Audited):
        return Verdict.AUDIT
    return Verdict.DROPPED if isinstance(event, Dropped) else Verdict.FORWARDED


def _answer(event: Learned, who: Who, time: int) -> Observed:
    server = who.peer(event.endpoint, event.server, 0, event.server_port, event.protocol)
    return Observed(
        time,
        EventKind.L7,
        Verdict.FORWARDED,
        Direction.EGRESS,
        event.protocol,
        server,
        who.endpoint(event.endpoint),
        event.server,
        who.address_of(event.endpoint, event.server.version),
        source_port=event.server_port,
        reply=True,
        dns=Dns(event.name, event.query_type, True, event.addresses, event.ttl),
    )


def _refusal(event: Refused, who: Who, time: int) -> Observed:
    server = who.peer(event.endpoint, event.server, 0, event.server_port, event.protocol)
    return Observed(
        time,
        EventKind.L7,
        Verdict.AUDIT if event.audited else Verdict.DROPPED,
        Direction.EGRESS,
        event.protocol,
        who.endpoint(event.endpoint),
        server,
        who.address_of(event.endpoint, event.server.version),
        event.server,
        destination_port=event.server_port,
        reason=DropReason.DNS_REFUSED,
        times=1 + event.left_out,
        grounds=who.refusal(event.endpoint),
        dns=Dns(event.name, event.query_type),
    )
