"""Remembering what was said of short texts: policies name the same keys, ports and ranges over and over."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

SHORT = 256
"""Characters. Longer texts are judged anew each time, so that nobody fills the memory with them."""


def remembered(function: Callable[[str], T]) -> Callable[[str], T]:
    """`function` of one text, pure and without side effects, kept for the last 16,384 short ones."""
    kept = lru_cache(maxsize=16384)(function)

    def call(text: str) -> T:
        return kept(text) if len(text) < SHORT else function(text)

    call.__doc__, call.__name__ = function.__doc__, function.__name__
    return call
