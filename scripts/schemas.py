"""Writes docs/schemas/: JSON Schemas of what is read and written by the verbs that need no cluster.

    python scripts/schemas.py

The scenario's is made from `namewall.policy.scenario_schema`, which also checks documents; a test holds the files
equal to this script's output and the outputs of the verbs to the files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from namewall.policy.scenario_schema import EXPECT, EXPECTATIONS, SCENARIO  # noqa: E402

Schema = dict[str, Any]
FOLDER = ROOT / "docs" / "schemas"
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def plain(schema: Schema) -> Schema:
    """A structural schema as JSON Schema: unknown fields are errors unless they are kept."""
    found = {key: value for key, value in schema.items() if not key.startswith("x-")}
    if schema.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
    found.pop("format", None)
    if "properties" in found:
        found["properties"] = {key: plain(value) for key, value in found["properties"].items()}
        found.setdefault("additionalProperties", False)
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = plain(found["additionalProperties"])
    if "items" in found:
        found["items"] = plain(found["items"])
    return found


def scenario() -> Schema:
    found = plain(SCENARIO)
    expect = {"anyOf": [{"enum": [*EXPECTATIONS, None]}, plain(EXPECT)]}
    for member in ("queries", "tests"):
        query = found["properties"][member]["items"]["properties"]
        query["expect"] = {"description": query["expect"]["description"], **expect}
    return found


def row(description: str, properties: dict[str, Any]) -> Schema:
    """An object that always has the same keys."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def maybe(kind: str, description: str) -> Schema:
    return {"type": [kind, "null"], "description": description}


def rows_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


ID = {"description": "The row's own; null where there is none."}
ENFORCEABLE = {
    "enforceable": maybe(
        "boolean", "Whether this datapath can enforce all of it; null if it is not accepted."
    ),
    "reason": maybe("string", "What cannot be enforced."),
}


def answer_fields() -> dict[str, Any]:
    expect = plain(EXPECT)["properties"]
    rule = expect["rules"]["items"]
    fields = {key: value for key, value in expect.items() if key != "rules"}
    return {**fields, "rules": rows_of({**rule, "required": list(rule["properties"])})}


def answer() -> Schema:
    return row("The answer to a query.", answer_fields())


def policy_result() -> Schema:
    result = {
        "name": maybe("string", "metadata.name."),
        "accepted": {"type": "boolean", "description": "Whether Cilium would."},
        "error": maybe("string", "All problems."),
        **ENFORCEABLE,
    }
    return row("What became of a policy.", result)


def simulation_row() -> Schema:
    lists = {"policy_results": rows_of(policy_result()), "queries": rows_of(answer())}
    either = {key: {"anyOf": [value, {"type": "null"}]} for key, value in lists.items()}
    return row("A line of `simulate --batch`. Null lists: the line was no scenario.", {"id": ID, **either})


def simulation() -> Schema:
    query = {
        "query": {"type": "string", "description": "The query in one line."},
        "name": maybe("string", "As written."),
        "path": {"type": "string", "description": "Where it stands in the scenario, as queries[3]."},
        "line": {"type": "integer"},
        **answer_fields(),
        "differences": {**rows_of({"type": "string"}), "description": "From what it expects."},
    }
    return row(
        "A scenario of `simulate -o json`; a list of these where there are several.",
        {
            "id": ID,
            "file": {"type": "string", "description": "The file, or STDIN."},
            "line": {"type": "integer", "description": "Where the scenario begins."},
            "name": maybe("string", "As written."),
            "policy_results": rows_of(policy_result()),
            "queries": rows_of(row("A query and its answer.", query)),
        },
    )


def complaint() -> Schema:
    return row(
        "A problem and where it is.",
        {
            "source": {"type": "string", "description": "The file, or STDIN."},
            "line": maybe("integer", "Counted from 1."),
            "path": {"type": "string", "description": "The field, as spec.egress[0].toFQDNs[1].matchName."},
            "message": {"type": "string", "description": "What is wrong."},
            "meant": maybe("string", "The word that stands there rightly, where one is near."),
            "hint": maybe("string", "What to do where that is no word."),
        },
    )


def report() -> Schema:
    test = {
        "file": {"type": "string"},
        "line": {"type": "integer"},
        "name": {"type": "string"},
        "query": {"type": "string", "description": "The query in one line."},
        "outcome": {"enum": ["passed", "failed", "error"]},
        "expect": {"description": "As written."},
        "answer": answer(),
        "error": maybe("string", "Why it could not be tested: it has no `expect`."),
        "differences": rows_of({"type": "string"}),
        "notes": rows_of({"type": "string"}),
    }
    counts = {key: {"type": "integer"} for key in ("passed", "failed", "errors", "deselected")}
    return row(
        "`namewall test -o json`.",
        {
            "tests": rows_of(row("One test.", test)),
            "errors": rows_of(complaint()),
            "warnings": rows_of(complaint()),
            "summary": row("Counts.", {**counts, "seconds": {"type": "number"}}),
        },
    )


def validation() -> Schema:
    return row(
        "A line of `validate --batch`.",
        {
            "id": ID,
            "accepted": maybe("boolean", "Whether Cilium would; null: the line was no question."),
            "error": maybe("string", "All problems."),
            **ENFORCEABLE,
        },
    )


def matching() -> Schema:
    words = {
        "valid_tofqdns": "Is the item valid in toFQDNs?",
        "valid_dns_rule": "Is it valid in rules.dns?",
        "match_tofqdns": "Does it match the name in toFQDNs? Null where it is not valid.",
        "match_dns_rule": "May the name be asked for? Null where it is not valid.",
    }
    return row(
        "A line of `match --batch`.",
        {"id": ID, **{key: maybe("boolean", text) for key, text in words.items()}},
    )


SCHEMAS = {
    "scenario": scenario,
    "simulate-row": simulation_row,
    "simulation": simulation,
    "validate-row": validation,
    "match-row": matching,
    "test-report": report,
}


def text(name: str) -> str:
    schema = {"$schema": DRAFT, "title": f"namewall {name}", **SCHEMAS[name]()}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for each in SCHEMAS:
        (FOLDER / f"{each}.json").write_text(text(each), encoding="utf-8")
