"""What the verbs that need no cluster read: files, folders, standard input, and batches of JSON lines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import click

from namewall.cli.context import WRONG_USAGE, fail
from namewall.cli.output_tabs import Table
from namewall.model.documents import parse_json
from namewall.review.complaints import Complaint, clean

STDIN = "STDIN"
_SUFFIXES = (".json", ".yaml", ".yml")


def texts(paths: Iterable[str], broken: list[Complaint] | None = None) -> Iterator[tuple[str, bytes]]:
    """Each file of `paths` and, in their order, of the folders among them; `-` is standard input.

    What cannot be read is added to `broken`, and the others are read; without that list it is the end.
    """
    for path in paths:
        if path == "-":
            yield STDIN, sys.stdin.buffer.read()
            continue
        found = sorted(_below(path)) if os.path.isdir(path) else [path]
        if not found:
            _missed(path, f"has no file that ends in {', '.join(_SUFFIXES)}", broken)
        for file in found:
            try:
                with open(file, "rb") as opened:
                    text = opened.read()
            except (OSError, ValueError) as error:
                _missed(file, f"cannot be read: {_why(error)}", broken)
            else:
                yield file, text


def _missed(path: str, text: str, broken: list[Complaint] | None) -> None:
    if broken is None:
        fail(f"{clean(path)} {text}", WRONG_USAGE)
    broken.append(Complaint(path, 0, "", text))


def cannot(what: str, path: str, error: Exception) -> NoReturn:
    fail(f"cannot {what} {clean(path)}: {_why(error)}", WRONG_USAGE)


def _why(error: Exception) -> str:
    """In the system's words."""
    return str((error.strerror if isinstance(error, OSError) else None) or error).lower()


def _below(folder: str) -> Iterator[str]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(where, name) for name in names if name.endswith(_SUFFIXES))


# --- batches -------------------------------------------------------------------------------------------------------

Row = Mapping[str, Any]


class BadRow(Exception):
    """A row that is no question. The batch goes on: its output line has nulls."""


def batch(path: str, keys: tuple[str, ...], answer: Callable[[Row], Row]) -> bool:
    """Answers each JSON line of a file, or of standard input for `-`, with one line that has `id` and `keys`, in the
    same order, as soon as it is read. A line that is no question gets nulls and a complaint on stderr. True if
    all were questions."""
    good = True
    source = STDIN if path == "-" else path
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        row: Any = None
        found: Row = {}
        try:
            row = parse_json(line.decode())
            if not isinstance(row, dict):
                raise BadRow("a row must be a JSON object")
            found = answer(row)
        except (BadRow, ValueError) as error:
            good = False
            text = _said(error)
            found = {"error": text}
            for each in text.split("\n"):
                click.echo(str(Complaint(source, number, "", each)), err=True)
        known = row.get("id") if isinstance(row, dict) else None
        print(json.dumps({"id": known} | {key: found.get(key) for key in keys}), flush=True)
    return good


def _lines(path: str) -> Iterator[bytes]:
    """As soon as each is there; `for line in file` would wait for a full buffer."""
    try:
        with sys.stdin.buffer if path == "-" else open(path, "rb") as file:
            while line := file.readline():
                yield line
    except OSError as error:
        cannot("read", path, error)


def _said(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "no UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg[:1].lower()}{error.msg[1:]} at column {error.colno}"
    return str(error)


def only_one(paths: tuple[str, ...], batch_file: str | None, what: str) -> None:
    """Files or --batch, and something at all."""
    if batch_file is not None and paths:
        raise click.UsageError(f"give {what} or --batch, not both")
    if batch_file is None and not paths:
        raise click.UsageError(f"give {what}, `-` for standard input, or --batch FILE")


def counted(number: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def dumped(rows: Any, output: str) -> str:
    """As `-o json` or `-o yaml`."""
    if output == "json":
        return json.dumps(rows, indent=2) + "\n"
    from namewall.cli.output import to_yaml

    # YAML could not carry lone surrogates.
    return to_yaml(json.loads(json.dumps(rows, ensure_ascii=False).encode("utf-8", "replace")))


def table(rows: list[list[str]]) -> str:
    return "\n".join(Table().lines(rows))
