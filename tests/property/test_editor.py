"""The editor's answers take whatever is typed: an answer or a sentence; and they say what `validate` and `lint` say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import event, given, settings
from hypothesis import strategies as st

from namewall.cli.main import main
from namewall.model.documents import Unreadable, read_yaml
from namewall.policy.parse import API_VERSIONS
from namewall.review.answers import ANSWERS
from namewall.review.wrong import Wrong
from namewall.review.yaml_writing import block_yaml, flow, plain_yaml
from tests.property.examples import EXAMPLES, RELAXED
from tests.property.policies import raw_policies
from tests.property.test_verbs import JUNK, mutated

SOME = settings(RELAXED, max_examples=EXAMPLES // 10)
SUBJECT = {"namespace": "default", "labels": {"app": "web"}}
WRITERS = (block_yaml, plain_yaml, lambda value: flow(value) + "\n", lambda value: json.dumps(value) + "\n")


def ask(verb: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """None for what is no question."""
    try:
        found = ANSWERS[verb](body)
    except Wrong:
        return None
    json.dumps(found)
    return found


@SOME
@given(mutated(), st.sampled_from(WRITERS))
def test_what_is_typed_is_judged(world: Any, write: Any) -> None:
    objects = world.get("policies")
    objects = objects if isinstance(objects, list) else [objects]
    try:
        text = "---\n".join(map(write, objects))
    except (UnicodeEncodeError, ValueError):
        return
    files = [{"name": "a.yaml", "text": text}, {"name": "w.yaml", "text": json.dumps(world)}]
    judged = ask("judge", {"files": files})
    assert judged is not None
    for row in (*judged["problems"], *judged["findings"]):
        assert row["message"]
        assert row["line"] >= 1
        assert row["column"] >= 1
    asked = {"from": {"subject": SUBJECT}, "to": {"name": "kubernetes.io"}, "port": 443, "protocol": "TCP"}
    ask("explain", {"files": files, **asked})
    ask("union", {"files": files, "subject": SUBJECT})
    ask("diff", {"old": files, "new": []})
    for index in range(len(judged["objects"])):
        for kind in API_VERSIONS:
            ask("convert", {"file": files[0], "object": index, "to": kind})


@SOME
@given(
    st.sampled_from(("judge", "fix", "explain", "union", "diff", "convert")),
    st.dictionaries(
        st.sampled_from(
            (
                "files",
                "from",
                "to",
                "port",
                "protocol",
                "question",
                "subject",
                "old",
                "new",
                "file",
                "object",
                "rule",
                "path",
            )
        ),
        st.one_of(
            JUNK, st.just([{"name": "a", "text": "a: 1"}]), st.just({"subject": SUBJECT}), st.just(SUBJECT)
        ),
    ),
)
def test_bodies_of_any_shape(verb: str, body: dict[str, Any]) -> None:
    ask(verb, body)


@SOME
@given(st.text("-:{}[]&*!|>'\"%@`#? \n\tab1", max_size=60))
def test_text_of_any_shape(text: str) -> None:
    judged = ask("judge", {"files": [{"name": "a", "text": text}]})
    assert judged is not None
    try:
        list(read_yaml(text))
    except Unreadable:
        assert judged["problems"]


@SOME
@given(raw_policies())
def test_it_says_what_validate_and_lint_say(
    tmp_path_factory: pytest.TempPathFactory, raws: list[dict[str, Any]]
) -> None:
    path: Path = tmp_path_factory.mktemp("judge") / "a.yaml"
    path.write_text("---\n".join(map(block_yaml, raws)))
    judged = ask("judge", {"files": [{"name": str(path), "text": path.read_text()}]})
    assert judged is not None
    said = json.loads(CliRunner().invoke(main, ["validate", str(path), "-o", "json"]).stdout)
    assert [(o["kind"], o["name"], o["line"], o["accepted"]) for o in judged["objects"]] == [
        (o["kind"], o["name"], o["line"], o["accepted"]) for o in said["policies"]
    ]
    problems = [(p["line"], p["path"], p["message"]) for o in said["policies"] for p in o["problems"]]
    begun = ["(anyOf)" in message for _, _, message in problems]
    assert [p["severity"] == "warning" for p in judged["problems"]] == begun
    same = [p["message"] for p, warns in zip(judged["problems"], begun, strict=True) if not warns]
    assert same == [message for (_, _, message), warns in zip(problems, begun, strict=True) if not warns]
    assert [(p["line"], p["path"]) for p in judged["problems"]] == [place[:2] for place in problems]
    linted = json.loads(CliRunner().invoke(main, ["lint", str(path), "-o", "json"]).stdout)
    own = [
        {key: value for key, value in row.items() if key not in ("column", "object", "fix", "fixable")}
        for row in judged["findings"]
    ]
    assert own == linted
    for row in judged["findings"]:
        if row["fix"]:
            event(f"fix of {row['rule']}")
            after = ask("judge", {"files": row["fix"]["files"]})
            assert after is not None
            assert len(after["problems"]) <= len(judged["problems"])
            if "allows" not in row["fix"]["label"] and row["rule"] not in (
                "ignored-direction",
                "deny-denies-all",
                "duplicate-name",
            ):
                old = [{"name": "a", "text": path.read_text()}]
                compared = ask("diff", {"old": old, "new": row["fix"]["files"]})
                assert compared is None or not compared["changed"], (row, compared)
