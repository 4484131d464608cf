"""The batches as commands, over the whole of the shared data: what a script sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.conformance.data import rows, shared

ROOT = Path(__file__).parents[2]
SECONDS = 30
"""A second or two on an idle machine."""


def batch(verb: str, data: Path) -> list[dict[str, Any]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "namewall", verb, "--batch", str(data)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - begun < SECONDS
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_match() -> None:
    found = batch("match", shared("patterns.jsonl"))
    keys = ["id", "valid_tofqdns", "valid_dns_rule", "match_tofqdns", "match_dns_rule"]
    wanted = [{key: row[key] for key in keys} for row in rows("patterns.jsonl")]
    assert found == wanted
    assert len(found) == 700
    assert all(list(row) == keys for row in found)


def test_validate() -> None:
    found = batch("validate", shared("validation.jsonl"))
    wanted = [(row["id"], row["accepted"]) for row in rows("validation.jsonl")]
    assert [(row["id"], row["accepted"]) for row in found] == wanted
    assert len(found) == 97
    for row in found:
        assert list(row) == ["id", "accepted", "error", "enforceable", "reason"]
        assert (row["error"] is None) == row["accepted"]
        assert (row["enforceable"] is None) != row["accepted"]
        assert (row["reason"] is None) == (row["enforceable"] is not False)


def test_simulate() -> None:
    found = batch("simulate", shared("verdicts.jsonl"))
    wanted = list(rows("verdicts.jsonl"))
    assert [row["id"] for row in found] == [row["id"] for row in wanted]
    count = 0
    for row, expected in zip(found, wanted, strict=True):
        assert list(row) == ["id", "policy_results", "queries"]
        results = [(result["name"], result["accepted"]) for result in row["policy_results"]]
        assert results == [(result["name"], result["accepted"]) for result in expected["policy_results"]]
        for query, answer in zip(expected["queries"], row["queries"], strict=True):
            count += 1
            assert list(answer) == ["egress", "ingress", "l7dns", "verdict", "reason", "rules"]
            assert {key: answer[key] for key in query["expect"]} == query["expect"], (row["id"], query)
            check_reason(answer)
    assert count == 8661


def check_reason(answer: dict[str, Any]) -> None:
    """Verdict, reason and rules say one thing."""
    reason, rules = answer["reason"], answer["rules"]
    if answer["verdict"] == "allow":
        assert reason in ("allowed", "no_policy")
    else:
        assert reason in ("POLICY_DENIED", "POLICY_DENY", "dns_refused")
        assert bool(rules) == (reason != "POLICY_DENIED"), answer
    for rule in rules:
        assert list(rule) == ["policy", "kind", "namespace", "direction", "rule"]
        assert rule["direction"] in ("egress", "ingress")
        assert rule["rule"].partition(".")[2].startswith(rule["direction"])
        assert (rule["namespace"] is None) == (rule["kind"] == "CiliumClusterwideNetworkPolicy")


def test_a_difference_ends_in_1_and_is_listed(tmp_path: Path) -> None:
    row = next(rows("verdicts.jsonl"))
    row["queries"][0]["expect"]["verdict"] = "deny"
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-m", "namewall", "simulate", "--batch", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "verdict: expected deny, got allow" in done.stderr
    assert json.loads(done.stdout)["id"] == row["id"]
