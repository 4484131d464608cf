"""Numbers for label sets. One label set has one number while anything uses it.

Numbers go round: one that falls free is given again only after all later ones, because ipcache and policy rows
that named it may still be on their way out.
"""

from __future__ import annotations

from collections.abc import Iterable

from namewall.model.identity import FIRST_POD_IDENTITY

LAST_POD_IDENTITY = 65535

Labels = frozenset[str]


class Identities:
    """Pod label sets and their numbers; reserved identities are not kept here."""

    def __init__(self, known: Iterable[tuple[int, Labels]] = ()) -> None:
        self._number: dict[Labels, int] = {}
        self._labels: dict[int, Labels] = {}
        self._next = FIRST_POD_IDENTITY
        self.restore(known)

    def restore(self, known: Iterable[tuple[int, Labels]]) -> None:
        """Numbers that an earlier agent gave; what is known already stays."""
        for number, labels in sorted(known, key=lambda pair: pair[0]):
            if labels not in self._number and FIRST_POD_IDENTITY <= number <= LAST_POD_IDENTITY:
                self._number[labels] = number
                self._labels[number] = labels
                self._next = number + 1

    def number(self, labels: Labels) -> int:
        """The number of this label set, given now if it has none. Raises OverflowError when all are in use."""
        if labels in self._number:
            return self._number[labels]
        span = LAST_POD_IDENTITY - FIRST_POD_IDENTITY + 1
        for step in range(span):
            number = FIRST_POD_IDENTITY + (self._next - FIRST_POD_IDENTITY + step) % span
            if number not in self._labels:
                self._number[labels] = number
                self._labels[number] = labels
                self._next = number + 1
                return number
        raise OverflowError(f"all {span} identities are in use")

    def labels(self) -> dict[int, Labels]:
        return dict(self._labels)

    def keep(self, used: Iterable[Labels]) -> list[int]:
        """Forget the label sets that nothing uses; the numbers that fell free."""
        wanted = set(used)
        gone = [number for number, labels in self._labels.items() if labels not in wanted]
        for number in gone:
            del self._number[self._labels.pop(number)]
        return gone
