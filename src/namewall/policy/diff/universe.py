"""Who and what is known: endpoints, peers outside, names. Given, or made up out of policies.

Made up means representatives: a label set for each selector (one for each value it lists) in the policy's namespace
and, if it may be there, in one that no policy names; for each of its requirements one that fails it alone; a name for
each name and pattern, the first and last address of each prefix and the ones beside it, a pod without labels in each
namespace, a port that no rule numbers for each port name. Each label set stands for several pods. What only a mixture
of two selectors would reach is not among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import chain

from namewall.model.identity import Reserved
from namewall.model.labels import (
    ANY,
    CLUSTER,
    DEFAULT_CLUSTER,
    K8S,
    METADATA_NAME,
    NAMESPACE,
    NAMESPACE_LABELS,
    SERVICE_ACCOUNT,
    Label,
    Labels,
)
from namewall.model.net import Address, Network
from namewall.policy.cilium import TRANSPORTS
from namewall.policy.decide import PeerFacts
from namewall.policy.ports import NO_NAMES, NamedPorts, named_ports
from namewall.policy.rules import LAST_PORT, Policy, dns_selectors, fqdn_selectors, policy_prefixes
from namewall.policy.selectors import LabelSelector

RESERVED = {
    "host": Reserved.HOST,
    "remote-node": Reserved.REMOTE_NODE,
    "kube-apiserver": Reserved.KUBE_APISERVER,
    "health": Reserved.HEALTH,
    "ingress": Reserved.INGRESS,
}
MOST_VALUES = 8
"""Representatives of one selector, and of those that just miss it."""
ELSEWHERE = "elsewhere"
"""A namespace that no policy names."""


@dataclass(frozen=True, slots=True)
class Known:
    """One endpoint: a subject, and a peer of the others."""

    name: str
    labels: Labels
    address: Address | None = None
    own_ports: NamedPorts = field(default_factory=dict, hash=False, compare=False)

    @property
    def facts(self) -> PeerFacts:
        return PeerFacts(self.labels, self.address)


@dataclass(frozen=True, slots=True)
class Universe:
    """`peers` are those that are no endpoint: outside addresses and reserved ones, by name.

    `unnumbered` are port names whose number is not known, by the one that stands for it here. Where it is `made_up`
    each endpoint stands for all pods with its labels, so that there are flows from one to another of them.
    """

    endpoints: tuple[Known, ...]
    peers: Mapping[str, PeerFacts]
    questions: tuple[str, ...] = ()
    cluster_ports: NamedPorts = field(default_factory=lambda: NO_NAMES)
    unnumbered: Mapping[int, str] = field(default_factory=dict)
    made_up: bool = False


def reserved_peers() -> dict[str, PeerFacts]:
    return {name: PeerFacts.reserved(number) for name, number in RESERVED.items()}


def from_policies(policies: Iterable[Policy]) -> Universe:
    """Representatives of everything the policies tell apart."""
    known = list(policies)
    unnumbered = _unnumbered(known)
    ports = named_ports(
        (name, each.name, number) for number, name in unnumbered.items() for each in TRANSPORTS
    )
    labels: dict[Labels, None] = {}
    for policy in known:
        home = policy.namespace or "default"
        selectors = (each for rule in policy.rules for each in (rule.subject, *rule.peers))
        for selector in dict.fromkeys(each for each in selectors if isinstance(each, LabelSelector)):
            for found in (
                *representatives(selector, home),
                *representatives(selector, ELSEWHERE),
                *near_misses(selector, home),
            ):
                labels.setdefault(found)
    for namespace in sorted({policy.namespace or "default" for policy in known} | {"default"}):
        labels.setdefault(_completed({(K8S, NAMESPACE): namespace}))
    named: dict[str, Labels] = {}
    for found in labels:
        name = describe(found)
        # Labels may hold commas themselves.
        named[name if name not in named else f"{name} ({len(named)})"] = found
    # Addresses that no prefix of a policy holds: ipBlocks mean pods by them.
    addresses = _spare_addresses(policy_prefixes(known), "100.64.0.1")
    endpoints = tuple(Known(name, found, next(addresses), ports) for name, found in named.items())
    return Universe(endpoints, outside_peers(known), question_names(known), ports, unnumbered, made_up=True)


def outside_peers(policies: Iterable[Policy], names: Iterable[str] = ()) -> dict[str, PeerFacts]:
    """A peer for each name, each prefix's borders, somewhere else in the world, and the reserved ones."""
    known = list(policies)
    prefixes = policy_prefixes(known)
    spare = _spare_addresses(prefixes)
    peers: dict[str, PeerFacts] = {}
    wanted = {name for form in fqdn_selectors(known) for name in sample_names(form)} | set(names)
    for name in sorted(wanted):
        peers[name.removesuffix(".") or "."] = PeerFacts.outside(next(spare), (name,))
    for address in sorted({a for prefix in prefixes for a in _borders(prefix)}, key=_address_order):
        peers[str(address)] = PeerFacts.outside(address)
    peers["world (IPv4)"] = PeerFacts.outside(next(spare))
    peers["world (IPv6)"] = PeerFacts.outside(_spare_v6(prefixes))
    return peers | reserved_peers()


