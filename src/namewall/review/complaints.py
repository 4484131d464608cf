"""Texts to documents, and what is wrong with them: one line `FILE:LINE: field.path: problem` each.

Text of others is escaped, so that no file can steer a terminal or break the encoding of a log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from namewall.model.documents import Document, Unreadable, read
from namewall.model.errors import Problem
from namewall.model.near import or_meant


def clean(text: object) -> str:
    """One line, printable: what is not is escaped as Python would."""
    line = str(text)
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


@dataclass(frozen=True, slots=True)
class Complaint:
    """A problem and where it is; `line` and `column` 0 are unknown. `origin` is who says so, as in Problem, or
    `yaml`; `meant` and `hint` as in Problem."""

    source: str
    line: int
    path: str
    message: str
    column: int = 0
    origin: str = ""
    meant: str | None = None
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        said = ": ".join(part for part in (where, self.path, self.message) if part)
        return clean(or_meant(said, self.meant, self.hint))

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "line": self.line or None,
            "path": self.path,
            "message": self.message,
            "meant": self.meant,
            "hint": self.hint or None,
        }


def complaint(source: str, document: Document, problem: Problem, prefix: str = "") -> Complaint:
    """Where in the text a problem is. `prefix` is where its object stands in the document."""
    path = ".".join(part for part in (prefix, problem.path) if part)
    line, column = document.place_of(path)
    return Complaint(
        source, line, problem.path, problem.message, column, problem.stage, problem.meant, problem.hint
    )


def documents(source: str, text: bytes, complaints: list[Complaint]) -> Iterator[Document]:
    """Those that are not empty. Where the text breaks off, `complaints` says so."""
    try:
        for document in read(text):
            if document.value is not None:
                yield document
    except Unreadable as error:
        complaints.append(Complaint(source, error.line, error.path, error.said, error.column, "yaml"))
