"""Kubernetes' JSONPath templates (k8s.io/client-go/util/jsonpath): parsed once, then printed or found. Pure.

`{.items[0].metadata.name}`, `{range .items[*]}…{end}`, filters `[?(@.type=="Ready")]`, unions `['a','b']`,
slices `[0:2:1]`, `..name`, `@`, `$`, quoted text, `\\.` in names. Missing members print nothing; an index
outside an array is an error. Where this differs from other JSONPaths it follows kubectl, for which scripts
are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


class JSONPathError(ValueError):
    """The template cannot be read, or not applied to this object."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """`.name`; "" is the value itself."""

    name: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    pass


@dataclass(frozen=True, slots=True)
class Recursive:
    """`..`: the value and all below it."""


@dataclass(frozen=True, slots=True)
class Root:
    """`$`: the whole object again; in a range, the whole item."""


@dataclass(frozen=True, slots=True)
class Slice:
    """`[start:end:step]`; an index is a slice of one with `index` set."""

    start: int | None
    end: int | None
    step: int = 1
    index: bool = False


@dataclass(frozen=True, slots=True)
class Union:
    alternatives: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Filter:
    left: Path
    operator: str
    right: Path


@dataclass(frozen=True, slots=True)
class Fail:
    """What kubectl finds out only when it applies the template."""

    why: str


@dataclass(frozen=True, slots=True)
class Range:
    """`{range PATH}…{end}`; the path is the rest of its own action."""

    over: Path
    body: tuple[Path, ...]


Step = Text | Field | Wildcard | Recursive | Root | Slice | Union | Literal | Filter | Fail | Range
Path = tuple[Step, ...]

_INT = re.compile(r"[-+]?\d+")
_SLICE = re.compile(r"\s*(-?\d*)\s*(?::\s*(-?\d*)\s*(?::\s*(-?\d*)\s*)?)?$")
_OPERATOR = re.compile(r"[!<>=]+")
_OPERATORS = ("==", "!=", "<", "<=", ">", ">=")
_NAME_END = " \t\r\n.,[]|@$\"'{}()=!<>"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: a list of parts, each printed in turn."""

    source: str
    parts: tuple[Path, ...]

    def render(self, value: Any) -> str:
        """What `kubectl get -o jsonpath=…` writes for the object."""
        return "".join(_render(self.parts, value, value))

    def find(self, value: Any) -> list[list[Any]]:
        """The values of each part, for columns and sorting."""
        return [_apply(part, [value], value) for part in self.parts if not isinstance(part[0], Range)]


def parse(source: str) -> Template:
    return Template(source, _Parser(source).template())


def relaxed(expression: str) -> str:
    """`x.y`, `.x.y`, `{x.y}` and `{.x.y}` are all `{.x.y}` (columns, --sort-by)."""
    match = re.fullmatch(r"\{\.?([^{}]+)\}|\.?([^{}]+)", expression)
    if not expression:
        return expression
    if match is None:
        raise JSONPathError(
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or "
            "'{.name1.name2}'"
        )
    return "{." + (match[1] or match[2]) + "}"


