"""The requests of docs/editor-api.md that are judged: from a body of JSON to an answer, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from namewall.policy.diff.groups import document
from namewall.policy.schema import crd_schema, network_policy_schema
from namewall.review.asked import explained
from namewall.review.complaints import Complaint
from namewall.review.convert import converted
from namewall.review.diff import Side, compare, side_of
from namewall.review.judge import fixed, judged
from namewall.review.papers import File, Papers, encoded
from namewall.review.seen import allowance, what_if
from namewall.review.union import united
from namewall.review.wrong import Wrong

Row = dict[str, Any]
MOST_FILES = 500


def files_of(body: Mapping[str, Any], key: str = "files") -> list[File]:
    """`[{name, text}]`. Raises Wrong."""
    rows = body.get(key)
    if not isinstance(rows, list) or len(rows) > MOST_FILES:
        raise Wrong(f"want a list of up to {MOST_FILES} {{name, text}}", key)
    return [_file(row, f"{key}[{index}]") for index, row in enumerate(rows)]


def _file(row: Any, path: str) -> File:
    if not isinstance(row, dict):
        raise Wrong("want {name, text}", path)
    for field in ("name", "text"):
        if not isinstance(row.get(field), str):
            raise Wrong("want a text", f"{path}.{field}")
    return row["name"], row["text"]


def _judge(body: Row) -> Row:
    return judged(files_of(body))


def _fix(body: Row) -> Row:
    rule = body.get("rule")
    for key in ("file", "path"):
        if not isinstance(body.get(key), str):
            raise Wrong("want a text", key)
    return fixed(
        files_of(body), None if rule is None else str(rule), body["file"], _number(body), body["path"]
    )


def _number(body: Row) -> int:
    """The number of an object in its file."""
    index = body.get("object", 0)
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise Wrong("want the number of an object of the file", "object")
    return index


def _explain(body: Row) -> Row:
    return explained(files_of(body), body)


def _union(body: Row) -> Row:
    return united(files_of(body), body.get("subject"))


def _diff(body: Row) -> Row:
    return document(*compare(_side(body, "old"), _side(body, "new")))


def _side(body: Row, key: str) -> Side:
    broken: list[Complaint] = []
    papers = Papers(dict(files_of(body, key)))
    files = [(name, encoded(text)) for name, text in papers.texts.items()]
    side = side_of(files, broken, papers.opened)
    if broken:
        raise Wrong(str(broken[0]), key)
    return side


def _convert(body: Row) -> Row:
    return converted(files_of({"file": [body.get("file")]}, "file"), _number(body), str(body.get("to")))


def _schema(body: Row) -> Row:
    return {
        **{kind: crd_schema(kind) for kind in ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy")},
        "NetworkPolicy": network_policy_schema(),
        "CiliumCIDRGroup": crd_schema("CiliumCIDRGroup"),
    }


def _ask(body: Row) -> Row:
    return explained(files_of(body), body, body["world"])


def _allow(body: Row) -> Row:
    return allowance(body["world"], body["versions"], body.get("flow"))


def _what_if(body: Row) -> Row:
    return what_if(body["world"], files_of(body), body["flows"], body["total"])


ANSWERS: Mapping[str, Callable[[Row], Row]] = {
    "judge": _judge,
    "fix": _fix,
    "explain": _explain,
    "union": _union,
    "diff": _diff,
    "convert": _convert,
    "schema": _schema,
    "ask": _ask,
    "allow": _allow,
    "what-if": _what_if,
}
"""The last three also want the `world`, which the server knows, and `allow` its `versions`."""
