"""Kubernetes Events for what policy keeps from passing, so that `kubectl describe pod` says why curl timed out.

One Event for each pod, direction, peer, port and reason, on the pod and on the nearest policy; the same again
raises its count, at most once in REFRESH seconds. How many a pod may cause at all is the correlator's matter
(kube/events.py: 25, then one in five minutes); what is not told is forgotten after an hour.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from namewall.model.drop_words import drop_words
from namewall.model.flow import DropReason
from namewall.model.net import Direction
from namewall.state.flow_json import protocol_name, query_type
from namewall.state.observed import End, Observed, PolicyRef, Verdict

Object = dict[str, Any]
log = logging.getLogger("namewall.agent")

REASONS = {
    DropReason.POLICY_DENIED: "PolicyDenied",
    DropReason.POLICY_DENY: "PolicyDenied",
    DropReason.DNS_REFUSED: "PolicyDenied",
    DropReason.DNS_RATE_LIMITED: "DNSLimited",
    DropReason.DNS_LABEL_TOO_LONG: "DNSLimited",
}
"""What is told → the Event's reason."""
LIMITS = {
    DropReason.DNS_RATE_LIMITED: "the pod asks more than `--dns-rate` questions a second",
    DropReason.DNS_LABEL_TOO_LONG: "a label of a name is longer than `--dns-max-label`",
}
REFRESH = 60.0
KEPT = 3600.0
MOST = 4096
EXPLAINED = 8
"""Seconds between writes about the same, seconds and number of them remembered; drops explained at a time."""


class Writes(Protocol):
    """`kube.Client.event`."""

    def __call__(
        self, involved: Object, reason: str, message: str, type: str = "Normal", *, times: int = 1
    ) -> Awaitable[None]: ...


@dataclass(slots=True)
class _Told:
    reason: str
    message: str
    flow: Observed | None
    """The first one, until it was explained; None where there is nothing to explain."""
    policy: PolicyRef | None
    seen: float
    written: float | None = None
    pending: int = 0


Key = tuple[str, str, str]


class DropEvents:
    """`take` flows, then `flush` now and again. Times are seconds of any steady clock."""

    def __init__(
        self,
        write: Writes,
        pod: Callable[[str, str], Object | None],
        policy: Callable[[PolicyRef], Object | None],
        now: Callable[[], float],
        explain: Callable[[Observed], str] = lambda flow: "",
    ) -> None:
        self._write, self._pod, self._policy, self._now = write, pod, policy, now
        self._explain = explain
        self._told: OrderedDict[Key, _Told] = OrderedDict()
        self._wake = asyncio.Event()

    def take(self, flow: Observed) -> None:
        if flow.verdict is not Verdict.DROPPED or flow.reason not in REASONS:
            return
        local = flow.source if flow.direction is Direction.EGRESS else flow.destination
        if local.pod:
            self._note(local, flow, sentence(flow), nearest(flow))
        if flow.direction is Direction.INGRESS and flow.source.pod:
            self._note(flow.source, flow, turned_away(flow), None)

    def _note(self, end: End, flow: Observed, text: str, policy: PolicyRef | None) -> None:
        key = (end.namespace, end.pod, subject(flow))
        told = self._told.get(key)
        if told is None:
            explained = flow if policy is not None else None
            assert flow.reason is not None
            told = self._told[key] = _Told(REASONS[flow.reason], text, explained, policy, self._now())
            if len(self._told) > MOST:
                self._told.popitem(last=False)
        told.seen = self._now()
        told.pending += flow.times
        self._told.move_to_end(key)
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()
            if any(told.pending for told in self._told.values()):
                self._wake.set()
            await asyncio.sleep(1.0)

    async def flush(self) -> None:
        """Write what is new, and counts that are due."""
        now = self._now()
        left = EXPLAINED
        for key, told in list(self._told.items()):
            if now - told.seen > KEPT:
                del self._told[key]
                continue
            if not told.pending or (told.written is not None and now - told.written < REFRESH):
                continue
            if told.flow is not None and left:
                left -= 1
                why = self._explained(told.flow)
                told.message = f"{told.message}; {why}" if why else told.message
            told.flow = None
            times, told.pending, told.written = told.pending, 0, now
            namespace, name, _ = key
            pod = self._pod(namespace, name)
            if pod is not None:
                await self._write(
                    {**pod, "kind": "Pod", "apiVersion": "v1"},
                    told.reason,
                    told.message,
                    "Warning",
                    times=times,
                )
            policy = self._policy(told.policy) if told.policy is not None else None
            if policy is not None:
                await self._write(
                    policy, told.reason, f"pod {namespace}/{name}: {told.message}", "Warning", times=times
                )

    def _explained(self, flow: Observed) -> str:
        try:
            return self._explain(flow)
        except Exception:
            # An explanation is a courtesy; the agent's pods and policy are not to end with it.
            log.exception("a drop could not be explained: %r", flow)
            return ""


