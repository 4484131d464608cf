"""Text to documents: YAML and JSON as plain values, with the line and column of every field.

YAML is read the way kubectl reads it (go-yaml's idea of YAML 1.1, then JSON): `yes` and `y` are true, dates stay
text, keys become strings, a key twice is an error. libyaml finds the events; composing them is done here, in a loop
and not by recursion, so that no depth can end the process. Invariant: time and memory are linear in the text;
nesting and what aliases repeat are bounded, and anything else that is wrong is an Unreadable.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from namewall.model.errors import NamewallError
from namewall.model.near import TEMPLATE

MAX_DEPTH = 100
"""Nested mappings and sequences. Policies need about fifteen."""
MAX_REPEATED = 100_000
"""Values that the aliases of a document may repeat, a long text counting as one for each 64 characters."""

_Places = dict[str, int] | list[int]
"""Of the members of a container: `line << SHIFT | column`, both counted from 1."""
_SHIFT = 24
_COLUMNS = (1 << _SHIFT) - 1


class Unreadable(NamewallError):
    """What is no YAML, or no YAML we take. `line` and `column` count from 1, 0 is unknown; `mark` is libyaml's
    error, if it was one. `problem` is what kubectl says too; `said` has what helps beside it. `path` is the field of
    its document, "" where that is not known."""

    def __init__(
        self,
        problem: str,
        line: int,
        mark: yaml.YAMLError | None = None,
        column: int = 0,
        hint: str = "",
        path: str = "",
    ) -> None:
        self.problem, self.line, self.mark, self.column, self.path = problem, line, mark, column, path
        self.said = f"{problem}: {hint}" if hint else problem
        super().__init__(f"line {line}: {self.said}" if line else self.said)


class Document:
    """One document: `value` is made of dict, list, str, int, float, bool and None, keys are str."""

    __slots__ = ("_first", "_list", "_offset", "_places", "_text", "line", "value")

    def __init__(
        self,
        value: Any,
        line: int = 1,
        places: dict[int, _Places] | None = None,
        text: str = "",
        column: int = 1,
    ) -> None:
        """`places` are those of the members of each container by its id; without them `text` is read once more
        when one is asked for."""
        self.value, self.line, self._places, self._text = value, line, places, text
        self._first = line << _SHIFT | column
        self._offset = 0
        self._list: tuple[str, Any, int] = "", value, self._first
        """The list that was found last: problems come in long rows of one list's."""

    def line_of(self, path: str) -> int:
        """The line of `spec.egress[1].toFQDNs[0].matchName`: of its key, or of the list item. Of a path that goes
        on where the document ends, the deepest part that is there."""
        return self._place_of(path) >> _SHIFT

    def place_of(self, path: str) -> tuple[int, int]:
        """Line and column, of the same."""
        place = self._place_of(path)
        return place >> _SHIFT, place & _COLUMNS

    def _place_of(self, path: str) -> int:
        if self._places is None:
            self._find_places()
        value, place, rest = self.value, self._first, path
        before = path[: path.rfind("[")]
        if before and before == self._list[0]:
            _, value, place = self._list
            rest = path[len(before) :]
        while rest and self._places is not None:
            places = self._places.get(id(value))
            if isinstance(value, dict) and isinstance(places, dict):
                if rest[0] == "[" and rest[1:-1] in places:  # `labels[app]`, as Kubernetes writes it
                    return places[rest[1:-1]] + self._offset
                key = _first_key(value, rest)
                if key is None or key not in places:
                    break
                value, place, rest = value[key], places[key] + self._offset, rest[len(key) :]
            elif isinstance(value, list) and isinstance(places, list) and (match := _INDEX.match(rest)):
                if len(rest) + len(before) == len(path):
                    self._list = before, value, place
                index = int(match[1])
                if index >= len(value):
                    break
                value, place, rest = value[index], places[index] + self._offset, rest[match.end() :]
            else:
                break
            rest = rest.removeprefix(".")
        return place

    def _find_places(self) -> None:
        """Of JSON: as YAML, which it is but for corner cases; those have the place of the whole."""
        self._places = {}
        try:
            found = next(read_yaml(self._text), None)
        except Unreadable:
            return
        if found is not None and found.value == self.value:
            self.value, self._places, self._offset = found.value, found._places, (self.line - 1) << _SHIFT


