"""CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy, read into rules (semantics.md sections 2 to 5).

Takes raw objects that validated; decides nothing about validity. Here are the agent's translations: the subject's
namespace, the namespace and cluster added to peers, what an empty list means, which ports ANY stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from namewall.model.labels import (
    ANY,
    CLUSTER,
    DEFAULT_CLUSTER,
    K8S,
    NAMESPACE,
    NAMESPACE_LABELS,
    RESERVED,
    Label,
)
from namewall.model.net import Direction, Network, Protocol
from namewall.policy import beyond
from namewall.policy.map_state import DnsRules, RuleOrigin
from namewall.policy.patterns import normalize
from namewall.policy.rule_schema import ICMP4_TYPES, ICMP6_TYPES
from namewall.policy.rules import EVERYTHING, PortMatch, Rule
from namewall.policy.sanitize import EGRESS_PEERS, INGRESS_PEERS, LISTS, Raw, parse_port
from namewall.policy.selectors import (
    WILDCARD,
    CidrSelector,
    FqdnSelector,
    GroupSelector,
    LabelSelector,
    PeerSelector,
    Requirement,
    ServiceSelector,
    entity_selectors,
    label_selector,
)
from namewall.policy.structural import parse_cidr

TRANSPORTS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
"""What ANY with a port stands for."""


@dataclass(frozen=True, slots=True)
class Context:
    """Whose rule it is. `namespace` "" for a clusterwide policy."""

    kind: str
    namespace: str
    name: str


def read_selector(raw: Raw, source: str | None = None) -> LabelSelector:
    expressions = [
        (expression["key"], expression["operator"], expression.get("values") or ())
        for expression in raw.get("matchExpressions") or ()
    ]
    return label_selector(raw.get("matchLabels") or {}, expressions, source)


def subject_selector(raw: Raw, namespace: str) -> LabelSelector:
    """A namespaced policy protects endpoints of its own namespace only, whatever its selector says.

    As in Cilium (ParseToCiliumRule) that takes the place of the label with its source; one without is asked for too.
    """
    if not namespace:
        return read_selector(raw)
    labels = raw.get("matchLabels") or {}
    kept = {key: value for key, value in labels.items() if key != f"{K8S}:{NAMESPACE}"}
    return read_selector({**raw, "matchLabels": kept}).with_label(K8S, NAMESPACE, namespace)


def peer_selector(raw: Raw, context: Context, wild: bool) -> LabelSelector:
    """A peer selector with the namespace and cluster it does not name (semantics.md section 4).

    `wild`: a clusterwide rule for reserved:init endpoints, where no namespace is added.
    """
    selector = read_selector(raw)
    return (_kept_placed if selector.is_small else _placed)(selector, context.namespace, wild)


def _placed(selector: LabelSelector, namespace: str, wild: bool) -> LabelSelector:
    requirements = selector.requirements
    if any(requirement.source == RESERVED for requirement in requirements):
        return selector
    if not selector.has_key(NAMESPACE, K8S, ANY):
        by_its_labels = any(
            r.key.startswith(NAMESPACE_LABELS + ".") and r.source in (K8S, ANY) for r in requirements
        )
        if namespace:
            selector = selector if by_its_labels else selector.with_label(K8S, NAMESPACE, namespace)
        elif not wild:
            exists = Requirement(K8S, NAMESPACE, "Exists")
            selector = LabelSelector((*selector.requirements, exists))
    if not selector.has_key(CLUSTER, K8S, ANY):
        selector = selector.with_label(K8S, CLUSTER, DEFAULT_CLUSTER)
    return selector


_kept_placed = lru_cache(maxsize=65536)(_placed)


def network(text: str) -> Network:
    """A prefix that validation let through, host bits masked away."""
    prefix = parse_cidr(text)
    assert prefix is not None, f"`{text}` passed validation but is no prefix"
    return prefix


def _peer(member: str, raw: Any, context: Context, wild: bool) -> Iterator[PeerSelector]:
    kind = member.removeprefix("from").removeprefix("to")
    if kind == "Endpoints":
        yield peer_selector(raw, context, wild)
    elif kind == "Entities":
        yield from entity_selectors(raw)
    elif kind == "CIDR":
        yield CidrSelector(network(raw))
    elif kind == "CIDRSet":
        excepts = tuple(map(network, raw.get("except") or ()))
        if raw.get("cidr"):
            yield CidrSelector(network(raw["cidr"]), excepts)
        elif raw.get("cidrGroupRef"):
            yield GroupSelector(name=raw["cidrGroupRef"], excepts=excepts)
        else:
            yield GroupSelector(labels=read_selector(raw["cidrGroupSelector"], ""), excepts=excepts)
    elif kind == "FQDNs":
        if raw.get("matchName"):
            yield FqdnSelector(normalize(raw["matchName"], "matchName"))
        elif raw.get("matchPattern"):
            yield FqdnSelector(normalize(raw["matchPattern"]))
    elif kind == "Services":
        # As in Cilium: without a namespace any one's Service is meant, and of both the selector counts.
        if chosen := raw.get("k8sServiceSelector"):
            yield ServiceSelector(chosen.get("namespace") or "", labels=read_selector(chosen["selector"], ""))
        elif service := raw.get("k8sService"):
            yield ServiceSelector(service.get("namespace") or "", name=service.get("serviceName") or "")


def read_peers(item: Raw, ingress: bool, context: Context, wild: bool) -> tuple[PeerSelector, ...]:
    """The L3 part. No member is the wildcard if the item says something of ports, else nothing at all.

    A member with an empty list selects nothing, but for toFQDNs, which then counts as not given.
    """
    members = [m for m in (INGRESS_PEERS if ingress else EGRESS_PEERS) if item.get(m) is not None]
    given = [m for m in members if m != "toFQDNs" or item[m]]
    if not given:
        return (WILDCARD,) if item.get("toPorts") or item.get("icmps") else ()
    return tuple(
        peer for member in given for raw in item[member] for peer in _peer(member, raw, context, wild)
    )


def _dns(rules: Raw) -> DnsRules | None:
    items = rules.get("dns")
    if not items:
        return None
    forms = {
        normalize(item["matchName"], "matchName")
        if item.get("matchName")
        else normalize(item["matchPattern"])
        for item in items
    }
    return "any" if "*" in forms else frozenset(forms)


def _port(raw: Raw, dns: DnsRules | None) -> tuple[PortMatch, ...]:
    if beyond.is_foreign_protocol(raw):
        return ()
    written = (raw.get("protocol") or "ANY").upper()
    return _port_matches(parse_port(raw["port"]), raw.get("endPort") or 0, written, dns)


@lru_cache(maxsize=16384)
def _port_matches(port: int | str, end: int, written: str, dns: DnsRules | None) -> tuple[PortMatch, ...]:
    """Remembered: most policies of a cluster name the same few ports."""
    protocols = TRANSPORTS if written == "ANY" else (Protocol[written],)
    if isinstance(port, str):
        return tuple(PortMatch(protocol, last=end, name=port, dns=dns) for protocol in protocols)
    if port == 0 and end == 0:
        return tuple(PortMatch(protocol, dns=dns) for protocol in protocols)
    return tuple(PortMatch(protocol, port, max(port, end), dns=dns) for protocol in protocols)


def read_ports(item: Raw) -> tuple[PortMatch, ...]:
    """The L4 part. Neither toPorts nor icmps (or only empty lists) is every protocol and port."""
    if not item.get("toPorts") and not item.get("icmps"):
        return (EVERYTHING,)
    ports: list[PortMatch] = []
    for port_rule in item.get("toPorts") or ():
        if beyond.of_port_rule(port_rule):
            continue
        dns = _dns(port_rule.get("rules") or {})
        for raw in port_rule.get("ports") or ():
            ports.extend(_port(raw, dns))
    for icmp in item.get("icmps") or ():
        for field in icmp.get("fields") or ():
            v6 = field.get("family") == "IPv6"
            kind = field["type"]
            if isinstance(kind, str):
                kind = int(kind) if kind.isdecimal() else (ICMP6_TYPES if v6 else ICMP4_TYPES)[kind]
            if 0 <= kind <= 255:
                ports.append(PortMatch(Protocol.ICMPV6 if v6 else Protocol.ICMP, kind, kind))
    return tuple(dict.fromkeys(ports))


def rule_labels(raw: Raw) -> tuple[str, ...]:
    """The user's labels on the rule as Hubble shows them: without a source they are `unspec:`."""
    return tuple(
        str(Label(label.get("source") or "unspec", label["key"], label.get("value") or ""))
        for label in raw.get("labels") or ()
    )


