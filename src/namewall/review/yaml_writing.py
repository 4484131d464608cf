"""Values to YAML that people read, in the order of their fields."""

from __future__ import annotations

from typing import Any

import yaml


def plain_yaml(value: Any) -> str:
    """As most tools write it: lists not indented, no anchors, no folding."""
    base = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    dumper = type("Dumper", (base,), {"ignore_aliases": lambda self, data: True})
    written: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)
    return written
