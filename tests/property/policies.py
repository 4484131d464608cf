"""Generators: small worlds of policies, pods and addresses in which rules meet often.

Policies are made as users write them and go through `parse`, so that what is generated is what can be. Every
clause of spec/semantics.md must be met often: test_meaning counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import strategies as st

from namewall.model.labels import Labels, identity_labels
from namewall.model.net import Address
from namewall.policy.expand import CidrGroup, ServiceFacts, expand
from namewall.policy.parse import parse
from namewall.policy.ports import NamedPorts, named_ports
from namewall.policy.rules import Policy

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


@composite
def requirements(draw: st.DrawFn, keys: tuple[str, ...] = KEYS) -> Raw:
    key = draw(one(*keys))
    operator = draw(one("In", "NotIn", "Exists", "DoesNotExist"))
    values = draw(some(one(*VALUES.get(key, ("a",))))) if operator in ("In", "NotIn") else None
    return {"key": key, "operator": operator} | ({"values": values} if values else {})


@cache
def label_maps(keys: tuple[str, ...]) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({}, optional={key: one(*VALUES.get(key, ("a",))) for key in keys})


@composite
def selectors(draw: st.DrawFn, keys: tuple[str, ...] = KEYS) -> Raw:
    kind = draw(one("all", "app", "labels", "expressions"))
    if kind == "all":
        return {}
    if kind == "app":
        return {"matchLabels": {"app": draw(one(*APPS))}}
    if kind == "labels":
        return {"matchLabels": draw(label_maps(keys))}
    return {"matchExpressions": draw(some(requirements(keys)))}


name_items = st.one_of(
    st.sampled_from(PATTERNS).map(lambda p: {"matchPattern": p}),
    st.sampled_from(("a.example.com", "Example.Com", "x.test.")).map(lambda n: {"matchName": n}),
)
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


@composite
def cidr_sets(draw: st.DrawFn) -> Raw:
    if draw(one(True, False, False)):
        return draw(one(*GROUPS_CHOSEN))
    return draw(cidr_items())


@composite
def cidr_items(draw: st.DrawFn) -> Raw:
    cidr = draw(one(*CIDRS))
    within = [c for c in CIDRS if c != cidr and _inside(c, cidr)]
    excepts = draw(some(one(*within), 0)) if within else []
    return {"cidr": cidr} | ({"except": excepts} if excepts else {})


def _inside(inner: str, outer: str) -> bool:
    a, b = ip_network(inner), ip_network(outer)
    return a.version == b.version and a.network_address in b and a.prefixlen > b.prefixlen


@composite
def ports(draw: st.DrawFn, dns: bool) -> Raw:
    port = draw(one("53", "dns", "80") if dns else one(*PORTS))
    raw: Raw = {"port": port}
    if protocol := draw(one(None, "TCP", "UDP", "ANY", "SCTP")):
        raw["protocol"] = protocol
    if not dns and draw(one(True, False, False)):
        raw["endPort"] = draw(one(1, 51, 53, 54, 81, 90, 8090, 65535))
    return raw


ICMP = (
    {"type": 8},
    {"type": "0", "family": "IPv4"},
    {"type": "EchoRequest", "family": "IPv4"},
    {"type": "EchoRequest", "family": "IPv6"},
    {"type": 8, "family": "IPv6"},
)
BEYOND = (
    {"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"method": "GET"}]}},
    {"ports": [{"port": "80", "protocol": "TCP"}], "serverNames": ["a.example.com"]},
    {"ports": [{"port": "0", "protocol": "VRRP"}]},
)


@composite
def items(draw: st.DrawFn, egress: bool, deny: bool) -> Raw:
    side = "to" if egress else "from"
    choices = ["none", "none", "Endpoints", "Endpoints", "Entities", "CIDR", "CIDRSet"]
    if egress:
        choices += ["Services"] if deny else ["Services", "FQDNs", "FQDNs"]
    peer = draw(st.sampled_from(choices))
    item: Raw = {}
    least = draw(one(1, 1, 1, 0))
    lists = {
        "Endpoints": selectors(),
        "Entities": one(*ENTITIES),
        "CIDR": one(*CIDRS),
        "CIDRSet": cidr_sets(),
        "FQDNs": name_items,
        "Services": one(*SERVICES),
    }
    if peer in lists:
        item[side + peer] = draw(some(lists[peer], least))
    kind = draw(one("all", "ports", "ports", "dns", "icmp", "both" if deny else "beyond"))
    if kind == "dns" and egress and not deny:
        least = draw(one(1, 1, 1, 0))
        rules = {"dns": draw(some(name_items, least))}
        item["toPorts"] = [{"ports": draw(some(ports(dns=bool(rules["dns"])))), "rules": rules}]
    elif kind in ("ports", "dns"):
        item["toPorts"] = [{"ports": draw(some(ports(dns=False)))}]
    elif kind == "icmp":
        item["icmps"] = [{"fields": draw(some(one(*ICMP)))}]
    elif kind == "beyond":
        rare = draw(one("ports", "authentication", "Groups"))
        if rare == "ports":
            item["toPorts"] = [{"ports": draw(some(ports(dns=False)))}, draw(one(*BEYOND))]
        elif rare == "authentication":
            item["authentication"] = {"mode": draw(one("required", "disabled"))}
        elif peer == "none":
            item[f"{side}Groups"] = [{"aws": {"region": "x"}}]
    return item


@composite
def specs(draw: st.DrawFn, clusterwide: bool) -> Raw:
    if clusterwide and draw(one(True, *[False] * 9)):
        return {"nodeSelector": {}, "ingress": [{"fromEntities": ["world"]}]}
    subject = draw(selectors(KEYS[:6])) if draw(st.booleans()) else {}
    if clusterwide and draw(one(True, *[False] * 4)):
        subject = {"matchLabels": {"reserved:init": ""}}
    spec: Raw = {"endpointSelector": subject}
    for name in draw(some(one("egress", "egress", "ingress", "egressDeny", "ingressDeny"), 1, 3)):
        egress, deny = name.startswith("egress"), name.endswith("Deny")
        spec[name] = draw(some(items(egress, deny)))
    if draw(one(False, False, True)):
        spec["enableDefaultDeny"] = {draw(one("ingress", "egress")): draw(st.booleans())}
    return spec


@composite
def network_policies(draw: st.DrawFn) -> Raw:
    keys = ("app", "role")
    spec: Raw = {"podSelector": draw(selectors(keys)) if draw(st.booleans()) else {}}
    if draw(one(True, True, False)):
        spec["policyTypes"] = draw(some(one("Ingress", "Egress")))
    for name, side in (("ingress", "from"), ("egress", "to")):
        rules = []
        for _ in range(draw(st.integers(0, 2))):
            rule: Raw = {}
            for _ in range(draw(st.integers(0, 2))):
                kind = draw(one("pod", "namespace", "both", "block", "block"))
                peer: Raw = {"ipBlock": draw(cidr_items())} if kind == "block" else {}
                if kind in ("pod", "both"):
                    peer["podSelector"] = draw(selectors(keys))
                if kind in ("namespace", "both"):
                    peer["namespaceSelector"] = draw(selectors(("team",)))
                rule.setdefault(side, []).append(peer)
            if draw(st.booleans()):
                port: Raw = draw(one({"port": 80}, {"port": 52, "endPort": 54}, {"port": "dns"}, {}))
                protocol = draw(one("TCP", "UDP", "SCTP", None))
                rule["ports"] = [{**port, "protocol": protocol} if protocol else dict(port)]
            rules.append(rule)
        spec[name] = rules
    return spec


SERVED = (
    {"port": "53"},
    {"port": "53"},
    {"port": "dns"},
    {"port": "52", "endPort": 53},
    {"port": "53", "endPort": 54},
)
"""At 53 the last one's block is as long as the port alone, and is another L4 all the same."""


