"""Text to documents: values, lines, bounds; whatever the text, an answer or an Unreadable."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from namewall.model.documents import MAX_DEPTH, Document, Unreadable, ambiguous, parse_json, read

POLICY = """\
# a comment
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p,
  namespace: default}
spec:
  endpointSelector:
    matchLabels: {k8s:app.kubernetes.io/name: web}
  egress:
    - toFQDNs:
        - matchName: kubernetes.io
        - matchPattern: "*.io"
    -
      toPorts: []
"""


def only(text: str | bytes) -> Document:
    (document,) = read(text if isinstance(text, bytes) else text.encode())
    return document


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", 2),
        ("kind", 3),
        ("metadata.namespace", 5),
        ("spec", 6),
        ("spec.endpointSelector.matchLabels.k8s:app.kubernetes.io/name", 8),
        ("spec.egress[0]", 10),
        ("spec.egress[0].toFQDNs[1].matchPattern", 12),
        ("spec.egress[1]", 14),
        ("spec.egress[1].toPorts[0].ports", 14),
        ("spec.egress[7].toPorts", 9),
        ("spec.ingress[0]", 6),
        ("nothing.like.it", 2),
    ],
)
def test_every_field_has_its_line(path: str, line: int) -> None:
    assert only(POLICY).line_of(path) == line


def test_lines_count_through_documents_and_json_has_lines_too() -> None:
    first, second = read(f"---\n{POLICY}---\n{POLICY}".encode())
    assert first.line_of("spec.egress[0].toFQDNs[1]") == 13
    assert second.line_of("spec.egress[0].toFQDNs[1]") == 28
    text = json.dumps(first.value, indent=2)
    one, two = read(f"{text}\n\n{text}".encode())
    lines = text.splitlines()
    wanted = next(n for n, line in enumerate(lines, 1) if "matchPattern" in line)
    assert one.line_of("spec.egress[0].toFQDNs[1].matchPattern") == wanted
    assert two.line_of("spec.egress[0].toFQDNs[1].matchPattern") == wanted + len(lines) + 1


def test_aliases_and_merges_have_the_lines_of_what_they_repeat() -> None:
    document = only("base: &b\n  p: 1\n  q: 2\nother: *b\nthird:\n  <<: *b\n  q: 3\n")
    assert document.value["third"] == {"p": 1, "q": 3}
    assert document.line_of("other.q") == 3
    assert document.line_of("third.p") == 2
    assert document.line_of("third.q") == 7


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 'key "a" already set in map'),
        ("yes: 1\ntrue: 2\n", 2, 'key "true" already set in map'),
        ('{"a": 1,\n "a": 2}', 2, 'key "a" already set in map'),
        ("a: b\n c: d\n", 2, "mapping values are not allowed"),
        ("a: *nosuch\n", 1, "alias `nosuch` is not defined"),
        ("a: 1\nb: &x [1, *x]\n", 2, "alias `x` refers to what it is part of"),
        ("? [a]\n: b\n", 1, "a key must be a plain value"),
        ("a: !!python/object:os.system x\n", 1, "could not determine a constructor for the tag"),
        ("a: !!int x\n", 1, "cannot decode `x` as a int"),
        ("a: {<<: 1}\n", 1, "map merge requires map"),
        ("a:\n\tb: 1\n", 2, "spaces, not by tabs"),
        ("a:\n  - b\n \t- c\n", 3, "spaces, not by tabs"),
        ("a: 1\nb: \0\n", 2, "control characters are not allowed"),
        ("[" * 100_000, 1, "nested deeper than 100"),
        ("a: " + "- " * 100_000, 1, "block sequence entries are not allowed"),
        ("- " * 100_000, 1, "nested deeper than 100"),
        ("\n".join("  " * n + f"k{n}:" for n in range(200)), 101, "nested deeper than 100"),
        ("{a: " * 500, 1, "nested deeper than 100"),
        ('{"a": ' * 500 + "1" + "}" * 500, 1, "nested deeper than 100"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(Unreadable, match=words) as caught:
        list(read(text.encode()))
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a: 1\na: 2\n", "a"),
        ("spec:\n  egress: []\n  egress: []\n", "spec.egress"),
        (
            "items:\n- {}\n- spec: {toPorts: [{}, {x: {}}, {k: {z: 1, z: 2}}]}\n",
            "items[1].spec.toPorts[2].k.z",
        ),
        ('{"a": [0, {"b": 1, "b": 2}]}', "a[1].b"),
        ("- <<: {a: 1, a: 2}\n", "[0].<<.a"),
    ],
)
def test_a_key_twice_is_said_with_its_path(text: str, path: str) -> None:
    with pytest.raises(Unreadable, match="already set in map") as caught:
        list(read(text.encode()))
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("text", "hinted"),
    [
        ("a: {{ .Values.x }}\n", True),
        ("a: 1\n{{- if .Values.x }}\nb: 2\n", True),
        ("a: {{b: 1}: 2}\n", True),
        ("a: { {b: 1}: 2}\n", False),
        ("a: b: c\nd: '{{ x }}'\n", False),
        ("a:\n\tb: '{{ x }}'\n", False),
    ],
)
def test_a_template_is_known_by_its_braces_up_to_where_it_broke(text: str, hinted: bool) -> None:
    with pytest.raises(Unreadable) as caught:
        list(read(text.encode()))
    assert ("helm template" in caught.value.said) == hinted
    assert "helm" not in caught.value.problem, "kubectl's words stay its own"


def test_a_key_in_brackets_has_the_line_of_that_key() -> None:
    document = only("metadata:\n  labels:\n    app.kubernetes.io/name: x\n    b]: y\n    a: z\n")
    assert document.line_of("metadata.labels[app.kubernetes.io/name]") == 3
    assert document.line_of("metadata.labels[b]]") == 4
    assert document.line_of("metadata.labels[a]") == 5
    assert document.line_of("metadata.labels[c]") == 2


def test_bytes_that_are_no_text_are_unreadable() -> None:
    for text in (b"\xc3\x28", b"\xff\xfe\x00", b"a: \xff\n"):
        with pytest.raises(Unreadable):
            list(read(text))


def test_laughs_are_bounded() -> None:
    laughs = "a: &a [lol, lol]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(Unreadable, match="excessive aliasing"):
        list(read(laughs.encode()))
    long = "a: &a " + "x" * 1_000_000 + "\nb: [" + "*a, " * 100 + "]\n"
    with pytest.raises(Unreadable, match="excessive aliasing"):
        list(read(long.encode()))
    assert len(only("a: &a [1, 2]\nb: [" + "*a, " * 1000 + "]\n").value["b"]) == 1000


def test_documents_before_a_broken_one_are_good() -> None:
    documents = read(b"a: 1\n---\nb: 2\n---\n[\n")
    assert [next(documents).value, next(documents).value] == [{"a": 1}, {"b": 2}]
    with pytest.raises(Unreadable):
        next(documents)


@pytest.mark.parametrize("deep", [MAX_DEPTH, MAX_DEPTH + 1])
def test_the_depth_that_is_taken_is_the_same_in_json_and_yaml(deep: int) -> None:
    for text in (
        "[" * deep + "]" * deep,
        '{"a":' * deep + "1" + "}" * deep,
        "{b: " * deep + "1" + "}" * deep,
    ):
        if deep <= MAX_DEPTH:
            assert only(text)
        else:
            with pytest.raises(Unreadable):
                list(read(text.encode()))
    if deep > MAX_DEPTH:
        with pytest.raises(ValueError, match="nested deeper"):
            parse_json("[" * deep + "]" * deep)
    with pytest.raises(ValueError, match="nested deeper"):
        parse_json("[" * 200_000)


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=25,
)


@given(VALUES)
def test_json_is_read_as_json_reads_it(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value
    if isinstance(value, dict | list):
        assert only(json.dumps(value)).value == value


class _Quoting(yaml.SafeDumper):
    """Quotes the words that only our reading of YAML takes for something else."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if ambiguous(text) or not text.isascii() else None
    )


