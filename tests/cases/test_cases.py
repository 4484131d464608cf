"""Every scenario in this folder, by both readings of policy. A bug becomes a case here before it becomes a fix."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from namewall.policy.expectation import differences
from namewall.policy.scenario_parse import parse_scenario
from tests.conformance.twin import Twin, verdicts

CASES = sorted(Path(__file__).parent.glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    scenario, problems = parse_scenario(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert scenario is not None, "\n".join(map(str, problems))
    assert all(result.accepted for result in scenario.results), scenario.results
    assert scenario.queries
    twin = Twin(scenario)
    for query in scenario.queries:
        answer = scenario.answer(query)
        assert query.expect is not None, f"{query.path} expects nothing"
        assert not differences(query, answer), (str(query), answer.to_dict())
        if twin.can(query):
            assert twin.answer(query) == verdicts(answer), str(query)
