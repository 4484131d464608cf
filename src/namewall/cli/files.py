"""Reads manifests as kubectl does: files, folders, standard input; YAML or JSON; several documents; Lists.

`model.documents` reads the text. Invariant: every object carries the name of where it came from, so that each message
can say it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from namewall.cli.kubectl import Failure, Object, Session
from namewall.kube.jsonpath import go_json
from namewall.kube.resources import Resource
from namewall.model import documents
from namewall.model.documents import Document

_SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object and its source: a path, or STDIN. `path` is where it stands in its document, as `items[2]`."""

    source: str
    object: Object
    document: Document
    path: str = ""

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
        value = document.value
        if value is None:
            continue
        if not isinstance(value, dict):
            if validate:
                raise _invalid(source, "invalid object to validate")
            found = {list: "array", str: "string", bool: "bool"}.get(type(value), "number")
            raise Failure(
                f'error: unable to decode "{source}": json: cannot unmarshal {found} into Go value of type '
                "unstructured.detector"
            )
        yield from _objects(Manifest(source, value, document), validate)


def _objects(manifest: Manifest, validate: bool) -> Iterator[Manifest]:
    source, value = manifest.source, manifest.object
    missing = [f"{field} not set" for field in ("apiVersion", "kind") if not value.get(field)]
    if missing and validate:
        raise _invalid(source, missing[0] if len(missing) == 1 else f"[{', '.join(missing)}]")
    if not value.get("kind"):
        raise Failure(f"error: unable to decode \"{source}\": Object 'Kind' is missing in '{go_json(value)}'")
    metadata = value.get("metadata")
    for field in ("name", "namespace"):
        word = metadata.get(field) if isinstance(metadata, dict) else None
        if word is not None and not isinstance(word, str):
            found = "bool" if isinstance(word, bool) else "number" if isinstance(word, int) else "object"
            raise Failure(
                f'error: unable to decode "{source}": json: cannot unmarshal {found} into Go struct field '
                f"ObjectMeta.metadata.{field} of type string"
            )
    if str(value["kind"]).endswith("List") and isinstance(value.get("items"), list):
        prefix = f"{manifest.path}." if manifest.path else ""
        for index, item in enumerate(value["items"]):
            if isinstance(item, dict):
                path = f"{prefix}items[{index}]"
                yield from _objects(Manifest(source, item, manifest.document, path), validate)
        return
    yield manifest


def _invalid(source: str, why: str) -> Failure:
    return Failure(
        f'error: error validating "{source}": error validating data: {why}; if you choose to ignore these '
        "errors, turn validation off with --validate=false"
    )


def _documents(source: str, text: bytes) -> Iterator[Document]:
    try:
        yield from documents.read(text)
    except documents.Unreadable as error:
        raise Failure(
            f"error: error parsing {source}: error converting YAML to JSON: yaml: {_yaml_problem(error, text)}"
        ) from error


def _yaml_problem(error: documents.Unreadable, text: bytes) -> str:
    """go-yaml's text; its line is the context's, else the problem's, and none where that is the first.

    kubectl divides a text before it reads it, so lines count from the last `---`.
    """
    marks = (getattr(error.mark, "context_mark", None), getattr(error.mark, "problem_mark", None))
    lines = [mark.line for mark in marks if mark is not None]
    if error.mark is None:
        lines = [error.line - 1]
    last = max(lines, default=0)
    before = b"\n".join(text.split(b"\n", last)[:last]) + b"\n"
    begun = [before.count(b"\n", 0, match.end()) for match in _DIVIDER.finditer(before)]
    line = next((line - offset for line in lines for offset in (begun or [0])[-1:] if line - offset > 0), 0)
    if (line and isinstance(error.mark, yaml.scanner.ScannerError)) or error.mark is None:
        line += 1
    return f"line {line}: {error.problem}" if line else error.problem


_DIVIDER = re.compile(rb"^---[ \t\r]*\n", re.MULTILINE)


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
