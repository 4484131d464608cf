"""Lines and columns of fields, of YAML and of JSON."""

from __future__ import annotations

import pytest

from namewall.model.documents import Unreadable, read

YAML = b"""\
a:
  - b: 1
    c: {d: [x, yy]}
  -   e: 2
---
f: 3
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("", (1, 1)),
        ("a", (1, 1)),
        ("a[0]", (2, 5)),
        ("a[0].c", (3, 5)),
        ("a[0].c.d[1]", (3, 16)),
        ("a[1].e", (4, 7)),
        ("a[1].e.nothing", (4, 7)),
    ],
)
def test_places_of_yaml(path: str, place: tuple[int, int]) -> None:
    first, second = read(YAML)
    assert first.place_of(path) == place
    assert first.line_of(path) == place[0]
    assert second.place_of("f") == (6, 1)


def test_places_of_json() -> None:
    first, second = read(b'{"a":\n  [1,\n   {"b": 2}]}\n\n{"c": 3}')
    assert first.place_of("a[1].b") == (3, 5)
    assert second.place_of("c")[0] == 5


def test_characters_count_not_bytes() -> None:
    (document,) = read("é: {ü: [ö, x]}".encode())
    assert document.place_of("é.ü[1]") == (1, 12)


def test_where_a_text_breaks_off() -> None:
    with pytest.raises(Unreadable) as caught:
        list(read(b"a: 1\n b: 2\n"))
    assert (caught.value.line, caught.value.column) == (2, 3)
