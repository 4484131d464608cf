"""The output formats of kubectl: json, yaml, name, jsonpath, custom-columns; the table is output_table's.

A printer takes one object (or a List) and returns the text, with its line ends. Invariant: the same bytes
as kubectl 1.35 for the same object (tests/compat/cli holds it to that).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from namewall.cli.kubectl import Failure, Object
from namewall.cli.output_tabs import Table
from namewall.kube import jsonpath

Printer = Callable[[Object], str]
FORMATS = (
    "custom-columns, custom-columns-file, json, jsonpath, jsonpath-as-json, jsonpath-file, name, wide, yaml"
)


def printer(output: str, *, show_managed_fields: bool = False, headers: bool = True) -> Printer:
    """For `-o OUTPUT`; ends with kubectl's words and code 1 where there is no such format."""
    kind, equals, template = output.partition("=")
    if kind in ("jsonpath-file", "custom-columns-file"):
        kind, template, equals = kind.removesuffix("-file"), _file(template), "="
    match kind:
        case "json" if not equals:
            return lambda obj: to_json(obj if show_managed_fields else without_managed_fields(obj))
        case "yaml" if not equals:
            return _Yaml(show_managed_fields)
        case "name" if not equals:
            return lambda obj: "".join(f"{object_name(item)}\n" for item in items_of(obj))
        case "jsonpath" | "jsonpath-as-json":
            if not template:
                raise Failure("error: template format specified but no template given")
            return _jsonpath(template, as_json=kind.endswith("json"))
        case "custom-columns":
            return Columns(template, headers)
    raise Failure(
        f'error: unable to match a printer suitable for the output format "{output}", '
        f"allowed formats are: {FORMATS.replace(', ', ',')}"
    )


def items_of(obj: Object) -> list[Object]:
    """The objects of a List, or the one object."""
    items = obj.get("items")
    return items if isinstance(items, list) and str(obj.get("kind", "")).endswith("List") else [obj]


def object_name(obj: Object) -> str:
    """`-o name`: kind in lower case, its group, the name."""
    group, slash, _ = str(obj.get("apiVersion", "")).rpartition("/")
    kind = str(obj.get("kind", "")).lower()
    return f"{kind}.{group}/{obj['metadata']['name']}" if slash else f"{kind}/{obj['metadata']['name']}"


def without_managed_fields(obj: Object) -> Object:
    """kubectl leaves them out unless asked."""
    if isinstance(obj.get("items"), list):
        return {**obj, "items": [without_managed_fields(item) for item in obj["items"]]}
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def to_json(obj: Any) -> str:
    return jsonpath.go_json(obj, indent=4) + "\n"


class _Yaml:
    """Documents after the first are led in by `---`."""

    def __init__(self, show_managed_fields: bool) -> None:
        self._show = show_managed_fields
        self._printed = False

    def __call__(self, obj: Object) -> str:
        lead, self._printed = "---\n" if self._printed else "", True
        return lead + to_yaml(obj if self._show else without_managed_fields(obj))


def to_yaml(obj: Any) -> str:
    """As sigs.k8s.io/yaml: keys sorted, lists not indented, no folding, `|` for texts of several lines."""
    import yaml

    from namewall.model.documents import ambiguous

    base = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    dumper = type("Dumper", (base,), {"ignore_aliases": lambda self, data: True})

    def text(emitter: Any, value: str) -> Any:
        style = "|" if "\n" in value else '"' if ambiguous(value) else None
        return emitter.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    dumper.add_representer(str, text)  # type: ignore[attr-defined]
    written: str = yaml.dump(obj, Dumper=dumper, allow_unicode=True, width=2**31 - 1, sort_keys=True)
    return written


def _file(path: str) -> str:
    if not path:
        raise Failure("error: template file format specified but no template file given")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise Failure(f"error: error reading --template {path}, open {path}: {reason.lower()}") from error


def _jsonpath(source: str, as_json: bool) -> Printer:
    try:
        template = jsonpath.parse(source)
    except jsonpath.JSONPathError as error:
        raise Failure(f"error: error parsing jsonpath {source}, {error}") from error

    def show(obj: Object) -> str:
        try:
            if as_json:
                return "".join(f"{jsonpath.go_json(part, 4)}\n" for part in template.find(obj))
            return template.render(obj)
        except jsonpath.JSONPathError as error:
            quoted = json.dumps(source, ensure_ascii=False)
            raise Failure(
                f"error: error executing jsonpath {quoted}: Error executing template: {error}. "
                f"Printing more information for debugging the template:\n\ttemplate was:\n\t\t{source}\n"
                f"\tobject given to jsonpath engine was:\n\t\t{go_syntax(obj)}\n\n"
            ) from error

    return show


def go_syntax(value: Any) -> str:
    """Go's `%#v` of decoded JSON, which kubectl shows with a template that does not fit."""
    match value:
        case dict():
            inner = ", ".join(f"{jsonpath.go_json(key)}:{go_syntax(value[key])}" for key in sorted(value))
            return f"map[string]interface {{}}{{{inner}}}"
        case list():
            return f"[]interface {{}}{{{', '.join(map(go_syntax, value))}}}"
        case None:
            return "interface {}(nil)"
        case str():
            return jsonpath.go_json(value)
    return jsonpath.text(value)


class Columns:
    """`-o custom-columns=HEADER:PATH,…`; the header comes once, however many objects follow."""

    def __init__(self, spec: str, headers: bool = True) -> None:
        if not spec:
            raise Failure("error: custom-columns format specified but no custom columns given")
        self._names: list[str] = []
        self._paths: list[jsonpath.Template] = []
        if "\n" in spec:
            # A file: a line of headers, a line of paths.
            heads, paths = (line.split() for line in spec.splitlines()[:2])
            pairs = [f"{head}:{path}" for head, path in zip(heads, paths, strict=False)]
        else:
            pairs = spec.split(",")
        for pair in pairs:
            name, colon, path = pair.partition(":")
            if not colon:
                raise Failure(
                    f"error: unexpected custom-columns spec: {pair}, expected <header>:<json-path-expr>"
                )
            self._names.append(name)
            try:
                self._paths.append(jsonpath.parse(jsonpath.relaxed(path)))
            except jsonpath.JSONPathError as error:
                raise Failure(f"error: {error}") from error
        self._headers = headers
        self._table = Table()

    def __call__(self, obj: Object) -> str:
        rows: list[list[str]] = []
        if self._headers:
            rows.append(self._names)
            self._headers = False
        for item in items_of(obj):
            rows.append([self._cell(path, item) for path in self._paths])
        return "".join(f"{line}\n" for line in self._table.lines(rows))

    @staticmethod
    def _cell(path: jsonpath.Template, item: Object) -> str:
        try:
            values = [value for part in path.find(item) for value in part]
        except jsonpath.JSONPathError as error:
            raise Failure(f"error: {error}") from error
        return ",".join(go_value(value) for value in values) if values else "<none>"


def go_value(value: Any) -> str:
    """Go's `%v` of decoded JSON."""
    match value:
        case dict():
            return f"map[{' '.join(f'{key}:{go_value(value[key])}' for key in sorted(value))}]"
        case list():
            return f"[{' '.join(map(go_value, value))}]"
    return jsonpath.text(value)
