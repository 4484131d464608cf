"""Names, keys and values as Kubernetes takes them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.model.kube_names import (
    Check,
    dns_1035_problems,
    key_problems,
    label_problems,
    metadata_faults,
    subdomain_problems,
    value_problems,
)

CHECKS = [label_problems, subdomain_problems, dns_1035_problems, value_problems]


def expression(check: Check) -> re.Pattern[str]:
    """The one that its text tells."""
    found = re.search(r"regex used for validation is '(.*)'\)", check("_?_")[0])
    assert found is not None
    return re.compile(found[1])


@pytest.mark.parametrize("check", CHECKS)
@given(text=st.text("aZ0-._/\n", max_size=8))
def test_a_text_is_right_where_the_expression_told_fits(check: Check, text: str) -> None:
    assert (check(text) == ()) == (expression(check).fullmatch(text) is not None)


@pytest.mark.parametrize(
    ("check", "most"),
    [(label_problems, 63), (subdomain_problems, 253), (dns_1035_problems, 63), (value_problems, 63)],
)
def test_a_text_may_be_too_long(check: Check, most: int) -> None:
    assert check("a" * most) == ()
    assert check("a" * (most + 1)) == (f"must be no more than {most} bytes",)


@pytest.mark.parametrize(
    ("key", "beginnings"),
    [
        ("app", []),
        ("example.com/My_App", []),
        ("", ["name part must be non-empty", "name part must consist of"]),
        ("/app", ["prefix part must be non-empty"]),
        ("Example.com/app", ["prefix part a lowercase RFC 1123 subdomain"]),
        ("a/b/c", ["a qualified name must consist of"]),
        ("a b", ["name part must consist of"]),
        ("x" * 64, ["name part must be no more than 63 bytes"]),
    ],
)
def test_keys(key: str, beginnings: list[str]) -> None:
    found = key_problems(key)
    assert len(found) == len(beginnings)
    assert all(text.startswith(begin) for text, begin in zip(found, beginnings, strict=True)), found


def test_all_of_metadata_is_told_at_once_and_other_types_are_left_to_others() -> None:
    metadata = {
        "name": "-x",
        "namespace": "a.b",
        "labels": {"a": "a b", "b": 1, "/c": "c"},
        "annotations": {"a": "any text!", "Example.com/b": "", "b c": None, "big": "x" * (1 << 18)},
    }
    assert [(fault.path, fault.reason) for fault in metadata_faults(metadata)] == [
        ("metadata.name", "FieldValueInvalid"),
        ("metadata.namespace", "FieldValueInvalid"),
        ("metadata.labels[a]", "FieldValueInvalid"),
        ("metadata.labels[/c]", "FieldValueInvalid"),
        ("metadata.annotations[b c]", "FieldValueInvalid"),
        ("metadata.annotations", "FieldValueTooLong"),
    ]
    assert not list(metadata_faults({"name": 1, "namespace": None, "labels": [], "annotations": "x"}))


def test_long_texts_take_no_longer_than_they_are() -> None:
    begun = time.monotonic()
    for text in ("a" * 1_000_000 + "!", "a." * 500_000 + "!", "-" * 1_000_000, "a-" * 500_000):
        assert all(check(text) for check in (*CHECKS, key_problems))
    assert time.monotonic() - begun < 5