_INDEX = re.compile(r"\[(\d{1,9})\]")
_MAX_KEY_PARTS = 64


def _first_key(value: dict[str, Any], path: str) -> str | None:
    """The longest key of `value` that the path begins with; keys may have dots and brackets of their own."""
    found = path if path in value else None
    if found is None:
        for at, match in enumerate(re.finditer(r"[.\[]", path)):
            if path[: match.start()] in value:
                found = path[: match.start()]
            if at == _MAX_KEY_PARTS:
                break
    return found


def read(text: bytes) -> Iterator[Document]:
    """The documents of a text, lazily: those before a broken one are good. Raises Unreadable."""
    if text.lstrip()[:1] in (b"{", b"["):
        try:
            with _no_garbage():
                documents = list(_json(text.decode()))
        except (ValueError, RecursionError):
            pass  # a YAML flow mapping begins with a brace too, and YAML says on which line it is broken
        else:
            yield from documents
            return
    yield from read_yaml(text)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """What is read has no cycles, and looking for some again and again would take longer than the reading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# --- JSON --------------------------------------------------------------------------------------------------------

_SPACE = re.compile(r"[ \t\n\r]*")


def parse_json(text: str) -> Any:
    """One JSON value, as strict as `read`. Raises ValueError for all that is wrong with it."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    _check_depth(value)
    return value


