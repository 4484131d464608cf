"""Null and absent, which Go's typed decoding does not tell apart."""

from __future__ import annotations

from typing import Any


def drop_nulls(value: Any) -> Any:
    """A copy without members whose value is null. Items of lists stay, and so do the values of `matchLabels`: without
    one of its labels a selector would select more."""
    if isinstance(value, dict):
        return {
            key: item if key == "matchLabels" else drop_nulls(item)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [drop_nulls(item) for item in value]
    return value
