"""Edits of YAML texts: exactly the change, and every byte that is not of it stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.model.documents import read_yaml
from namewall.policy.explain.edits import Change
from namewall.review.papers import Papers
from namewall.review.sheet import Edit, changed, edited, patched
from namewall.review.yaml_writing import block_yaml, plain_yaml

TEXT = """\
# head
a:  # of a
  - x: 1   # one
    w: [2, 3]
  # before two
  - x: 2
b: {c: d}   # flow
e:
- p
- q  # last
# tail
"""


@pytest.mark.parametrize(
    ("edit", "gone", "come"),
    [
        (Edit("append", ("a",), {"x": 3}), "", "    x: 2\n  - x: 3\n".removeprefix("    x: 2\n")),
        (Edit("append", ("e",), "r"), "", "- r\n"),
        (Edit("append", ("a", 0, "w"), 4), "", ", 4"),
        (Edit("put", ("b",), [1], "m"), "", ", m: [1]"),
        (Edit("put", ("a", 1), {"z": 1}, "m"), "", "    m:\n      z: 1\n"),
        (Edit("put", (), "v", "k"), "", "k: v\n"),
        (Edit("replace", ("a", 1, "x"), "two"), "2", "two"),
        (Edit("replace", ("b", "c"), {"k": "v"}), "d", "{k: v}"),
        (Edit("remove", ("a", 0)), "  - x: 1   # one\n    w: [2, 3]\n", ""),
        (Edit("remove", ("a", 0, "w")), "    w: [2, 3]\n", ""),
        (Edit("remove", ("a", 0, "w", 0)), "2, ", ""),
        (Edit("remove", ("e", 1)), "- q  # last\n", ""),
        (Edit("rename", ("b", "c"), key="cc"), "c", "cc"),
        (Edit("rename", ("a",), key="aa"), "a", "aa"),
        (Edit("several", ("e", 0), ["s", "t"]), "p", "s"),
    ],
)
def test_only_the_change_is_changed(edit: Edit, gone: str, come: str) -> None:
    after = edited(TEXT, 0, [edit])
    assert after is not None
    assert all(part in after for part in ("# head", "# of a", "# before two", "# flow", "# tail"))
    (document,) = read_yaml(after)
    (before,) = read_yaml(TEXT)
    assert document.value == changed(before.value, [edit])
    if come and not gone:
        assert come in after
        assert after.replace(come, "", 1) == TEXT
    elif gone and not come:
        assert after == TEXT.replace(gone, "", 1)
    else:
        assert sum(a != b for a, b in zip(TEXT.splitlines(), after.splitlines(), strict=False)) >= 1


@pytest.mark.parametrize(
    "edit",
    [
        Edit("append", ("a",), {"x": 3}),
        Edit("put", ("a", 1), {"z": 1}, "m"),
        Edit("remove", ("a", 0)),
        Edit("remove", ("e", 1)),
        Edit("several", ("e", 0), ["s", "t"]),
    ],
)
def test_line_ends_stay_as_they_are(edit: Edit) -> None:
    after = edited(TEXT.replace("\n", "\r\n"), 0, [edit])
    assert after is not None
    assert after.replace("\r\n", "\n") == edited(TEXT, 0, [edit])


@pytest.mark.parametrize(
    "edit",
    [
        Edit("append", ("a",), {"x": 3}),
        Edit("put", (), "v", "k"),
        Edit("remove", ("a",)),
        Edit("rename", ("a",), key="aa"),
    ],
)
def test_the_mark_of_utf_8_stays(edit: Edit) -> None:
    text = TEXT.removeprefix("# head\n")
    after = edited(f"\ufeff{text}", 0, [edit])
    assert after == f"\ufeff{edited(text, 0, [edit])}"


def test_a_new_policy_in_a_file_of_windows_has_its_line_ends() -> None:
    papers = Papers.read([("a.yaml", "\ufeffa: 1\r\nb: 2")])
    found = patched(papers, [], [Change(None, "", {"c": [1]})])
    assert found == [("a.yaml", "\ufeffa: 1\r\nb: 2\r\n---\r\nc:\r\n  - 1\r\n")]


def test_the_last_item_of_lines_of_windows() -> None:
    assert edited("a:\r\n  - b\r\nc: 1\r\n", 0, [Edit("remove", ("a", 0))]) == "a: []\r\nc: 1\r\n"


def test_the_last_item_leaves_an_empty_list() -> None:
    assert edited("a:\n  - b\nc: 1\n", 0, [Edit("remove", ("a", 0))]) == "a: []\nc: 1\n"


def test_other_documents_stay() -> None:
    text = "a: [1]\n---\n# two\na: [2]\n...\n---\na: [3]\n"
    assert edited(text, 1, [Edit("append", ("a",), 9)]) == text.replace("[2]", "[2, 9]")


def test_json_stays_json() -> None:
    assert edited('{"a": ["b"]}', 0, [Edit("append", ("a",), {"c": "yes"})]) == '{"a": ["b", {"c": "yes"}]}'


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1]\nb: *x\n",
        "a: !!seq [1]\n",
        "a:\nb: 1\n",
        "a: |\n  text\n",
        "- a: 1\n",
        "a: [1]\r\nb: 2\r\n",
    ],
)
def test_what_cannot_be_followed_is_left_alone(text: str) -> None:
    after = edited(text, 0, [Edit("append", ("a",), 2)])
    if after is not None:
        (document,) = read_yaml(after)
        assert document.value["a"] == [1, 2]


plain = st.one_of(st.integers(-5, 99), st.booleans(), st.none(), st.text("ab:# -'\"y1.*\n", max_size=5))
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text("abk:w1", min_size=1, max_size=3), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(values)
def test_block_yaml_is_read_back(value: object) -> None:
    documents = [each.value for each in read_yaml(block_yaml(value))]
    assert documents == [value]


@given(st.dictionaries(st.sampled_from("abcd"), values, min_size=1), st.data(), st.booleans())
def test_an_edit_is_right_or_not_made(value: dict[str, object], data: st.DataObject, own: bool) -> None:
    text = block_yaml(value) if own else plain_yaml(value)
    (value,) = (each.value for each in read_yaml(text))  # other tools have another idea of what `y` means
    path: list[str | int] = []
    node: object = value
    while isinstance(node, dict | list) and node and (not path or data.draw(st.booleans())):
        step = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        path.append(step)
        node = node[step]  # type: ignore[index,call-overload]
    edit = data.draw(
        st.sampled_from(
            [
                Edit("remove", tuple(path)),
                Edit("replace", tuple(path), "new"),
                Edit("append", tuple(path), {"n": 1}),
                Edit("put", tuple(path), [1], "new"),
            ]
        )
    )
    after = edited(text, 0, [edit])
    if after is not None:
        assert [each.value for each in read_yaml(after)] == [changed(value, [edit])]


@pytest.mark.parametrize("text", ["a:\nb: 1\n", "a: |\n  text\n", "a: 1\n", "b: 1\n"])
def test_an_edit_that_does_not_fit_is_not_made(text: str) -> None:
    assert edited(text, 0, [Edit("append", ("a",), 2)]) is None
