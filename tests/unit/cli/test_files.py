"""Manifests, good and bad, read as kubectl reads them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.cli.files import parse, read
from namewall.cli.kubectl import Failure

GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"


def names(text: str) -> list[str]:
    return [manifest.name for manifest in parse("x", text.encode())]


def test_documents_and_lists() -> None:
    both = "---\n" + GOOD % "a" + "---\n---\n# nothing\n---  \n" + GOOD % "b"
    assert names(both) == ["a", "b"]
    inner = ", ".join(f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {n}}}}}" for n in "ab")
    assert names(f"apiVersion: v1\nkind: List\nitems: [{inner}]\n") == ["a", "b"]
    one = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"}}'
    assert names(one % "a" + "\n" + one % "b") == ["a", "b"]
    assert names("") == []


def test_words_are_read_as_go_yaml_reads_them() -> None:
    text = (
        "apiVersion: v1\nkind: X\ndata: {a: y, b: off, c: 0o17, d: 017, e: 0x1f, f: 1e3, g: 2020-01-01, h: 12:30,"
        " i: ~, j: '1', k: 1_000, 7: x, true: z, l: .5, m: null, n: 10.0.0.1}\n"
    )
    assert next(parse("x", text.encode())).object["data"] == {
        "a": True,
        "b": False,
        "c": 15,
        "d": 15,
        "e": 31,
        "f": 1000.0,
        "g": "2020-01-01",
        "h": "12:30",
        "i": None,
        "j": "1",
        "k": 1000,
        "7": "x",
        "true": "z",
        "l": 0.5,
        "m": None,
        "false": "10.0.0.1",  # the key was `n`
    }


def test_anchors_and_merges() -> None:
    text = GOOD % "a" + "data:\n  first: &x {p: '1', q: '2'}\n  second: {<<: *x, q: '3'}\n"
    assert next(parse("x", text.encode())).object["data"]["second"] == {"p": "1", "q": "3"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello\n", "error validating data: invalid object to validate"),
        ("[1, 2]\n", "error validating data: invalid object to validate"),
        ("a: b\n c: d\n", "yaml: line 2: mapping values are not allowed in this context"),
        ("foo: [a, b\nbar: x\n", "yaml: line 1: did not find expected ',' or ']'"),
        ("a: 1\na: 2\n", 'key "a" already set in map'),
        ("kind: X\n", "error validating data: apiVersion not set"),
        ("apiVersion: v1\n", "error validating data: kind not set"),
        ("a: 1\n", r"\[apiVersion not set, kind not set\]"),
        (GOOD % "y", "cannot unmarshal bool into Go struct field ObjectMeta.metadata.name of type string"),
        ("a: *nosuch\n", "yaml: "),
    ],
)
def test_errors_are_kubectls(text: str, words: str) -> None:
    with pytest.raises(Failure, match=words):
        list(parse("x", text.encode(), validate=True))


def test_what_stands_before_a_broken_document_is_read() -> None:
    manifests = parse("x", (GOOD % "a" + "---\na: b: c\n").encode())
    assert next(manifests).name == "a"
    with pytest.raises(Failure, match="yaml: mapping values"):
        next(manifests)


@given(st.binary(max_size=60))
def test_any_bytes_are_objects_or_a_failure(text: bytes) -> None:
    with contextlib.suppress(Failure):
        assert all(manifest.object["kind"] for manifest in parse("x", text))


def test_folders_are_read_in_order_and_only_below_where_asked(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.json", "c.txt", "d/e.yml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(GOOD % path.stem)
    assert [manifest.name for manifest in read((str(tmp_path),))] == ["a", "b"]
    assert [manifest.name for manifest in read((str(tmp_path),), recursive=True)] == ["a", "b", "e"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(Failure, match="recognized file extensions"):
        list(read((str(tmp_path / "empty"),)))
    with pytest.raises(Failure, match=r'the path "/no/such" does not exist'):
        list(read(("/no/such",)))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((GOOD % "a").encode())))
    assert [(manifest.name, manifest.source) for manifest in read(("-",))] == [("a", "STDIN")]
