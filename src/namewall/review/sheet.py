"""Changes of YAML texts that leave everything else as it is written: comments, order, quotes, blank lines.

A change is made where the text of its place stands, in the style of what is around it. What comes out is read again:
if it is not exactly the old documents with the change, there is no change. So a text that this module cannot
follow (aliases, merges, odd layouts) costs a fix, never a meaning.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import yaml

from namewall.model.documents import Unreadable, read_yaml
from namewall.policy.explain.anatomy import steps
from namewall.policy.explain.edits import Change
from namewall.review.papers import Papers
from namewall.review.scenarios import Placed
from namewall.review.yaml_writing import block, block_yaml, flow, scalar

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """`put` sets a key of the mapping at `path` that it lacks (`key`), `append` adds to the list there, `replace`
    exchanges the value there, `remove` takes it out, `rename` gives it another key; with `several` the list item there
    becomes several. The last item of a list leaves `[]`. Edits of one text are made in their order."""

    verb: Literal["put", "append", "replace", "remove", "several", "rename"]
    path: Path
    value: Any = None
    key: str = ""


class Unsupported(Exception):
    """The layout is one that is not followed."""


MISFITS = (Unsupported, LookupError, TypeError, ValueError, AttributeError)
"""What an edit raises that does not fit the value."""


MARK = "\ufeff"
"""Of UTF-8, before the text of files from Windows."""


@dataclass(slots=True)
class _Node:
    kind: Literal["scalar", "map", "list", "other"]
    start: int
    end: int
    column: int
    flow: bool = False
    keys: list[_Node] = field(default_factory=list)
    members: list[_Node] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    blank: bool = False
    """Nothing is written."""
    shape: str = ""

    def last(self) -> int:
        """Where what is written ends, without blank lines and comments after it."""
        if self.flow or self.kind in ("scalar", "other") or not self.members:
            return self.end
        member = self.members[-1]
        return self.keys[-1].end + 1 if member.blank and self.keys else member.last()


def edited(text: str, document: int, edits: Sequence[Edit]) -> str | None:
    """The text after the edits of its document number `document`; None where it cannot be done."""
    if text.startswith(MARK):  # libyaml counts from behind it
        after = edited(text.removeprefix(MARK), document, edits)
        return None if after is None else MARK + after
    try:
        roots, before = _read(text), _values(text)
        sheet = _Sheet(text, roots[document])
        if len(before) != len(roots):
            return None
        values = [value for _, value in before]
        values[document] = changed(values[document], edits)
        for edit in edits:
            sheet.do(edit)
        after = sheet.result()
        return after if [each.value for each in read_yaml(after)] == values else None
    except (Unreadable, yaml.YAMLError, *MISFITS):
        return None


def document_of(text: str, line: int) -> int:
    """The number of the document whose first value stands on a line."""
    try:
        return [each for each, _ in _values(text)].index(line)
    except (Unreadable, ValueError):
        return -1


def value_at(obj: Any, path: Path) -> Any:
    """Raises one of MISFITS where nothing is there."""
    for step in path:
        obj = obj[step]
    return obj


def changed(value: Any, edits: Iterable[Edit]) -> Any:
    """A value after edits. Raises MISFITS."""
    found = _detached(value)
    for edit in edits:
        found = _applied(found, edit)
    return found


@lru_cache(maxsize=16)
def _values(text: str) -> tuple[tuple[int, Any], ...]:
    """Line and value of each document. Nobody may change them."""
    return tuple((each.line, each.value) for each in read_yaml(text))


def edit_placed(papers: Papers, one: Placed, edits: Sequence[Edit]) -> str | None:
    """The text of an object's file after edits whose paths begin at the object."""
    text = papers.texts[one.source]
    base = tuple(steps(one.path))
    moved = [Edit(each.verb, base + each.path, each.value, each.key) for each in edits]
    number = document_of(text, one.document.line)
    return None if number < 0 else edited(text, number, moved)