# --- reading ----------------------------------------------------------------------------------------------


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def template(self) -> tuple[Path, ...]:
        parts = self._parts(inside_range=False)
        return tuple(parts)

    def _parts(self, inside_range: bool) -> list[Path]:
        parts: list[Path] = []
        while self.at < len(self.source):
            brace = self.source.find("{", self.at)
            text = self.source[self.at : brace if brace >= 0 else len(self.source)]
            if text:
                parts.append((Text(text),))
            if brace < 0:
                self.at = len(self.source)
                break
            self.at = brace + 1
            self._space()
            word = re.compile(r"(range|end)\b").match(self.source, self.at)
            if word and word[1] == "end":
                self.at = word.end()
                self._close()
                if inside_range:
                    return parts
                parts.append((Fail("not in range, nothing to end"),))
                continue
            if word:
                self.at = word.end()
                over = self._action()
                parts.append((Range(over, tuple(self._parts(inside_range=True))),))
            else:
                parts.append(self._action())
        return parts  # a range that nobody ends goes to the end

    def _action(self) -> Path:
        """The path up to the closing brace; white space in it means nothing."""
        path: list[Step] = []
        while True:
            if self.at >= len(self.source):
                raise JSONPathError("unclosed action")
            char = self.source[self.at]
            if char == "}":
                self.at += 1
                return tuple(path) or (Field(""),)
            if char.isspace():
                self.at += 1
            elif char in "\"'":
                path.append(Text(self._quoted()))
            else:
                path.extend(self._step())

    def _close(self) -> None:
        self._space()
        if self.at >= len(self.source) or self.source[self.at] != "}":
            raise JSONPathError("unclosed action")
        self.at += 1

    def _space(self) -> None:
        while self.at < len(self.source) and self.source[self.at].isspace():
            self.at += 1

    def _step(self) -> Iterable[Step]:
        source = self.source
        char = source[self.at]
        if char == "$":
            self.at += 1
            return [Root()]
        if char == "@":
            self.at += 1
            return []
        if source.startswith("..", self.at):
            self.at += 2
            follows = source[self.at : self.at + 1]
            name = [] if follows in ("[", "*", "", "}", ".") else [Field(self._name())]
            if follows == "*":
                self.at += 1
                return [Recursive(), Wildcard()]
            return [Recursive(), *name]
        if char == ".":
            self.at += 1
            if source[self.at : self.at + 1] == "*":
                self.at += 1
                return [Wildcard()]
            if source[self.at : self.at + 1] == "[":
                return []
            return [Field(self._name())]
        if char == "[":
            return self._bracket()
        if char == "*":
            self.at += 1
            return [Wildcard()]
        number = re.compile(r"[-+]?\d+(?:\.\d+)?").match(source, self.at)
        if number:
            self.at = number.end()
            text = number[0]
            return [Literal(float(text) if "." in text else int(text))]
        name_ = self._name()
        if name_ in ("true", "false"):
            return [Literal(name_ == "true")]
        if not name_ or not (name_[0].isalpha() or name_[0] == "_"):
            raise JSONPathError(f"unrecognized character in action: U+{ord(char):04X} '{char}'")
        return [Fail(f"unrecognized identifier {name_}")]

    def _name(self) -> str:
        """A member's name; a backslash takes the next character as it is."""
        name = []
        while self.at < len(self.source) and self.source[self.at] not in _NAME_END:
            if self.source[self.at] == "\\" and self.at + 1 < len(self.source):
                self.at += 1
            name.append(self.source[self.at])
            self.at += 1
        return "".join(name)

    def _quoted(self) -> str:
        quote = self.source[self.at]
        out: list[str] = []
        self.at += 1
        while self.at < len(self.source):
            char = self.source[self.at]
            self.at += 1
            if char == quote:
                return "".join(out)
            if char == "\\" and self.at < len(self.source):
                follows = self.source[self.at]
                self.at += 1
                if follows == "u":
                    out.append(chr(int(self.source[self.at : self.at + 4], 16)))
                    self.at += 4
                else:
                    out.append(_ESCAPES.get(follows, follows))
            else:
                out.append(char)
        raise JSONPathError("unterminated quoted string")

    def _bracket(self) -> Path:
        inner = self._inner()
        stripped = inner.strip()
        if stripped == "*":
            return (Wildcard(),)
        if stripped.startswith("?("):
            if not stripped.endswith(")"):
                raise JSONPathError("unclosed filter: `)` is missing")
            return (_filter(stripped[2:-1]),)
        parts = re.findall(r"""(?:'(?:\\.|[^'])*'|[^,])+""", inner)
        if len(parts) > 1:
            return (Union(tuple(_Parser(f"[{part.strip()}]")._bracket() for part in parts)),)
        if re.fullmatch(r"'[^']*'", stripped):
            return _Parser(
                f".{stripped[1:-1]}}}"
            )._action()  # dots count inside the quotes too, as in kubectl
        numbers = _SLICE.match(inner)
        if numbers is None or not stripped:
            raise JSONPathError(f"invalid array index {inner}")
        start, end, step = (int(text) if text else None for text in numbers.groups())
        if ":" not in inner:
            return (Slice(start, None, index=True),)
        return (Slice(start, end, 1 if step is None else step),)

    def _inner(self) -> str:
        """What stands between `[` and its `]`, quotes and inner brackets minded."""
        depth, start = 0, self.at + 1
        quote = ""
        while self.at < len(self.source):
            char = self.source[self.at]
            if quote:
                if char == "\\":
                    self.at += 1
                elif char == quote:
                    quote = ""
            elif char in "\"'":
                quote = char
            elif char == "[":
                depth += 1
            elif char == "]":
                depth -= 1
                if depth == 0:
                    self.at += 1
                    return self.source[start : self.at - 1]
            self.at += 1
        raise JSONPathError("unterminated array")


