"""Every scenario in this folder, by both readings of policy. A bug becomes a case here before it becomes a fix."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conformance.scenario import Scenario

CASES = sorted(Path(__file__).parent.glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    row = yaml.safe_load(path.read_text(encoding="utf-8"))
    scenario = Scenario(row)
    assert all(scenario.accepted)
    for query in row["queries"]:
        for reading in (scenario.decided, scenario.looked_up):
            assert reading(query) == query["expect"], (reading.__name__, query)
