"""Flows that were seen, judged again: what would allow one, and which would get another verdict.

A flow is one of Hubble's as JSON (docs/agent-api.md), the world a scenario document (review/live.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from namewall.model.documents import Document
from namewall.model.identity import Reserved
from namewall.model.labels import RESERVED_LABELS, Labels
from namewall.model.names import fqdn
from namewall.model.net import Direction, Protocol
from namewall.policy.decide import Decision, PeerFacts, decide
from namewall.policy.explain.anatomy import key_of
from namewall.policy.explain.flow import catalog_of, document, explain, rule_row
from namewall.policy.lookup import DNS_REFUSED
from namewall.policy.ports import NO_NAMES
from namewall.policy.rules import Policy
from namewall.policy.scenario import Scenario
from namewall.policy.scenario_parse import parse_scenario
from namewall.policy.terms import selecting
from namewall.review.papers import File, Papers
from namewall.review.scenarios import place
from namewall.review.validate import judge
from namewall.review.written import file_name, text_of
from namewall.review.wrong import Wrong

Row = dict[str, Any]
_NODES = {
    "reserved:host": "host",
    "reserved:kube-apiserver": "kube-apiserver",
    "reserved:remote-node": "remote-node",
    "reserved:health": "health",
    "reserved:ingress": "ingress",
}
_WORLD = {RESERVED_LABELS[number] for number in (Reserved.WORLD, Reserved.WORLD_IPV4, Reserved.WORLD_IPV6)}


@dataclass(frozen=True, slots=True)
class Seen:
    """A flow as policy sees it. `subject` is the endpoint whose side was told of."""

    direction: Direction
    subject: Row
    peer: Row
    address: str
    names: tuple[str, ...]
    protocol: Protocol
    port: int
    question: str | None

    @property
    def labels(self) -> Labels:
        return frozenset(self.subject.get("labels") or ())

    @property
    def facts(self) -> PeerFacts:
        labels = frozenset(self.peer.get("labels") or ())
        address = ip_address(self.address)
        if not labels or labels in _WORLD:
            return PeerFacts.outside(address, map(fqdn, self.names))
        return PeerFacts(labels, address, host="reserved:host" in labels)


def seen(flow: Any) -> Seen:
    """Raises Wrong for one that policy does not judge."""
    try:
        egress = flow.get("traffic_direction") == "EGRESS"
        if flow.get("is_reply"):
            raise Wrong("a reply belongs to the flow that it answers; ask about that one", "flow.is_reply")
        ends = flow.get("source") or {}, flow.get("destination") or {}
        subject, peer = ends if egress else ends[::-1]
        side = "destination" if egress else "source"
        ((name, layer),) = ((k, v) for k, v in flow["l4"].items())
        protocol = {"ICMPv4": Protocol.ICMP, "ICMPv6": Protocol.ICMPV6}.get(name) or Protocol[name]
        port = layer.get("type", 0) if name.startswith("ICMP") else layer["destination_port"]
        dns = (flow.get("l7") or {}).get("dns") or {}
        address = str(ip_address(flow["IP"][side]))
        return Seen(
            Direction.EGRESS if egress else Direction.INGRESS,
            subject,
            peer,
            address,
            tuple(map(str, flow.get(f"{side}_names") or ())),
            protocol,
            int(port),
            fqdn(str(dns["query"])) if dns.get("query") else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Wrong(
            "this is no flow that a policy judges: it needs an address, a protocol and a port", "flow"
        ) from error


# --- what would allow it ----------------------------------------------------------------------------------------


def allowance(world: Row, versions: Mapping[str, str], flow: Any) -> Row:
    """The answer of `POST /api/allow`; `versions` are those of the world's policies. Raises Wrong."""
    one = seen(flow)
    query = _query(one)
    file = place("", Document({**world, "queries": [query]}, 0, {}))
    if file.scenario is None:
        raise Wrong(f"the flow cannot be asked of the cluster as it is now: {file.complaints[0]}", "flow")
    objects = [placed.object for placed in file.policies]
    catalog = catalog_of(file.scenario, objects, file.document.value)
    found = explain(file.scenario, catalog, file.scenario.queries[0])
    patch = document(catalog, found)["patch"]
    texts = [] if found.patch is None else list(found.patch.changed(objects))
    keys = ["/".join(key_of(new)) for _, new in texts]
    return {
        "allowed": found.allowed,
        "query": str(found.query),
        "changes": [] if patch is None else patch["changes"],
        "files": [{"name": file_name(new), "text": text_of(new)} for _, new in texts],
        "versions": {key: versions[key] for key in keys if key in versions},
        "diff": "".join(_diff(old, new) for old, new in texts),
        "noPatch": found.no_patch or None,
    }


