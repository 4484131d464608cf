"""Which peers of the kernel a selector is: the identities and the CIDR classes of a node.

Label selectors are bit sets of identities (`identity_index`). A CIDR selector is the CIDR classes that lie in it: the
prefixes are kept in the order of their first addresses, so that those of a range stand side by side.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator

from namewall.model.net import Network
from namewall.policy.identity_index import IdentityIndex
from namewall.policy.map_state import CidrPeer
from namewall.policy.selectors import CidrSelector, LabelSelector, PeerSelector

Placed = tuple[int, int]
"""First address and prefix length."""


class Classes:
    """The identities of `index`, which others may change, and the prefixes, which are changed here."""

    def __init__(
        self, index: IdentityIndex, prefixes: Iterable[Network] = (), *, addressless: bool = False
    ) -> None:
        """`addressless`: pods have no addresses, as in scenarios that give none (see CidrSelector)."""
        self.index = index
        self._addressless = addressless
        self._prefixes: dict[int, dict[Placed, Network]] = {4: {}, 6: {}}
        for prefix in prefixes:
            self._prefixes[prefix.version][_placed(prefix)] = prefix
        self._sorted = {version: sorted(placed) for version, placed in self._prefixes.items()}
        self._kept: dict[CidrSelector, dict[CidrPeer, None]] = {}

    def prefixes(self) -> frozenset[Network]:
        return frozenset(prefix for placed in self._prefixes.values() for prefix in placed.values())

    def add_prefix(self, prefix: Network) -> list[CidrSelector]:
        """The selectors asked for so far (`cidrs`) that select it."""
        placed = _placed(prefix)
        if placed not in self._prefixes[prefix.version]:
            self._prefixes[prefix.version][placed] = prefix
            insort(self._sorted[prefix.version], placed)
        selecting = self._selecting(prefix)
        for selector in selecting:
            self._kept[selector][CidrPeer(prefix, selector.pods)] = None
        return selecting

    def remove_prefix(self, prefix: Network) -> list[CidrSelector]:
        placed = _placed(prefix)
        if self._prefixes[prefix.version].pop(placed, None) is not None:
            known = self._sorted[prefix.version]
            del known[bisect_left(known, placed)]
        selecting = self._selecting(prefix)
        for selector in selecting:
            self._kept[selector].pop(CidrPeer(prefix, selector.pods), None)
        return selecting

    def _selecting(self, prefix: Network) -> list[CidrSelector]:
        return [selector for selector in self._kept if selector.selects(prefix)]

    def identities(self, selector: PeerSelector) -> int:
        """The identities that a selector other than the wildcard selects, as a bit set."""
        if isinstance(selector, LabelSelector):
            return self.index.bits(selector)
        if self._addressless and isinstance(selector, CidrSelector) and selector.unaddressed is not None:
            return self.index.bits(selector.unaddressed)
        return 0

    def cidrs(self, selector: CidrSelector) -> Collection[CidrPeer]:
        """The CIDR classes that a selector selects. From now on it is told of changes."""
        kept = self._kept.get(selector)
        if kept is None:
            found = (prefix for prefix in self._within(selector.cidr) if selector.selects(prefix))
            kept = self._kept[selector] = {CidrPeer(prefix, selector.pods): None for prefix in found}
        return kept

    def forget_cidrs(self, unused: Iterable[PeerSelector]) -> None:
        for selector in self._kept.keys() & unused:
            del self._kept[selector]

    def _within(self, cidr: Network) -> Iterator[Network]:
        known, prefixes = self._sorted[cidr.version], self._prefixes[cidr.version]
        first, length = _placed(cidr)
        last = first + (1 << (cidr.max_prefixlen - length)) - 1
        for placed in known[bisect_left(known, (first, length)) : bisect_right(known, (last, 128))]:
            if placed[1] >= length:
                yield prefixes[placed]


def _placed(prefix: Network) -> Placed:
    return int(prefix.network_address), prefix.prefixlen