def _json(text: str) -> Iterator[Document]:
    """Several values may follow each other."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
    at, line, counted = 0, 1, 0
    while True:
        space = _SPACE.match(text, at)
        start = space.end() if space else at
        if start == len(text):
            return
        value, at = decoder.raw_decode(text, start)
        _check_depth(value)
        line += text.count("\n", counted, start)
        counted = start
        yield Document(value, line, text=text[start:at])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f'key "{_shown(key)}" already set in map')
            seen.add(key)
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"`{text}` is no JSON number")


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        level = [
            member
            for one in level
            if isinstance(one, dict | list)
            for member in (one.values() if isinstance(one, dict) else one)
            if isinstance(member, dict | list)
        ]


# --- YAML --------------------------------------------------------------------------------------------------------

_Events = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE_KEY = object()
_NO_KEY = object()


class _Frame:
    """A mapping or sequence that is being read."""

    __slots__ = ("anchor", "before", "key", "key_place", "merges", "place", "places", "value")

    def __init__(self, value: Any, places: _Places, place: int, anchor: str | None, before: int) -> None:
        self.value, self.place = value, place
        self.places: Any = places
        self.anchor, self.before = anchor, before
        self.key: Any = _NO_KEY
        self.key_place = place
        self.merges: list[dict[str, Any]] = []


def read_yaml(text: bytes | str) -> Iterator[Document]:
    """Like `read`, for text that is YAML (all JSON but for corner cases is)."""
    try:
        events = _Events(text)
        try:
            while True:
                event = events.get_event()
                if event is None or isinstance(event, yaml.StreamEndEvent):
                    return
                if isinstance(event, yaml.DocumentStartEvent):
                    with _no_garbage():
                        document = _document(events)
                    yield document
        finally:
            events.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = str(getattr(error, "problem", None) or str(error).splitlines()[0])
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        if isinstance(error, yaml.reader.ReaderError) and isinstance(text, bytes):
            line = text.count(b"\n", 0, error.position) + 1
        raise Unreadable(problem, line, error, column, _hint(text, line, column)) from error
    except (UnicodeError, ValueError) as error:
        raise Unreadable(str(error), 0) from error


def _hint(text: bytes | str, line: int, column: int) -> str:
    """What makes a text no YAML up to this place: a tab that indents, or a template."""
    lines = (text if isinstance(text, bytes) else text.encode()).split(b"\n", line)[:line]
    before = lines[-1][:column] if lines and len(lines) == line else b""
    if before.endswith(b"\t") and not before.strip():
        return "YAML is indented by spaces, not by tabs"
    return TEMPLATE if any(b"{{" in each for each in lines) else ""


def _document(events: Any) -> Document:
    """Up to the document's end. Each event is one value, or an end; `done` is the last value that is whole."""
    stack: list[_Frame] = []
    anchors: dict[str, tuple[Any, int]] = {}
    places: dict[int, _Places] = {}
    count = repeated = 0
    first = 0
    get = events.get_event
    while True:
        event = get()
        kind = type(event)
        mark = event.start_mark
        line = mark.line + 1
        place = line << _SHIFT | mark.column + 1
        if kind is yaml.ScalarEvent:
            count += 1 + (len(event.value) >> 6)
            frame = stack[-1] if stack else None
            if frame is not None and frame.key is _NO_KEY and type(frame.value) is dict:
                _take_key(stack, event, line, place)
                if event.anchor is not None:
                    anchors[event.anchor] = event.value, 1
                continue
            done = _scalar(event, line)
            first = first or place
            if event.anchor is not None:
                anchors[event.anchor] = done, 1 + (len(event.value) >> 6)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            count += 1
            if len(stack) >= MAX_DEPTH:
                raise Unreadable(f"nested deeper than {MAX_DEPTH}", line)
            if stack and stack[-1].key is _NO_KEY and type(stack[-1].value) is dict:
                template = place == stack[-1].place + 1  # `{{`
                raise Unreadable("a key must be a plain value", line, hint=TEMPLATE if template else "")
            mapping = kind is yaml.MappingStartEvent
            wanted = "tag:yaml.org,2002:map" if mapping else "tag:yaml.org,2002:seq"
            if event.tag not in (None, "!", wanted):
                raise Unreadable(f"could not determine a constructor for the tag '{_shown(event.tag)}'", line)
            frame = _Frame({} if mapping else [], {} if mapping else [], place, event.anchor, count - 1)
            if event.anchor is not None:
                anchors.pop(event.anchor, None)
            stack.append(frame)
            first = first or place
            continue
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            frame = stack.pop()
            if frame.merges:
                _merge(frame, places)
            done, place = frame.value, frame.place
            places[id(done)] = frame.places
            if frame.anchor is not None:
                anchors[frame.anchor] = done, count - frame.before
        elif kind is yaml.AliasEvent:
            if event.anchor not in anchors:
                inside = any(frame.anchor == event.anchor for frame in stack)
                what = "refers to what it is part of" if inside else "is not defined"
                raise Unreadable(f"alias `{_shown(event.anchor)}` {what}", line)
            done, size = anchors[event.anchor]
            count += size
            repeated += size
            if repeated > MAX_REPEATED:
                raise Unreadable(f"document contains excessive aliasing: over {MAX_REPEATED} values", line)
            if stack and stack[-1].key is _NO_KEY and type(stack[-1].value) is dict:
                raise Unreadable("a key must be a plain value", line)
        else:  # the document's end: an empty one has a scalar
            first = first or place
            return Document(done, first >> _SHIFT, places, column=first & _COLUMNS)
        if not stack:
            continue
        frame = stack[-1]
        if type(frame.value) is list:
            frame.value.append(done)
            frame.places.append(place)
        elif frame.key is _MERGE_KEY:
            given = done if isinstance(done, list) else [done]
            if not all(isinstance(one, dict) for one in given):
                raise Unreadable("map merge requires map or sequence of maps as the value", line)
            frame.merges += given
            frame.key = _NO_KEY
        else:
            frame.value[frame.key] = done
            frame.places[frame.key] = frame.key_place
            frame.key = _NO_KEY


