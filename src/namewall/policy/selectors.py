"""Selectors: how a rule chooses its subject and its peers (semantics.md sections 3, 4, 11).

Five kinds, all values: label selectors (endpoints, reserved entities), CIDR selectors (addresses), FQDN selectors
(names), and two that refer to objects outside the policy, CIDR groups and Services, which `policy.expand`
replaces. A label selector without requirements is the wildcard: every peer, known or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from namewall.model.labels import CLUSTER, DEFAULT_CLUSTER, K8S, RESERVED, Labels, LabelView, split_key, view
from namewall.model.net import Address, Network

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist"]


SMALL = 8
"""Conditions of a selector, and values of each, up to which selectors are remembered."""


class Requirement(NamedTuple):
    """One condition on a label. `source` is `any` where the rule names none."""

    source: str
    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def holds(self, labels: LabelView) -> bool:
        source, key, operator, values = self
        value = labels.get((source, key))
        match operator:
            case "In":
                return value in values
            case "NotIn":
                return value not in values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements must hold. Without any it is the wildcard.

    The hash is kept: selectors are keys of nearly every table here. Equal ones are mostly the same object
    (`label_selector` and `with_label` remember what they made), which makes comparing them quick too.
    """

    requirements: tuple[Requirement, ...] = ()
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.requirements))

    def __hash__(self) -> int:
        return self._hash

    @property
    def is_wildcard(self) -> bool:
        return not self.requirements

    def matches(self, labels: Labels) -> bool:
        index = view(labels)
        return all(requirement.holds(index) for requirement in self.requirements)

    def has_key(self, key: str, *sources: str) -> bool:
        return any(r.key == key and r.source in sources for r in self.requirements)

    @property
    def is_small(self) -> bool:
        """Worth remembering. A large one, remembered, would fill the memory long after its policy is gone."""
        return len(self.requirements) <= SMALL and all(len(r.values) <= SMALL for r in self.requirements)

    def with_label(self, source: str, key: str, value: str) -> LabelSelector:
        return (_kept_with_label if self.is_small else _with_label)(self, source, key, value)


def _with_label(selector: LabelSelector, source: str, key: str, value: str) -> LabelSelector:
    return LabelSelector((*selector.requirements, Requirement(source, key, "In", frozenset({value}))))


_kept_with_label = lru_cache(maxsize=65536)(_with_label)


WILDCARD = LabelSelector()


@dataclass(frozen=True, slots=True)
class CidrSelector:
    """Addresses in `cidr` and in none of `excepts`.

    With `pods` (NetworkPolicy's ipBlock) also the addresses of pods and nodes; without, only those of peers
    outside the cluster. `excepts` may be wider than `cidr`; then nothing is selected.

    `unaddressed` are the pods selected where pods have no addresses to judge by: never on a host, only in
    scenarios that give none. There Cilium's engine, whose CIDR rules know no pods, lets an ipBlock under
    `ingress` select the policy's own namespace, and the conformance data has it so.
    """

    cidr: Network
    excepts: tuple[Network, ...] = ()
    pods: bool = False
    unaddressed: LabelSelector | None = None

    def selects(self, prefix: Network) -> bool:
        """Whether every address of `prefix` is selected."""
        return contains(self.cidr, prefix) and not any(
            contains(excluded, prefix) for excluded in self.excepts
        )

    def selects_address(self, address: Address) -> bool:
        return address in self.cidr and not any(address in excluded for excluded in self.excepts)


@dataclass(frozen=True, slots=True)
class FqdnSelector:
    """Addresses learned under a name that matches. `form` as `policy.patterns.normalize` makes it."""

    form: str


@dataclass(frozen=True, slots=True)
class GroupSelector:
    """The prefixes of CiliumCIDRGroups, by name or by their labels, less `excepts`."""

    name: str = ""
    labels: LabelSelector | None = None
    excepts: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceSelector:
    """The endpoints behind Services. `namespace` "" is any; `name` or `labels` chooses."""

    namespace: str = ""
    name: str = ""
    labels: LabelSelector | None = None


PeerSelector = LabelSelector | CidrSelector | FqdnSelector | GroupSelector | ServiceSelector


def contains(outer: Network, inner: Network) -> bool:
    """Whether `inner` lies in `outer`; never across address families."""
    shift = outer.max_prefixlen - outer.prefixlen
    return (
        outer.version == inner.version
        and outer.prefixlen <= inner.prefixlen
        and int(outer.network_address) >> shift == int(inner.network_address) >> shift
    )


def _reserved(*names: str) -> tuple[LabelSelector, ...]:
    return tuple(WILDCARD.with_label(RESERVED, name, "") for name in names)


def entity_selectors(entity: str, cluster: str = DEFAULT_CLUSTER) -> tuple[LabelSelector, ...]:
    """What an entity stands for (semantics.md section 3). Raises KeyError for an unknown one."""
    if entity == "cluster":
        nodes = _reserved("host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver")
        return (*nodes, WILDCARD.with_label(K8S, CLUSTER, cluster))
    return _ENTITIES[entity]


_ENTITIES: Mapping[str, tuple[LabelSelector, ...]] = {
    "all": (WILDCARD,),
    "none": (),
    "world": _reserved("world", "world-ipv4", "world-ipv6"),
    **{
        name: _reserved(name)
        for name in (
            "world-ipv4",
            "world-ipv6",
            "host",
            "init",
            "ingress",
            "unmanaged",
            "remote-node",
            "health",
            "kube-apiserver",
        )
    },
}


def label_selector(
    match_labels: Mapping[str, str],
    expressions: Iterable[tuple[str, Operator, Iterable[str]]],
    source: str | None,
) -> LabelSelector:
    """A selector from its parts. `source` None reads the source from each key, else all keys have that source."""
    conditions = list(expressions)
    if not conditions and len(match_labels) <= SMALL:
        return _of_labels(tuple(sorted(match_labels.items())), source)
    equal: list[tuple[str, Operator, Iterable[str]]] = [
        (key, "In", (value,)) for key, value in sorted(match_labels.items())
    ]
    return LabelSelector(
        tuple(
            Requirement(*_key(key, source), operator, frozenset(values))
            for key, operator, values in [*equal, *conditions]
        )
    )


@lru_cache(maxsize=65536)
def _of_labels(pairs: tuple[tuple[str, str], ...], source: str | None) -> LabelSelector:
    return LabelSelector(
        tuple(Requirement(*_key(key, source), "In", frozenset({value})) for key, value in pairs)
    )


def _key(text: str, source: str | None) -> tuple[str, str]:
    return split_key(text) if source is None else (source, text)
