"""Whether one selector, port or rule lies within another: a sound answer, True only where it surely does."""

from __future__ import annotations

from namewall.model.labels import ANY, CLUSTER, K8S, RESERVED
from namewall.model.net import Protocol
from namewall.policy.patterns import SUBDOMAINS, matches_form
from namewall.policy.rules import PortMatch, Rule
from namewall.policy.selectors import (
    CidrSelector,
    FqdnSelector,
    LabelSelector,
    PeerSelector,
    Requirement,
    contains,
)


def label_within(inner: LabelSelector, outer: LabelSelector) -> bool:
    return all(any(_implies(have, wanted) for have in inner.requirements) for wanted in outer.requirements)


def labels_meet(one: LabelSelector, other: LabelSelector) -> bool:
    """Whether some endpoint may have both: False only where none can."""
    return not any(_exclude(mine, its) for mine in one.requirements for its in other.requirements)


def _same_label(one: Requirement, other: Requirement) -> bool:
    """Endpoints have labels of source k8s, so that a key without a source asks for the same."""
    return one.key == other.key and (one.source == other.source or {one.source, other.source} == {ANY, K8S})


def _exclude(one: Requirement, other: Requirement) -> bool:
    if not _same_label(one, other):
        return False
    match one.operator, other.operator:
        case "In", "In":
            return not one.values & other.values
        case "In", "NotIn":
            return one.values <= other.values
        case "NotIn", "In":
            return other.values <= one.values
        case ("In" | "Exists", "DoesNotExist") | ("DoesNotExist", "In" | "Exists"):
            return True
    return False


def _implies(have: Requirement, wanted: Requirement) -> bool:
    if have == wanted:
        return True
    if not _same_label(have, wanted):
        return False
    match wanted.operator:
        case "In":
            return have.operator == "In" and have.values <= wanted.values
        case "Exists":
            return have.operator in ("In", "Exists")
        case "NotIn":
            by_in = have.operator == "In" and not have.values & wanted.values
            return by_in or (have.operator == "NotIn" and have.values >= wanted.values)
        case "DoesNotExist":
            return have.operator == "DoesNotExist"


def is_world(selector: PeerSelector) -> bool:
    """Every address outside the cluster, of at least one family; exceptions aside."""
    return bool(world_families(selector))


def world_families(selector: PeerSelector) -> frozenset[int]:
    """The IP versions of which the selector means every address outside the cluster, exceptions aside."""
    if isinstance(selector, LabelSelector):
        if selector.is_wildcard:
            return frozenset({4, 6})
        reserved = [r for r in selector.requirements if r.source == RESERVED]
        keys = {r.key for r in reserved if r.operator == "Exists" or (r.operator == "In" and "" in r.values)}
        return frozenset(_WORLD[key] for key in keys & _WORLD.keys())
    if isinstance(selector, CidrSelector) and selector.cidr.prefixlen == 0:
        return frozenset({selector.cidr.version})
    return frozenset()


_WORLD = {"world-ipv4": 4, "world-ipv6": 6}
"""`reserved:world` alone is no address of a dual-stack node; the entity `world` means all three."""


def peer_within(inner: PeerSelector, outer: PeerSelector) -> bool:
    if inner == outer or (isinstance(outer, LabelSelector) and outer.is_wildcard):
        return True
    if isinstance(inner, LabelSelector) and isinstance(outer, LabelSelector):
        return label_within(inner, outer)
    if isinstance(inner, CidrSelector) and isinstance(outer, CidrSelector):
        kept = all(
            any(contains(mine, excluded) for mine in inner.excepts)
            or not (contains(inner.cidr, excluded) or contains(excluded, inner.cidr))
            for excluded in outer.excepts
        )
        return (outer.pods or not inner.pods) and contains(outer.cidr, inner.cidr) and kept
    if isinstance(inner, FqdnSelector) and isinstance(outer, FqdnSelector):
        return form_within(inner.form, outer.form)
    return False


def form_within(inner: str, outer: str) -> bool:
    """Names and patterns in normal form."""
    if inner == outer or outer == "*":
        return True
    if "*" not in inner:
        return matches_form(outer, inner)
    first, _, rest = inner.partition(".")
    return first == "*" and outer == f"{SUBDOMAINS}.{rest}"


def port_within(inner: PortMatch, outer: PortMatch) -> bool:
    """DNS rules aside."""
    if outer.protocol is Protocol.ANY:
        return True
    if inner.protocol is not outer.protocol:
        return False
    if inner.name or outer.name:
        return (inner.name == outer.name and inner.last <= outer.last) or outer.is_all_ports
    return outer.first <= inner.first and inner.last <= outer.last


def ports_meet(one: PortMatch, other: PortMatch) -> bool:
    """Whether they may share a port: False only where they surely do not."""
    if Protocol.ANY in (one.protocol, other.protocol) or one.protocol is other.protocol:
        return bool(one.name or other.name) or (one.first <= other.last and other.first <= one.last)
    return False


def rule_within(inner: Rule, outer: Rule) -> bool:
    """Peers, ports and subjects; DNS rules aside. Rules that mean nobody are within nothing."""
    return (
        inner.direction is outer.direction
        and bool(inner.peers)
        and bool(inner.ports)
        and label_within(inner.subject, outer.subject)
        and all(any(peer_within(one, other) for other in outer.peers) for one in inner.peers)
        and all(any(port_within(one, other) for other in outer.ports) for one in inner.ports)
    )


def own_requirements(selector: LabelSelector) -> list[Requirement]:
    """Those that tell pods of one namespace apart."""
    return [
        requirement
        for requirement in selector.requirements
        if requirement.key not in (CLUSTER, "io.kubernetes.pod.namespace")
    ]
