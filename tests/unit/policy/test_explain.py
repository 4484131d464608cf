"""Scenarios with what must be explained of each query: verdict, nearest rule, patch. Cases are data, in explain/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from namewall.policy.explain.anatomy import Catalog
from namewall.policy.explain.edits import Change, apply
from namewall.policy.explain.flow import catalog_of, document, explain
from namewall.policy.scenario import Scenario
from namewall.policy.scenario_parse import parse_scenario

ROOT = Path(__file__).parents[3]
SCHEMA = Draft202012Validator(json.loads((ROOT / "docs/schemas/explain.json").read_text(encoding="utf-8")))
FILES = sorted((Path(__file__).parent / "explain").glob("*.yaml"))
Raw = dict[str, Any]


def read(world: Raw) -> tuple[Scenario, Catalog]:
    scenario, problems = parse_scenario({key: value for key, value in world.items() if key != "explained"})
    assert scenario is not None, problems
    return scenario, catalog_of(scenario, world["policies"], world)


def cases() -> list[tuple[str, Raw, int]]:
    worlds = [(path.stem, yaml.safe_load(path.read_text(encoding="utf-8"))) for path in FILES]
    return [(stem, world, number) for stem, world in worlds for number in range(len(world["queries"]))]


@pytest.mark.parametrize(("stem", "world", "number"), cases(), ids=lambda value: str(value)[:12])
def test_case(stem: str, world: Raw, number: int) -> None:
    scenario, catalog = read(world)
    expected = world["explained"][number]
    explanation = explain(scenario, catalog, scenario.queries[number])
    told = document(catalog, explanation)
    SCHEMA.validate({"query": str(explanation.query), **told})
    for key in ("verdict", "reason"):
        assert told[key] == expected[key]
    texts = [step["text"] for step in told["steps"]]
    for words in expected.get("said", ()):
        assert any(words in text for text in texts), texts
    if "nearest" in expected:
        wanted = expected["nearest"]
        assert wanted == (wanted and {key: told["nearest"][key] for key in wanted})
    if "noPatch" in expected:
        assert expected["noPatch"] in told["noPatch"]
    if expected.get("patch") is None:
        assert told["patch"] is None
        return
    changes = told["patch"]["changes"]
    assert [{k: c[k] for k in want} for c, want in zip(changes, expected["patch"], strict=True)] == expected[
        "patch"
    ]
    assert explanation.patch is not None
    after, _ = read({**world, "policies": list(explanation.patch.after)})
    assert after.answer(after.queries[number]).verdict == "allow"
    opened = [
        query.path
        for query, now in zip(scenario.queries, after.queries, strict=True)
        if scenario.answer(query).verdict == "deny" and after.answer(now).verdict == "allow"
    ]
    assert opened == [f"queries[{number}]"], (
        "a patch opens what was asked for, and nothing else that is asked here"
    )


def test_changes_are_json_patch_and_leave_the_old_objects_alone() -> None:
    old = {"spec": {"egress": [{"toCIDR": ["203.0.113.0/24"]}]}}
    after = apply(
        [old],
        [
            Change(0, "/spec/egress/-", {"toCIDR": []}),
            Change(0, "/spec/egress/0/toCIDR/-", "198.51.100.0/24"),
            Change(0, "/spec/ingress", [{}]),
            Change(None, "", {"kind": "X"}),
        ],
    )
    assert old == {"spec": {"egress": [{"toCIDR": ["203.0.113.0/24"]}]}}
    assert after == [
        {
            "spec": {
                "egress": [{"toCIDR": ["203.0.113.0/24", "198.51.100.0/24"]}, {"toCIDR": []}],
                "ingress": [{}],
            }
        },
        {"kind": "X"},
    ]


def test_what_is_odd_about_a_target_is_no_lookup() -> None:
    """Whatever the target is called."""
    world: Raw = {
        "policies": [],
        "endpoints": [{"name": "web"}],
        "services": [{"name": "lookup", "ips": ["10.1.0.1"], "endpoints": ["web"], "ports": [{"port": 80}]}],
        "queries": [{"from": "web", "to": "svc/lookup:81"}],
    }
    scenario, catalog = read(world)
    told = document(catalog, explain(scenario, catalog, scenario.queries[0]))
    assert next(step["step"] for step in told["steps"] if "lookup" in step["text"]) == "target"
