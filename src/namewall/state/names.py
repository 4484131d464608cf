"""What the node knows of names: name → address → deadline, for each endpoint that asked.

Fed by the datapath's events, so that a pattern added later opens what was looked up before. It decides
nothing: grants in the kernel are what counts. Bounded for each scope, so that one workload's flood of
names cannot push out another's; within a scope what ends soonest goes first.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from ipaddress import ip_address

from namewall.model.net import Address
from namewall.state.tables import KnownName

NAMES_A_SCOPE = 4096
"""Addresses of names remembered for one endpoint; an eighth more until they are sorted out."""


class NameCache:
    """Times are seconds of CLOCK_BOOTTIME."""

    def __init__(self) -> None:
        self._scopes: dict[int, dict[tuple[str, Address], float]] = {}

    def learn(self, scope: int, name: str, addresses: Iterable[Address], deadline: float) -> None:
        """An answer prolongs what was known, and never shortens it."""
        known = self._scopes.setdefault(scope, {})
        for address in addresses:
            key = (name, address)
            known[key] = max(deadline, known.get(key, 0.0))
        if len(known) > NAMES_A_SCOPE + NAMES_A_SCOPE // 8:  # seldom: it looks at all of them
            for key in heapq.nsmallest(len(known) - NAMES_A_SCOPE, known, key=lambda key: known[key]):
                del known[key]

    def expire(self, now: float) -> None:
        for scope in list(self._scopes):
            live = {key: deadline for key, deadline in self._scopes[scope].items() if deadline > now}
            if live:
                self._scopes[scope] = live
            else:
                del self._scopes[scope]

    def keep(self, scopes: Iterable[int]) -> None:
        """Forget the scopes that no endpoint has any more."""
        wanted = set(scopes)
        self._scopes = {scope: known for scope, known in self._scopes.items() if scope in wanted}

    def known(self) -> frozenset[KnownName]:
        return frozenset(
            KnownName(scope, name, address, deadline)
            for scope, known in self._scopes.items()
            for (name, address), deadline in known.items()
        )

    def names_of(self, scope: int, address: Address) -> list[str]:
        """The names under which this endpoint learned the address, sorted."""
        return sorted({name for name, known in self._scopes.get(scope, {}) if known == address})

    def dump(self) -> list[list[object]]:
        """For a file that outlives the agent; `restore` is the way back."""
        return [[row.scope, row.name, str(row.address), row.deadline] for row in self.known()]

    def restore(self, rows: Iterable[list[object]]) -> None:
        for scope, name, address, deadline in rows:
            self.learn(int(str(scope)), str(name), [ip_address(str(address))], float(str(deadline)))
