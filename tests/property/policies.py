"""Generators of policies as users write them, with few names and numbers, so that rules meet often.

Every clause of spec/semantics.md must be met often: test_meaning counts. Whom they are judged for is in worlds.

Drawing is what costs, so what has few values is listed here, and drawn as one. A list has 256 values at most: of
longer ones Hypothesis prefers the beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from ipaddress import ip_network
from itertools import combinations, product
from typing import Any

from hypothesis import strategies as st

Raw = dict[str, Any]

NAMESPACES = {"red": {"team": "a"}, "blue": {"team": "b"}}
APPS = ("web", "db", "dns")
ADDRESSES = ("198.51.100.1", "198.51.100.130", "203.0.113.9", "2001:db8::5", "2001:db8:1::5")
CIDRS = (
    "0.0.0.0/0",
    "::/0",
    "198.51.100.0/24",
    "198.51.100.128/25",
    "203.0.113.9/32",
    "10.0.0.0/8",
    "10.0.0.0/30",
    "2001:db8::/32",
    "2001:db8:1::/48",
)
LONG = "a" * 255
"""Inert in toFQDNs, where its dot makes it one character too long; a DNS rule passes it."""
NAMES = ("a.example.com.", "b.a.example.com.", "example.com.", "x.test.", ".", LONG + ".")
PATTERNS = (
    "*",
    "**.",
    "*.example.com",
    "**.example.com",
    "***.com",
    "*.*",
    "a*.Example.com",
    "x.test",
    "*.test.",
    LONG,
)
PORTS = ("53", "53", "52", "80", "8080", "065", "dns", "HTTP", "0")
PORT_NUMBERS = (0, 52, 53, 54, 80, 81, 8080)


chances = st.randoms(use_true_random=True)
"""All chance of an example as one draw, its seed: drawing is what costs."""


def one(*values: Any) -> st.SearchStrategy[Any]:
    """One of the values, as a strategy; equal ones are made once, since making them is what costs."""
    return _one(repr(values), values)


def _one(key: str, values: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if key not in _KNOWN:
        _KNOWN[key] = st.sampled_from(values)
    return _KNOWN[key]


_KNOWN: dict[str, st.SearchStrategy[Any]] = {}


@cache
def some(items: st.SearchStrategy[Any], least: int = 1, most: int = 2) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, min_size=least, max_size=most)


def composite(function: Callable[..., Any]) -> Callable[..., st.SearchStrategy[Any]]:
    """`st.composite`, made once for each set of arguments."""
    return cache(st.composite(function))


def _pairs(*values: Any) -> list[list[Any]]:
    """Lists of one value or two, as many of the one as of the other where there is room."""
    twos = list(map(list, product(values, repeat=2)))
    return [
        *([value] for value in values for _ in range(min(len(twos), 256 - len(twos)) // len(values))),
        *twos,
    ]


KEYS = (
    "app",
    "k8s:app",
    "role",
    "k8s:io.kubernetes.pod.namespace",
    "io.kubernetes.pod.namespace",
    "io.cilium.k8s.namespace.labels.team",
    "reserved:host",
    "reserved.host",
    "$host",
    "io.cilium.k8s.policy.cluster",
)
VALUES = {
    "io.cilium.k8s.policy.cluster": ("default", "other"),
    "app": APPS,
    "k8s:app": APPS,
    "role": ("x",),
    "k8s:io.kubernetes.pod.namespace": tuple(NAMESPACES),
    "io.kubernetes.pod.namespace": tuple(NAMESPACES),
}


def _conditions(key: str) -> list[Raw]:
    """As many that ask for the key alone as for its values."""
    lists = _pairs(*VALUES.get(key, ("a",)))
    return [
        *({"key": key, "operator": operator} for operator in ("Exists", "DoesNotExist") for _ in lists),
        *(
            {"key": key, "operator": operator, "values": values}
            for operator in ("In", "NotIn")
            for values in lists
        ),
    ]


CONDITIONS = {key: st.sampled_from(_conditions(key)) for key in (*KEYS, "team")}


@composite
def requirements(draw: st.DrawFn, keys: tuple[str, ...] = KEYS) -> Raw:
    return draw(CONDITIONS[draw(one(*keys))])


@cache
def label_maps(keys: tuple[str, ...]) -> st.SearchStrategy[dict[str, str]]:
    """Of two labels at most: few have more."""
    chosen = [few for size in range(3) for few in combinations(keys, size)]
    values = [product(*(VALUES.get(key, ("a",)) for key in few)) for few in chosen]
    return st.sampled_from(
        [dict(zip(few, row, strict=True)) for few, rows in zip(chosen, values, strict=True) for row in rows]
    )


SELECTORS = st.sampled_from(("all", "all", "all", *APPS, *("labels",) * 3, *("expressions",) * 3))


@composite
def selectors(draw: st.DrawFn, keys: tuple[str, ...] = KEYS) -> Raw:
    kind = draw(SELECTORS)
    if kind == "all":
        return {}
    if kind in APPS:
        return {"matchLabels": {"app": kind}}
    if kind == "labels":
        return {"matchLabels": draw(label_maps(keys))}
    return {"matchExpressions": draw(some(requirements(keys)))}


NAME_ITEMS = (
    *({"matchPattern": pattern} for pattern in PATTERNS),
    *({"matchName": name} for name in ("a.example.com", "Example.Com", "x.test.")),
)
NAMES_CHOSEN = st.sampled_from(_pairs(*NAME_ITEMS))
ENTITIES = ("all", "world", "cluster", "host", "none", "remote-node", "kube-apiserver", "health", "init")
SERVICES = (
    {"k8sService": {"serviceName": "db", "namespace": "red"}},
    {"k8sService": {"serviceName": "db"}},
    {"k8sService": {"serviceName": "out"}},
    {"k8sServiceSelector": {"selector": {"matchLabels": {"tier": "x"}}}},
    {"k8sServiceSelector": {"selector": {"matchLabels": {"tier": "x"}}, "namespace": "red"}},
    {"k8sServiceSelector": {"selector": {}}, "k8sService": {"serviceName": "no"}},
)


GROUPS_CHOSEN = (
    {"cidrGroupRef": "office"},
    {"cidrGroupRef": "office", "except": ["198.51.100.128/25"]},
    {"cidrGroupRef": "none"},
    {"cidrGroupSelector": {"matchLabels": {"site": "a"}}},
    {"cidrGroupSelector": {"matchExpressions": [{"key": "site", "operator": "NotIn", "values": ["a"]}]}},
    {"cidrGroupSelector": {}, "except": ["203.0.113.9/32"]},
)


def _inside(inner: str, outer: str) -> bool:
    a, b = ip_network(inner), ip_network(outer)
    return a.version == b.version and a.network_address in b and a.prefixlen > b.prefixlen


def _cidr_items(cidr: str) -> st.SearchStrategy[Raw]:
    within = tuple(other for other in CIDRS if _inside(other, cidr))
    excepting = [{"cidr": cidr, "except": excepts} for excepts in _pairs(*within)]
    return st.sampled_from([*excepting, *([{"cidr": cidr}] * (len(excepting) // 2 + 1))])


CIDR_ITEMS = {cidr: _cidr_items(cidr) for cidr in CIDRS}


@composite
def cidr_items(draw: st.DrawFn) -> Raw:
    return draw(CIDR_ITEMS[draw(one(*CIDRS))])


@composite
def cidr_sets(draw: st.DrawFn) -> Raw:
    cidr = draw(one(*CIDRS, *(None,) * 4))
    return draw(CIDR_ITEMS[cidr] if cidr else one(*GROUPS_CHOSEN))


PORTS_CHOSEN = st.sampled_from(
    [
        {"port": port} | ({"protocol": protocol} if protocol else {})
        for port in PORTS
        for protocol in (None, "TCP", "UDP", "ANY", "SCTP")
    ]
)
ENDS = st.sampled_from((*(None,) * 16, 1, 51, 53, 54, 81, 90, 8090, 65535))


@composite
def port_items(draw: st.DrawFn, judged: bool = False) -> Raw:
    item, end = draw(PORTS_CHOSEN), draw(ENDS)
    if judged:
        return item if item["port"] in ("53", "dns", "80") else item | {"port": "53"}
    return item | ({"endPort": end} if end else {})


ICMP = (
    {"type": 8},
    {"type": "0", "family": "IPv4"},
    {"type": "EchoRequest", "family": "IPv4"},
    {"type": "EchoRequest", "family": "IPv6"},
    {"type": 8, "family": "IPv6"},
)
ICMP_CHOSEN = st.sampled_from([{}, {"fields": []}, *({"fields": fields} for fields in _pairs(*ICMP))])
BEYOND = (
    {"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"method": "GET"}]}},
    {"ports": [{"port": "80", "protocol": "TCP"}], "serverNames": ["a.example.com"]},
    {"ports": [{"port": "0", "protocol": "VRRP"}]},
)


def _outlines(egress: bool, deny: bool) -> st.SearchStrategy[tuple[str, str]]:
    """Which peers, and what else is said."""
    peers = ["none", "none", "Endpoints", "Endpoints", "Entities", "CIDR", "CIDRSet"]
    if egress:
        peers += ["Services"] if deny else ["Services", "FQDNs", "FQDNs"]
    kinds = ("all", "ports", "ports", "dns", "icmp", "both" if deny else "beyond")
    return st.sampled_from(list(product(peers, kinds)))


OUTLINES = {chosen: _outlines(*chosen) for chosen in product((True, False), repeat=2)}
EMPTY = one(*(False,) * 11, True)
PEERS = {
    "Endpoints": some(selectors()),
    "Entities": st.sampled_from(_pairs(*ENTITIES)),
    "CIDR": st.sampled_from(_pairs(*CIDRS)),
    "CIDRSet": some(cidr_sets()),
    "FQDNs": NAMES_CHOSEN,
    "Services": st.sampled_from(_pairs(*SERVICES)),
}


@composite
def items(draw: st.DrawFn, egress: bool, deny: bool) -> Raw:
    side = "to" if egress else "from"
    peer, kind = draw(OUTLINES[egress, deny])
    item: Raw = {}
    if peer in PEERS:
        item[side + peer] = [] if draw(EMPTY) else draw(PEERS[peer])
    if kind == "dns" and egress and not deny:
        names = [] if draw(EMPTY) else draw(NAMES_CHOSEN)
        item["toPorts"] = [{"ports": draw(some(port_items(judged=bool(names)))), "rules": {"dns": names}}]
    elif kind in ("ports", "dns"):
        item["toPorts"] = [{"ports": draw(some(port_items()))}]
    elif kind == "icmp":
        item["icmps"] = [draw(ICMP_CHOSEN)]
    elif kind == "beyond":
        rare = draw(one("ports", "authentication", "Groups"))
        if rare == "ports":
            item["toPorts"] = [{"ports": draw(some(port_items()))}, draw(one(*BEYOND))]
        elif rare == "authentication":
            item["authentication"] = {"mode": draw(one("required", "disabled"))}
        elif peer == "none":
            item[f"{side}Groups"] = [{"aws": {"region": "x"}}]
    return item


DIRECTIONS = ("egress", "egress", "ingress", "egressDeny", "ingressDeny")
DEFAULTS = tuple({direction: on} for direction in ("ingress", "egress") for on in (True, False))


SECTIONS = [tuple(dict.fromkeys(row)) for size in (1, 2, 3) for row in product(DIRECTIONS, repeat=size)]
SECTIONS_CHOSEN = st.sampled_from(SECTIONS[: len(DIRECTIONS)] * 10 + SECTIONS)
SUBJECTS = {
    clusterwide: st.sampled_from(
        list(
            product(
                ("all",) * 4 + ("some",) * 4 + (("init", "init", "node") if clusterwide else ()),
                (*(None,) * 8, *DEFAULTS),
            )
        )
    )
    for clusterwide in (True, False)
}
"""Whom a spec is for, and what it says of default deny."""


@composite
def specs(draw: st.DrawFn, clusterwide: bool) -> Raw:
    subject, default = draw(SUBJECTS[clusterwide])
    if subject == "node":
        return {"nodeSelector": {}, "ingress": [{"fromEntities": ["world"]}]}
    chosen = {"all": {}, "init": {"matchLabels": {"reserved:init": ""}}}
    spec: Raw = {"endpointSelector": chosen[subject] if subject in chosen else draw(selectors(KEYS[:6]))}
    for name in draw(SECTIONS_CHOSEN):
        spec[name] = draw(some(items(name.startswith("egress"), name.endswith("Deny"))))
    return spec | ({"enableDefaultDeny": default} if default else {})


TYPES = st.sampled_from(
    list(
        product(
            (True, False),
            (*_pairs("Ingress", "Egress"), *(None,) * 4),
            range(3),
            range(3),
        )
    )
)
"""Whether it is for some pods, its policyTypes, and how many rules it has for each direction."""
NETWORK_PEERS = ("pod", "namespace", "both", "block", "block")
NETWORK_PORTS = tuple(
    port | ({"protocol": protocol} if protocol else {})
    for port in ({"port": 80}, {"port": 52, "endPort": 54}, {"port": "dns"}, {})
    for protocol in ("TCP", "UDP", "SCTP", None)
)
NETWORK_PEERS_CHOSEN = st.sampled_from((*((),) * 12, *_pairs(*NETWORK_PEERS)))
NETWORK_PORTS_CHOSEN = st.sampled_from((*(None,) * len(NETWORK_PORTS), *NETWORK_PORTS))


@composite
def network_policies(draw: st.DrawFn) -> Raw:
    keys = ("app", "role")
    some_pods, types, *counts = draw(TYPES)
    spec: Raw = {"podSelector": draw(selectors(keys)) if some_pods else {}}
    if types:
        spec["policyTypes"] = types
    for (name, side), count in zip((("ingress", "from"), ("egress", "to")), counts, strict=True):
        rules = []
        for _ in range(count):
            rule: Raw = {}
            for kind in draw(NETWORK_PEERS_CHOSEN):
                peer: Raw = {"ipBlock": draw(cidr_items())} if kind == "block" else {}
                if kind in ("pod", "both"):
                    peer["podSelector"] = draw(selectors(keys))
                if kind in ("namespace", "both"):
                    peer["namespaceSelector"] = draw(selectors(("team",)))
                rule.setdefault(side, []).append(peer)
            if (port := draw(NETWORK_PORTS_CHOSEN)) is not None:
                rule["ports"] = [port]
            rules.append(rule)
        spec[name] = rules
    return spec


SERVED = (
    {"port": "53"},
    {"port": "dns"},
    {"port": "52", "endPort": 53},
    {"port": "53", "endPort": 54},
)
"""At 53 the last one's block is as long as the port alone, and is another L4 all the same."""
SERVERS = (
    {},
    {"toEntities": ["world"]},
    {"toCIDR": ["198.51.100.0/24"]},
    {"toFQDNs": [{"matchPattern": "**.example.com"}]},
    {"toFQDNs": [{"matchPattern": "*"}]},
    {"toFQDNs": [{"matchName": LONG}]},
    {"toFQDNs": []},
    {"toEndpoints": [{}]},
    {"toEndpoints": [{"matchLabels": {"app": "dns"}}]},
)
DNS_RULES = st.sampled_from(list(product(SERVERS, SERVED, ("UDP", "ANY"), (True, True, False))))


