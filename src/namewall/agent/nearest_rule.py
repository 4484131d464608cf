"""Which rule came nearest to allowing what was dropped, in words for an Event: `policy.explain` asked of a flow.

Only the policies that select the pod are looked at. What the search decides must be what the kernel decided, else
nothing is said: policies may have changed since the packet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from namewall.model.flow import DropReason
from namewall.model.identity import Reserved
from namewall.model.net import Direction, Protocol
from namewall.policy.decide import PeerFacts
from namewall.policy.expand import CidrGroup, ServiceFacts
from namewall.policy.explain.anatomy import Catalog
from namewall.policy.explain.case import Case
from namewall.policy.explain.nearest import nearest
from namewall.policy.explain.words import rule_name
from namewall.policy.lookup import DNS_REFUSED, POLICY_DENIED
from namewall.state.observed import End, Observed, PolicyRef

Object = dict[str, Any]
MOST_POLICIES = 16
MOST_CHARACTERS = 120
_REASONS = {DropReason.POLICY_DENIED: POLICY_DENIED, DropReason.DNS_REFUSED: DNS_REFUSED}


class NearestRule:
    """`of` a flow: a sentence, or "" where there is none to say."""

    def __init__(
        self,
        policy: Callable[[PolicyRef], Object | None],
        references: Callable[[], tuple[Iterable[ServiceFacts], Iterable[CidrGroup]]],
    ) -> None:
        self._policy, self._references = policy, references

    def of(self, flow: Observed) -> str:
        reason = _REASONS.get(flow.reason) if flow.reason is not None else None
        if reason is None:
            return ""
        refs = flow.grounds.selected_by[:MOST_POLICIES]
        raws = [raw for ref in refs if (raw := self._policy(ref)) is not None]
        case = _case(flow)
        if case is None or not raws:
            return ""
        catalog = Catalog(raws, *self._references())
        decision = case.decided(catalog.policies)
        if decision.reason != reason:
            return ""
        found = nearest(catalog, case, decision)
        if found is None:
            return ""
        want, got = _value(found.want), _value(found.got)
        return f"nearest is {rule_name(found.rule)}: {found.field} wants {want}, got {got}"


def _case(flow: Observed) -> Case | None:
    egress = flow.direction is Direction.EGRESS
    local, remote = (flow.source, flow.destination) if egress else (flow.destination, flow.source)
    address = flow.destination_ip if egress else flow.source_ip
    names = [f"{name}." for name in remote.names]
    if remote.identity == Reserved.CLOSED or (remote.service is not None and flow.dns is None):
        return None  # a Service is judged by its backends' ports, which the flow does not have
    if remote.identity in (Reserved.WORLD, Reserved.WORLD_IPV4, Reserved.WORLD_IPV6):
        peer = PeerFacts.outside(address, names)
    elif remote.identity == Reserved.HOST:
        peer = PeerFacts.reserved(Reserved.HOST, address)
    else:
        peer = PeerFacts(frozenset(remote.labels), address)
    icmp = flow.protocol in (Protocol.ICMP, Protocol.ICMPV6)
    if flow.protocol not in set(Protocol):
        return None
    return Case(
        who=f"{local.namespace}/{local.pod}",
        subject=frozenset(local.labels),
        direction=flow.direction,
        whom=_called(remote, str(address)),
        peer=peer,
        protocol=flow.protocol,
        port=flow.icmp_type if icmp else flow.destination_port,
        question=flow.dns.query if flow.dns is not None else None,
        name=names[0] if names else "",
    )


def _called(end: End, address: str) -> str:
    if end.pod:
        return f"{end.namespace}/{end.pod}"
    return "/".join(end.service) if end.service is not None else address


def _value(value: Any) -> str:
    """Short, on one line."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        text = ", ".join(value) or "nothing"
    else:
        text = value if isinstance(value, str) else "nothing" if value in (None, {}) else json.dumps(value)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
