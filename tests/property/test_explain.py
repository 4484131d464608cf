"""Explanations over generated worlds: the verdict is the scenario's, every denial is patched or its reason said."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from namewall.model.net import Protocol
from namewall.policy.explain.anatomy import Catalog
from namewall.policy.explain.flow import catalog_of, document, explain
from namewall.policy.scenario import Scenario
from namewall.policy.scenario_parse import parse_scenario
from tests.property.examples import RELAXED
from tests.property.policies import ADDRESSES, NAMES, NAMESPACES, PORT_NUMBERS, raw_policies

Raw = dict[str, Any]

PODS = ("red/web", "red/db", "red/dns", "blue/web", "blue/dns")
SHORT_NAMES = [name for name in NAMES if len(name) < 250]
TARGETS = (*PODS, *ADDRESSES, "host", "svc/red/web", "a.example.com", "x.test", "unheard.example.com")


def _endpoint(number: int, name: str) -> Raw:
    namespace, app = name.split("/")
    ports = [{"name": "dns", "protocol": "UDP", "port": 53}] if app == "dns" else []
    row = {"name": app, "namespace": namespace, "labels": {"app": app}, "ips": [f"10.0.0.{number + 1}"]}
    return {**row, "namedPorts": ports or [{"name": "http", "protocol": "TCP", "port": 8080}]}


@st.composite
def queries(draw: st.DrawFn) -> Raw:
    protocol = draw(st.sampled_from(("TCP", "UDP", "UDP", "ICMP")))
    port = draw(st.sampled_from((0, 8) if protocol == "ICMP" else PORT_NUMBERS))
    row = {
        "from": draw(st.sampled_from((*PODS, *PODS, "host", ADDRESSES[0]))),
        "to": draw(st.sampled_from(TARGETS)),
        "port": port,
        "protocol": protocol,
    }
    if protocol == "UDP" and draw(st.booleans()):
        row["dns"] = draw(st.sampled_from(SHORT_NAMES))
    return row


@st.composite
def worlds(draw: st.DrawFn) -> Raw:
    named = draw(st.lists(st.sampled_from(ADDRESSES[:3]), unique=True, max_size=2))
    lookups = st.fixed_dictionaries(
        {
            "from": st.sampled_from(PODS),
            "name": st.sampled_from(("a.example.com", "x.test")),
            "ip": st.sampled_from(ADDRESSES[2:]),
            "ttl": st.just(30),
            "at": st.sampled_from((0, 100)),
        }
    )
    return {
        "namespaces": [{"name": name, "labels": labels} for name, labels in NAMESPACES.items()],
        "endpoints": [_endpoint(number, name) for number, name in enumerate(PODS)],
        "services": [
            {
                "name": "web",
                "namespace": "red",
                "selector": {"app": "web"},
                "ips": ["10.1.0.1"],
                "ports": [{"port": 80, "targetPort": 8080}],
            }
        ],
        "externals": [{"ip": ip, "names": [draw(st.sampled_from(SHORT_NAMES[:4]))]} for ip in named],
        "lookups": draw(st.lists(lookups, max_size=2)),
        "at": 120,
        "strictDnsRules": draw(st.booleans()),
        "policies": draw(raw_policies()),
        "queries": [draw(queries()) for _ in range(4)],
    }


def read(world: Raw) -> tuple[Scenario, Catalog]:
    scenario, problems = parse_scenario(world)
    assert scenario is not None, problems
    return scenario, catalog_of(scenario, world["policies"], world)


@RELAXED
@given(worlds())
def test_every_denial_is_patched_or_its_reason_said(world: Raw) -> None:
    scenario, catalog = read(world)
    assert catalog.policies == scenario.expanded
    for number, query in enumerate(scenario.queries):
        explanation = explain(scenario, catalog, query)
        told, answer = document(catalog, explanation), scenario.answer(query).to_dict()
        assert {key: told[key] for key in answer if key != "rules"} == {
            key: value for key, value in answer.items() if key != "rules"
        }
        assert [
            {key: rule[key] for key in asked}
            for rule, asked in zip(told["rules"], answer["rules"], strict=True)
        ] == (answer["rules"])
        if answer["verdict"] == "allow":
            assert told["patch"] is told["nearest"] is told["noPatch"] is None
            continue
        assert told["steps"]
        if told["patch"] is None:
            event(f"no patch: {told['noPatch'][:24]}")
            assert told["noPatch"]
            continue
        event(f"patched by {len(told['patch']['changes'])}")
        assert told["noPatch"] is None
        patched = {**world, "policies": list(explanation.patch.after) if explanation.patch else []}
        after, _ = read(patched)
        assert all(result.accepted for result in after.results)
        assert after.answer(after.queries[number]).verdict == "allow"
        for changed in explanation.patch.changed(catalog.raws) if explanation.patch else ():
            assert changed[0] != changed[1]


@RELAXED
@given(worlds())
def test_a_patch_closes_nothing(world: Raw) -> None:
    """It only adds allows, so what was allowed in the world stays so (questions may be judged where none were)."""
    scenario, catalog = read(world)
    for query in scenario.queries:
        patch = explain(scenario, catalog, query).patch
        if patch is None:
            continue
        after, _ = read({**world, "policies": list(patch.after)})
        for before, now in zip(scenario.queries, after.queries, strict=True):
            asks = before.dns is not None or before.protocol is Protocol.UDP
            if scenario.answer(before).verdict == "allow" and not asks:
                assert after.answer(now).verdict == "allow"
