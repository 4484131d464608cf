"""All policies that select one workload, as one picture: who may talk to it, whom it may talk to, by which rules.

An edge is one kind of peer with the ports it may be reached at; rules that say the same are one edge. Deny rules win
over every allow, so that an allow names those that take all or part of it away. What a rule says beyond that (HTTP
rules, authentication) is named at its edges, as kept and not drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from namewall.model.labels import K8S, METADATA_NAME, NAMESPACE, NAMESPACE_NAME, Labels, identity_labels
from namewall.model.net import Direction
from namewall.policy import beyond
from namewall.policy.explain.anatomy import Catalog, PeerPart, PortPart, at, parts_of_ports
from namewall.policy.explain.flow import Locate, rule_row
from namewall.policy.explain.words import wanted_peer, wanted_port
from namewall.policy.lint.contained import ports_meet, world_families
from namewall.policy.map_state import RuleOrigin
from namewall.policy.rules import PortMatch, Rule
from namewall.policy.selectors import (
    CidrSelector,
    FqdnSelector,
    LabelSelector,
    PeerSelector,
    Requirement,
    ServiceSelector,
    contains,
)
from namewall.policy.terms import posture, selecting
from namewall.review.papers import File, Papers
from namewall.review.wrong import Wrong
from namewall.review.yaml_writing import flow

Row = dict[str, Any]
OUTSIDE, NEAR, CLUSTER = "outside", "namespace", "cluster"


@dataclass(slots=True)
class _Edge:
    rule: Rule
    lane: str
    peer: Row
    ports: list[str]
    dns: list[str] | None
    peers: tuple[PeerSelector, ...]
    matches: tuple[PortMatch, ...]
    audit: bool
    beyond: tuple[tuple[str, str], ...] = ()
    """(path, what it is) of what its rule says and no edge does."""
    rules: list[RuleOrigin] = field(default_factory=list)
    kept: list[tuple[RuleOrigin, str, str]] = field(default_factory=list)

    @property
    def key(self) -> tuple[Any, ...]:
        dns = None if self.dns is None else tuple(self.dns)
        return (
            self.rule.direction,
            self.rule.deny,
            self.lane,
            tuple(sorted(self.peer.items(), key=str)),
            tuple(self.ports),
            dns,
            self.audit,
            tuple(what for _, what in self.beyond),
        )


def subject_labels(subject: Any) -> Labels:
    """The identity of `{namespace, labels, namespaceLabels?, serviceAccount?}`. Raises Wrong."""
    if not isinstance(subject, Mapping):
        raise Wrong("want {namespace, labels}", "subject")
    labels, namespace = subject.get("labels") or {}, subject.get("namespace") or "default"
    of_namespace = subject.get("namespaceLabels") or {}
    account = subject.get("serviceAccount") or "default"
    for path, value in (("labels", labels), ("namespaceLabels", of_namespace)):
        if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
            raise Wrong("want a mapping of text to text", f"subject.{path}")
    for path, value in (("namespace", namespace), ("serviceAccount", account)):
        if not isinstance(value, str):
            raise Wrong("want a text", f"subject.{path}")
    known = {METADATA_NAME: namespace, **of_namespace}
    return identity_labels(labels, namespace, known, account)


def united(files: Iterable[File], subject: Any) -> Row:
    """The answer of `POST /api/union`."""
    labels = subject_labels(subject)
    namespace = str(subject.get("namespace") or "default")
    papers = Papers.read(files)
    catalog, locate = papers.catalog(), papers.locate
    mine = [
        (policy.audit, rule)
        for policy in catalog.policies
        for rule in policy.rules
        if rule.subject.matches(labels)
    ]
    edges: dict[tuple[Any, ...], _Edge] = {}
    for audit, rule in mine:
        for edge in _edges(catalog, rule, namespace, audit):
            known = edges.setdefault(edge.key, edge)
            known.rules.append(rule.origin)
            known.kept += [(rule.origin, *each) for each in edge.beyond]
    denies = [rule for audit, rule in mine if rule.deny and not audit]
    sides = {}
    for direction in Direction:
        rules = selecting([rule for audit, rule in mine if not audit], labels, direction)
        by = [rule.origin for rule in rules if rule.default_deny]
        rows = [rule_row(origin, direction, locate) for origin in by]
        sides[direction.name.lower()] = {"enforced": posture(rules, labels).default_deny, "by": rows}
    return {**sides, "edges": [_row(n, edge, denies, locate) for n, edge in enumerate(edges.values())]}


def _row(number: int, edge: _Edge, denies: list[Rule], locate: Locate) -> Row:
    direction = edge.rule.direction
    over = [] if edge.rule.deny else [deny.origin for deny in denies if _overrules(deny, edge)]
    return {
        "id": f"e{number}",
        "direction": direction.name.lower(),
        "lane": edge.lane,
        "action": "deny" if edge.rule.deny else "allow",
        "peer": edge.peer,
        "ports": edge.ports,
        "dns": edge.dns,
        "rules": [rule_row(origin, direction, locate) for origin in dict.fromkeys(edge.rules)],
        "overruledBy": [rule_row(origin, direction, locate) for origin in over],
        "audit": edge.audit,
        "kept": [
            {"path": path, "what": what, "rule": rule_row(origin, direction, locate)}
            for origin, path, what in dict.fromkeys(edge.kept)
        ],
    }


def _edges(catalog: Catalog, rule: Rule, namespace: str, audit: bool) -> Iterator[_Edge]:
    known = catalog.peer_parts(rule)
    item = catalog.item(rule.origin)
    limited = bool(item.get("toPorts") or item.get("icmps"))
    kept = tuple(beyond.of_item(item, rule.origin.rule))
    if not rule.peers and not known and not (kept and limited):
        return
    groups: dict[str, list[PortPart]] = {}
    for part in catalog.port_parts(rule):
        groups.setdefault(part.toports if part.judged else "", []).append(part)
    raw = catalog.raws[catalog.number_of(rule.origin)]
    peers: list[tuple[str, Row, tuple[PeerSelector, ...]]] = [
        (*_peer(part, rule, namespace), part.peers or _unknown(part)) for part in known
    ]
    if not peers:
        peers = [(OUTSIDE, {"kind": "any", "text": "everybody"}, rule.peers)]
    special = dict(_beyond_ports(item, rule.origin.rule))
    of_item = tuple(one for one in kept if not one[0].startswith(tuple(f"{path}." for path in special)))
    for lane, peer, selectors in peers:
        if not limited and not groups:
            yield _Edge(rule, lane, peer, [], None, selectors, rule.ports, audit, of_item)
        for toports, parts in (*groups.items(), *special.items()):
            judged = toports and toports not in special
            dns = _names(at(raw, toports)["rules"]["dns"]) if judged else None
            ports = list(dict.fromkeys(map(wanted_port, parts)))
            matches = tuple(match for part in parts for match in part.ports)
            mine = tuple(one for one in kept if toports in special and one[0].startswith(f"{toports}."))
            yield _Edge(rule, lane, peer, ports, dns, selectors, matches, audit, of_item + mine)


def _beyond_ports(item: Row, path: str) -> Iterator[tuple[str, list[PortPart]]]:
    """The toPorts that say more than ports and names, each by its path."""
    for number, port_rule in enumerate(item.get("toPorts") or ()):
        if beyond.of_port_rule(port_rule):
            where = f"{path}.toPorts[{number}]"
            yield where, list(parts_of_ports({"ports": port_rule.get("ports")}, where))


def _unknown(part: PeerPart) -> tuple[PeerSelector, ...]:
    """A Service or group that no file holds selects nobody yet; it is drawn all the same."""
    return (ServiceSelector(name=str(part.raw)),)


def _names(items: Iterable[Mapping[str, str]]) -> list[str]:
    return [item.get("matchName") or item["matchPattern"] for item in items]


def _peer(part: PeerPart, rule: Rule, namespace: str) -> tuple[str, Row]:
    """Its lane, and what is written on its card."""
    kind, text = part.member.removeprefix("from").removeprefix("to"), wanted_peer(part)
    if kind == "FQDNs":
        return OUTSIDE, {"kind": "name", "text": text}
    if kind in ("CIDR", "CIDRSet") or (isinstance(part.raw, dict) and part.raw.get("ipBlock")):
        block = part.raw.get("ipBlock", part.raw) if isinstance(part.raw, dict) else {}
        excepts = ", ".join(block.get("except") or ())
        group = "group " if isinstance(part.raw, dict) and part.raw.get("cidrGroupRef") else ""
        return OUTSIDE, {"kind": "cidr", "text": f"{group}{text}{f' except {excepts}' if excepts else ''}"}
    if kind == "Entities":
        outside = text in ("world", "world-ipv4", "world-ipv6", "all")
        return OUTSIDE if outside else CLUSTER, {"kind": "entity", "text": text}
    if kind == "Groups":
        return OUTSIDE, {"kind": "group", "text": flow(part.raw)}
    if kind == "Services":
        chosen = part.raw.get("k8sServiceSelector") or part.raw.get("k8sService") or {}
        of = chosen.get("namespace") or None
        lane = NEAR if of == namespace else CLUSTER
        return lane, {"kind": "service", "text": text.removeprefix("service "), "namespace": of}
    of = _namespace(part.peers)
    lane = NEAR if of == namespace else CLUSTER
    if any(isinstance(peer, LabelSelector) and world_families(peer) for peer in part.peers):
        lane = OUTSIDE
    return lane, {"kind": "pods", "text": text, "namespace": of}


def _namespace(peers: Iterable[PeerSelector]) -> str | None:
    """The one namespace of all of them, if there is one."""
    found = set()
    for peer in peers:
        if not isinstance(peer, LabelSelector):
            return None
        one = [r.values for r in peer.requirements if _means_namespace(r) and len(r.values) == 1]
        found |= set(one[0]) if one else {""}
    return (found.pop() or None) if len(found) == 1 else None


def _means_namespace(requirement: Requirement) -> bool:
    named = requirement.key in (NAMESPACE, NAMESPACE_NAME)
    return requirement.source in (K8S, "any") and named and requirement.operator == "In"


def _overrules(deny: Rule, edge: _Edge) -> bool:
    """Whether the deny takes away all or part of an allow: False only where it surely does not."""
    return (
        deny.direction is edge.rule.direction
        and any(_meet(one, other) for one in deny.peers for other in edge.peers)
        and any(ports_meet(one, other) for one in deny.ports for other in edge.matches)
    )


def _meet(one: PeerSelector, other: PeerSelector) -> bool:
    if isinstance(one, LabelSelector) and isinstance(other, LabelSelector):
        return not any(_exclude(a, b) for a in one.requirements for b in other.requirements)
    if isinstance(one, CidrSelector) and isinstance(other, CidrSelector):
        return contains(one.cidr, other.cidr) or contains(other.cidr, one.cidr)
    for label, outer in ((one, other), (other, one)):
        if isinstance(label, LabelSelector) and isinstance(outer, CidrSelector | FqdnSelector):
            pods = isinstance(outer, CidrSelector) and outer.pods
            return pods or label.is_wildcard or bool(world_families(label))
    return True


def _exclude(a: Requirement, b: Requirement) -> bool:
    """Two conditions that no peer fulfils at once."""
    if "reserved" in (a.source, b.source) and a.source != b.source:
        return a.source == K8S or b.source == K8S  # nodes and the world have no labels of Kubernetes
    if a.key != b.key:
        return a.source == b.source == "reserved" and a.operator == b.operator == "In"
    if a.operator == "In" and b.operator == "In":
        return not a.values & b.values
    pair = {a.operator, b.operator}
    if pair == {"Exists", "DoesNotExist"} or pair == {"In", "DoesNotExist"}:
        return True
    if pair == {"In", "NotIn"}:
        inside, outside = (a, b) if a.operator == "In" else (b, a)
        return inside.values <= outside.values
    return False