def question_names(policies: Iterable[Policy]) -> tuple[str, ...]:
    """Names that may be asked by some DNS rule or connected to, and one that no rule names."""
    known = list(policies)
    forms = dns_selectors(known) | fqdn_selectors(known)
    return tuple(sorted({name for form in forms for name in sample_names(form)} | {"unnamed.invalid."}))


SOME_NAME = "any.invalid."
"""Stands for a name that only `*` means."""


def sample_names(form: str) -> Iterator[str]:
    """Names that a normal form matches, of the fewest labels and, for `**.`, one more."""
    if form == "*":
        yield SOME_NAME
        return
    if "*" not in form:
        yield form
        return
    first, _, rest = form.partition(".")
    rest = rest.replace("*", "x")
    if first == "**":
        yield f"x.{rest}"
        yield f"x.x.{rest}"
    else:
        yield f"{first.replace('*', 'x')}.{rest}"


Chosen = dict[tuple[str, str], str]
"""Values of labels, by source and key."""


def _asked(selector: LabelSelector) -> Chosen | None:
    """A value for each label that it asks for; None for one that means no pods."""
    chosen: Chosen = {}
    for requirement in selector.requirements:
        if requirement.source not in (K8S, ANY):
            return None
        if requirement.operator == "In":
            chosen.setdefault((K8S, requirement.key), min(requirement.values))
        elif requirement.operator == "Exists" and requirement.key != NAMESPACE:
            chosen.setdefault((K8S, requirement.key), "x")
    return chosen


def representatives(selector: LabelSelector, namespace: str) -> Iterator[Labels]:
    """Label sets of pods that the selector selects; none for one of reserved identities or that nobody fits."""
    chosen = _asked(selector)
    if chosen is None:
        return
    variants = [
        ((K8S, requirement.key), value)
        for requirement in selector.requirements
        if requirement.operator == "In"
        for value in sorted(requirement.values)[1:]
    ]
    for changed in [{}, *({key: value} for key, value in variants)][:MOST_VALUES]:
        labels = _completed({**chosen, **changed}, namespace)
        if selector.matches(labels):
            yield labels


def near_misses(selector: LabelSelector, namespace: str) -> Iterator[Labels]:
    """Label sets of pods that fail one of its requirements, and have what the others ask for."""
    fits = _asked(selector)
    if fits is None:
        return
    missed: list[Labels] = []
    for requirement in selector.requirements:
        key = (K8S, requirement.key)
        without = {each: value for each, value in fits.items() if each != key}
        if requirement.operator == "NotIn":
            missed += (_completed({**without, key: value}, namespace) for value in sorted(requirement.values))
        elif requirement.operator == "DoesNotExist":
            missed.append(_completed({**without, key: "x"}, namespace))
        else:
            missed.append(_completed(without, ELSEWHERE if requirement.key in _PLACES else namespace))
    yield from missed[:MOST_VALUES]


