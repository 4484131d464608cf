"""docs/schemas/: written from the program, and true of what it reads and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from namewall.cli.main import main
from namewall.policy.scenario_parse import parse_scenario
from scripts import schemas
from tests.conformance.data import rows, shared

ROOT = Path(__file__).parents[2]
CASES = sorted((ROOT / "tests" / "cases").glob("*.yaml"))


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((schemas.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def run(*words: str, text: str = "") -> str:
    return CliRunner().invoke(main, words, input=text).stdout


@pytest.mark.parametrize("name", sorted(schemas.SCHEMAS))
def test_the_files_are_what_the_script_writes(name: str) -> None:
    written = (schemas.FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert written == schemas.text(name), "run `python scripts/schemas.py`"


def test_our_scenarios_fit() -> None:
    schema = validator("scenario")
    for path in CASES:
        schema.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_the_conformance_scenarios_fit() -> None:
    schema = validator("scenario")
    for number, row in enumerate(rows("verdicts.jsonl")):
        if number % 10 == 0:
            schema.validate(row)


@pytest.mark.parametrize(
    "document",
    [
        {"querys": []},
        {"queries": [{"to": "x:1"}]},
        {"queries": [{"from": "a", "to": "b:1", "expects": "allow"}]},
        {"queries": [{"from": "a", "to": "b:1", "expect": "allowed"}]},
        {"queries": [{"from": "a", "to": "b:1", "expect": {"verdit": "allow"}}]},
        {"endpoints": [{"name": ""}]},
        {"endpoints": [{"name": "a", "labels": {"x": 1}}]},
        {"services": [{"name": "a", "ports": [{"port": 70000}]}]},
        {"lookups": {}},
        {"at": "noon"},
    ],
)
def test_the_schema_and_the_program_refuse_the_same(document: dict[str, Any]) -> None:
    assert list(validator("scenario").iter_errors(document))
    assert parse_scenario(document)[1]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_answers_fit(path: Path) -> None:
    row = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = json.loads(run("simulate", "-o", "json", str(path)))
    validator("simulation").validate(found)
    line = json.loads(run("simulate", "--batch", "-", text=json.dumps(row) + "\n"))
    validator("simulate-row").validate(line)
    answers = [
        {key: value for key, value in query.items() if key in line["queries"][0]}
        for query in found["queries"]
    ]
    assert answers == line["queries"], "the two say the same"


def test_rows_of_bad_lines_fit_too() -> None:
    for verb, name in (("simulate", "simulate-row"), ("validate", "validate-row"), ("match", "match-row")):
        for line in ("{}", "[]", "{", '{"id": 7, "queries": 1, "pattern": 1}'):
            printed = run(verb, "--batch", "-", text=line + "\n")
            if not (verb == "simulate" and line == "{}"):
                assert printed.count("null") > 1
            validator(name).validate(json.loads(printed))


def test_rows_of_the_conformance_data_fit() -> None:
    for verb, name, data in (
        ("validate", "validate-row", "validation.jsonl"),
        ("match", "match-row", "patterns.jsonl"),
    ):
        schema = validator(name)
        for line in run(verb, "--batch", str(shared(data))).splitlines():
            schema.validate(json.loads(line))


def test_a_test_report_fits(tmp_path: Path) -> None:
    path = tmp_path / "mixed.yaml"
    path.write_text(
        "endpoints: [{name: a}]\n"
        "tests: [{from: a, to: '203.0.113.7:1', expect: deny}, {from: a, to: '203.0.113.7:1'}]\n"
        "---\npolicies: [{kind: x}]\ntests: [{from: host, to: '203.0.113.7:1', expect: deny}]\n"
    )
    report = json.loads(run("test", "-o", "json", str(path), *map(str, CASES)))
    validator("test-report").validate(report)
    assert report["summary"]["failed"] == 1
    assert report["summary"]["errors"] == 2
    errors = [test["error"] for test in report["tests"] if test["outcome"] == "error"]
    assert [text.startswith("a test needs `expect`") for text in errors] == [True]
