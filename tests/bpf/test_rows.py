"""Rows of our own through the programs, as those of the conformance data, invented worlds among them."""

from __future__ import annotations

from typing import Any

import pytest
from bpf_lab import Lab
from hypothesis import given, settings
from hypothesis import strategies as st
from test_verdicts import Wire
from worlds import play_scenario

from namewall.policy.scenario_parse import parse_scenario
from tests.property.examples import EXAMPLES, RELAXED
from tests.property.policies import NAMESPACES, raw_policies


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Wire:
    return Wire(shared_lab)


def asked(*rules: dict[str, Any]) -> dict[str, Any]:
    """Rules of `web`; it asks `dns` and an address of the world."""
    spec = {"endpointSelector": {"matchLabels": {"app": "web"}}, "egress": list(rules)}
    metadata = {"name": "web", "namespace": "default"}
    return {
        "namespaces": [{"name": "default", "labels": {}}],
        "policies": [
            {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata, "spec": spec}
        ],
        "endpoints": [
            {
                "name": name,
                "namespace": "default",
                "labels": {"app": name},
                "namedPorts": [{"name": "dns", "protocol": "UDP", "port": 53}],
            }
            for name in ("web", "dns")
        ],
        "externals": [{"ip": "203.0.113.53"}],
    }


def port(number: str, end: int = 0, *names: str, **peers: Any) -> dict[str, Any]:
    one: dict[str, Any] = {"port": number, "protocol": "UDP"} | ({"endPort": end} if end else {})
    rules = {"rules": {"dns": [{"matchName": name} for name in names]}} if names else {}
    return {**peers, "toPorts": [{"ports": [one], **rules}]}


DNS = {"toEndpoints": [{"matchLabels": {"app": "dns"}}]}


def said(wire: Wire, rules: tuple[dict[str, Any], ...], to: str, name: str) -> set[str | None]:
    """What becomes of a question of `web`, in each family."""
    play_scenario(wire.world, asked(*rules))
    query = {"from": "web", "to": to, "port": 53, "protocol": "UDP", "dns": name}
    return {wire.answer(query, source, target)["l7dns"] for source, target in wire.pairs(query)}


CIDR, WORLD = {"toCIDR": ["203.0.113.53/32"]}, {"toEntities": ["world"]}


@pytest.mark.parametrize(
    ("rules", "name", "l7dns"),
    [
        ((port("53", 54, **CIDR), port("53", 0, "a.test", **WORLD)), "b.test", "deny"),
        ((port("53", 54, **CIDR), port("53", 0, "a.test", **WORLD)), "a.test", "allow"),
        ((port("dns", **CIDR), port("53", 0, "a.test", **WORLD)), "b.test", "deny"),
        ((port("53", **CIDR), port("53", 0, "a.test", **WORLD)), "b.test", "allow"),
        ((port("53", 54, **CIDR), port("53", 0, "a.test", **DNS)), "b.test", "none"),
        ((port("53", **CIDR), port("53", 54, **WORLD), port("53", 0, "a.test", **DNS)), "b.test", "none"),
    ],
)
def test_names_over_an_address_that_is_several_peers(
    wire: Wire, rules: tuple[dict[str, Any], ...], name: str, l7dns: str
) -> None:
    """One identity in Cilium: plain allows of another L4 add no names."""
    assert said(wire, rules, "203.0.113.53", name) == {l7dns}


@pytest.mark.parametrize(
    ("rules", "name", "l7dns"),
    [
        ((port("53", 0, "a.test", **DNS),), "b.test", "deny"),
        ((port("53", 0, "a.test", **DNS), port("53")), "b.test", "allow"),
        ((port("53", 0, "a.test", **DNS), port("53", 54)), "b.test", "deny"),
        ((port("53", 0, "a.test", **DNS), port("53", 54)), "a.test", "allow"),
        ((port("53", 0, "a.test", **DNS), port("dns")), "b.test", "deny"),
        ((port("53", 0, "a.test", **DNS), port("53", 0, "b.test")), "b.test", "allow"),
        ((port("53", **DNS), port("53", 54)), "b.test", "none"),
    ],
)
def test_names_over_the_ports_of_a_server(
    wire: Wire, rules: tuple[dict[str, Any], ...], name: str, l7dns: str
) -> None:
    assert said(wire, rules, "dns", name) == {l7dns}


# --- invented worlds ---------------------------------------------------------------------------------------------

SERVER = [{"name": "dns", "protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
PODS = [
    {
        "name": name,
        "namespace": namespace,
        "labels": {"app": name.partition("-")[0], **({"role": "x"} if name == "db" else {})},
        "namedPorts": SERVER
        if name.startswith("dns")
        else [{"name": "http", "protocol": "TCP", "port": 8080}],
    }
    for namespace, name in (
        ("red", "web"),
        ("red", "db"),
        ("red", "dns"),
        ("blue", "web-2"),
        ("blue", "dns-2"),
    )
]
EXTERNALS = [
    {"ip": "198.51.100.1"},
    {"ip": "198.51.100.130", "names": ["a.example.com"]},
    {"ip": "203.0.113.9", "names": ["x.test", "b.a.example.com"]},
    {"ip": "2001:db8::5", "names": ["example.com"]},
]
PARTIES = [pod["name"] for pod in PODS] + [one["ip"] for one in EXTERNALS] + ["host", "remote-node"]
queries = st.fixed_dictionaries(
    {
        "from": st.sampled_from([pod["name"] for pod in PODS]),
        "to": st.sampled_from(PARTIES),
        "port": st.sampled_from([53, 53, 53, 52, 54, 80, 8080]),
        "protocol": st.sampled_from(["UDP", "UDP", "TCP"]),
    },
    optional={"dns": st.sampled_from(["a.example.com", "b.a.example.com", "example.com", "x.test"])},
)


@pytest.mark.timeout(0)
@settings(RELAXED, max_examples=EXAMPLES // 10)
@given(raw_policies(), st.lists(queries, min_size=4, max_size=8))
def test_invented_worlds_have_the_verdict_of_policy(
    wire: Wire, raws: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> None:
    for raw in raws:  # audit is test_audit's
        raw["metadata"].pop("annotations", None)
    row = {
        "namespaces": [{"name": name, "labels": labels} for name, labels in NAMESPACES.items()],
        "policies": raws,
        "endpoints": PODS,
        "externals": EXTERNALS,
        "queries": [query for query in asked if query["from"] != query["to"]],
    }
    scenario, problems = parse_scenario(row)
    assert scenario is not None, problems
    play_scenario(wire.world, row)
    for query, one in zip(row["queries"], scenario.queries, strict=True):
        expected = scenario.answer(one).to_dict()
        for source, target in wire.pairs(query):
            found = wire.answer(query, source, target)
            assert found == {side: expected[side] for side in found}, query
