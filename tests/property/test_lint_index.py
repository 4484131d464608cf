"""The shortcuts by which long policies are linted leave nothing out: equal to looking at every rule."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given

from namewall.model.net import Direction, Protocol
from namewall.policy.decide import SubjectRules
from namewall.policy.explain.anatomy import Catalog
from namewall.policy.lint.contained import peer_within, rule_within, world_families
from namewall.policy.lint.dns import _asking
from namewall.policy.lint.finding import Project
from tests.property.examples import RELAXED
from tests.property.policies import NAMES, raw_policies
from tests.property.test_diff import UNIVERSE


@RELAXED
@given(raw_policies())
def test_no_wider_rule_is_left_out(raws: list[dict[str, Any]]) -> None:
    project = Project(Catalog(raws))
    for _, rule in project.rules:
        around = project.around(rule)
        near = project.wider(rule)
        within = [each for each in around if rule_within(rule, each[1])]
        assert [each for each in near if rule_within(rule, each[1])] == within
        assert [each for each in around if each in near] == near, "in their order"
        if len(within) > 1:
            event("another rule says it")
        for peer in rule.peers:
            holding = {other for _, each in around for other in each.peers if peer_within(peer, other)}
            assert holding <= set(project.index(rule).peers(peer))
        open_ones = [each for each in around if any(world_families(peer) for peer in each[1].peers)]
        assert project.open_around(rule) == open_ones


@RELAXED
@given(raw_policies())
def test_questions_are_decided_by_the_rules_for_their_port(raws: list[dict[str, Any]]) -> None:
    project = Project(Catalog(raws))
    peers = [*UNIVERSE.peers.values(), *(known.facts for known in UNIVERSE.endpoints)]
    for known in UNIVERSE.endpoints:
        rules = [rule for _, rule in project.by_subject.selecting(known.labels)]
        all_rules = SubjectRules(rules, known.labels, Direction.EGRESS)
        few, _ = _asking(project, known.labels)
        for peer in peers:
            for name in NAMES[:3]:
                every, found = (
                    each.decide(peer, Protocol.UDP, 53, question=name) for each in (all_rules, few)
                )
                assert (found.verdict, found.reason, found.dns) == (every.verdict, every.reason, every.dns)
