#!/usr/bin/env python3
"""Writes src/namewall/apiserver/schemas/ from the Kubernetes OpenAPI definitions in PyPI's `kubernetes-validate`.

Run by hand when the served Kubernetes version moves; the result is committed, so that neither a build nor a
user needs the 22 MB wheel. Two kinds of files, both reproducible byte by byte:

  definitions.json.gz   fields, types, defaults and merge keys without the descriptions: what validation, pruning
                        and the merging patches read (small in memory)
  openapi/GV.json.gz    a finished OpenAPI v3 document per group version, descriptions included, sent as it is

    python3 scripts/generate_kube_schemas.py [1.35.0]
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "src/namewall/apiserver/schemas"
sys.path.insert(0, str(ROOT / "src"))

from namewall.apiserver import openapi, registry  # noqa: E402

Json = dict[str, Any]


def download(version: str, into: Path) -> Json:
    """The `$defs` of one Kubernetes version, out of the newest wheel of kubernetes-validate."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(into)]
    subprocess.run([*pip, "kubernetes-validate"], check=True)
    (wheel,) = into.glob("kubernetes_validate-*.whl")
    member = f"kubernetes_validate/kubernetes-json-schema/v{version}-local/_definitions.json"
    with zipfile.ZipFile(wheel) as archive:
        definitions: Json = json.loads(archive.read(member))["$defs"]
    return definitions


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value.rsplit("/", 1)[-1]
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def closure(definitions: Json, names: list[str]) -> set[str]:
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += references(definitions[name])
    return seen


def normal(node: Any) -> Any:
    """JSON Schema's `type: [x, null]` and `enum` of kubernetes-validate back to what OpenAPI v3 servers write."""
    if isinstance(node, list):
        return [normal(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "oneOf" in node:
        kinds = {t for choice in node["oneOf"] for t in normal(choice).values()}
        rest = {key: value for key, value in node.items() if key == "description"}
        if kinds == {"string", "integer"}:
            return rest | {
                "format": "int-or-string",
                "oneOf": [{"type": "integer"}, {"type": "string"}],
                "x-kubernetes-int-or-string": True,
            }
        return rest | {"oneOf": [{"type": "string"}, {"type": "number"}]}
    result = {}
    for key, value in node.items():
        if key == "type" and isinstance(value, list):
            result[key] = next(kind for kind in value if kind != "null")
        elif key == "$ref":
            result[key] = "#/components/schemas/" + value.rsplit("/", 1)[-1]
        elif key == "enum" or (key == "additionalProperties" and value is False):
            continue
        elif key == "properties":
            result[key] = {name: normal(schema) for name, schema in value.items()}
        else:
            result[key] = normal(value)
    return result


def bare(node: Any) -> Any:
    """Without descriptions. (A field may be called `description`: only strings are dropped.)"""
    if isinstance(node, dict):
        return {
            key: bare(value)
            for key, value in node.items()
            if not (key == "description" and isinstance(value, str))
        }
    return [bare(item) for item in node] if isinstance(node, list) else node


def documented(node: Any) -> Any:
    """A `$ref` with neighbours goes into allOf: OpenAPI 3.0 ignores what stands beside a `$ref`."""
    if isinstance(node, list):
        return [documented(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node and len(node) > 1:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return rest | {"allOf": [{"$ref": node["$ref"]}]}
    return {key: documented(value) for key, value in node.items()}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    path.write_bytes(gzip.compress(data, 9, mtime=0))
    print(f"{path.relative_to(ROOT)}: {len(data)} bytes, {path.stat().st_size} compressed")


def main() -> None:
    version = sys.argv[1] if len(sys.argv) > 1 else "1.35.0"
    with tempfile.TemporaryDirectory() as directory:
        raw = download(version, Path(directory))
    builtin = [resource for resource in registry.RESOURCES if resource.strategic]
    wanted = closure(raw, [resource.schema for resource in builtin])
    definitions = {name: normal(raw[name]) for name in sorted(wanted)}
    write(OUT / "definitions.json.gz", bare(definitions))
    for group_version in sorted({resource.group_version for resource in builtin}):
        resources = [resource for resource in builtin if resource.group_version == group_version]
        names = closure(raw, [resource.schema for resource in resources])
        schemas = {name: documented(definitions[name]) for name in sorted(names)}
        write(
            OUT / "openapi" / openapi.file_name(group_version),
            openapi.document(resources, schemas, f"v{version}"),
        )


if __name__ == "__main__":
    main()