@composite
def dns_worlds(draw: st.DrawFn) -> list[Raw]:
    """DNS rules beside plain ones, by number, by name and in ranges, for peers that overlap."""
    rules = []
    for _ in range(draw(st.integers(2, 4))):
        item: Raw = draw(
            one(
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
        )
        port = draw(one(*SERVED))
        port_rule: Raw = {"ports": [{**port, "protocol": draw(one("UDP", "ANY"))}]}
        if "endPort" not in port and draw(one(True, True, False)):
            port_rule["rules"] = {"dns": draw(some(name_items, draw(one(1, 1, 1, 0))))}
        rules.append({**item, "toPorts": [port_rule]})
    spec = {"endpointSelector": {}, "egress": rules}
    metadata = {"name": "dns", "namespace": "red"}
    return [{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata, "spec": spec}]


@composite
def raw_policies(draw: st.DrawFn) -> list[Raw]:
    if draw(one(True, False, False)):
        return draw(dns_worlds())
    found = []
    for number in range(draw(st.integers(1, 4))):
        metadata: Raw = {"name": f"p{number}", "namespace": draw(one("red", "red", "blue"))}
        kind = draw(
            one(
                "CiliumNetworkPolicy",
                "CiliumNetworkPolicy",
                "CiliumClusterwideNetworkPolicy",
                "NetworkPolicy",
            )
        )
        version = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "cilium.io/v2"
        clusterwide = kind == "CiliumClusterwideNetworkPolicy"
        spec = draw(network_policies() if kind == "NetworkPolicy" else specs(clusterwide))
        if clusterwide:
            del metadata["namespace"]
        if draw(one(True, *(False,) * 11)):
            metadata["annotations"] = {"namewall.io/mode": "audit"}
        obj = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
        if kind != "NetworkPolicy" and draw(one(True, False, False, False)):
            obj["specs"] = [draw(specs(clusterwide))]
        found.append(obj)
    return found


def parsed(raw: list[Raw]) -> list[Policy]:
    policies = []
    for obj in raw:
        policy, problems = parse(obj)
        assert policy is not None, (obj, problems)
        policies.append(policy)
    return policies


FACTS = (
    ServiceFacts("red", "db", {"tier": "x"}, {"app": "db"}),
    ServiceFacts("blue", "db", {}, {"app": "web"}),
    ServiceFacts(
        "blue",
        "out",
        {"tier": "x"},
        {},
        frozenset(map(ip_address, ("198.51.100.1", "2001:db8::5", "10.0.0.1"))),
    ),
)
GROUPS = (
    CidrGroup("office", {"site": "a"}, frozenset(map(ip_network, ("198.51.100.0/24", "10.0.0.0/30")))),
    CidrGroup("far", {"site": "b"}, frozenset(map(ip_network, ("2001:db8::/32", "203.0.113.9/32")))),
)


@dataclass(frozen=True)
class World:
    """Policies as written, what they refer to, and whether pods have addresses (scenarios may give none)."""

    raw: list[Raw]
    services: tuple[ServiceFacts, ...] = FACTS
    groups: tuple[CidrGroup, ...] = GROUPS
    addressed: bool = True
    policies: tuple[Policy, ...] = field(init=False)

    def __post_init__(self) -> None:
        expanded = expand(parsed(self.raw), self.services, self.groups)
        object.__setattr__(self, "policies", expanded)


worlds = st.builds(World, raw_policies(), addressed=one(True, True, False))


@dataclass(frozen=True)
class Pod:
    labels: Labels
    address: Address
    own_ports: NamedPorts


def _pod(namespace: str, app: str, number: int, *more: tuple[str, str]) -> Pod:
    containers = [("dns", "UDP", 53), ("dns", "TCP", 53)] if app == "dns" else [("http", "TCP", 8080)]
    labels = identity_labels({"app": app, **dict(more)}, namespace, NAMESPACES[namespace])
    return Pod(labels, ip_address(f"10.0.0.{number}"), named_ports(containers))


PODS = {
    "red/web": _pod("red", "web", 1),
    "red/db": _pod("red", "db", 2, ("role", "x")),
    "red/dns": _pod("red", "dns", 3),
    "blue/web": _pod("blue", "web", 5),
    "blue/dns": _pod("blue", "dns", 6),
}
INIT = Pod(frozenset({"reserved:init"}), ip_address("10.0.0.9"), {})
CLUSTER_PORTS = named_ports([("dns", "UDP", 53), ("dns", "TCP", 53), ("http", "TCP", 8080)])
