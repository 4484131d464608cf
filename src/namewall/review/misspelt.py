"""What a machine can put right of what Cilium or Kubernetes refuse: misspelt fields, kinds, versions and words, values
of another form than wanted.

The schema at the place says what is meant, so that no field needs a line here. A fix is made where its problem is gone
after it; what only then comes to light (the fields below a misspelt one, what the agent says of what the schema
refused) is no reason against it, anything else is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from namewall.model.errors import Problem
from namewall.model.near import near, nearest
from namewall.policy.parse import API_VERSIONS
from namewall.policy.rule_schema import Schema
from namewall.policy.schema import KINDS, crd_schema, network_policy_schema
from namewall.policy.structural import json_type, prefix_of
from namewall.review.fixes import Fix
from namewall.review.scenarios import Placed
from namewall.review.sheet import MISFITS, Edit, Path, changed, value_at
from namewall.review.validate import METADATA, judge


def fix_of_problem(one: Placed, path: str) -> Fix | None:
    """`path` is the problem's, below the object."""
    try:
        return next(_fixes(one.object, path), None)
    except MISFITS:
        return None


def is_better(old: Any, new: Any, fix: Fix) -> bool:
    """Whether the fix rids the object of a problem and makes none."""
    before, after = set(judge(old)[0]), set(judge(new)[0])
    return before - after != set() and all(_comes_to_light(each, fix[1][0]) for each in after - before)


def _comes_to_light(problem: Problem, edit: Edit) -> bool:
    """Nobody could have said it before the edit."""
    if problem.stage == "agent" or edit.path in (("kind",), ("apiVersion",), ()):
        return True
    if edit.verb == "rename":
        where = _written((*edit.path[:-1], edit.key))
        return problem.path == where or problem.path.startswith((f"{where}.", f"{where}["))
    where = _written(edit.path)
    return problem.path.startswith((f"{where}.", f"{where}["))