def _query(one: Seen) -> Row:
    subject = _pod(one.subject)
    if subject is None:
        raise Wrong("no policy judges this flow: neither end is a pod here", "flow")
    row: Row = {"port": one.port, "protocol": _protocol(one.protocol)}
    if one.direction is Direction.INGRESS:
        return {"from": _word(one, False), "to": subject, **row}
    if one.question is not None:
        row["dns"] = one.question.removesuffix(".") or "."
    return {"from": subject, "to": _word(one, True), **row}


def _protocol(protocol: Protocol) -> str:
    return "ICMPv6" if protocol is Protocol.ICMPV6 else protocol.name


def _pod(end: Row) -> str | None:
    return f"{end['namespace']}/{end['pod_name']}" if end.get("pod_name") and end.get("namespace") else None


def _word(one: Seen, target: bool) -> str:
    """Names before addresses, where the flow goes to the world."""
    pod = _pod(one.peer)
    if pod is not None:
        return pod
    for label in one.peer.get("labels") or ():
        if label in _NODES:
            return _NODES[label]
    if target and one.names and one.question is None:
        name = one.names[0].removesuffix(".")
        return name if "." in name else f"{name}."
    return f"[{one.address}]" if target and ":" in one.address else one.address


def _diff(old: Row | None, new: Row) -> str:
    before = [] if old is None else text_of(old).splitlines(True)
    name = file_name(new)
    return "".join(
        difflib.unified_diff(
            before, text_of(new).splitlines(True), "/dev/null" if old is None else name, name
        )
    )


# --- what would change ------------------------------------------------------------------------------------------


class _World:
    """Policies as they judge flows, the rules of each label set found once."""

    def __init__(self, policies: Iterable[Policy], scenario: Scenario) -> None:
        self._policies, self._scenario = tuple(policies), scenario
        self._mine: dict[tuple[Labels, Direction], tuple[Policy, ...]] = {}
        self._ports = {str(endpoint): endpoint.ports for endpoint in scenario.endpoints}

    def decided(self, one: Seen) -> Decision:
        key = one.labels, one.direction
        if key not in self._mine:
            found = (replace(p, rules=tuple(selecting(p.rules, *key))) for p in self._policies)
            self._mine[key] = tuple(policy for policy in found if policy.rules)
        return decide(
            self._mine[key],
            one.labels,
            one.direction,
            one.facts,
            one.protocol,
            one.port,
            question=one.question if one.direction is Direction.EGRESS else None,
            own_ports=self._ports.get(_pod(one.subject) or "", NO_NAMES),
            cluster_ports=self._scenario.cluster_ports,
        )


def what_if(world: Row, files: Iterable[File], flows: Iterable[Any], total: int) -> Row:
    """The answer of `POST /api/what-if`: those flows that would be judged otherwise with the files in place of the
    stored policies of the same names. Raises Wrong."""
    papers = Papers.read(files)
    for broken in papers.broken:
        raise Wrong(str(broken), "files")
    edited = {one.key: one.object for one in papers.placed}
    for one in papers.placed:
        if problems := judge(one.object)[0]:
            raise Wrong(f"{one.source}: {problems[0]}", "files")
    stored = list(world["policies"])
    keys = [key_of(obj) for obj in stored]
    after = [edited.get(key, obj) for key, obj in zip(keys, stored, strict=True)]
    after += [obj for key, obj in edited.items() if key not in keys]
    old, new = (_policies({**world, "policies": objects}) for objects in (stored, after))
    changed = []
    for flow in flows:
        try:
            found = seen(flow)
        except Wrong:
            continue
        if not found.labels or not found.subject.get("pod_name"):
            continue
        was, now = old.decided(found), new.decided(found)
        if was.verdict == now.verdict:
            continue
        origins = now.rules or was.rules
        rows = [rule_row(origin, found.direction, papers.locate) for origin in origins]
        changed.append({"flow": flow, "was": _said(was), "now": _said(now), "rules": rows})
    return {"seen": total, "changed": changed}


def _said(decision: Decision) -> str:
    return "refused" if decision.reason == DNS_REFUSED else decision.verdict


def _policies(world: Row) -> _World:
    scenario, problems = parse_scenario(world)
    if scenario is None:
        raise Wrong(f"the cluster's objects are no scenario: {problems[0]}")
    return _World(scenario.expanded, scenario)
