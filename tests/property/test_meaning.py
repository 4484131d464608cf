"""Meaning is written three times; this keeps the readings equal: oracle ≡ decide ≡ lookup(compile(…))."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given

from namewall.policy.lookup import DNS_REFUSED, dns_passes
from spec import oracle
from tests.property.examples import ENOUGH, EXAMPLES, QUIET
from tests.property.readings import Asked, decided, facts, flows, looked_up, state_of, told
from tests.property.worlds import World, worlds

SPEC = Path(oracle.__file__).parent


def agree(world: World, asked: list[Asked]) -> None:
    known = oracle.World(world.raw, world.services, world.groups)
    states = {}
    for flow in asked:
        peer = facts(flow, world)
        expected = told(known, flow, peer)
        decision = decided(world, flow, peer)
        if flow.subject.labels not in states:
            states[flow.subject.labels] = state_of(world, flow.subject)
        found = looked_up(states[flow.subject.labels], world, flow, peer)
        verdict = "allow" if expected.allowed else "deny"
        assert (decision.verdict, found.verdict) == (verdict, verdict)
        assert decision.reason == found.reason
        origins = {origin for entry in found.entries for origin in entry.origins}
        if not expected.allowed:  # of several denies of one peer the kernel sees the longest
            assert origins <= set(decision.rules)
            assert bool(origins) == bool(decision.rules)
            continue
        assert decision.dns == found.dns
        assert (decision.dns is not None) == expected.judged
        assert dns_passes(decision.dns, flow.question) == (expected.passes or not expected.judged)
        refused = decided(world, flow, peer, question=flow.question).reason == DNS_REFUSED
        assert refused == (expected.judged and not expected.passes)
        if not peer.host:  # its own way in needs no rule, whatever rules also allow it
            assert origins == set(decision.rules)


BEYOND = {"10.1", "10.2", "10.3"}
"""Types of questions, grants and names in TLS are no matter of a flow's verdict: tests/bpf/test_dns_settings.py and
test_verify_name.py hold those."""


def numbered() -> list[str]:
    lines = (SPEC / "semantics.md").read_text(encoding="utf-8").splitlines()
    return [number for line in lines if line[:1].isdigit() and (number := line.split()[0]) not in BEYOND]


def test_the_three_readings_agree_and_every_clause_is_met() -> None:
    """None of the clauses of spec/semantics.md is dead: the oracle counts where it applies them."""

    @QUIET
    @given(worlds, flows)
    def run(world: World, asked: list[Asked]) -> None:
        agree(world, asked)

    oracle.clauses.clear()
    run()
    counts = {number: oracle.clauses[number] for number in numbered()}
    print(f"{EXAMPLES} worlds; how often each clause of spec/semantics.md was applied:")
    print(", ".join(f"{number}: {count:,}" for number, count in counts.items()))
    assert set(oracle.clauses) <= set(counts)
    if EXAMPLES >= ENOUGH:
        assert [number for number, count in counts.items() if not count] == []


@pytest.mark.parametrize("name", ["oracle.py", "reading.py"])
def test_the_oracle_shares_nothing_with_policy_but_parse(name: str) -> None:
    imported = set()
    for node in ast.walk(ast.parse((SPEC / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    ours = {module for module in imported if module.startswith(("namewall", "spec", "tests"))}
    assert ours <= {"namewall.model.net", "namewall.policy.parse", "spec.reading"}
