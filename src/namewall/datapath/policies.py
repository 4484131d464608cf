"""The policies in the kernel: the number each has there, and its rows.

A policy keeps its number where nothing changed but rows of names that no address can have yet; otherwise it gets a
new number and rows of its own, so that no packet meets a half-written one. What was computed is kept: where neither a
policy nor the name classes of its selectors changed, its rows are what they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from namewall.datapath import layout, rows
from namewall.datapath.names import Names
from namewall.datapath.numbers import Numbers
from namewall.datapath.rows import Rows, Selectors
from namewall.policy.map_state import FqdnPeer, MapState
from namewall.state.tables import NodeTables


@dataclass(frozen=True, slots=True)
class Realized:
    number: int
    state: MapState
    classes: dict[str, tuple[int, ...]]
    """toFQDNs form → the classes it was in."""
    rows: Rows

    def is_still(self, state: MapState, selectors: Selectors) -> bool:
        """CIDR classes and sets of DNS rules keep their numbers for as long as rows have them."""
        return self.state == state and all(
            tuple(selectors.get(f"fqdn:{form}", ())) == classes for form, classes in self.classes.items()
        )


class Policies:
    """By the policies' numbers in NodeTables, which are not the kernel's."""

    def __init__(self, numbers: Numbers, names: Names) -> None:
        self._numbers = numbers
        self._names = names
        self._realized: dict[int, Realized] = {}
        """As they were written last; none where that is not known for sure."""

    def state_of(self, number: int) -> MapState | None:
        """By the kernel's number."""
        return next((one.state for one in self._realized.values() if one.number == number), None)

    def prepare(
        self, tables: NodeTables, selectors: Selectors, held: Rows, running: Mapping[int, int]
    ) -> dict[int, Realized]:
        """What is to be. `held` are the kernel's rows; `running` is endpoint → the kernel's number of its policy."""
        written = _Written(held, self._realized)
        found = {name: one.number for name, one in self._realized.items()}
        for row in tables.endpoints.values():
            if row.policy not in found and row.id in running:
                found[row.policy] = running[row.id]
        wanted: dict[int, Realized] = {}
        taken: set[int] = set()
        for name, state in tables.policies.items():
            number = found.get(name)
            known = self._realized.get(name)
            if number is None or number in taken:
                made = self._make(state, self._numbers.new_policy(), selectors)
            elif known is not None and known.is_still(state, selectors):
                made = known
            else:
                made = self._make(state, number, selectors)
                if not self._same(written.of(number), made.rows):
                    made = _renumbered(made, self._numbers.new_policy())
            taken.add(made.number)
            wanted[name] = made
        return wanted

    def begin(self) -> None:
        """The kernel's rows are about to change: until `settle` it is not known how far that came."""
        self._realized = {}

    def settle(self, wanted: dict[int, Realized]) -> None:
        self._realized = wanted

    def _make(self, state: MapState, number: int, selectors: Selectors) -> Realized:
        forms = {key.peer.selector for key in state.entries if isinstance(key.peer, FqdnPeer)}
        classes = {form: tuple(selectors.get(f"fqdn:{form}", ())) for form in forms}
        return Realized(number, state, classes, rows.policy_rows(state, number, self._numbers, selectors))

    def _same(self, held: Rows, wanted: Rows) -> bool:
        """Equal, but for rows of name classes that no name is in yet, or none any more."""
        if held == wanted:
            return True
        for key, _ in held.items() ^ wanted.items():
            _, peer = rows.read_policy_key(key)
            if peer & layout.PEER_NAME != layout.PEER_NAME or (key in held and key in wanted):
                return False
            if not self._names.is_unused(peer & layout.PEER_NUMBER):
                return False
        return True


class _Written:
    """The kernel's rows by policy: as remembered, read from all of them only where they are not."""

    def __init__(self, held: Rows, realized: Mapping[int, Realized]) -> None:
        self._held = held
        self._known = {one.number: one.rows for one in realized.values()}
        self._read: dict[int, Rows] | None = None

    def of(self, number: int) -> Rows:
        if number in self._known:
            return self._known[number]
        if self._read is None:
            self._read = {}
            for key, value in self._held.items():
                self._read.setdefault(rows.read_policy_key(key)[0], {})[key] = value
        return self._read.get(number, {})


def _renumbered(one: Realized, number: int) -> Realized:
    return Realized(number, one.state, one.classes, rows.renumbered(one.rows, number))
