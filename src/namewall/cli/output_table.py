"""Prints server-made Tables (meta.k8s.io/v1) as kubectl does: which columns, labels, sorting, watching.

The cells are the server's; this decides only what is shown of them and where. Invariant: rows come out in
the server's order unless `--sort-by` says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from namewall.cli.kubectl import Failure, Object
from namewall.cli.output_tabs import Table
from namewall.kube import jsonpath
from namewall.kube.resources import Resource


@dataclass(frozen=True, slots=True)
class Layout:
    """What the flags of `get` say about the table."""

    wide: bool = False
    headers: bool = True
    show_labels: bool = False
    label_columns: tuple[str, ...] = ()
    show_kind: bool = False


@dataclass(slots=True)
class TablePrinter:
    """One run of rows under one header: rows of the same type, or the frames of a watch.

    `with_namespace`: a column for it comes first, blank for cluster-wide objects.
    """

    layout: Layout
    resource: Resource
    with_namespace: bool = False
    _columns: list[tuple[int, str]] = field(default_factory=list)
    _table: Table = field(default_factory=Table)
    _headed: bool = False

    def lines(self, answer: Object) -> list[str]:
        """The lines of one answer, led by the header the first time there is a row."""
        self._learn(answer.get("columnDefinitions") or [])
        rows = [self._row(row) for row in answer.get("rows") or ()]
        if rows and self.layout.headers and not self._headed:
            self._headed = True
            rows.insert(0, self._header())
        return self._table.lines(rows)

    def _learn(self, definitions: Sequence[Object]) -> None:
        """A watch's later frames come without definitions: the first ones stay."""
        if definitions:
            self._columns = [
                (index, str(column.get("name", "")))
                for index, column in enumerate(definitions)
                if self.layout.wide or not column.get("priority")
            ]

    def _header(self) -> list[str]:
        names = [name.upper() for _, name in self._columns]
        names += [label.rpartition("/")[2].upper() for label in self.layout.label_columns]
        if self.layout.show_labels:
            names.append("LABELS")
        return ["NAMESPACE", *names] if self.with_namespace else names

    def _row(self, row: Object) -> list[str]:
        cells = row.get("cells") or []
        metadata = (row.get("object") or {}).get("metadata") or {}
        labels = metadata.get("labels") or {}
        shown = [_cell(cells[index]) if index < len(cells) else "" for index, _ in self._columns]
        if self.layout.show_kind and shown:
            shown[0] = f"{_kind_prefix(self.resource)}/{shown[0]}"
        shown += [str(labels.get(label, "")) for label in self.layout.label_columns]
        if self.layout.show_labels:
            shown.append(",".join(f"{key}={labels[key]}" for key in sorted(labels)) or "<none>")
        return [str(metadata.get("namespace", "")), *shown] if self.with_namespace else shown


def _kind_prefix(resource: Resource) -> str:
    kind = resource.kind.lower()
    return f"{kind}.{resource.group}" if resource.group else kind


def _cell(value: Any) -> str:
    """A cell's text: one line of it, and no control characters that would steer the terminal."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else jsonpath.text(value)
    head, newline, _ = (
        re.split("([\n\f\r])", text, maxsplit=1) if re.search("[\n\f\r]", text) else (text, "", "")
    )
    return head.replace("\x1b", "^[") + ("..." if newline else "")


def by(expression: str) -> jsonpath.Template:
    """`--sort-by`, with or without braces."""
    try:
        return jsonpath.parse(jsonpath.relaxed(expression))
    except jsonpath.JSONPathError as error:
        raise Failure(f"error: {error}") from error


def ordered(objects: Sequence[tuple[Object, Any]], path: jsonpath.Template) -> list[Any]:
    """The second members, by what `path` finds in the first; those without it come first."""
    keys: list[tuple[int, Any]] = []
    anything = False
    for obj, _ in objects:
        values = [value for part in path.find(obj) for value in part]
        anything = anything or bool(values)
        keys.append(_sort_key(values[0]) if values and values[0] is not None else (0, 0.0))
    if objects and not anything:
        raise Failure(f'error: couldn\'t find any field with path "{path.source}" in the list of objects')
    order = sorted(range(len(keys)), key=lambda index: keys[index])
    return [objects[index][1] for index in order]


_SUFFIX = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18} | {
    f"{letter}i": 1024.0 ** (index + 1) for index, letter in enumerate("KMGTPE")
}
_QUANTITY = re.compile(r"([-+]?\d+(?:\.\d+)?)(|m|k|[MGTPE]|[KMGTPE]i)")


def _sort_key(value: Any) -> tuple[int, Any]:
    """Numbers and quantities by size, words by their characters."""
    if isinstance(value, bool | int | float):
        return (1, float(value))
    text = value if isinstance(value, str) else jsonpath.go_json(value)
    quantity = _QUANTITY.fullmatch(text)
    if quantity:
        return (1, float(quantity[1]) * _SUFFIX[quantity[2]])
    return (2, text)
