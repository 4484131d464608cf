"""Comparisons of generated policies: nothing against itself, order-free, and equal to deciding flow by flow."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from hypothesis import given

from namewall.model.net import Direction, Protocol
from namewall.policy.decide import PeerFacts, decide
from namewall.policy.diff.changes import PROTOCOLS, Comparison
from namewall.policy.diff.groups import grouped, reversed_change
from namewall.policy.diff.universe import Known, Universe, from_policies, reserved_peers
from namewall.policy.rules import Policy
from tests.property.examples import RELAXED
from tests.property.policies import ADDRESSES, NAMES, chances, raw_policies
from tests.property.worlds import CLUSTER_PORTS, INIT, PODS, parsed

UNIVERSE = Universe(
    tuple(Known(n, p.labels, p.address, p.own_ports) for n, p in {**PODS, "init": INIT}.items()),
    {
        **{text: PeerFacts.outside(ip_address(text)) for text in ADDRESSES},
        "named": PeerFacts.outside(ip_address("198.51.100.7"), ("a.example.com.",)),
        **reserved_peers(),
    },
    NAMES,
    CLUSTER_PORTS,
)
Raws = list[dict[str, Any]]


def flows(policies: list[Policy], source: str, target: str, protocol: int, port: int, name: str) -> str:
    """The verdict of one flow, by two decisions and nothing else."""
    ends = {known.name: known for known in UNIVERSE.endpoints}
    facts = {**UNIVERSE.peers, **{name: known.facts for name, known in ends.items()}}
    verdicts = []
    if source in ends:
        one = decide(
            policies,
            ends[source].labels,
            Direction.EGRESS,
            facts[target],
            protocol,
            port,
            question=name or None,
            cluster_ports=CLUSTER_PORTS,
        )
        verdicts.append(one.verdict)
    if target in ends:
        own = ends[target].own_ports
        two = decide(
            policies, ends[target].labels, Direction.INGRESS, facts[source], protocol, port, own_ports=own
        )
        verdicts.append(two.verdict)
    return "deny" if "deny" in verdicts else "allow"


@RELAXED
@given(raw_policies(), raw_policies(), chances)
def test_it_is_what_deciding_every_flow_alone_gives(old_raw: Raws, new_raw: Raws, random: Any) -> None:
    old, new = parsed(old_raw), parsed(new_raw)
    changes = {(c.source, c.target): c.ports for c in Comparison(old, new, UNIVERSE).changes()}
    names = [known.name for known in UNIVERSE.endpoints] + list(UNIVERSE.peers)
    pods = {known.name for known in UNIVERSE.endpoints}
    for _ in range(30):
        source, target = random.choice(names), random.choice(names)
        if source == target or not {source, target} & pods:
            continue
        protocol = random.choice(PROTOCOLS)
        icmp = protocol in (Protocol.ICMP, Protocol.ICMPV6)
        port = random.choice((0, 8, 128) if icmp else (0, 8, 52, 53, 54, 80, 81, 128, 380, 8080))
        found = [
            c
            for c in changes.get((source, target), ())
            if c.protocol is protocol and c.first <= port <= c.last
        ]
        before, after = (flows(p, source, target, protocol, port, "") for p in (old, new))
        plain = [(c.old, c.new) for c in found if not c.question]
        assert plain == ([(before, after)] if before != after else []), (source, target, protocol, port)
        name = random.choice(NAMES)
        asked = [(c.old, c.new) for c in found if c.question == name]
        before, after = (flows(p, source, target, protocol, port, name) for p in (old, new))
        if not plain:
            assert asked == ([(before, after)] if before != after else []), (source, target, port, name)


@RELAXED
@given(raw_policies(), raw_policies(), chances)
def test_nothing_against_itself_order_is_nothing_and_back_is_the_reverse(
    old_raw: Raws, new_raw: Raws, random: Any
) -> None:
    old, new = parsed(old_raw), parsed(new_raw)
    assert not list(Comparison(old, parsed(old_raw), UNIVERSE).changes())
    there = list(Comparison(old, new, UNIVERSE).changes())
    random.shuffle(old)
    random.shuffle(new)
    assert list(Comparison(old, new, UNIVERSE).changes()) == there
    assert [reversed_change(c) for c in Comparison(new, old, UNIVERSE).changes()] == there
    together = [(s, t, g.ports) for g in grouped(there) for s in g.sources for t in g.targets]
    assert sorted(together) == sorted((c.source, c.target, c.ports) for c in there)


@RELAXED
@given(raw_policies(), raw_policies())
def test_a_universe_is_made_out_of_any_policies(old_raw: Raws, new_raw: Raws) -> None:
    old, new = parsed(old_raw), parsed(new_raw)
    universe = from_policies([*old, *new])
    names = [known.name for known in universe.endpoints] + list(universe.peers)
    assert len(set(names)) == len(names)
    comparison = Comparison(old, new, universe)
    for group in grouped(comparison.changes(), comparison):
        assert group.sources
        assert group.targets