def patched(
    papers: Papers, placed: Sequence[Placed], changes: Iterable[Change]
) -> list[tuple[str, str]] | None:
    """All files after changes of JSON Patch (policy/explain/edits.py); a new policy is a document at the end of the
    last file. None where a file has a layout that is not followed."""
    now = dict(papers.texts)
    for change in changes:
        if change.index is None:
            name = list(now)[-1] if now else "policy.yaml"
            before = now.get(name, "")
            newline = _newline_of(before)
            end = "" if before.endswith("\n") or not before else newline
            divider = "---\n" if before.removeprefix(MARK).strip() else ""
            now[name] = before + end + (divider + block_yaml(change.value)).replace("\n", newline)
            continue
        if change.index >= len(placed):
            return None
        one = placed[change.index]
        number = document_of(papers.texts[one.source], one.document.line)
        if number < 0:
            return None
        edit = _of_patch(tuple(steps(one.path)), change)
        after = edited(now[one.source], number, [edit])
        if after is None:
            return None
        now[one.source] = after
    return list(now.items())


def rewritten(papers: Papers, one: Placed, after: Any) -> str:
    """The text of an object's file with another value in its place: what both have in common stays as it is written,
    if the layout can be followed, else the object is written anew."""
    found = edit_placed(papers, one, list(_differences(one.object, after, ())))
    if found is None:
        found = edit_placed(papers, one, [Edit("replace", (), after)])
    if found is None:
        return block_yaml(after)
    return found


def _differences(old: Any, new: Any, path: Path) -> Iterator[Edit]:
    if isinstance(old, dict) and isinstance(new, dict) and old and new:
        for key, value in old.items():
            if key not in new:
                yield Edit("remove", (*path, key))
            else:
                yield from _differences(value, new[key], (*path, key))
        yield from (Edit("put", path, value, key) for key, value in new.items() if key not in old)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, value in enumerate(old):
            yield from _differences(value, new[number], (*path, number))
    elif old != new or type(old) is not type(new):
        yield Edit("replace", path, new)


def _of_patch(base: Path, change: Change) -> Edit:
    *parents, last = change.path.strip("/").split("/")
    path = base + tuple(int(step) if step.isdecimal() else step for step in parents)
    return Edit("append", path, change.value) if last == "-" else Edit("put", path, change.value, last)


def _detached(value: Any) -> Any:
    """A copy in which nothing is shared: what an alias repeats is two things that look alike."""
    if isinstance(value, dict):
        return {key: _detached(member) for key, member in value.items()}
    return [_detached(member) for member in value] if isinstance(value, list) else value


def _applied(value: Any, edit: Edit) -> Any:
    if not edit.path:
        if edit.verb == "replace":
            return copy.deepcopy(edit.value)
        if edit.verb == "put":
            if edit.key in value:
                raise Unsupported
            value[edit.key] = copy.deepcopy(edit.value)
        elif edit.verb == "append":
            value.append(copy.deepcopy(edit.value))
        else:
            raise Unsupported
        return value
    target = value
    for step in edit.path[:-1]:
        target = target[step]
    last = edit.path[-1]
    if edit.verb == "remove":
        del target[last]
    elif edit.verb == "several":
        target[last : int(last) + 1] = copy.deepcopy(edit.value)
    elif edit.verb == "rename":
        if edit.key in target:
            raise Unsupported
        target[edit.key] = target.pop(last)
    else:
        target[last] = _applied(target[last], Edit(edit.verb, (), edit.value, edit.key))
    return value


# --- where everything stands ------------------------------------------------------------------------------------

_Events = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@lru_cache(maxsize=16)
def _read(text: str) -> list[_Node]:
    """The root of each document. No recursion: depth is bounded by the reader that looks at it first."""
    roots: list[_Node] = []
    stack: list[_Node] = []
    events = _Events(text)
    try:
        while True:
            event = events.get_event()
            if event is None or isinstance(event, yaml.StreamEndEvent):
                return roots
            kind = type(event)
            start, end = event.start_mark, event.end_mark
            if kind is yaml.ScalarEvent:
                stop = end.index
                if event.style in ("|", ">"):
                    stop = start.index + len(text[start.index : stop].rstrip())
                blank = start.index == end.index
                node = _Node("scalar", start.index, stop, start.column, blank=blank)
                node.names = [event.value]
            elif kind is yaml.AliasEvent:
                node = _Node("other", start.index, end.index, start.column)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                shape: Literal["map", "list"] = "map" if kind is yaml.MappingStartEvent else "list"
                node = _Node(
                    shape, start.index, start.index, start.column, bool(event.flow_style), shape=shape
                )
                if event.anchor is not None or event.tag is not None:
                    node.kind = "other"
                stack.append(node)
                continue
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                node = stack.pop()
                node.end = end.index if node.flow else node.last()
                node.names = [key.names[0] if key.names else "" for key in node.keys]
            else:
                continue
            if not stack:
                roots.append(node)
                continue
            parent = stack[-1]
            if parent.shape == "list":
                parent.members.append(node)
            elif len(parent.keys) == len(parent.members):
                parent.keys.append(node)
            else:
                parent.members.append(node)
    finally:
        events.dispose()