def nearest(flow: Observed) -> PolicyRef | None:
    """The policy whose deny rule it was, else the first of those that turned on default deny."""
    for rule in flow.grounds.rules:
        return PolicyRef(rule.kind, rule.namespace, rule.name)
    return flow.grounds.selected_by[0] if flow.grounds.selected_by else None


def subject(flow: Observed) -> str:
    """What counts as the same: the peer by name where it has one, whatever its address."""
    if flow.dns is not None:
        return f"dns {flow.dns.query} {flow.dns.query_type}"
    egress = flow.direction is Direction.EGRESS
    end, address = (flow.destination, flow.destination_ip) if egress else (flow.source, flow.source_ip)
    peer = end.pod or end.service or end.names or address
    return f"{flow.direction} {end.namespace}/{peer} {flow.destination_port} {flow.protocol} {flow.reason}"


def sentence(flow: Observed) -> str:
    """What was kept from passing, and whose word it was. Names are data: of a DNS name only what is printable."""
    if flow.dns is not None:
        asked = f"`{flow.dns.query.removesuffix('.')}` ({query_type(flow.dns.query_type)})"
        return f"DNS question for {asked} was refused: no DNS rule{_by(flow)} allows this name"
    egress = flow.direction is Direction.EGRESS
    end = flow.destination if egress else flow.source
    address = flow.destination_ip if egress else flow.source_ip
    protocol = protocol_name(flow)
    port = f"port {flow.destination_port}/{protocol}" if flow.destination_port else protocol
    who = _name(end, str(address))
    where = f"egress to {who} {port}" if egress else f"ingress from {who} to {port}"
    assert flow.reason is not None
    if flow.reason in LIMITS:
        return f"DNS questions to {who} were dropped ({drop_words(flow.reason)}): {LIMITS[flow.reason]}"
    if flow.reason is DropReason.POLICY_DENY:
        rules = ", ".join(f"{r.kind} {_full(r.namespace, r.name)} {r.rule}" for r in flow.grounds.rules[:3])
        why = f"denied by {rules}" if rules else "a deny rule denies it"
    else:
        why = f"no rule{_by(flow)} allows it"
    return f"{where} was dropped ({drop_words(flow.reason)}): {why}"


def turned_away(flow: Observed) -> str:
    """For the pod that was kept out. Whose policy it was is the other namespace's matter."""
    assert flow.reason is not None
    port = (
        f"port {flow.destination_port}/{protocol_name(flow)}"
        if flow.destination_port
        else protocol_name(flow)
    )
    who = _name(flow.destination, str(flow.destination_ip))
    return f"egress to {who} {port} was dropped by its ingress policy ({drop_words(flow.reason)})"


def _name(end: End, address: str) -> str:
    if end.pod:
        return f"pod {end.namespace}/{end.pod}"
    if end.service is not None:
        return f"Service {'/'.join(end.service)}"
    if end.names:
        return f"{', '.join(end.names[:3])} ({address})"
    return address


def _by(flow: Observed) -> str:
    refs = flow.grounds.selected_by
    if not refs:
        return ""
    named = ", ".join(f"{ref.kind} {_full(ref.namespace, ref.name)}" for ref in refs[:3])
    more = f" and {len(refs) - 3} more" if len(refs) > 3 else ""
    return f" of {named}{more}"


def _full(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name
