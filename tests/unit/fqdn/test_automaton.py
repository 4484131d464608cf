"""The automaton says what the patterns say, one by one, for names of every kind."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from namewall.fqdn.automaton import ALPHABET, TooManyStates, build
from namewall.policy.patterns import matches_form

CHARACTER = "[-a-z0-9_]"


def oracle(form: str) -> re.Pattern[str]:
    """A pattern as the regular expression semantics.md section 8 gives it."""
    if form == "*":
        return re.compile(rf"({CHARACTER}+[.])+|[.]")
    head = ""
    if form.startswith("**."):
        head, form = rf"({CHARACTER}+[.])+", form[3:]
    return re.compile(head + "".join(f"{CHARACTER}*" if c == "*" else re.escape(c) for c in form))


def agree(forms: list[str], names: list[str]) -> None:
    automaton = build({form: form for form in forms})
    for name in names:
        expected = {form for form in forms if oracle(form).fullmatch(name)}
        assert automaton.match(name) == expected, name
        assert expected == {form for form in forms if matches_form(form, name)}, name


def test_each_kind_of_pattern() -> None:
    forms = ["a.x.", "*.x.", "**.x.", "a*.x.", "*b*.x.", "*", "sub.*.", "x.", "*x.", "**.a*.x.", "*.*.x."]
    names = [
        "a.x.",
        "ab.x.",
        "b.x.",
        "a.b.x.",
        "c.a.b.x.",
        "x.",
        "ax.",
        ".",
        "sub.a.",
        "sub.a.b.",
        "z.abc.x.",
        "y.",
    ]
    agree(forms, names)


def test_wildcard_does_not_cross_a_label() -> None:
    automaton = build({"p": "*.example.com."})
    assert automaton.match("a.example.com.") == {"p"}
    assert automaton.match("a.b.example.com.") == frozenset()
    assert automaton.match("example.com.") == frozenset()
    assert automaton.match("xexample.com.") == frozenset()


def test_double_star_needs_a_label() -> None:
    automaton = build({"p": "**.example.com."})
    assert automaton.match("example.com.") == frozenset()
    assert automaton.match("a.b.c.example.com.") == {"p"}


def test_one_form_under_two_keys_is_in_one_class() -> None:
    automaton = build({"fqdn:a.b.": "a.b.", "dns:a.b.": "a.b."})
    assert automaton.match("a.b.") == {"fqdn:a.b.", "dns:a.b."}


def test_nothing_matches_without_patterns() -> None:
    assert build({}).match("a.b.") == frozenset()


def test_characters_of_no_pattern_match_nothing() -> None:
    automaton = build({"p": "*", "q": "a b."})
    assert automaton.match("a b.") == frozenset()
    assert automaton.match("é.") == frozenset()


LABEL = st.text("ab*", min_size=1, max_size=4)
FORM = (
    st.lists(LABEL, min_size=1, max_size=3)
    .map(".".join)
    .map(
        lambda text: (
            "**." + re.sub(r"\*+", "*", text[3:]) + "."
            if text.startswith("**.")
            else re.sub(r"\*+", "*", text) + "."
        )
    )
    .map(lambda form: "*" if form in ("*.", "**.") else form)
)
NAME = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4).map(
    lambda labels: ".".join(labels) + "."
)


@settings(max_examples=300, deadline=None)
@given(st.lists(FORM, max_size=6, unique=True), st.lists(NAME, min_size=1, max_size=20))
def test_any_patterns_agree_with_the_regular_expressions(forms: list[str], names: list[str]) -> None:
    agree(forms, names)


def test_ten_thousand_names_and_patterns_keep_apart() -> None:
    rng = random.Random(7)
    forms = {f"{''.join(rng.choices(ALPHABET[:36], k=8))}.example{i % 50}.com." for i in range(9000)}
    forms |= {f"*.svc{i}.example.com." for i in range(1000)}
    automaton = build({form: form for form in forms})
    for form in rng.sample(sorted(forms), 500):
        assert automaton.match(form.replace("*", "some-host")) == {form}
    assert automaton.match("other.example.com.") == frozenset()
    assert len(automaton.cells) * 8 < 2_000_000


def test_patterns_that_multiply_are_refused_by_name() -> None:
    forms = [f"*{word}*.example.com." for word in "abcdefghijklmnopqrst"]
    with pytest.raises(TooManyStates, match=r"`\*a\*\.example\.com\.`"):
        build({form: form for form in forms}, budget=20_000)


def test_numbering_touches_accept_cells_only() -> None:
    automaton = build({"p": "a.b.", "q": "c.b."})
    cells = automaton.numbered(lambda selectors: 1000 + len(selectors))
    assert sum(a != b for a, b in zip(cells, automaton.cells, strict=True)) == 2
