"""References to Services and CIDR groups, replaced by what they mean now (semantics.md sections 2, 11).

Pure and total: a Service or group that does not exist selects nothing. After this no rule has a ServiceSelector
or GroupSelector, and `compile`, `decide` and `policy_prefixes` need to know of neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from namewall.model.labels import K8S, NAMESPACE, Labels
from namewall.model.net import Address, Network
from namewall.policy.rules import Policy, Rule
from namewall.policy.selectors import (
    CidrSelector,
    GroupSelector,
    LabelSelector,
    PeerSelector,
    Requirement,
    ServiceSelector,
    contains,
)
from namewall.policy.structural import parse_cidr


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A Kubernetes Service. `selector` empty means that its endpoints are addresses somebody wrote."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    addresses: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class CidrGroup:
    """A CiliumCIDRGroup."""

    name: str
    labels: Mapping[str, str]
    prefixes: frozenset[Network]

    @classmethod
    def parse(cls, obj: Mapping[str, object]) -> CidrGroup:
        """From an object that validated; what is no prefix and no label is left out."""
        metadata: Any = obj["metadata"]
        spec: Any = obj.get("spec") or {}
        prefixes = map(parse_cidr, spec.get("externalCIDRs") or ())
        known = frozenset(prefix for prefix in prefixes if prefix is not None)
        labels = metadata.get("labels")
        pairs = labels.items() if isinstance(labels, dict) else ()
        texts = {key: value for key, value in pairs if isinstance(value, str)}
        return cls(str(metadata.get("name") or ""), texts, known)


def expand(
    policies: Iterable[Policy], services: Iterable[ServiceFacts] = (), groups: Iterable[CidrGroup] = ()
) -> tuple[Policy, ...]:
    """The policies with every reference replaced. Policies without references are the same values."""
    known_services, known_groups = tuple(services), tuple(groups)

    def peers(rule: Rule) -> Iterator[PeerSelector]:
        for peer in rule.peers:
            if isinstance(peer, ServiceSelector):
                yield from _service_peers(peer, known_services)
            elif isinstance(peer, GroupSelector):
                yield from _group_peers(peer, known_groups)
            else:
                yield peer

    return tuple(
        replace(policy, rules=tuple(rule._replace(peers=tuple(peers(rule))) for rule in policy.rules))
        if has_references(policy)
        else policy
        for policy in policies
    )


def has_references(policy: Policy) -> bool:
    return any(isinstance(p, ServiceSelector | GroupSelector) for rule in policy.rules for p in rule.peers)


def _plain(labels: Mapping[str, str]) -> Labels:
    # Services and groups are selected by labels without a source; the empty one stands in.
    return frozenset(f":{key}={value}" if value else f":{key}" for key, value in labels.items())


def _service_peers(peer: ServiceSelector, services: Iterable[ServiceFacts]) -> Iterator[PeerSelector]:
    for service in services:
        if peer.namespace and service.namespace != peer.namespace:
            continue
        if peer.labels is not None and not peer.labels.matches(_plain(service.labels)):
            continue
        if peer.labels is None and service.name != peer.name:
            continue
        if service.selector:
            requirements = [
                Requirement(K8S, key, "In", frozenset({value}))
                for key, value in sorted(service.selector.items())
            ]
            requirements.append(Requirement(K8S, NAMESPACE, "In", frozenset({service.namespace})))
            yield LabelSelector(tuple(requirements))
        else:
            for address in sorted(service.addresses, key=str):
                prefix = parse_cidr(f"{address}/{address.max_prefixlen}")
                assert prefix is not None
                yield CidrSelector(prefix)


def _group_peers(peer: GroupSelector, groups: Iterable[CidrGroup]) -> Iterator[PeerSelector]:
    for group in groups:
        if peer.labels is None and group.name != peer.name:
            continue
        if peer.labels is not None and not peer.labels.matches(_plain(group.labels)):
            continue
        for prefix in sorted(group.prefixes, key=str):
            yield CidrSelector(
                prefix, tuple(e for e in peer.excepts if contains(prefix, e) or contains(e, prefix))
            )