def _take_key(stack: list[_Frame], event: Any, line: int, place: int) -> None:
    frame = stack[-1]
    if event.value == "<<" and event.implicit[0]:
        frame.key = _MERGE_KEY
        return
    key = _as_key(_scalar(event, line), event.value)
    if key in frame.value:
        raise Unreadable(f'key "{_shown(key)}" already set in map', line, path=_path(stack, key))
    frame.key, frame.key_place = key, place


def _path(stack: list[_Frame], key: str) -> str:
    """Of a key of the innermost mapping."""
    found = ""
    for frame in stack[:-1]:
        if isinstance(frame.value, list):
            found += f"[{len(frame.value)}]"
        else:
            found += f".{'<<' if frame.key is _MERGE_KEY else frame.key}"
    return f"{found}.{key}".removeprefix(".")


def _merge(frame: _Frame, places: dict[int, _Places]) -> None:
    """What the mapping says itself stands; of several merged ones the first."""
    for other in frame.merges:
        known = places.get(id(other), {})
        for key, value in other.items():
            if key not in frame.value:
                frame.value[key] = value
                frame.places[key] = known[key] if isinstance(known, dict) else frame.place


def _as_key(value: Any, text: str) -> str:
    """As JSON has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else text if isinstance(value, float) else str(value)


def _shown(text: str) -> str:
    cut = text if len(text) <= 100 else text[:100] + "…"
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in cut)


_BOOL = re.compile(
    r"(?:y|Y|yes|Yes|YES|on|On|ON|true|True|TRUE|n|N|no|No|NO|off|Off|OFF|false|False|FALSE)\Z"
)
_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)\Z")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z|[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z"
)
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z")
_DATE = re.compile(
    r"\d{4}-\d\d?-\d\d?(?:[Tt ]\s*\d\d?:\d\d?:\d\d?(?:\.\d*)?\s*(?:Z|[-+]\d\d?(?::?\d\d)?)?)?\Z"
)
_SPECIAL = frozenset("yYnNtTfFoO-+0123456789.~")
_MAX_NUMBER = 400
"""Characters; longer ones stay text, since no number of JSON's readers has as many."""


def ambiguous(text: str) -> bool:
    """Whether a plain word of YAML would not be read back as this text, so that it must be quoted."""
    return not isinstance(plain(text), str) or bool(
        text == "<<" or _INT.match(text) or _FLOAT.match(text) or _BASE_60.match(text) or _DATE.match(text)
    )


def plain(text: str) -> Any:
    """What a word without quotes means."""
    if not text:
        return None
    if text[0] not in _SPECIAL or len(text) > _MAX_NUMBER:
        return text
    if _BOOL.match(text):
        return text[0] in "yYtT" or text.lower() == "on"
    if _NULL.match(text):
        return None
    try:
        if _INT.match(text):
            return _int(text.replace("_", ""))
        if _FLOAT.match(text):
            return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:  # `0x_` and the like
        pass
    return text


def _int(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.removeprefix("+"))
    if digits[:2] in ("0b", "0o", "0x"):
        return sign * int(digits, 0)
    if len(digits) > 1 and digits[0] == "0" and set(digits) <= set("01234567"):
        return sign * int(digits, 8)
    return sign * int(digits)


_TAGS: dict[str, tuple[type, ...]] = {
    "tag:yaml.org,2002:bool": (bool,),
    "tag:yaml.org,2002:int": (int,),
    "tag:yaml.org,2002:float": (float, int),
    "tag:yaml.org,2002:null": (type(None),),
}


def _scalar(event: Any, line: int) -> Any:
    tag = event.tag
    if tag is None:
        return plain(event.value) if event.implicit[0] else event.value
    if tag in ("!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp"):
        return event.value
    if tag in _TAGS:
        value = plain(event.value)
        if type(value) in _TAGS[tag]:
            return value
        raise Unreadable(f"cannot decode `{_shown(event.value)}` as a {tag.rpartition(':')[2]}", line)
    raise Unreadable(f"could not determine a constructor for the tag '{_shown(tag)}'", line)
