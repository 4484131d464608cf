"""Names and patterns, beside the conformance rows (spec/semantics.md section 7)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.model.names import MAX_FQDN
from namewall.policy.patterns import Pattern, granted, matches_form, normalize
from spec import oracle


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Kubernetes.IO", "kubernetes.io."),
        ("kubernetes.io.", "kubernetes.io."),
        ("*", "*"),
        ("**", "*"),
        ("***.", "*"),
        ("*.", "*"),
        ("**.a", "**.a."),
        ("****.a", "**.a."),
        ("a**.b", "a*.b."),
        ("*.***.b", "*.*.b."),
    ],
)
def test_normal_form(text: str, form: str) -> None:
    assert normalize(text) == form
    assert normalize(form) == form


def test_wildcard_does_not_cross_a_label() -> None:
    assert not Pattern.of("*.example.com").matches("a.b.example.com")
    assert Pattern.of("*example.com").matches("myexample.com")
    assert not Pattern.of("*example.com").matches("my.example.com")


@pytest.mark.parametrize(
    ("pattern", "label", "expected"),
    [
        ("a*", "a", True),
        ("a*", "ab-_0", True),
        ("a*", "ab!", False),
        ("a*", "b", False),
        ("*a", "b", False),
        ("ab*ba", "aba", False),
        ("ab*ba", "abba", True),
        ("*a*a*", "a", False),
        ("*a*a*", "ba-a", True),
        ("a*b*b", "ab", False),
        ("a*b*c", "a-b-c", True),
    ],
)
def test_stars_within_a_label(pattern: str, label: str, expected: bool) -> None:
    """No character counts for two pieces."""
    assert matches_form(f"{pattern}.test.", f"{label}.test.") is expected


def test_a_dns_rule_s_match_all_passes_what_to_fqdns_never_matches() -> None:
    everything = Pattern.of("*")
    assert everything.passes("we ird!")
    assert not everything.matches("we ird!")


def test_a_pattern_of_255_characters_is_inert_in_to_fqdns_only() -> None:
    name = "a" * 254
    assert Pattern.of(name).matches(name)
    assert oracle.learned(name + ".", name)
    name += "a"
    assert not oracle.learned(name + ".", name)
    assert not Pattern.of(name).matches(name)
    assert Pattern.of(name).passes(name)
    assert not granted(name + ".", name + ".")


ALPHABET = "ab-.*"


@given(st.text(ALPHABET, min_size=1, max_size=10), st.text("ab-.A", max_size=10))
def test_the_quick_matcher_is_the_regular_expression(text: str, name: str) -> None:
    form = normalize(text)
    canonical = (name if name.endswith(".") else name + ".").lower()
    assert matches_form(form, canonical) == oracle.matches(form, name)


def test_many_stars_do_not_explode() -> None:
    begin = time.monotonic()
    assert not Pattern.of("*a" * 60 + "b").matches("a" * 200)
    assert time.monotonic() - begin < 0.05


def test_match_all_and_forms_too_long_to_match_are_told() -> None:
    assert Pattern.of("*").is_match_all
    assert not Pattern.of("*.io").is_match_all
    longest = ".".join(["a" * 63] * 3 + ["b" * (MAX_FQDN - 3 * 64 - 1)])
    assert len(Pattern.of(longest).form) == MAX_FQDN
    assert not Pattern.of(longest).inert
    assert Pattern.of(longest).matches(longest)
    assert Pattern.of(longest + "b").inert
    assert not Pattern.of(longest + "b").matches(longest + "b")


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "x.y", True),
        ("ab*ba.io", "aba.io", False),
        ("ab*ba.io", "abba.io", True),
        ("a*b*b.io", "ab.io", False),
        ("a*b*b.io", "abb.io", True),
        ("*a*.io", "ab.io", True),
        ("*a*.io", "bb.io", False),
    ],
)
def test_pieces_around_stars_do_not_overlap(pattern: str, name: str, matches: bool) -> None:
    assert Pattern.of(pattern).matches(name) is matches
