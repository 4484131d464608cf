"""A scenario read the other way: by compile and lookup, as the kernel reads policy, where `Scenario` decides.

Law: both give the same row. Names as targets and Services are the scenario's own and not compared here.
"""

from __future__ import annotations

from typing import Any

from namewall.model.identity import Reserved
from namewall.model.net import Direction
from namewall.policy.compile import compile
from namewall.policy.lookup import cidr_classes, granted_selectors, lookup
from namewall.policy.map_state import CidrPeer, MapState
from namewall.policy.rules import fqdn_selectors, policy_prefixes
from namewall.policy.scenario import (
    RESERVED_NAMES,
    Answer,
    Endpoint,
    Name,
    Node,
    Party,
    Query,
    Scenario,
    Service,
)

Row = dict[str, Any]
VERDICTS = ("egress", "ingress", "l7dns", "verdict")


def verdicts(answer: Answer) -> Row:
    return {key: value for key, value in answer.to_dict().items() if key in VERDICTS}


class Twin:
    """Of one scenario; `can` says of which queries."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        labels = dict.fromkeys(endpoint.labels for endpoint in scenario.endpoints)
        self.number = {each: 256 + n for n, each in enumerate(labels)}
        self.prefixes = policy_prefixes(scenario.expanded)
        self.fqdns = fqdn_selectors(scenario.expanded)
        self.addressless = not any(endpoint.addresses for endpoint in scenario.endpoints)
        self._states: dict[Endpoint, MapState] = {}

    def can(self, query: Query) -> bool:
        """Names as targets and what lies behind a Service are found by the scenario alone."""
        return not query.lookups and not isinstance(self.owner(query.target), Service | Name)

    def owner(self, who: Party) -> Party:
        """Whose address it is."""
        if isinstance(who, Endpoint | Node | Service | Name):
            return who
        return self.scenario.owner(who) or who

    def state(self, endpoint: Endpoint) -> MapState:
        if endpoint not in self._states:
            self._states[endpoint] = compile(
                self.scenario.expanded,
                endpoint.labels,
                {number: labels for labels, number in self.number.items()},
                own_ports=endpoint.ports,
                cluster_ports=self.scenario.cluster_ports,
                addressless=self.addressless,
            )
        return self._states[endpoint]

    def numbers(self, who: Party, query: Query) -> tuple[int, tuple[CidrPeer, ...], frozenset[str]]:
        """What the kernel knows of a peer: identity, CIDR classes, granted FQDN selectors."""
        who = self.owner(who)
        asker = query.source if isinstance(query.source, Endpoint) else None
        facts = self.scenario.facts(who, asker, self.scenario.now(query))
        address = facts.address
        cidrs = () if address is None else cidr_classes(address, self.prefixes, facts.inside)
        if isinstance(who, Endpoint):
            return self.number[who.labels], cidrs, frozenset()
        if isinstance(who, Node):
            return RESERVED_NAMES[who.name], (), frozenset()
        assert not isinstance(who, Service | Name), "not the twin's"
        assert address is not None
        number = Reserved.WORLD_IPV4 if address.version == 4 else Reserved.WORLD_IPV6
        return number, cidrs, granted_selectors(facts.names, self.fqdns)

    def answer(self, query: Query) -> Row:
        result: Row = {"egress": None, "ingress": None, "l7dns": None}
        if isinstance(query.source, Endpoint):
            peer = self.numbers(query.target, query)
            state = self.state(query.source)
            found = lookup(state, Direction.EGRESS, *peer, query.protocol, query.port)
            result["egress"] = found.verdict
            if found.verdict == "allow" and query.dns is None:
                result["l7dns"] = None if found.dns is None else "redirect"
            elif found.verdict == "allow" and query.dns is not None:
                passes = "allow" if found.passes(query.dns) else "deny"
                result["l7dns"] = "none" if found.dns is None else passes
        target = self.owner(query.target)
        if isinstance(target, Endpoint):
            peer = self.numbers(query.source, query)
            state = self.state(target)
            found = lookup(state, Direction.INGRESS, *peer, query.protocol, query.port)
            result["ingress"] = found.verdict
        return {**result, "verdict": "deny" if "deny" in result.values() else "allow"}
