"""How facts of policy are said in a sentence: ports, peers, rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from namewall.model.labels import Labels, parse_label
from namewall.model.net import Protocol
from namewall.policy.decide import PeerFacts
from namewall.policy.explain.anatomy import PeerPart, PortPart
from namewall.policy.map_state import RuleOrigin

SHORT = {
    "CiliumNetworkPolicy": "cnp",
    "CiliumClusterwideNetworkPolicy": "ccnp",
    "NetworkPolicy": "netpol",
}
"""kubectl's short names."""

PROTOCOL_NAMES = {protocol: protocol.name for protocol in Protocol} | {Protocol.ICMPV6: "ICMPv6"}


def policy_name(kind: str, namespace: str, name: str) -> str:
    """`cnp default/backend`, `ccnp all`."""
    return f"{SHORT.get(kind, kind)} {namespace}/{name}" if namespace else f"{SHORT.get(kind, kind)} {name}"


def rule_name(origin: RuleOrigin) -> str:
    return f"{policy_name(origin.kind, origin.namespace, origin.name)} {origin.rule}"


def rule_names(origins: Iterable[RuleOrigin], most: int = 4) -> str:
    names = [rule_name(origin) for origin in origins]
    return listed(names, most)


def listed(names: Iterable[str], most: int = 6) -> str:
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def port_name(protocol: int, port: int) -> str:
    """`443/TCP`, `type 8 of ICMP`."""
    name = PROTOCOL_NAMES[Protocol(protocol)]
    return f"type {port} of {name}" if protocol in (Protocol.ICMP, Protocol.ICMPV6) else f"{port}/{name}"


def wanted_port(part: PortPart) -> str:
    raw = part.raw
    if "type" in raw:
        return f"type {raw['type']} of {'ICMPv6' if raw.get('family') == 'IPv6' else 'ICMP'}"
    protocol = raw.get("protocol") or ("ANY" if part.toports else "TCP")
    if raw.get("port") is None:
        return f"any port/{protocol}"
    end = f"-{raw['endPort']}" if raw.get("endPort") else ""
    return f"{raw['port']}{end}/{protocol}"


def wanted_peer(part: PeerPart) -> str:
    """`kubernetes.io`, `app=web`, `203.0.113.0/24`."""
    return _raw_peer(part.raw)


def _raw_peer(raw: Any) -> str:
    if isinstance(raw, str):
        return raw
    for key in ("matchName", "matchPattern", "cidr", "cidrGroupRef"):
        if raw.get(key):
            return str(raw[key])
    if "ipBlock" in raw:
        return str(raw["ipBlock"]["cidr"])
    if "podSelector" in raw or "namespaceSelector" in raw:
        sides = [
            f"{side} {_raw_peer(selector)}" if selector else f"any {side}"
            for side in ("pod", "namespace")
            if (selector := raw.get(f"{side}Selector")) is not None
        ]
        return " and ".join(sides)
    words = [f"{key}={value}" for key, value in (raw.get("matchLabels") or {}).items()]
    for expression in raw.get("matchExpressions") or ():
        values = ",".join(expression.get("values") or ())
        words.append(f"{expression['key']} {expression['operator']}{f' ({values})' if values else ''}")
    if service := raw.get("k8sService"):
        words.append(f"service {service.get('namespace') or ''}/{service.get('serviceName')}")
    if chosen := raw.get("k8sServiceSelector"):
        where = f" of namespace {chosen['namespace']}" if chosen.get("namespace") else ""
        words.append(f"services{where} with {_raw_peer(chosen['selector'])}")
    return ", ".join(words) or "everything" if words or not raw else str(raw)


def plain_labels(labels: Labels) -> dict[str, str]:
    """A pod's own labels: without namespace, cluster and service account."""
    found = {}
    for label in sorted(map(parse_label, labels), key=str):
        if label.source == "k8s" and not label.key.startswith(("io.kubernetes.", "io.cilium.")):
            found[label.key] = label.value
    return found


def peer_words(whom: str, peer: PeerFacts) -> str:
    """A sentence on what is known of the peer."""
    if peer.closed:
        return f"{whom} is an address of a closed range that nothing known owns"
    if not peer.inside:
        names = listed(sorted(name.removesuffix(".") or "." for name in peer.names))
        return f"{whom} is outside the cluster, " + (f"learned as {names}" if names else "learned by no name")
    reserved = sorted(label for label in peer.labels if label.startswith("reserved:"))
    if reserved:
        return f"{whom} is {listed(reserved)}"
    labels = listed(f"{key}={value}" for key, value in plain_labels(peer.labels).items())
    return f"{whom} is a pod with {f'the labels {labels}' if labels else 'no labels of its own'}"
