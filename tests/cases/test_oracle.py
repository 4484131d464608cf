"""Every scenario in this folder by the third reading: what the oracle says of each question that was decided."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from namewall.model.net import Direction
from namewall.policy.expand import CidrGroup
from namewall.policy.lookup import DNS_REFUSED, dns_passes
from namewall.policy.scenario import Scenario
from namewall.policy.scenario_parse import parse_scenario
from spec import oracle

CASES = sorted(Path(__file__).parent.glob("*.yaml"))


def world(document: Any, services: list[Any]) -> oracle.World:
    groups = [
        CidrGroup(each["name"], each.get("labels") or {}, frozenset(map(ip_network, each["externalCIDRs"])))
        for each in document.get("cidrGroups", ())
    ]
    return oracle.World(document["policies"], services, groups)


def compare(known: oracle.World, scenario: Scenario) -> int:
    """Every question that was put to `decide`, put to the oracle; how many there were."""
    asked = 0
    for query in scenario.queries:
        for side in scenario.answer(query).sides:
            facts, decision = side.facts, side.decision
            told = oracle.answer(
                known,
                side.subject.labels,
                side.direction,
                oracle.Peer(facts.labels, facts.address, facts.inside, facts.names, facts.host, facts.closed),
                side.protocol,
                side.port,
                side.question,
                side.subject.ports if side.direction is Direction.INGRESS else {},
                scenario.cluster_ports,
            )
            asked += 1
            assert told.allowed == (decision.verdict == "allow" or decision.reason == DNS_REFUSED), str(query)
            if told.allowed:
                assert told.judged == (decision.dns is not None), str(query)
                if side.question is not None:
                    assert told.passes == dns_passes(decision.dns, side.question), str(query)
    return asked


def test_a_policy_that_is_not_valid_says_nothing() -> None:
    spec = {"endpointSelector": {}, "egress": [{"toCIDR": ["10.0.0.0/33"]}]}
    policy = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "p"}}
    assert oracle.World([{**policy, "spec": {"endpointSelector": {}, "egress": [{}]}}]).rules
    assert oracle.World([{**policy, "spec": spec}]).rules == []


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    scenario, problems = parse_scenario(document)
    assert scenario is not None, problems
    known = world(document, [service.facts for service in scenario.services])
    assert compare(known, scenario) >= len(scenario.queries)
