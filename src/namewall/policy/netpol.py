"""Kubernetes NetworkPolicy: validated and read into rules (semantics.md section 4, the Kubernetes API's words).

Where Cilium departs from the Kubernetes API, the API stands: rules of a direction that `policyTypes` leaves out are
ignored, and an ipBlock matches the addresses of pods too. Each direction named is always default-deny.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from namewall.model.errors import Problem, quoted
from namewall.model.labels import CLUSTER, DEFAULT_CLUSTER, K8S, NAMESPACE, NAMESPACE_LABELS
from namewall.model.near import template_hint
from namewall.model.net import Direction, Protocol
from namewall.policy import sanitize
from namewall.policy.cilium import network, read_selector
from namewall.policy.map_state import RuleOrigin
from namewall.policy.rules import EVERYTHING, PortMatch, Rule
from namewall.policy.sanitize import Raw, agent
from namewall.policy.selectors import (
    WILDCARD,
    CidrSelector,
    LabelSelector,
    PeerSelector,
    Requirement,
    contains,
)
from namewall.policy.structural import cidr_hint, is_service_name, parse_cidr, unquoted

DIRECTIONS = (("ingress", "from", Direction.INGRESS), ("egress", "to", Direction.EGRESS))


def problems(spec: Raw) -> Iterator[Problem]:
    """What Kubernetes' own validation refuses in a spec of the right shape."""
    yield from sanitize.selector(spec.get("podSelector") or {}, "spec.podSelector", str)
    if len(spec.get("policyTypes") or ()) > len(DIRECTIONS):
        yield agent("spec.policyTypes", "Invalid value: may not specify more than two policyTypes")
    for name, side, _ in DIRECTIONS:
        for index, item in enumerate(spec.get(name) or ()):
            path = f"spec.{name}[{index}]"
            for number, port in enumerate(item.get("ports") or ()):
                yield from _port_problems(port, f"{path}.ports[{number}]")
            for number, peer in enumerate(item.get(side) or ()):
                yield from _peer_problems(peer, f"{path}.{side}[{number}]")


def _port_problems(port: Raw, path: str) -> Iterator[Problem]:
    number, end = port.get("port"), port.get("endPort")
    if isinstance(number, int) and not 1 <= number <= 65535:
        yield agent(f"{path}.port", f"Invalid value: {number}: must be between 1 and 65535, inclusive")
    if isinstance(number, str) and not (is_service_name(number) and number == number.lower()):
        text = f"Invalid value: {quoted(number)}: must be a lower-case IANA service name, as http-alt"
        yield agent(f"{path}.port", text, unquoted(number) or template_hint(number))
    if end is not None:
        if not isinstance(number, int):
            yield agent(
                f"{path}.endPort", f"Invalid value: {end}: may not be specified without a numeric port"
            )
        elif end < number:
            yield agent(f"{path}.endPort", f"Invalid value: {end}: must be greater than or equal to `port`")
        elif end > 65535:
            yield agent(f"{path}.endPort", f"Invalid value: {end}: must be between 1 and 65535, inclusive")


def _peer_problems(peer: Raw, path: str) -> Iterator[Problem]:
    for member in ("podSelector", "namespaceSelector"):
        if peer.get(member) is not None:
            yield from sanitize.selector(peer[member], f"{path}.{member}", str)
    block = peer.get("ipBlock")
    if not any(peer.get(member) is not None for member in ("podSelector", "namespaceSelector", "ipBlock")):
        yield agent(path, "Required value: must specify a peer")
    if block is None:
        return
    if peer.get("podSelector") is not None or peer.get("namespaceSelector") is not None:
        yield agent(path, "Forbidden: may not specify both ipBlock and another peer")
    written = block.get("cidr") or ""
    cidr = parse_cidr(written)
    if cidr is None:
        text = f"Invalid value: {quoted(written)}: not a valid CIDR"
        yield agent(f"{path}.ipBlock.cidr", text, cidr_hint(written))
    for index, text in enumerate(block.get("except") or ()):
        where = f"{path}.ipBlock.except[{index}]"
        excluded = parse_cidr(text)
        if excluded is None:
            yield agent(where, f"Invalid value: {quoted(text)}: not a valid CIDR", cidr_hint(text))
        elif cidr is not None and (not contains(cidr, excluded) or excluded == cidr):
            yield agent(where, f"Invalid value: {quoted(text)}: must be a strict subset of `cidr`")


def _sides(spec: Raw) -> set[str]:
    types = spec.get("policyTypes")
    if types:
        return {name.lower() for name in types}
    return {"ingress", "egress"} if spec.get("egress") else {"ingress"}


def _peer(peer: Raw, namespace: str, direction: Direction) -> PeerSelector:
    if block := peer.get("ipBlock"):
        own = _peer({}, namespace, direction) if direction is Direction.INGRESS else None
        assert own is None or isinstance(own, LabelSelector)
        excepts = tuple(map(network, block.get("except") or ()))
        return CidrSelector(network(block["cidr"]), excepts, pods=True, unaddressed=own)
    requirements = read_selector(peer.get("podSelector") or {}, K8S).requirements
    if peer.get("namespaceSelector") is None:
        requirements += (Requirement(K8S, NAMESPACE, "In", frozenset({namespace})),)
    else:
        chosen = read_selector(peer["namespaceSelector"], K8S).requirements
        requirements += tuple(
            Requirement(r.source, f"{NAMESPACE_LABELS}.{r.key}", r.operator, r.values) for r in chosen
        )
        # Also where labels are named: `NotIn` alone would reach peers that have no namespace.
        requirements += (Requirement(K8S, NAMESPACE, "Exists"),)
    return LabelSelector(requirements).with_label(K8S, CLUSTER, DEFAULT_CLUSTER)


def _port(raw: Raw) -> PortMatch:
    protocol = Protocol[raw.get("protocol") or "TCP"]
    port: Any = raw.get("port")
    if port is None:
        return PortMatch(protocol)
    if isinstance(port, str):
        return PortMatch(protocol, 0, 0, port.lower())
    return PortMatch(protocol, port, raw.get("endPort") or port)


def read_rules(spec: Raw, namespace: str, name: str) -> Iterator[Rule]:
    subject = read_selector(spec.get("podSelector") or {}, K8S).with_label(K8S, NAMESPACE, namespace)
    sides = _sides(spec)
    for member, side, direction in DIRECTIONS:
        if member not in sides:
            continue
        items = spec.get(member) or []
        for index, item in enumerate(items):
            yield Rule(
                origin=RuleOrigin("NetworkPolicy", namespace, name, f"spec.{member}[{index}]"),
                subject=subject,
                direction=direction,
                peers=tuple(_peer(peer, namespace, direction) for peer in item.get(side) or ())
                or (WILDCARD,),
                ports=tuple(dict.fromkeys(map(_port, item.get("ports") or ()))) or (EVERYTHING,),
            )
        if not items:
            origin = RuleOrigin("NetworkPolicy", namespace, name, "spec")
            yield Rule(origin, subject, direction, peers=(), ports=(EVERYTHING,))
