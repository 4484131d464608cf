"""Where the conformance data is. It is read from ../shared, not copied into the repository."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[2].parent / "shared" / "conformance"

Row = dict[str, Any]


def shared(name: str) -> Path:
    """A file of ../shared, or a skip that says so."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is absent: the conformance data is read from there, not copied")
    return path


def rows(name: str) -> Iterator[Row]:
    with shared(name).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
