"""`explain`, `lint` and `diff` take whatever a file holds: an answer or problems, never a traceback."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from namewall.cli.main import main
from tests.property.examples import RELAXED

ROOT = Path(__file__).parents[2]
WORLD = yaml.safe_load((ROOT / "tests/unit/policy/explain/pods.yaml").read_text(encoding="utf-8"))
WORLD.pop("explained")
WORLD["policies"].append(
    {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumCIDRGroup",
        "metadata": {"name": "g"},
        "spec": {"externalCIDRs": ["203.0.113.0/24"]},
    }
)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 1 << 70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "*", "**.", "0.0.0.0/0", "::/0", "kubernetes.io", "\0", "pod/", "a" * 300, "cart"]),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in below for place in places(child, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    world = copy.deepcopy(WORLD)
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from([place for place in places(world) if place]))
        target = world
        for step in parents:
            target = target[step]
        kind = draw(st.sampled_from(("junk", "junk", "gone", "twice")))
        if kind == "gone":
            del target[last]
        elif kind == "twice" and isinstance(target, list):
            target.append(copy.deepcopy(target[last]))
        else:
            target[last] = draw(JUNK)
    return world


COMMANDS = (
    "explain world.json",
    "explain world.json --from web --to cart:80 -o json",
    "lint world.json",
    "lint policies.yaml --scenario good.json",
    "lint policies.yaml -o json",
    "diff good.json world.json",
    "diff policies.yaml good.json -o json",
)


@RELAXED
@given(mutated(), st.sampled_from(COMMANDS))
def test_mutated_worlds_and_policies(
    tmp_path_factory: pytest.TempPathFactory, world: Any, command: str
) -> None:
    folder = tmp_path_factory.mktemp("verbs")
    objects = world.get("policies")
    texts = {
        "world.json": json.dumps(world),
        "policies.yaml": "\n---\n".join(map(json.dumps, objects if isinstance(objects, list) else [objects])),
        "good.json": json.dumps(WORLD),
    }
    words = command.split()
    for name in texts.keys() & set(words):
        (folder / name).write_text(texts[name], encoding="utf-8")
    arguments = [str(folder / word) if word in texts else word for word in words]
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code in (0, 1, 2), result.output
    if result.exit_code == 2:
        assert result.stderr.strip()


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe", b"a: *b", b"[" * 500, b"- 1\n- 2\n", b"{}", b"a: 1\na: 2\n", b"null"]
)
@pytest.mark.parametrize("verb", ["explain", "lint", "diff"])
def test_what_is_no_policy(tmp_path: Path, verb: str, text: bytes) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(text)
    result = CliRunner().invoke(main, [verb, str(path), *([str(path)] if verb == "diff" else [])])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    # No policies on either side are equal.
    assert result.exit_code == (0 if verb == "diff" and text in (b"", b"\xff\xfe", b"null") else 2), (
        result.output
    )
