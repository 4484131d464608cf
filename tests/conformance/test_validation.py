"""validation.jsonl: what is accepted, and who refuses it."""

from __future__ import annotations

from namewall.policy.parse import parse
from tests.conformance.data import rows


def test_every_policy_is_accepted_or_refused_as_cilium_does() -> None:
    wrong = []
    for row in rows("validation.jsonl"):
        policy, problems = parse(row["policy"])
        stage = problems[0].stage if problems else None
        if (policy is not None) != row["accepted"] or stage != row["rejected_by"]:
            wrong.append((row["id"], row["error"], list(map(str, problems))))
    assert not wrong


def test_a_refusal_names_the_field_that_cilium_names() -> None:
    """Its text begins with the path where the schema refuses; ours is a Problem with that path."""
    for row in rows("validation.jsonl"):
        error = row["error"] or ""
        if row["rejected_by"] == "schema" and error.startswith("spec."):
            path = error.partition(": ")[0]
            assert path in [problem.path for problem in parse(row["policy"])[1]], row["id"]
