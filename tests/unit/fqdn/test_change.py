"""An automaton changed pattern by pattern is, for every name there is, the one that is built at once."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from namewall.fqdn import change
from namewall.fqdn.automaton import SYMBOLS, Automaton, TooManyStates, build
from namewall.fqdn.change import changed

FORMS = (
    "*",
    "a.x.",
    "b.a.x.",
    "x.",
    "*.x.",
    "**.x.",
    "a*.x.",
    "*a.x.",
    "*a*.x.",
    "*b*.x.",
    "**.a*.x.",
    "*.*.x.",
    "a.*.",
    "sub.*.x.",
    "aax.",
    "*x.",
    "\u00e4.x.",
)
sets = st.sets(st.tuples(st.sampled_from("pqr"), st.sampled_from(FORMS)), max_size=8)


def step(automaton: Automaton, base: int, symbol: int) -> int:
    """The base of the next state, 0 for none."""
    cell = automaton.cells[base + symbol] if base else 0
    return cell & 0xFFFFFFFF if cell >> 32 == base else 0


def accepted(automaton: Automaton, base: int) -> frozenset[str]:
    return automaton.classes[step(automaton, base, 0)] if base else frozenset()


def same(one: Automaton, other: Automaton) -> None:
    """Both walked side by side over every name; after a state with nothing behind it, neither goes on."""
    begin = (one.cells[0], other.cells[0])
    known, waiting = {begin}, [(begin, "")]
    while waiting:
        (a, b), name = waiting.pop()
        assert accepted(one, a) == accepted(other, b), name
        for character, symbol in SYMBOLS.items():
            pair = (step(one, a, symbol), step(other, b, symbol))
            if pair != (0, 0) and pair not in known:
                known.add(pair)
                waiting.append((pair, character + name))


def keyed(chosen: set[tuple[str, str]]) -> dict[str, str]:
    return {f"{key}:{form}": form for key, form in chosen}


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(sets, min_size=2, max_size=6))
def test_any_changes_end_where_building_ends(chosen: list[set[tuple[str, str]]]) -> None:
    automaton = build(keyed(chosen[0]))
    for selectors in map(keyed, chosen[1:]):
        before = automaton.cells.tobytes()
        after = changed(automaton, selectors)
        assert automaton.cells.tobytes() == before
        assert after.selectors == selectors
        assert {key for keys in after.told_apart() for key in keys} <= selectors.keys()
        same(after, build(selectors))
        automaton = after


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(sets, min_size=2, max_size=6), st.integers(0, 40))
def test_the_budget_refuses_what_building_refuses(chosen: list[set[tuple[str, str]]], budget: int) -> None:
    automaton = build({})
    for selectors in map(keyed, chosen):
        try:
            built = build(selectors, budget)
        except TooManyStates:
            with pytest.raises(TooManyStates):
                changed(automaton, selectors, budget)
        else:
            automaton = changed(automaton, selectors, budget)
            same(automaton, built)


def test_what_is_no_longer_reached_does_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def counted(selectors: dict[str, str], budget: int) -> Automaton:
        built.append(len(selectors))
        return build(selectors, budget)

    monkeypatch.setattr(change, "build", counted)
    names = {f"n{number}.x.": f"n{number}.x." for number in range(100)}
    automaton = build(names)
    most = 0
    for number in range(1500):
        automaton = changed(automaton, names if number % 2 else {**names, "p": "one.more.x."})
        most = max(most, len(automaton.cells))
    assert 1 <= len(built) < 50
    assert most < 2 * (automaton.packed + change.LEAST_STATES)


def test_one_pattern_more_among_thousands_is_quick() -> None:
    forms = {f"*.svc{number}.example.com.": f"*.svc{number}.example.com." for number in range(3000)}
    automaton = build(forms)
    begun = time.process_time()
    after = changed(automaton, {**forms, "new": "*.new.example.com."})
    assert time.process_time() - begun < 0.1  # building takes more
    assert after.match("a.new.example.com.") == {"new"}
    assert after.match("a.svc7.example.com.") == {"*.svc7.example.com."}
    assert after.states - automaton.states < 40