def _written(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _fixes(obj: Any, path: str) -> Iterator[Fix]:
    """The likeliest first."""
    where = _place(obj, path)
    parent = value_at(obj, where[:-1])
    last = where[-1]
    if isinstance(parent, dict) and last not in parent:
        assert isinstance(last, str)
        yield from _missing(obj, where[:-1], parent, last)
    if path in ("kind", "apiVersion"):
        yield from _type(obj, path)
        return
    if isinstance(parent, dict) and isinstance(last, str) and last in parent:
        yield from _unknown(obj, where, parent, last)
    yield from _right_values(obj, where, value_at(obj, where))


def _place(obj: Any, path: str) -> Path:
    """The path as steps. Keys may have dots and brackets of their own; the last one need not be there."""
    found: list[str | int] = []
    while path:
        if isinstance(obj, list):
            number, _, path = path.removeprefix("[").partition("]")
            step: str | int = int(number)
        else:
            # `[key]` is the key of a map, as Kubernetes writes it.
            path = path[1:-1] if path[:1] == "[" and path[1:-1] in obj else path
            keys = [key for key in obj if path == key or path.startswith((f"{key}.", f"{key}["))]
            step = max(keys, key=len) if keys else path
            path = path[len(str(step)) :]
        found.append(step)
        path = path.removeprefix(".")
        obj = obj[step] if path else None
    return tuple(found)


def _schema(obj: Any, path: Path) -> Schema:
    """What may stand at a place. Raises LookupError where nobody says."""
    kind = obj.get("kind")
    if (path and path[0] == "metadata") or (kind not in KINDS and kind != "NetworkPolicy"):
        found: Schema = {"properties": {"apiVersion": {}, "kind": {}, "metadata": METADATA, "spec": {}}}
    else:
        found = network_policy_schema() if kind == "NetworkPolicy" else crd_schema(kind)
    for step in path:
        if isinstance(step, int):
            found = found["items"]
        else:
            known = found.get("properties", {})
            found = known[step] if step in known else found["additionalProperties"]
    return found


# --- fields -----------------------------------------------------------------------------------------------------


def _unknown(obj: Any, where: Path, parent: dict[str, Any], last: str) -> Iterator[Fix]:
    if last == "matchName" and "*" in str(parent[last]) and "matchPattern" not in parent:
        yield "write matchPattern", [Edit("rename", where, key="matchPattern")]
    known: Schema = _schema(obj, where[:-1]).get("properties") or {}
    if last in known:
        return
    found = list(nearest(last, known, parent))
    if len(found) > 1:  # `prot` is `port` or `protocol`: as what it says
        found = [field for field in found if _fits(known[field], parent[last])]
    if len(found) == 1:
        yield f"write `{found[0]}`", [Edit("rename", where, key=found[0])]


def _fits(schema: Schema, value: Any) -> bool:
    return schema.get("type", json_type(value)) == json_type(value) and (
        "enum" not in schema or value in schema["enum"]
    )


def _missing(obj: Any, path: Path, parent: dict[str, Any], wanted: str) -> Iterator[Fix]:
    """A field that must be there, and is under another name."""
    known = _schema(obj, path).get("properties") or {}
    found = [each for each in parent if each not in known and near(each, [wanted])]
    if len(found) == 1:
        yield f"write `{wanted}`", [Edit("rename", (*path, found[0]), key=wanted)]


def _type(obj: Any, path: str) -> Iterator[Fix]:
    """Another kind or another version: that with which the rest fits best."""
    kind = str(obj.get("kind"))
    versions = {**dict.fromkeys(KINDS, "cilium.io/v2"), **API_VERSIONS}
    fixes: list[Fix] = []
    if path == "kind":
        found = nearest(kind, API_VERSIONS) or nearest(kind, versions)
        fixes = [(f"write `{each}`", [Edit("replace", ("kind",), each)]) for each in found]
    elif kind in versions:
        right = versions[kind]
        put = (
            Edit("replace", ("apiVersion",), right)
            if "apiVersion" in obj
            else Edit("put", (), right, "apiVersion")
        )
        fixes = [(f"write `{right}`", [put])]
        others = [each for each, version in API_VERSIONS.items() if version == obj.get("apiVersion")]
        fixes += [(f"write `{each}`", [Edit("replace", ("kind",), each)]) for each in others[:1]]
    yield from sorted(fixes, key=lambda fix: len(judge(changed(obj, fix[1]))[0]))


# --- values -----------------------------------------------------------------------------------------------------


def _right_values(obj: Any, where: Path, value: Any) -> Iterator[Fix]:
    """Values that are as the schema wants them; what is right already is not among them."""
    schema = _schema(obj, where)
    for word in _words(schema, where, value):
        if word != value or type(word) is not type(value):
            quoted = isinstance(word, str) and not isinstance(value, str)  # else it looks like what is there
            shown = f'"{word}"' if quoted else _shown(word)
            yield f"write `{shown}`", [Edit("replace", where, word)]


def _words(schema: Schema, where: Path, value: Any) -> Iterator[Any]:
    last, list_name = where[-1], where[-2] if len(where) > 1 else ""
    if isinstance(value, str):
        if schema.get("type") == "array":
            yield from ([word] for word in _item(schema.get("items", {}), last, value))
            return
        if "enum" in schema and (word := near(value, schema["enum"])) is not None:
            yield word
        if schema.get("x-kubernetes-int-or-string") or schema.get("type") == "integer":
            yield from [int(value)] if value.isdecimal() else []
        yield from _item(schema, list_name, value)
    elif isinstance(value, int) and not isinstance(value, bool) and schema.get("type") == "string":
        yield str(value)


def _item(schema: Schema, list_name: Any, value: str) -> Iterator[Any]:
    """Of a list, as its text was meant."""
    if schema.get("format") == "cidr" and "/" not in value:
        if (prefix := prefix_of(value)) is not None:
            yield prefix
    elif list_name == "toFQDNs" and schema.get("type") == "object":
        yield {"matchPattern" if "*" in value else "matchName": value}
    elif schema.get("type") == "string":
        yield value


def _shown(word: Any) -> str:
    if isinstance(word, list):
        return f"[{_shown(word[0])}]"
    if isinstance(word, dict):
        return ", ".join(f"{key}: {value}" for key, value in word.items())
    return str(word)