@composite
def dns_worlds(draw: st.DrawFn) -> list[Raw]:
    """DNS rules beside plain ones, by number, by name and in ranges, for peers that overlap."""
    rules = []
    for server, port, protocol, judged in draw(some(DNS_RULES, 2, 4)):
        port_rule: Raw = {"ports": [port | {"protocol": protocol}]}
        if judged and "endPort" not in port:
            port_rule["rules"] = {"dns": [] if draw(EMPTY) else draw(NAMES_CHOSEN)}
        rules.append(server | {"toPorts": [port_rule]})
    spec = {"endpointSelector": {}, "egress": rules}
    metadata = {"name": "dns", "namespace": "red"}
    return [{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata, "spec": spec}]


KINDS = ("CiliumNetworkPolicy", "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy")
HEADS = st.sampled_from(
    list(product(KINDS, ("red", "red", "blue"), (True, *(False,) * 4), (True, *(False,) * 3)))
)
"""A kind, a namespace, whether it is audited and whether it has `specs` too."""


@composite
def raw_policies(draw: st.DrawFn) -> list[Raw]:
    size = draw(one("dns", "dns", 1, 2, 3, 4))
    if size == "dns":
        return draw(dns_worlds())
    found = []
    for number, (kind, namespace, audited, more) in enumerate(draw(some(HEADS, size, size))):
        clusterwide = kind == "CiliumClusterwideNetworkPolicy"
        metadata = {"name": f"p{number}"} | ({} if clusterwide else {"namespace": namespace})
        if audited:
            metadata["annotations"] = {"namewall.io/mode": "audit"}
        obj = {"kind": kind, "metadata": metadata}
        if kind == "NetworkPolicy":
            obj |= {"apiVersion": "networking.k8s.io/v1", "spec": draw(network_policies())}
        else:
            obj |= {"apiVersion": "cilium.io/v2", "spec": draw(specs(clusterwide))}
            obj |= {"specs": [draw(specs(clusterwide))]} if more else {}
        found.append(obj)
    return found