def _filter(inner: str) -> Filter:
    at, quote, depth = 0, "", 0
    while at < len(inner):
        char = inner[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif depth == 0 and (operator := _OPERATOR.match(inner, at)):
            return Filter(_operand(inner[:at]), operator[0], _operand(inner[operator.end() :]))
        at += 1
    return Filter(_operand(inner), "exists", ())


def _operand(text: str) -> Path:
    return _Parser(text.strip() + "}")._action()


# --- applying ---------------------------------------------------------------------------------------------


def _render(parts: Sequence[Path], current: Any, root: Any) -> list[str]:
    out: list[str] = []
    for part in parts:
        if isinstance(part[0], Range):
            for item in _apply(part[0].over, [current], root):
                out += _render(part[0].body, item, item)
        else:
            out.append(" ".join(text(value) for value in _apply(part, [current], root)))
    return out


def text(value: Any) -> str:
    """One value as kubectl prints it: texts bare, the rest as compact JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, dict | list):
        return go_json(value)
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value)


def go_json(value: Any, indent: int | None = None) -> str:
    """As Go's encoding/json: keys sorted, no needless escapes but those that keep HTML safe."""
    plain = json.dumps(
        value,
        sort_keys=True,
        ensure_ascii=False,
        indent=indent,
        separators=(",", ": ") if indent else (",", ":"),
    )
    return re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", plain)


def _apply(path: Path, values: list[Any], root: Any) -> list[Any]:
    for step in path:
        values = [found for value in values for found in _one(step, value, root)]
        if isinstance(step, Root | Text | Literal):
            values = values[:1] or list(_one(step, root, root))
    return values


def _one(step: Step, value: Any, root: Any) -> Iterable[Any]:
    match step:
        case Text(words):
            return [words]
        case Literal(constant):
            return [constant]
        case Root():
            return [root]
        case Field(name):
            if name == "":
                return [value]
            return [value[name]] if isinstance(value, dict) and name in value else []
        case Wildcard():
            if isinstance(value, dict):
                return [value[key] for key in sorted(value)]
            return value if isinstance(value, list) else []
        case Recursive():
            return _descend(value)
        case Slice():
            return _slice(step, value)
        case Union(alternatives):
            return [found for path in alternatives for found in _apply(path, [value], root)]
        case Filter():
            items = [value[key] for key in sorted(value)] if isinstance(value, dict) else value
            return [item for item in items if _holds(step, item, root)] if isinstance(items, list) else []
        case Fail(why):
            raise JSONPathError(why)
    raise JSONPathError("range is only allowed at the beginning of an action")


def _descend(value: Any) -> list[Any]:
    found = [value]
    children = [value[key] for key in sorted(value)] if isinstance(value, dict) else value
    for child in children if isinstance(children, list) else ():
        if isinstance(child, dict | list):
            found += _descend(child)
    return found


def _slice(step: Slice, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise JSONPathError(f"{_go_type(value)} is not array or slice")
    size = len(value)
    start = step.start or 0
    start += size if start < 0 else 0
    if step.index:
        end = start + 1
    else:
        end = size if step.end is None else step.end
        end += size if end < 0 else 0
    if start == end:
        return []
    for index, limit in ((start, size - 1), (end - 1, size - 1)):
        if not 0 <= index <= limit:
            raise JSONPathError(f"array index out of bounds: index {index}, length {size}")
    if start > end:
        raise JSONPathError(f"starting index {start} is greater than ending index {end}")
    if step.step <= 0:
        raise JSONPathError("step must be > 0")
    return value[start : end : step.step]


def _go_type(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "int64", float: "float64"}
    return names.get(type(value), "map[string]interface {}")


def _holds(test: Filter, item: Any, root: Any) -> bool:
    left = _apply(test.left, [item], root)
    if test.operator == "exists":
        return bool(left)
    if test.operator not in _OPERATORS:
        raise JSONPathError(f"unrecognized filter operator {test.operator}")
    right = _apply(test.right, [item], root)
    if not left or not right:
        return False
    if len(left) > 1 or len(right) > 1:
        raise JSONPathError("can only compare one element at a time")
    return _compare(left[0], test.operator, right[0])


def _compare(left: Any, operator: str, right: Any) -> bool:
    if isinstance(left, bool) is not isinstance(right, bool):
        raise JSONPathError("incompatible types for comparison")
    if isinstance(left, str) is not isinstance(right, str):
        raise JSONPathError("incompatible types for comparison")
    match operator:
        case "==":
            return bool(left == right)
        case "!=":
            return bool(left != right)
    if isinstance(left, bool | dict | list) or left is None or right is None:
        raise JSONPathError("invalid type for comparison")
    match operator:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
    return bool(left >= right)