def read_rules(raw: Raw, path: str, context: Context) -> Iterator[Rule]:
    """The rules of one spec. One that protects nodes makes none (see `policy.beyond`)."""
    if beyond.protects_nodes(raw):
        return
    subject = subject_selector(raw["endpointSelector"], context.namespace)
    init = subject.has_key("init", RESERVED)
    flags = raw.get("enableDefaultDeny") or {}
    log = (raw.get("log") or {}).get("value") or ""
    labels, description = rule_labels(raw), raw.get("description") or ""
    for name in LISTS:
        ingress = name.startswith("ingress")
        default_deny = flags.get("ingress" if ingress else "egress")
        for index, item in enumerate(raw.get(name) or ()):
            yield Rule(
                origin=RuleOrigin(context.kind, context.namespace, context.name, f"{path}.{name}[{index}]"),
                subject=subject,
                direction=Direction.INGRESS if ingress else Direction.EGRESS,
                peers=() if beyond.needs_authentication(item) else read_peers(item, ingress, context, init),
                ports=read_ports(item),
                deny=name.endswith("Deny"),
                default_deny=True if default_deny is None else default_deny,
                log=log,
                labels=labels,
                description=description,
            )


def specs(obj: Raw) -> Iterable[tuple[str, Raw]]:
    """(path, spec) of everything the object says."""
    if obj.get("spec") is not None:
        yield "spec", obj["spec"]
    for index, spec in enumerate(obj.get("specs") or ()):
        yield f"specs[{index}]", spec


__all__ = [
    "Context",
    "beyond",
    "peer_selector",
    "read_rules",
    "read_selector",
    "specs",
    "subject_selector",
]
