"""Reads manifests as kubectl does: files, folders, standard input; YAML or JSON; several documents; Lists.

YAML is read the way kubectl reads it (go-yaml's idea of YAML 1.1, then JSON): `yes` and `y` are true, dates
stay text, keys become strings, a key twice is an error. Invariant: every object carries the name of where it
came from, so that each message can say it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from namewall.cli.kubectl import Failure, Object, Session
from namewall.kube.jsonpath import go_json
from namewall.kube.resources import Resource

_SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object and its source: a path, or STDIN."""

    source: str
    object: Object

    @property
    def name(self) -> str:
        return str((self.object.get("metadata") or {}).get("name") or "")

    @property
    def namespace(self) -> str:
        return str((self.object.get("metadata") or {}).get("namespace") or "")


def read(
    filenames: tuple[str, ...], recursive: bool = False, *, validate: bool = False
) -> Iterator[Manifest]:
    """Lazily, in order: an early object is taken although a later file is broken, as in kubectl.

    `validate` words what is no object as the verbs do that send it.
    """
    for filename in filenames:
        for source, text in _texts(filename, recursive):
            yield from parse(source, text, validate=validate)


def _texts(filename: str, recursive: bool) -> Iterator[tuple[str, bytes]]:
    if filename == "-":
        yield "STDIN", sys.stdin.buffer.read()
        return
    if re.match(r"https?://", filename):
        raise Failure(f"error: `{filename}` is a URL: fetch it first and give the file", 2)
    if not os.path.exists(filename):
        raise Failure(f'error: the path "{filename}" does not exist')
    paths = [filename]
    if os.path.isdir(filename):
        paths = sorted(_below(filename, recursive))
        if not paths:
            raise Failure(
                f"error: error reading [{filename}]: recognized file extensions are [.json .yaml .yml]"
            )
    for path in paths:
        try:
            with open(path, "rb") as file:
                yield path, file.read()
        except OSError as error:
            raise Failure(f'error: error reading "{path}": {(error.strerror or "").lower()}') from error


def _below(folder: str, recursive: bool) -> Iterator[str]:
    for where, _, names in os.walk(folder):
        yield from (os.path.join(where, name) for name in names if name.endswith(_SUFFIXES))
        if not recursive:
            return


def parse(source: str, text: bytes, *, validate: bool = False) -> Iterator[Manifest]:
    """The objects of one text; Lists are taken apart; empty documents are skipped."""
    for document in _documents(source, text):
        if document is None:
            continue
        if not isinstance(document, dict):
            if validate:
                raise _invalid(source, "invalid object to validate")
            found = {list: "array", str: "string", bool: "bool"}.get(type(document), "number")
            raise Failure(
                f'error: unable to decode "{source}": json: cannot unmarshal {found} into Go value of type '
                "unstructured.detector"
            )
        yield from _objects(source, document, validate)


def _objects(source: str, document: Object, validate: bool) -> Iterator[Manifest]:
    missing = [f"{field} not set" for field in ("apiVersion", "kind") if not document.get(field)]
    if missing and validate:
        raise _invalid(source, missing[0] if len(missing) == 1 else f"[{', '.join(missing)}]")
    if not document.get("kind"):
        raise Failure(
            f"error: unable to decode \"{source}\": Object 'Kind' is missing in '{go_json(document)}'"
        )
    metadata = document.get("metadata")
    for field in ("name", "namespace"):
        value = metadata.get(field) if isinstance(metadata, dict) else None
        if value is not None and not isinstance(value, str):
            found = "bool" if isinstance(value, bool) else "number" if isinstance(value, int) else "object"
            raise Failure(
                f'error: unable to decode "{source}": json: cannot unmarshal {found} into Go struct field '
                f"ObjectMeta.metadata.{field} of type string"
            )
    if str(document["kind"]).endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            if isinstance(item, dict):
                yield from _objects(source, item, validate)
        return
    yield Manifest(source, document)


def _invalid(source: str, why: str) -> Failure:
    return Failure(
        f'error: error validating "{source}": error validating data: {why}; if you choose to ignore these '
        "errors, turn validation off with --validate=false"
    )


def _documents(source: str, text: bytes) -> Iterator[Any]:
    if text.lstrip()[:1] == b"{":
        try:
            yield from _json_stream(text.decode())
            return
        except ValueError:
            pass  # a YAML flow mapping begins with a brace too
    # Divided first, as kubectl does: the documents before a broken one are good, and lines count from `---`.
    for document in re.split(rb"^---[ \t\r]*\n", text, flags=re.MULTILINE):
        try:
            yield from yaml.load_all(document, Loader=_Loader)
        except yaml.YAMLError as error:
            raise Failure(
                f"error: error parsing {source}: error converting YAML to JSON: yaml: {_yaml_problem(error)}"
            ) from error