def _newline_of(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


class _Sheet:
    """The splices of one document; those of several edits may not overlap."""

    def __init__(self, text: str, root: _Node) -> None:
        self._text, self._root = text, root
        self._json = (
            text[root.start : root.start + 1] in ("{", "[") and '"' in text[root.start : root.start + 20]
        )
        self._splices: list[tuple[int, int, str]] = []
        self._newline = _newline_of(text)

    def result(self) -> str:
        found, at = [], 0
        for start, end, new in sorted(self._splices, key=lambda splice: splice[:2]):
            if start < at:
                raise Unsupported
            found += [self._text[at:start], new]
            at = end
        return "".join([*found, self._text[at:]])

    def do(self, edit: Edit) -> None:
        if edit.verb == "put":
            self._put(self._at(edit.path), edit.key, edit.value)
        elif edit.verb == "append":
            self._append(self._at(edit.path), [edit.value])
        elif edit.verb == "replace":
            self._replace(edit.path, edit.value)
        elif edit.verb == "several":
            self._several(edit.path, edit.value)
        elif edit.verb == "rename":
            self._rename(edit.path, edit.key)
        else:
            self._remove(edit.path)

    def _at(self, path: Path) -> _Node:
        node = self._root
        for step in path:
            if node.kind == "map" and isinstance(step, str):
                node = node.members[node.names.index(step)]
            elif node.kind == "list" and isinstance(step, int):
                node = node.members[step]
            else:
                raise Unsupported
        return node

    def _flow(self, value: Any) -> str:
        return flow(value, self._json)

    def _line_start(self, at: int) -> int:
        return self._text.rfind("\n", 0, at) + 1

    def _line_end(self, at: int) -> int:
        found = self._text.find("\n", at)
        return len(self._text) if found < 0 else found

    def _lines(self, lines: Iterable[str], column: int) -> str:
        return "".join(f"{self._newline}{' ' * column}{line}" for line in lines)

    def _after(self, node: _Node) -> int:
        """The end of the line where a block ends; a comment behind it stays with it."""
        end = self._line_end(node.last())
        if self._text[end - 1 : end] == "\r":
            end -= 1
        rest = self._text[node.last() : end].strip()
        if rest and not rest.startswith("#"):
            raise Unsupported
        return end

    def _put(self, node: _Node, key: str, value: Any) -> None:
        if node.kind != "map":
            raise Unsupported
        if node.flow:
            self._within(node, f"{self._flow(key)}: {self._flow(value)}")
        else:
            self._splices.append((at := self._after(node), at, self._lines(block({key: value}), node.column)))

    def _append(self, node: _Node, values: Sequence[Any]) -> None:
        if node.kind != "list":
            raise Unsupported
        if node.flow:
            self._within(node, ", ".join(map(self._flow, values)))
        else:
            self._splices.append((at := self._after(node), at, self._lines(block(list(values)), node.column)))

    def _within(self, node: _Node, text: str) -> None:
        """At the end of a collection in brackets."""
        if not node.members:
            self._splices.append((node.start + 1, node.end - 1, text))
            return
        last = node.members[-1]
        at = max(last.last(), node.keys[-1].end if node.keys else 0)
        self._splices.append((at, at, f", {text}"))

    def _replace(self, path: Path, value: Any) -> None:
        node = self._at(path)
        start, end = node.start, node.last()
        if node.blank or node.kind == "other":
            raise Unsupported
        inside = any(self._at(path[:count]).flow for count in range(len(path)))
        if node.flow or inside or not isinstance(value, dict | list) or not value or node.kind == "scalar":
            new = self._flow(value)
            if not node.flow and node.kind != "scalar" and not inside and not isinstance(value, dict | list):
                raise Unsupported
            if node.kind == "scalar" and not inside and not isinstance(value, dict | list):
                new = block(value)[0] if not self._json else new
        else:
            first, *rest = block(value)
            new = first + self._lines(rest, node.column)
        self._splices.append((start, end, new))

    def _rename(self, path: Path, key: str) -> None:
        parent = self._at(path[:-1])
        node = parent.keys[parent.names.index(str(path[-1]))]
        if node.kind != "scalar" or node.blank:
            raise Unsupported
        new = self._flow(key) if parent.flow or self._json else scalar(key)
        self._splices.append((node.start, node.end, new))

    def _several(self, path: Path, values: Sequence[Any]) -> None:
        parent, node = self._at(path[:-1]), self._at(path)
        if parent.kind != "list" or node.kind == "other" or node.blank:
            raise Unsupported
        if parent.flow or node.flow:
            if not parent.flow:
                first, *rest = values
                self._splices.append((node.start, node.end, self._flow(first)))
                at = self._after(node)
                lines = [f"- {self._flow(each)}" for each in rest]
                self._splices.append((at, at, self._lines(lines, parent.column)))
            else:
                self._splices.append((node.start, node.end, ", ".join(map(self._flow, values))))
            return
        first, *rest = values
        head, *more = block(first)
        self._splices.append((node.start, node.last(), head + self._lines(more, node.column)))
        if rest:
            at = self._after(node)
            self._splices.append((at, at, self._lines(block(list(rest)), parent.column)))

    def _remove(self, path: Path) -> None:
        parent, node, last = self._at(path[:-1]), self._at(path), path[-1]
        if len(parent.members) == 1:
            if parent.kind != "list":
                raise Unsupported
            self._empty(path[:-1], parent)
        elif parent.flow:
            self._remove_within(parent, node, last)
        elif parent.kind == "list":
            assert isinstance(last, int)
            start = self._dash(parent, node)
            self._cut(start, self._after(node))
        else:
            key = parent.keys[parent.names.index(str(last))]
            end = key.end + 1 if node.blank else node.last()
            if not self._text[self._line_start(key.start) : key.start].strip():
                self._cut(self._line_start(key.start), self._line_end(end))
                return
            # The first of a list item: the next one takes its place behind the dash.
            following = parent.keys[1]
            if parent.names[0] != last or "#" in self._text[end : following.start]:
                raise Unsupported
            self._splices.append((key.start, following.start, ""))

    def _empty(self, path: Path, node: _Node) -> None:
        if node.flow:
            self._splices.append((node.start, node.end, "[]"))
            return
        parent = self._at(path[:-1])
        if parent.kind != "map":
            raise Unsupported
        colon = self._text.index(":", parent.keys[parent.names.index(str(path[-1]))].end - 1) + 1
        if self._text[colon : node.start].strip(" \r\n-"):
            raise Unsupported
        self._splices.append((colon, node.last(), " []"))

    def _cut(self, start: int, end: int) -> None:
        """Whole lines."""
        if end < len(self._text):
            end = self._line_end(end) + 1
        elif start > 0:
            start -= len(self._newline)
        self._splices.append((start, end, ""))

    def _dash(self, parent: _Node, node: _Node) -> int:
        """The start of the line with the dash of a list item."""
        line = self._line_start(node.start)
        while self._text[line : line + parent.column + 1].strip() != "-":
            if line <= self._line_start(parent.start):
                raise Unsupported
            line = self._line_start(line - 1)
        return line

    def _remove_within(self, parent: _Node, node: _Node, last: str | int) -> None:
        number = last if isinstance(last, int) else parent.names.index(last)
        firsts = parent.keys or parent.members
        if number + 1 < len(firsts):
            self._splices.append((firsts[number].start, firsts[number + 1].start, ""))
        else:
            self._splices.append((parent.members[number - 1].last(), node.last(), ""))
