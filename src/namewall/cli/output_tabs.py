"""Aligns text in columns the way kubectl's output is aligned (Go's text/tabwriter). Pure.

A column is a run of lines in which a cell ends with a tab; its width is that of its widest cell plus the
padding. The last cell of a line is never padded, so a line ends where its text ends.
"""

from __future__ import annotations

from collections.abc import Sequence

PADDING = 3
MINIMUM = 6
"""kubectl get's own: three spaces between columns, none narrower than six."""


def align(text: str, *, minimum: int = 0, padding: int = 2) -> str:
    """tabwriter with spaces, for `describe` (minimum 0, padding 2)."""
    lines = [line.split("\t") for line in text.split("\n")]
    widths: list[list[int]] = [[0] * (len(line) - 1) for line in lines]
    deepest = max((len(line) - 1 for line in lines), default=0)
    for column in range(deepest):
        at = 0
        while at < len(lines):
            end = at
            while end < len(lines) and column < len(lines[end]) - 1:
                end += 1
            if end > at:
                width = max(minimum, *(len(lines[i][column]) + padding for i in range(at, end)))
                for i in range(at, end):
                    widths[i][column] = width
            at = max(end, at + 1)
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(line, [*widths[i], 0], strict=True))
        for i, line in enumerate(lines)
    )


class Table:
    """Rows printed in batches; a column once wide stays wide (tabwriter's RememberWidths, for --watch)."""

    def __init__(self, minimum: int = MINIMUM, padding: int = PADDING) -> None:
        self._minimum, self._padding = minimum, padding
        self._widths: list[int] = []

    def lines(self, rows: Sequence[Sequence[str]]) -> list[str]:
        columns = max((len(row) for row in rows), default=1)
        self._widths += [self._minimum] * (columns - 1 - len(self._widths))
        for row in rows:
            for index, cell in enumerate(row[:-1]):
                self._widths[index] = max(self._widths[index], len(cell) + self._padding)
        return [
            "".join(cell.ljust(width) for cell, width in zip(row[:-1], self._widths, strict=False)) + row[-1]
            for row in rows
        ]
