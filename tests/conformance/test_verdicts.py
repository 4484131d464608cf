"""verdicts.jsonl: every query of every scenario, by both readings."""

from __future__ import annotations

from tests.conformance.scenario import Scenario, rows


def test_every_query_has_cilium_s_verdict() -> None:
    count, wrong = 0, []
    for row in rows("verdicts.jsonl"):
        scenario = Scenario(row)
        assert scenario.accepted == [result["accepted"] for result in row["policy_results"]], row["id"]
        for query in row["queries"]:
            count += 1
            for reading in (scenario.decided, scenario.looked_up):
                result = reading(query)
                if result != query["expect"]:
                    wrong.append((row["id"], reading.__name__, query, result))
    assert not wrong, f"{len(wrong)} of {count} differ, first: {wrong[:3]}"
    assert count > 8000