_Quoting.add_representer(str, _text)


@given(st.dictionaries(st.text("abc:.[]# -", max_size=6), VALUES, min_size=1, max_size=5))
def test_what_was_dumped_is_read_back(value: dict[str, Any]) -> None:
    document = only(yaml.dump(value, Dumper=_Quoting))
    assert document.value == value


PIECES = r"a~b: ~- ~[~]~{~}~,~:~  ~&a ~*a~<<: ~'~>~!x ~? ~#~%~1~0x_~.inf~!!int ~\@"
WORDS = st.sampled_from(
    [*PIECES.split("~"), "|", "~", "9" * 50, '"', "\n", "---\n", "\0", "é", "\t", "\ufeff", "...\n"]
)


@settings(max_examples=300)
@given(st.lists(WORDS, max_size=60).map("".join) | st.text() | st.binary())
@example("{" + '"a": "\\ud800"' + "}")
@example("{}{}")
@example("[1]x")
@example("a: 0o_\nb: 0b_\nc: 0x_\nd: 0_")
def test_any_text_is_documents_or_unreadable(text: str | bytes) -> None:
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    documents: list[Document] = []
    with contextlib.suppress(Unreadable):
        documents = list(read(raw))
    for document in documents:
        for path in ("", "a", "a.b[0]", "[0][1].x", "b[", "..", "a]"):
            assert 1 <= document.line_of(path) <= raw.count(b"\n") + raw.count(b"\r") + 99


@pytest.mark.parametrize(
    "text",
    [
        b"- [a, b, {c: d}]\n" * 60_000,
        b"---\na: 1\n" * 100_000,
        b"[" + b"1," * 500_000 + b"]",
        b"{}" * 500_000,
    ],
    ids=["values", "documents", "flow", "json"],
)
def test_a_megabyte_takes_a_second_or_two(text: bytes) -> None:
    """10 MB must be answered in 15 s; this is the tenth, with room for a busy machine."""
    begun = time.process_time()
    assert sum(1 for _ in read(text))
    assert time.process_time() - begun < 3
