"""Which known word is meant by one that nobody knows: `toFQDN` is near `toFQDNs`. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import lru_cache

ALIKE = 0.8
"""Of 1, as difflib counts it: a letter in five may be another one."""

LONGEST = 64
"""Characters. A longer word is nobody's misspelt one."""

_SAME = {"podSelector": "endpointSelector", "endpointSelector": "podSelector"}
"""What one kind of policy calls otherwise than another; its letters are nearer to something else."""


def near(word: str, known: Iterable[str]) -> str | None:
    """The word of `known` that is meant by `word`; None where no one is near enough, or it is one of them."""
    words = tuple(known)
    return _near(word, words) if len(word) <= LONGEST and word not in words else None


def or_meant(sentence: str, meant: str | None) -> str:
    """The sentence, and which word may be meant."""
    return sentence if meant is None else f"{sentence}; did you mean `{meant}`?"


@lru_cache(maxsize=4096)
def _near(word: str, known: tuple[str, ...]) -> str | None:
    if (same := _SAME.get(word)) in known:
        return same
    lower, letters, length = word.lower(), _letters(word), len(word)
    found, best = None, 0.0
    matcher = difflib.SequenceMatcher(None, "", lower)
    for each in known:
        # What only one of the two has cannot be alike: most words are far, and told so without difflib.
        apart = (1 - ALIKE) * (length + len(each)) + 1e-9
        if abs(length - len(each)) > apart or (letters ^ _letters(each)).bit_count() > apart:
            continue
        matcher.set_seq1(each.lower())
        other_order = length == len(each) and sorted(each.lower()) == sorted(lower)
        ratio = 1.0 if other_order else matcher.ratio()
        if ratio >= ALIKE and ratio > best:
            found, best = each, ratio
    return found


@lru_cache(maxsize=4096)
def _letters(word: str) -> int:
    """Which letters a word has, a bit for each but that some share one."""
    bits = 0
    for char in word.lower():
        bits |= 1 << (ord(char) & 63)
    return bits
