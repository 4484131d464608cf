"""verdicts.jsonl: every query of every scenario, by both readings."""

from __future__ import annotations

from namewall.policy.scenario_parse import parse_scenario
from tests.conformance.data import rows
from tests.conformance.twin import Twin, verdicts


def test_every_query_has_cilium_s_verdict() -> None:
    count, wrong = 0, []
    for row in rows("verdicts.jsonl"):
        scenario, problems = parse_scenario(row)
        assert scenario is not None, (row["id"], problems)
        accepted = [(result.name, result.accepted) for result in scenario.results]
        assert accepted == [(result["name"], result["accepted"]) for result in row["policy_results"]], row[
            "id"
        ]
        twin = Twin(scenario)
        for query, written in zip(scenario.queries, row["queries"], strict=True):
            count += 1
            for reading in (verdicts(scenario.answer(query)), twin.answer(query)):
                if reading != written["expect"]:
                    wrong.append((row["id"], written, reading))
    assert not wrong, f"{len(wrong)} of {2 * count} differ, first: {wrong[:3]}"
    assert count > 8000