def _yaml_problem(error: yaml.YAMLError) -> str:
    """go-yaml's text; its line is the context's, else the problem's, and none where that is the first."""
    problem = str(getattr(error, "problem", None) or str(error).splitlines()[0])
    marks = (getattr(error, "context_mark", None), getattr(error, "problem_mark", None))
    line = next((mark.line for mark in marks if mark is not None and mark.line), 0)
    own = isinstance(error, yaml.constructor.ConstructorError)
    if (line and isinstance(error, yaml.scanner.ScannerError)) or own:
        line += 1
    return f"line {line}: {problem}" if line else problem


def _json_stream(text: str) -> Iterator[Any]:
    decoder, at = json.JSONDecoder(), 0
    documents = []
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        documents.append(document)
        at += len(text[at:]) - len(text[at:].lstrip())
    yield from documents


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """go-yaml's resolution of plain words, and JSON's keys."""


_BOOL = re.compile(
    r"^(?:y|Y|yes|Yes|YES|on|On|ON|true|True|TRUE|n|N|no|No|NO|off|Off|OFF|false|False|FALSE)$"
)
_INT = re.compile(r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$")
_FLOAT = re.compile(
    r"^[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
)
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_MERGE = re.compile(r"^<<$")

_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("yYnNtTfFoO"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", _MERGE, ["<"])


def _bool(loader: Any, node: yaml.ScalarNode) -> bool:
    return node.value[0] in "yYtT" or node.value.lower() == "on"


def _int(loader: Any, node: yaml.ScalarNode) -> int | float:
    text = node.value.replace("_", "")
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.removeprefix("+"))
    if digits[:2] in ("0b", "0o", "0x"):
        return sign * int(digits, 0)
    if len(digits) > 1 and digits[0] == "0" and set(digits) <= set("01234567"):
        return sign * int(digits, 8)
    return sign * int(digits)


def _float(loader: Any, node: yaml.ScalarNode) -> float:
    return float(node.value.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


def _mapping(loader: Any, node: yaml.MappingNode) -> Object:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = key_node.value
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None, None, "a key must be a plain value", key_node.start_mark
            )
        if key in seen and key_node.tag != "tag:yaml.org,2002:merge":
            raise yaml.constructor.ConstructorError(
                None, None, f'key "{key}" already set in map', key_node.start_mark
            )
        seen.add(key)
    loader.flatten_mapping(node)
    return {
        _key(loader.construct_object(key, deep=True)): loader.construct_object(value, deep=True)
        for key, value in node.value
    }


def _key(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _text(loader: Any, node: yaml.ScalarNode) -> str:
    return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:bool", _bool)
_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)


def ambiguous(text: str) -> bool:
    """Whether a plain word of YAML would not be read back as this text, so that it must be quoted."""
    return bool(
        _BOOL.match(text)
        or _NULL.match(text)
        or _INT.match(text)
        or _FLOAT.match(text)
        or _MERGE.match(text)
        or _BASE_60.match(text)
        or _DATE.match(text)
    )


_BASE_60 = re.compile(r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$")
_DATE = re.compile(
    r"^\d{4}-\d\d?-\d\d?(?:[Tt ]\s*\d\d?:\d\d?:\d\d?(?:\.\d*)?\s*(?:Z|[-+]\d\d?(?::?\d\d)?)?)?$"
)


def locate(session: Session, manifest: Manifest) -> tuple[Resource, str | None]:
    """The type and namespace of a manifest's object, or kubectl's words for why it has none."""
    resource = session.resource_of(manifest.object)
    if resource is None:
        version, kind = manifest.object.get("apiVersion", ""), manifest.object["kind"]
        raise Failure(
            f'error: resource mapping not found for name: "{manifest.name}" '
            f'namespace: "{manifest.namespace}" from "{manifest.source}": '
            f'no matches for kind "{kind}" in version "{version}"\n'
            "ensure CRDs are installed first"
        )
    if not resource.namespaced:
        return resource, None
    wanted = session.explicit_namespace
    if manifest.namespace and wanted and manifest.namespace != wanted:
        raise Failure(
            f'error: the namespace from the provided object "{manifest.namespace}" does not match the '
            f'namespace "{wanted}". '
            f"You must pass '--namespace={manifest.namespace}' to perform this operation."
        )
    return resource, manifest.namespace or session.namespace
