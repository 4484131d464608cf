"""verdicts.jsonl: every query of every scenario by the oracle, which reads the policies itself."""

from __future__ import annotations

from namewall.policy.scenario_parse import parse_scenario
from tests.cases.test_oracle import compare, world
from tests.conformance.data import rows


def test_the_oracle_means_what_cilium_means() -> None:
    """`test_verdicts` holds `decide` equal to Cilium; this holds the oracle equal to `decide` on the same questions."""
    asked = 0
    for row in rows("verdicts.jsonl"):
        scenario, problems = parse_scenario(row)
        assert scenario is not None, problems
        asked += compare(world(row, []), scenario)
    assert asked > 8000
