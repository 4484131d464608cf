"""Values to YAML that people read, in the order of their fields: lists indented, no anchors, no folding.

Invariant: what is written is read back as the same value (model/documents.py).
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from namewall.model.documents import ambiguous

_PLAIN = re.compile(r"[A-Za-z0-9_./](?:[A-Za-z0-9_./ -]|:(?! ))*(?<![ :])")


def plain_yaml(value: Any) -> str:
    """As most tools write it: lists not indented."""
    base = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    dumper = type("Dumper", (base,), {"ignore_aliases": lambda self, data: True})
    written: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)
    return written


def block_yaml(value: Any) -> str:
    """A whole document."""
    return "\n".join(block(value)) + "\n"


def block(value: Any) -> list[str]:
    """Lines, of a value that begins where they do."""
    if isinstance(value, dict) and value:
        found = []
        for key, member in value.items():
            word = scalar(str(key))
            if not isinstance(member, dict | list) or not member:
                found.append(f"{word}: {flow(member)}")
            else:
                found.append(f"{word}:")
                found += [f"  {line}" for line in block(member)]
        return found
    if isinstance(value, list) and value:
        found = []
        for member in value:
            first, *rest = block(member)
            found += [f"- {first}", *(f"  {line}" for line in rest)]
        return found
    return [flow(value)]


def flow(value: Any, as_json: bool = False) -> str:
    """On one line, within brackets too."""
    if as_json:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(str(k), True)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value, True)


def scalar(value: Any, within: bool = False) -> str:
    """One word; `within` brackets a colon needs quotes."""
    if not isinstance(value, str):
        return json.dumps(value)
    plain = _PLAIN.fullmatch(value) and not ambiguous(value)
    if plain and not (within and ":" in value) and not value.startswith(("---", "...")):
        return value
    return json.dumps(value, ensure_ascii=False)
