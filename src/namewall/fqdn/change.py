"""An automaton for other patterns, made from the one there is: one pattern more or less among thousands.

The old automaton and the one pattern's own are walked together, from the root. Where the pattern goes, a state of both
is new; where it does not, the old state is used as it is. So the new states are the pattern's path, and what a star
meets along it, and everything else is shared: old states are never written, which keeps this small and the old
automaton whole if something fails.

A state that is no longer reached stays in the cells. When a quarter has been added to them, or a pattern meets so much
that little would be shared, all is built from the start. So the states counted here are never fewer than `build`
would make, and the budget refuses what it refuses.

Law: after any changes, every name is in the class that `build` of the present selectors puts it in.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping

from namewall.fqdn.automaton import (
    ALPHABET,
    STATE_BUDGET,
    Automaton,
    State,
    build,
    characters,
    moves_of,
    start_of,
)

MANY_PATTERNS = 64
"""From so many changed patterns on, building is quicker."""
LEAST_STATES = 1000
"""So many new states are worth it however small the automaton is."""
GAPS = 128
"""Cells before the last one in which a place for a state is looked for."""
TARGET = 0xFFFFFFFF


class _TooMuch(Exception):
    """Little would be shared, or the budget may be used up."""


def changed(automaton: Automaton, selectors: Mapping[str, str], budget: int = STATE_BUDGET) -> Automaton:
    """As `build(selectors, budget)`, and quicker where `selectors` are nearly those of `automaton`."""
    known = automaton.selectors
    gone = [(key, form) for key, form in known.items() if selectors.get(key) != form]
    come = [(key, form) for key, form in selectors.items() if known.get(key) != form]
    if not gone and not come:
        return automaton
    few = len(gone) + len(come) < MANY_PATTERNS
    if few and 4 * len(automaton.cells) < 5 * automaton.packed + 4 * LEAST_STATES:
        try:
            edit = _Edit(automaton, characters(selectors.values()) + budget)
            for key, form in sorted(gone):
                edit.remove(key, form)
            for key, form in sorted(come):
                edit.add(key, form)
            return edit.finished(selectors)
        except _TooMuch:
            pass
    return build(selectors, budget)


class _Edit:
    """Cells and classes on their way from one automaton to the next.

    `_cells` has 39 free cells behind the last state's, like any automaton's. A cell is free while it is 0.
    """

    def __init__(self, automaton: Automaton, limit: int) -> None:
        self._old = automaton
        self._cells = array("Q", automaton.cells)
        self._accepts = array("I", automaton.accepts)
        self._classes = list(automaton.classes)
        self._number = {keys: number for number, keys in enumerate(self._classes) if keys or not number}
        self._states = automaton.states
        self._limit = min(limit, automaton.states + max(LEAST_STATES, automaton.states // 4))

    def finished(self, selectors: Mapping[str, str]) -> Automaton:
        return Automaton(
            self._cells,
            tuple(self._classes),
            self._states,
            dict(selectors),
            self._accepts,
            self._old.packed,
        )

    def add(self, key: str, form: str) -> None:
        self._walk(form, lambda keys: keys | {key})

    def remove(self, key: str, form: str) -> None:
        self._walk(form, lambda keys: keys - {key})
        # No state that is reached is in them any more.
        self._classes = [keys if key not in keys else frozenset() for keys in self._classes]
        self._number = {keys: number for keys, number in self._number.items() if key not in keys}

    def _walk(self, form: str, told: Callable[[frozenset[str]], frozenset[str]]) -> None:
        """New states for the pairs of an old state (0 is none) and where the pattern is meanwhile."""
        start = start_of(form)
        if start is None:
            return  # no name can match it
        pairs: dict[tuple[int, State], int] = {(self._cells[0], start): 0}
        order = list(pairs)
        accepts: list[int] = []
        rows: list[dict[int, int]] = []
        steps: dict[State, dict[int, State]] = {}
        for base, places in order:  # grows as it is walked
            row = self._moves(base)
            if places not in steps:
                steps[places] = moves_of(places)
            for symbol, target in steps[places].items():
                pair = (row.get(symbol, 0), target)
                if pair not in pairs:
                    pairs[pair] = len(order)
                    order.append(pair)
                row[symbol] = ~pairs[pair]
            rows.append(row)
            keys = self._classes[self._accept(base)]
            accepts.append(self._class(told(keys) if any(node.accepts for node in places) else keys))
            if self._states + len(order) > self._limit:
                raise _TooMuch
        _prune(rows, accepts)
        self._place(rows, accepts)

    def _moves(self, base: int) -> dict[int, int]:
        if not base:
            return {}
        reach = self._cells[base : base + len(ALPHABET) + 1]
        return {symbol: cell & TARGET for symbol, cell in enumerate(reach) if symbol and cell >> 32 == base}

    def _accept(self, base: int) -> int:
        cell = self._cells[base]
        return cell & TARGET if base and cell >> 32 == base else 0

    def _class(self, keys: frozenset[str]) -> int:
        if keys not in self._number:
            self._number[keys] = len(self._classes)
            self._classes.append(keys)
        return self._number[keys]

    def _place(self, rows: list[dict[int, int]], accepts: list[int]) -> None:
        """Write the states; targets below 0 are those among `rows`. The first is the root."""
        bases = [self._find(row, accept) for row, accept in zip(rows, accepts, strict=True)]
        for base, row, accept in zip(bases, rows, accepts, strict=True):
            if accept:
                self._cells[base] = base << 32 | accept
                self._accepts.append(base)
            for symbol, target in row.items():
                self._cells[base + symbol] = base << 32 | (target if target > 0 else bases[~target])
        self._cells[0] = bases[0]
        self._states += len(rows)

    def _find(self, row: dict[int, int], accept: int) -> int:
        """A base where the state's cells are free and that no state has; its cells are taken."""
        cells, reach = self._cells, len(ALPHABET) + 1
        wanted = [*([0] if accept else []), *row]
        base = max(1, len(cells) - reach - GAPS)
        while any(cells[base + symbol] for symbol in wanted) or any(
            cell >> 32 == base for cell in cells[base : base + reach]
        ):
            base += 1
            if base + 2 * reach > len(cells):
                cells.extend(bytes(reach))
        for symbol in wanted:
            cells[base + symbol] = base << 32
        return base


def _prune(rows: list[dict[int, int]], accepts: list[int]) -> None:
    """Leave out moves to new states from which nothing is accepted. From an old one something always is."""
    enters: list[list[int]] = [[] for _ in rows]
    for number, row in enumerate(rows):
        for target in row.values():
            if target < 0:
                enters[~target].append(number)
    waiting = [n for n, row in enumerate(rows) if accepts[n] or any(target > 0 for target in row.values())]
    alive = set(waiting)
    while waiting:
        for number in enters[waiting.pop()]:
            if number not in alive:
                alive.add(number)
                waiting.append(number)
    for number, row in enumerate(rows):
        rows[number] = {s: target for s, target in row.items() if target > 0 or ~target in alive}
