"""What endpoints called the addresses they met, for people to read; it decides nothing.

Longer-lived than grants: a name whose grant has ended is still what the address was reached by, and is marked
as `stale` then. Bounded for each scope, the least recently learned address goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from namewall.model.net import Address

ADDRESSES_A_SCOPE = 1024
"""Some 350 bytes each."""
NAMES_AN_ADDRESS = 8
_NOTHING: tuple[tuple[str, ...], float] = (), 0.0


class NameMemory:
    """Times are seconds of CLOCK_BOOTTIME."""

    def __init__(self) -> None:
        self._scopes: dict[int, OrderedDict[Address, tuple[tuple[str, ...], float]]] = {}

    def learn(self, scope: int, name: str, addresses: Iterable[Address], deadline: float) -> None:
        shown = name.removesuffix(".")
        known = self._scopes.setdefault(scope, OrderedDict())
        for address in addresses:
            names, until = known.get(address, _NOTHING)
            if shown not in names:
                names = (*names, shown)[-NAMES_AN_ADDRESS:]
            known[address] = names, max(until, deadline)
            known.move_to_end(address)
        while len(known) > ADDRESSES_A_SCOPE:
            known.popitem(last=False)

    def of(self, scope: int, address: Address, now: float) -> tuple[tuple[str, ...], bool]:
        """The names, the one learned first in front, and whether all grants of them have ended."""
        known = self._scopes.get(scope)
        names, until = known.get(address, _NOTHING) if known is not None else _NOTHING
        return names, bool(names) and until < now

    def keep(self, scopes: Iterable[int]) -> None:
        """Forget the scopes that no endpoint has any more."""
        wanted = set(scopes)
        self._scopes = {scope: known for scope, known in self._scopes.items() if scope in wanted}
