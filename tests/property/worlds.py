"""Worlds: generated policies as they are parsed, what they refer to, and the pods they are judged for.

Policies go through `parse`, so that what is generated is what can be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from hypothesis import strategies as st

from namewall.model.labels import Labels, identity_labels
from namewall.model.net import Address
from namewall.policy.expand import CidrGroup, ServiceFacts, expand
from namewall.policy.parse import parse
from namewall.policy.ports import NamedPorts, named_ports
from namewall.policy.rules import Policy
from tests.property.policies import NAMESPACES, Raw, one, raw_policies


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


worlds = st.builds(World, raw_policies(), addressed=one(True, False))


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
