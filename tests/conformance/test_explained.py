"""verdicts.jsonl explained: the verdict is the data's, each denial has a patch that holds or a reason for none."""

from __future__ import annotations

from namewall.policy.explain.flow import catalog_of, document, explain
from namewall.policy.scenario_parse import parse_scenario
from tests.conformance.data import rows

A_SCENARIO = 4
"""Denied queries of one scenario whose patches are applied."""


def test_every_denial_is_explained() -> None:
    patched = denied = 0
    for row in rows("verdicts.jsonl"):
        scenario, problems = parse_scenario(row)
        assert scenario is not None, problems
        catalog = catalog_of(scenario, row["policies"], row)
        assert catalog.policies == scenario.expanded
        wrong = [query for query in scenario.queries if query.expect["verdict"] == "deny"]
        for query in wrong[:A_SCENARIO]:
            denied += 1
            explanation = explain(scenario, catalog, query)
            told = document(catalog, explanation)
            assert told["verdict"] == "deny"
            if explanation.patch is None:
                assert "deny rule" in told["noPatch"], (row["id"], str(query))
                continue
            patched += 1
            after, problems = parse_scenario({**row, "policies": list(explanation.patch.after)})
            assert after is not None, problems
            again = next(one for one in after.queries if one.path == query.path)
            assert after.answer(again).verdict == "allow", (row["id"], str(query))
    assert denied > 900
    assert patched > 800
