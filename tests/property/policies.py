"""Generators: small worlds of policies, pods and addresses in which rules meet often.

Policies are made as users write them and go through `parse`, so that what is generated is what can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from hypothesis import strategies as st

from namewall.model.labels import Labels, identity_labels
from namewall.model.net import Address
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
NAMES = ("a.example.com.", "b.a.example.com.", "example.com.", "x.test.", ".")
PATTERNS = ("*", "**", "*.example.com", "**.example.com", "*.*", "a*.example.com", "x.test", "*.test.")
PORTS = ("53", "52", "80", "8080", "dns", "http", "0")
PORT_NUMBERS = (0, 52, 53, 54, 80, 81, 8080)


def one(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def some(items: st.SearchStrategy[Any], least: int = 1, most: int = 2) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, min_size=least, max_size=most)


KEYS = (
    "app",
    "k8s:app",
    "role",
    "k8s:io.kubernetes.pod.namespace",
    "io.cilium.k8s.namespace.labels.team",
    "reserved:host",
)
VALUES = {"app": APPS, "k8s:app": APPS, "role": ("x",), "k8s:io.kubernetes.pod.namespace": tuple(NAMESPACES)}


@st.composite
def requirements(draw: st.DrawFn, keys: tuple[str, ...] = KEYS) -> Raw:
    key = draw(one(*keys))
    operator = draw(one("In", "NotIn", "Exists", "DoesNotExist"))
    values = draw(some(one(*VALUES.get(key, ("a",))))) if operator in ("In", "NotIn") else None
    return {"key": key, "operator": operator} | ({"values": values} if values else {})


@st.composite
def selectors(draw: st.DrawFn, keys: tuple[str, ...] = KEYS) -> Raw:
    kind = draw(one("all", "app", "expressions"))
    if kind == "all":
        return {}
    if kind == "app":
        return {"matchLabels": {"app": draw(one(*APPS))}}
    return {"matchExpressions": draw(some(requirements(keys)))}


name_items = st.one_of(
    st.sampled_from(PATTERNS).map(lambda p: {"matchPattern": p}),
    st.sampled_from(("a.example.com", "Example.Com", "x.test.")).map(lambda n: {"matchName": n}),
)
ENTITIES = ("all", "world", "cluster", "host", "none", "remote-node", "kube-apiserver")


@st.composite
def cidr_items(draw: st.DrawFn) -> Raw:
    cidr = draw(one(*CIDRS))
    within = [c for c in CIDRS if c != cidr and _inside(c, cidr)]
    excepts = draw(st.lists(one(*within), max_size=2)) if within else []
    return {"cidr": cidr} | ({"except": excepts} if excepts else {})


def _inside(inner: str, outer: str) -> bool:
    from ipaddress import ip_network

    a, b = ip_network(inner), ip_network(outer)
    return a.version == b.version and a.network_address in b and a.prefixlen > b.prefixlen


@st.composite
def ports(draw: st.DrawFn, dns: bool) -> Raw:
    port = draw(one("53", "dns", "80") if dns else one(*PORTS))
    raw: Raw = {"port": port}
    if protocol := draw(one(None, "TCP", "UDP", "ANY", "SCTP")):
        raw["protocol"] = protocol
    if not dns and port.isdecimal() and port != "0" and draw(st.booleans()):
        raw["endPort"] = int(port) + draw(one(1, 2, 3, 300))
    return raw


@st.composite
def items(draw: st.DrawFn, egress: bool, deny: bool) -> Raw:
    side = "to" if egress else "from"
    choices = ["none", "none", "Endpoints", "Endpoints", "Entities", "CIDR", "CIDRSet"]
    if egress and not deny:
        choices += ["FQDNs", "FQDNs"]
    peer = draw(st.sampled_from(choices))
    item: Raw = {}
    least = draw(one(1, 1, 1, 0))
    if peer == "Endpoints":
        item[f"{side}Endpoints"] = draw(some(selectors(), least))
    elif peer == "Entities":
        item[f"{side}Entities"] = draw(some(one(*ENTITIES), least))
    elif peer == "CIDR":
        item[f"{side}CIDR"] = draw(some(one(*CIDRS), least))
    elif peer == "CIDRSet":
        item[f"{side}CIDRSet"] = draw(some(cidr_items(), least))
    elif peer == "FQDNs":
        item["toFQDNs"] = draw(some(name_items, least))
    kind = draw(one("all", "ports", "ports", "dns", "icmp"))
    if kind == "dns" and egress and not deny:
        rules = {"dns": draw(some(name_items))}
        item["toPorts"] = [{"ports": draw(some(ports(dns=True))), "rules": rules}]
    elif kind in ("ports", "dns"):
        item["toPorts"] = [{"ports": draw(some(ports(dns=False)))}]
    elif kind == "icmp":
        item["icmps"] = [
            {"fields": [{"type": draw(one(8, 0, "EchoRequest")), "family": draw(one("IPv4", "IPv6"))}]}
        ]
    return item


@st.composite
def specs(draw: st.DrawFn) -> Raw:
    spec: Raw = {"endpointSelector": draw(selectors(KEYS[:5]))}
    for name in draw(some(one("egress", "egress", "ingress", "egressDeny", "ingressDeny"), 1, 3)):
        egress, deny = name.startswith("egress"), name.endswith("Deny")
        spec[name] = draw(some(items(egress, deny)))
    if draw(one(False, False, True)):
        spec["enableDefaultDeny"] = {draw(one("ingress", "egress")): draw(st.booleans())}
    return spec


@st.composite
def network_policies(draw: st.DrawFn) -> Raw:
    keys = ("app", "role")
    spec: Raw = {"podSelector": draw(selectors(keys)), "policyTypes": draw(some(one("Ingress", "Egress")))}
    for name, side in (("ingress", "from"), ("egress", "to")):
        rules = []
        for _ in range(draw(st.integers(0, 2))):
            rule: Raw = {}
            for _ in range(draw(st.integers(0, 2))):
                kind = draw(one("pod", "namespace", "block"))
                if kind == "block":
                    peer: Raw = {"ipBlock": draw(cidr_items())}
                else:
                    peer = {"podSelector": draw(selectors(keys))}
                    if kind == "namespace":
                        peer["namespaceSelector"] = draw(one({}, {"matchLabels": {"team": "a"}}))
                rule.setdefault(side, []).append(peer)
            if draw(st.booleans()):
                port: Raw = draw(one({"port": 80}, {"port": 52, "endPort": 54}, {"port": "dns"}, {}))
                rule["ports"] = [{**port, "protocol": draw(one("TCP", "UDP", "SCTP"))}]
            rules.append(rule)
        spec[name] = rules
    return spec


@st.composite
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
                {"toEndpoints": [{}]},
                {"toEndpoints": [{"matchLabels": {"app": "dns"}}]},
            )
        )
        port = draw(one({"port": "53"}, {"port": "53"}, {"port": "dns"}, {"port": "52", "endPort": 53}))
        port_rule: Raw = {"ports": [{**port, "protocol": draw(one("UDP", "ANY"))}]}
        if "endPort" not in port and draw(one(True, True, False)):
            port_rule["rules"] = {"dns": draw(some(name_items))}
        rules.append({**item, "toPorts": [port_rule]})
    spec = {"endpointSelector": {}, "egress": rules}
    metadata = {"name": "dns", "namespace": "red"}
    return [{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata, "spec": spec}]


@st.composite
def raw_policies(draw: st.DrawFn) -> list[Raw]:
    if draw(one(True, False, False)):
        return draw(dns_worlds())
    found = []
    for number in range(draw(st.integers(1, 4))):
        metadata: Raw = {"name": f"p{number}", "namespace": draw(one(*NAMESPACES))}
        kind = draw(
            one(
                "CiliumNetworkPolicy",
                "CiliumNetworkPolicy",
                "CiliumClusterwideNetworkPolicy",
                "NetworkPolicy",
            )
        )
        version = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "cilium.io/v2"
        spec = draw(network_policies() if kind == "NetworkPolicy" else specs())
        if kind == "CiliumClusterwideNetworkPolicy":
            del metadata["namespace"]
        found.append({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
    return found


def parsed(raw: list[Raw]) -> list[Policy]:
    policies = []
    for obj in raw:
        policy, problems = parse(obj)
        assert policy is not None, (obj, problems)
        policies.append(policy)
    return policies


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
