"""Which identities a label selector selects, without looking at each of them.

An inverted index over labels with bit sets: bit n is the n-th identity. A label's set is a bytearray, which is changed
in place, since identities come by the thousand; a selector's is an integer, since a few ANDs and ORs make it. It is
kept, and one identity more or less changes by one bit the kept sets of the selectors that select it, which
`selector_index` finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from namewall.model.labels import RESERVED_LABELS, Labels, view
from namewall.policy.map_state import IdentityPeer
from namewall.policy.selector_index import SelectorIndex
from namewall.policy.selectors import LabelSelector, PeerSelector, Requirement


class IdentityIndex:
    """The identities known on the node, the reserved ones always among them."""

    def __init__(self, identities: Mapping[int, Labels] | None = None) -> None:
        self._labels: dict[int, Labels] = {}
        self._slot: dict[int, int] = {}
        self._peer: list[IdentityPeer] = []
        self._free: list[int] = []
        self._all = 0
        self._values: dict[tuple[str, str], dict[str, bytearray]] = {}
        self._kept: dict[LabelSelector, int] = {}
        self._selectors = SelectorIndex()
        for number, labels in {**(identities or {}), **RESERVED_LABELS}.items():
            self.add(number, labels)

    def labels(self, number: int) -> Labels:
        """Empty for an identity that is not known: no selector but the wildcard selects it."""
        return self._labels.get(number, frozenset())

    def numbers(self) -> Mapping[int, Labels]:
        return self._labels

    def kept_selecting(self, labels: Labels) -> list[LabelSelector]:
        """The selectors asked for so far (`bits`) that select this label set."""
        return self._selectors.selecting(labels) if labels else []

    def add(self, number: int, labels: Labels) -> bool:
        """Know an identity. False if nothing changed; a number with other labels is replaced."""
        if self._labels.get(number) == labels:
            return False
        self.remove(number)
        slot = self._free.pop() if self._free else len(self._peer)
        if slot == len(self._peer):
            self._peer.append(IdentityPeer(number))
        self._peer[slot] = IdentityPeer(number)
        self._slot[number], self._labels[number] = slot, labels
        bit = 1 << slot
        self._all |= bit
        for key, value in view(labels).items():
            _set(self._values.setdefault(key, {}).setdefault(value, bytearray()), slot)
        for selector in self.kept_selecting(labels):
            self._kept[selector] |= bit
        return True

    def remove(self, number: int) -> bool:
        """Forget an identity. False if it was not known."""
        if number not in self._labels:
            return False
        slot, labels = self._slot.pop(number), self._labels.pop(number)
        self._free.append(slot)
        bit = 1 << slot
        self._all ^= bit
        for key, value in view(labels).items():
            values = self._values[key]
            _clear(values[value], slot)
            if values[value].count(0) == len(values[value]):
                del values[value]
            if not values:
                del self._values[key]
        for selector in self.kept_selecting(labels):
            self._kept[selector] ^= bit
        return True

    def bits(self, selector: LabelSelector) -> int:
        """The identities selected, as a bit set of slots."""
        kept = self._kept.get(selector)
        if kept is None:
            kept = self._all
            for requirement in selector.requirements:
                kept &= self._requirement(requirement)
            self._kept[selector] = kept
            self._selectors.add(selector)
        return kept

    def forget_selectors(self, unused: Iterable[PeerSelector]) -> None:
        """Drop the kept sets of selectors that no policy uses any more."""
        for selector in self._kept.keys() & unused:
            del self._kept[selector]
            self._selectors.discard(selector)

    def peers(self, bits: int) -> Iterator[IdentityPeer]:
        """The peers of a bit set. Digit by digit: taking the lowest bit off a long integer copies all of it."""
        digits = f"{bits:b}"[::-1]
        slot = digits.find("1")
        while slot >= 0:
            yield self._peer[slot]
            slot = digits.find("1", slot + 1)

    def select(self, selector: LabelSelector) -> Iterator[int]:
        """The numbers of the identities selected."""
        return (peer.number for peer in self.peers(self.bits(selector)))

    def _requirement(self, requirement: Requirement) -> int:
        values = self._values.get((requirement.source, requirement.key), {})
        found = 0
        if requirement.operator in ("In", "NotIn"):
            for value in requirement.values:
                found |= int.from_bytes(values.get(value, b""), "little")
        else:
            for bits in values.values():
                found |= int.from_bytes(bits, "little")
        return found if requirement.operator in ("In", "Exists") else self._all & ~found


def _set(bits: bytearray, slot: int) -> None:
    if len(bits) <= slot >> 3:
        bits.extend(bytes((slot >> 3) + 1 - len(bits)))
    bits[slot >> 3] |= 1 << (slot & 7)


def _clear(bits: bytearray, slot: int) -> None:
    bits[slot >> 3] &= ~(1 << (slot & 7))