_METADATA_NAME = f"{NAMESPACE_LABELS}.{METADATA_NAME}"
_PLACES = (NAMESPACE, _METADATA_NAME)
"""Labels that every pod has, by its namespace."""


def _completed(labels: Mapping[tuple[str, str], str], namespace: str = "default") -> Labels:
    named = labels.get((K8S, NAMESPACE)) or labels.get((K8S, _METADATA_NAME)) or namespace
    whole = {
        (K8S, NAMESPACE): named,
        (K8S, _METADATA_NAME): named,
        (K8S, CLUSTER): DEFAULT_CLUSTER,
        (K8S, SERVICE_ACCOUNT): "default",
        **labels,
    }
    return frozenset(str(Label(source, key, value)) for (source, key), value in whole.items())


def _namespace_of(labels: Labels) -> str:
    return next((each.partition("=")[2] for each in labels if each.startswith(f"{K8S}:{NAMESPACE}=")), "")


def describe(labels: Labels) -> str:
    """`default/app=web`; `default/*` for a pod without labels of its own."""
    own, namespace = [], _namespace_of(labels)
    usual = (
        (CLUSTER, DEFAULT_CLUSTER),
        (SERVICE_ACCOUNT, "default"),
        (NAMESPACE, namespace),
        (_METADATA_NAME, namespace),
    )
    for label in sorted(labels):
        key, _, value = label.removeprefix("k8s:").partition("=")
        if (key, value) in usual:
            continue
        own.append(f"{key.replace(f'{NAMESPACE_LABELS}.', 'namespace:')}={value}")
    return f"{namespace}/{','.join(own) or '*'}"


def _unnumbered(policies: Iterable[Policy]) -> dict[int, str]:
    """A number for each port name, from 65535 down: one that no rule means by a number, or else no rule's border."""
    ports = {port for policy in policies for rule in policy.rules for port in rule.ports}
    ranges = {(port.first, port.last) for port in ports if not port.name} - {(0, LAST_PORT)}
    meant, borders = bytearray(LAST_PORT + 1), {port for ends in ranges for port in ends}
    for first, last in ranges:
        meant[first : last + 1] = b"\1" * (last + 1 - first)
    down = range(LAST_PORT, 0, -1)
    free = chain((n for n in down if not meant[n]), (n for n in down if meant[n] and n not in borders))
    return dict(zip(free, sorted({port.name for port in ports if port.name}), strict=False))


def _borders(prefix: Network) -> Iterator[Address]:
    """The first and last address, and the ones just outside; of /0 a middle one."""
    first, last = int(prefix.network_address), int(prefix.broadcast_address)
    make: type[IPv4Address] | type[IPv6Address] = IPv4Address if prefix.version == 4 else IPv6Address
    if prefix.prefixlen == 0:
        return
    yield make(first)
    yield make(last)
    if first > 0:
        yield make(first - 1)
    if last < (1 << prefix.max_prefixlen) - 1:
        yield make(last + 1)


def _address_order(address: Address) -> tuple[int, int]:
    return address.version, int(address)


def _spare_addresses(prefixes: Iterable[Network], first_of_all: str = "198.18.0.1") -> Iterator[Address]:
    """IPv4 addresses that no prefix of a policy holds (but /0): names must not be opened by a CIDR by chance."""
    taken = [
        (int(p.network_address), int(p.broadcast_address))
        for p in prefixes
        if p.version == 4 and p.prefixlen > 0
    ]
    number = int(ip_address(first_of_all))
    while True:
        holder = next((last for first, last in taken if first <= number <= last), None)
        if holder is not None:
            number = (holder + 1) % (1 << 32)
            continue
        yield IPv4Address(number)
        number = (number + 1) % (1 << 32)


def _spare_v6(prefixes: Iterable[Network]) -> Address:
    candidates = (ip_address(f"2001:2:0:{n:x}::1") for n in range(65536))
    held = [prefix for prefix in prefixes if prefix.version == 6 and prefix.prefixlen > 0]
    return next((a for a in candidates if not any(a in prefix for prefix in held)), ip_address("2001:2::1"))
