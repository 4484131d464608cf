"""Policies as users write them, read into what they say: sections 1, 3, 4 and 8 of spec/semantics.md.

The first half of the oracle (see spec/oracle.py, which judges). Reads raw objects and shares nothing with
namewall.policy but `parse`, which says which of them are valid, and leaves out what is null.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_network
from typing import Any

from namewall.model.net import Direction, Network, Protocol
from namewall.policy.parse import parse, stored

Raw = Mapping[str, Any]

clauses: Counter[str] = Counter()


def by(*numbers: str) -> None:
    clauses.update(numbers)


@dataclass(frozen=True)
class Requirement:
    source: str
    key: str
    operator: str
    values: tuple[str, ...] = ()


Requirements = list[Requirement]


@dataclass(frozen=True)
class Range:
    prefix: Network
    excepts: tuple[Network, ...] = ()
    is_block: bool = False
    stand_in: tuple[Requirement, ...] = ()


Meant = Requirements | Range | str
"""A selector of peers: by labels (none is the wildcard), by address, or by name (a canonical form)."""


@dataclass(frozen=True)
class Port:
    """`names` None: no DNS rules."""

    protocol: Protocol
    first: int = 0
    last: int = 65535
    name: str = ""
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rule:
    protects: Requirements
    direction: Direction
    deny: bool
    default_deny: bool
    peers: list[Meant]
    ports: list[Port]


def in_audit(raw: Raw) -> bool:
    annotations = raw["metadata"].get("annotations")
    if isinstance(annotations, dict) and annotations.get("namewall.io/mode") == "audit":
        by("10.4")
        return True
    return False


class World:
    """Policies, and the Services and CIDR groups they refer to."""

    def __init__(
        self, policies: Iterable[Raw], services: Iterable[Any] = (), groups: Iterable[Any] = ()
    ) -> None:
        self.services, self.groups = list(services), list(groups)
        self.rules = [
            rule
            for raw, _ in map(stored, policies)
            if parse(raw)[0] is not None and not in_audit(raw)
            for rule in self.read(raw)
        ]

    def read(self, raw: Raw) -> Iterator[Rule]:
        namespace = raw["metadata"].get("namespace") or "default"
        if raw["kind"] == "NetworkPolicy":
            yield from read_network_policy(raw["spec"], namespace)
            return
        for spec in [raw.get("spec"), *(raw.get("specs") or ())]:
            if spec is not None:
                yield from self.read_spec(
                    spec, "" if raw["kind"] == "CiliumClusterwideNetworkPolicy" else namespace
                )

    # --- section 1: whom a rule protects ---

    def read_spec(self, spec: Raw, namespace: str) -> Iterator[Rule]:
        if "nodeSelector" in spec:
            by("1.7", "9.1")
            return
        selector = spec["endpointSelector"]
        if namespace:
            by("1.4")
            labels = selector.get("matchLabels") or {}
            kept = {k: v for k, v in labels.items() if k != f"k8s:{NAMESPACE}"}
            protects = [*requirements({**selector, "matchLabels": kept}), in_namespace(namespace)]
        else:
            by("1.6")
            protects = requirements(selector)
        for_init = any((r.source, r.key) == ("reserved", "init") for r in protects)
        flags = spec.get("enableDefaultDeny") or {}
        for member in ("ingress", "ingressDeny", "egress", "egressDeny"):
            side = member.removesuffix("Deny")
            flag = flags.get(side)
            for item in spec.get(member) or ():
                if flag is not None:
                    by("2.5")
                yield Rule(
                    protects,
                    Direction.INGRESS if side == "ingress" else Direction.EGRESS,
                    deny=member.endswith("Deny"),
                    default_deny=flag is not False,
                    peers=self.peers(item, namespace, for_init),
                    ports=list(ports(item)),
                )

    # --- section 3: whom it means ---

    def peers(self, item: Raw, namespace: str, for_init: bool) -> list[Meant]:
        mode = (item.get("authentication") or {}).get("mode", "disabled")
        if mode != "disabled" or item.get("toGroups") or item.get("fromGroups"):
            by("9.1")
            return []
        given = {
            name: value
            for name, value in item.items()
            if name not in ("toPorts", "icmps", "authentication") and value is not None
        }
        if given.get("toFQDNs") == []:
            by("3.15")
            del given["toFQDNs"]
        if not given:
            by("3.1")
            return [[]] if item.get("toPorts") or item.get("icmps") else []
        return [
            each
            for name, values in given.items()
            for raw in values
            for each in self.peer(name, raw, namespace, for_init)
        ]

    def peer(self, member: str, raw: Any, namespace: str, for_init: bool) -> Iterator[Meant]:
        match member.removeprefix("from").removeprefix("to"):
            case "Endpoints":
                yield pods(raw, namespace, for_init)
            case "Entities":
                yield from entity(raw)
            case "CIDR":
                yield Range(ip_network(raw, strict=False))
            case "CIDRSet":
                excepts = tuple(ip_network(text, strict=False) for text in raw.get("except") or ())
                if raw.get("cidr"):
                    yield Range(ip_network(raw["cidr"], strict=False), excepts)
                else:
                    yield from self.group(raw, excepts)
            case "FQDNs":
                yield canonical(raw.get("matchName") or raw.get("matchPattern"))
            case "Services":
                yield from self.service(raw)

    def group(self, raw: Raw, excepts: tuple[Network, ...]) -> Iterator[Meant]:
        by("3.18")
        for group in self.groups:
            if group.name == raw.get("cidrGroupRef") or has_labels(
                raw.get("cidrGroupSelector"), group.labels
            ):
                yield from (Range(prefix, excepts) for prefix in group.prefixes)

    def service(self, raw: Raw) -> Iterator[Meant]:
        chosen, named = raw.get("k8sServiceSelector"), raw.get("k8sService")
        for service in self.services:
            by("3.17")
            wanted = chosen or named or {}
            if wanted.get("namespace") and wanted["namespace"] != service.namespace:
                continue
            if chosen and not has_labels(chosen["selector"], service.labels):
                continue
            if not chosen and wanted.get("serviceName") != service.name:
                continue
            by("3.16")
            if service.selector:
                equal = [Requirement("k8s", key, "In", (value,)) for key, value in service.selector.items()]
                yield [*equal, in_namespace(service.namespace)]
            else:
                yield from (Range(ip_network(address)) for address in service.addresses)


NAMESPACE = "io.kubernetes.pod.namespace"
NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels."
CLUSTER = "io.cilium.k8s.policy.cluster"
THIS_CLUSTER = Requirement("k8s", CLUSTER, "In", ("default",))
OLD_RESERVED = re.compile(r"(?:\$|reserved\.(?!.*:))(.*)", re.DOTALL)
ANY_NAMESPACE = Requirement("k8s", NAMESPACE, "Exists")


def in_namespace(name: str) -> Requirement:
    return Requirement("k8s", NAMESPACE, "In", (name,))


def requirements(selector: Raw, prefix: str = "") -> Requirements:
    """With a `prefix` (`k8s:`, or `:` for objects whose labels have no source) the keys name none themselves."""
    found = [(key, "In", [value]) for key, value in (selector.get("matchLabels") or {}).items()]
    found += [
        (each["key"], each["operator"], each.get("values") or [])
        for each in selector.get("matchExpressions") or ()
    ]
    split = []
    for key, operator, values in found:
        if not prefix and (old := OLD_RESERVED.fullmatch(key)):
            by("1.8")
            key = f"reserved:{old[1]}"
        source, colon, rest = (prefix + key).partition(":")
        if ":" in key:
            by("1.5")
        if not prefix:
            source = source or "any"
        split.append(Requirement(source if colon else "any", rest if colon else key, operator, tuple(values)))
    return split


def has_labels(selector: Raw | None, labels: Mapping[str, str]) -> bool:
    return selector is not None and holds(
        requirements(selector, ":"), frozenset(f":{key}={value}" for key, value in labels.items())
    )


def pods(selector: Raw, namespace: str, for_init: bool) -> Requirements:
    wanted = requirements(selector)
    if any(each.source == "reserved" for each in wanted):
        by("3.11")
        return wanted
    plain = [each.key for each in wanted if each.source in ("any", "k8s")]
    if namespace:
        if not any(key == NAMESPACE or key.startswith(NAMESPACE_LABELS) for key in plain):
            by("3.9")
            wanted.append(in_namespace(namespace))
    elif NAMESPACE not in plain:
        by("3.13" if for_init else "3.10")
        if not for_init:
            wanted.append(ANY_NAMESPACE)
    if CLUSTER not in plain:
        by("3.12")
        wanted.append(THIS_CLUSTER)
    return wanted


NEAR = ("host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver")


def entity(name: str) -> list[Meant]:
    by("3.14")
    if name in ("all", "none"):
        return [[]] if name == "all" else []
    reserved = {"world": ("world", "world-ipv4", "world-ipv6"), "cluster": NEAR}.get(name, (name,))
    found: list[Meant] = [[Requirement("reserved", each, "Exists")] for each in reserved]
    return [*found, [THIS_CLUSTER]] if name == "cluster" else found


def holds(wanted: Iterable[Requirement], labels: frozenset[str]) -> bool:
    by("1.1")
    return all(requirement_holds(requirement, labels) for requirement in wanted)


@cache
def split_label(label: str) -> tuple[str, str, str]:
    source, _, rest = label.partition(":")
    key, _, value = rest.partition("=")
    return source, key, value


def requirement_holds(requirement: Requirement, labels: frozenset[str]) -> bool:
    by("1.2", "1.3")
    values = [
        value
        for source, key, value in map(split_label, labels)
        if key == requirement.key and requirement.source in ("any", source)
    ]
    found = any(value in requirement.values for value in values)
    match requirement.operator:
        case "In":
            return found
        case "NotIn":
            return not found
        case "Exists":
            return bool(values)
        case _:
            return not values


# --- section 4: ports ---

PLAIN = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
BEYOND = ("listener", "originatingTLS", "terminatingTLS", "serverNames")
ICMP = """
EchoReply 0 DestinationUnreachable 3 Redirect 5 Echo 8 EchoRequest 8 RouterAdvertisement 9 RouterSelection 10
TimeExceeded 11 ParameterProblem 12 Timestamp 13 TimestampReply 14 Photuris 40 ExtendedEchoRequest 42
ExtendedEchoReply 43
"""
ICMPV6 = """
DestinationUnreachable 1 PacketTooBig 2 TimeExceeded 3 ParameterProblem 4 EchoRequest 128 EchoReply 129
MulticastListenerQuery 130 MulticastListenerReport 131 MulticastListenerDone 132 RouterSolicitation 133
RouterAdvertisement 134 NeighborSolicitation 135 NeighborAdvertisement 136 RedirectMessage 137 RouterRenumbering 138
ICMPNodeInformationQuery 139 ICMPNodeInformationResponse 140 InverseNeighborDiscoverySolicitation 141
InverseNeighborDiscoveryAdvertisement 142 HomeAgentAddressDiscoveryRequest 144 HomeAgentAddressDiscoveryReply 145
MobilePrefixSolicitation 146 MobilePrefixAdvertisement 147 DuplicateAddressRequestCodeSuffix 157
DuplicateAddressConfirmationCodeSuffix 158 ExtendedEchoRequest 160 ExtendedEchoReply 161
"""


def ports(item: Raw) -> Iterator[Port]:
    if not item.get("toPorts") and not item.get("icmps"):
        by("4.1")
        yield Port(Protocol.ANY)
    for group in item.get("toPorts") or ():
        rules = group.get("rules") or {}
        if any(group.get(each) for each in BEYOND) or any(
            rules.get(each) for each in ("http", "kafka", "l7proto")
        ):
            by("9.1")
            continue
        if rules.get("dns") == []:
            by("6.7")
        asked = [canonical(each.get("matchName") or each["matchPattern"]) for each in rules.get("dns") or ()]
        for raw in group.get("ports") or ():
            yield from numbered(raw, tuple(asked) or None)
    for icmp in item.get("icmps") or ():
        for each in icmp.get("fields") or ():
            by("4.5")
            port = icmp_type(each["type"], v6=each.get("family") == "IPv6")
            if port.first in range(256):
                yield port


def numbered(raw: Raw, asked: tuple[str, ...] | None) -> Iterator[Port]:
    protocol = (raw.get("protocol") or "ANY").upper()
    if protocol in ("VRRP", "IGMP"):
        by("9.1")
        return
    text, end = raw["port"], raw.get("endPort") or 0
    by("4.6")
    for each in PLAIN if protocol == "ANY" else (Protocol[protocol],):
        if any(char.isalpha() for char in text):
            yield Port(each, last=end, name=text.lower(), names=asked)
            continue
        digits = text.replace("_", "")
        first = int(digits, 8 if digits.startswith("0") else 10)
        if first == 0 and end == 0:
            yield Port(each, names=asked)
        else:
            yield Port(each, first, max(first, end), names=asked)


def icmp_type(written: int | str, v6: bool) -> Port:
    if isinstance(written, str) and not written.isdecimal():
        by("4.7")
        words = (ICMPV6 if v6 else ICMP).split()
        written = words[words.index(written) + 1]
    return Port(Protocol.ICMPV6 if v6 else Protocol.ICMP, int(written), int(written))


def canonical(text: str) -> str:
    """Lower case, trailing dot, as few stars as mean the same."""
    if re.fullmatch(r"\*+\.?", text):
        return "*"
    form = text.lower() if text.endswith(".") else text.lower() + "."
    head = re.match(r"\*\*+\.", form)
    return "**." * bool(head) + re.sub(r"\*+", "*", form[head.end() if head else 0 :])


# --- section 8: NetworkPolicy ---


def read_network_policy(spec: Raw, namespace: str) -> Iterator[Rule]:
    protects = [*requirements(spec.get("podSelector") or {}, "k8s:"), in_namespace(namespace)]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    for member, side in (("ingress", "from"), ("egress", "to")):
        items = spec.get(member) or []
        if member.capitalize() not in types:
            if items:
                by("8.1")
            continue
        direction = Direction.INGRESS if member == "ingress" else Direction.EGRESS
        if not items:
            by("8.2")
            yield Rule(protects, direction, False, True, [], [])
        for item in items:
            peers: list[Meant] = [block_or_pods(raw, namespace, direction) for raw in item.get(side) or ()]
            if not peers:
                by("8.3")
            yield Rule(protects, direction, False, True, peers or [[]], list(network_ports(item)))


def block_or_pods(raw: Raw, namespace: str, direction: Direction) -> Meant:
    own = [in_namespace(namespace), THIS_CLUSTER]
    if block := raw.get("ipBlock"):
        excepts = tuple(ip_network(text, strict=False) for text in block.get("except") or ())
        stand_in = tuple(own) if direction is Direction.INGRESS else ()
        return Range(ip_network(block["cidr"], strict=False), excepts, True, stand_in)
    wanted = requirements(raw.get("podSelector") or {}, "k8s:")
    if raw.get("namespaceSelector") is None:
        by("8.4")
        return [*wanted, *own]
    by("8.5")
    labels = requirements(raw["namespaceSelector"], f"k8s:{NAMESPACE_LABELS}")
    return [*wanted, *labels, ANY_NAMESPACE, THIS_CLUSTER]


def network_ports(item: Raw) -> Iterator[Port]:
    if not item.get("ports"):
        by("4.1")
        yield Port(Protocol.ANY)
    for raw in item.get("ports") or ():
        protocol, port = Protocol[raw.get("protocol") or "TCP"], raw.get("port")
        if port is None:
            by("8.6")
            yield Port(protocol)
        elif isinstance(port, str):
            yield Port(protocol, last=0, name=port.lower())
        else:
            yield Port(protocol, port, raw.get("endPort") or port)
