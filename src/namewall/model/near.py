"""Which known word is meant by one that nobody knows: `toFQDN` is near `toFQDNs`. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable
from functools import lru_cache

ALIKE = 0.8
"""Of 1, as difflib counts it: a letter in five may be another one."""

SHORTEST = 4
"""Letters from which the beginning of a word stands for it."""

LONGEST = 64
"""Characters. A longer word is nobody's misspelt one."""

_SAME = {"podSelector": "endpointSelector", "endpointSelector": "podSelector"}
"""What one kind of policy calls otherwise than another; its letters are nearer to something else."""


def near(word: str, known: Iterable[str], taken: Container[str] = ()) -> str | None:
    """The word of `known` that is meant by `word`; None where no one is near enough, or several are equally near."""
    found = nearest(word, known, taken)
    return found[0] if len(found) == 1 else None


def nearest(word: str, known: Iterable[str], taken: Container[str] = ()) -> tuple[str, ...]:
    """The words of `known` that may be meant by `word`: `prot` is `port` or `protocol`. Empty if it is known.

    What is `taken` is not meant, nor is then what only comes after it: beside `egress`, `egres` is no `egressDeny`.
    """
    words = tuple(known)
    if len(word) > LONGEST or word in words:
        return ()
    return tuple(each for each in _nearest(word, words) if each not in taken)


def or_meant(sentence: str, meant: str | None, hint: str = "") -> str:
    """The sentence, which word may be meant, and what would be right."""
    told = sentence if meant is None else f"{sentence}; did you mean `{meant}`?"
    return f"{told}; {hint}" if hint else told


TEMPLATE = "it looks like a Helm template: render it first (`helm template`)"


def template_hint(text: str) -> str:
    """What to do with what still has to go through Helm; nothing for other texts."""
    return TEMPLATE if "{{" in text else ""


@lru_cache(maxsize=4096)
def _nearest(word: str, known: tuple[str, ...]) -> tuple[str, ...]:
    if (same := _SAME.get(word)) in known:
        return (same,)
    flat = _flat(word)
    alike = [each for each in known if _flat(each) == flat] or [
        each for each in known if _singular(each) == _singular(word)
    ]
    if alike:
        return tuple(alike)
    found = _misspelt(flat, known)
    longer = _going_on(flat, known)
    return tuple(found + [each for each in longer if each not in found])


def _misspelt(flat: str, known: tuple[str, ...]) -> list[str]:
    """The nearest of those that are near enough; a word with letters in another order is nearest."""
    found: list[str] = []
    best, letters, length = 0.0, _letters(flat), len(flat)
    matcher = difflib.SequenceMatcher(None, "", flat)
    for each in known:
        other = _flat(each)
        # What only one of the two has cannot be alike: most words are far, and told so without difflib.
        apart = (1 - ALIKE) * (length + len(other)) + 1e-9
        if abs(length - len(other)) > apart or (letters ^ _letters(other)).bit_count() > apart:
            continue
        matcher.set_seq1(other)
        ratio = 1.0 if sorted(other) == sorted(flat) else matcher.ratio()
        if ratio >= ALIKE and ratio >= best:
            found = [*found, each] if ratio == best else [each]
            best = ratio
    return found


def _going_on(flat: str, known: tuple[str, ...]) -> list[str]:
    """Words that it is the beginning of. Of `ingress` and `ingressDeny` only the one that the other goes on from."""
    if len(flat) < SHORTEST:
        return []
    longer = [each for each in known if _flat(each).startswith(flat)]
    first = min(longer, key=len, default="")
    return [first] if first and all(each.startswith(first) for each in longer) else longer


@lru_cache(maxsize=4096)
def _flat(word: str) -> str:
    """Without case and signs."""
    return "".join(filter(str.isalnum, word.lower()))


@lru_cache(maxsize=4096)
def _singular(word: str) -> str:
    flat = _flat(word)
    return f"{flat[:-3]}y" if flat.endswith("ies") else flat.removesuffix("s")


@lru_cache(maxsize=4096)
def _letters(word: str) -> int:
    """Which letters a word has, a bit for each but that some share one."""
    bits = 0
    for char in word:
        bits |= 1 << (ord(char) & 63)
    return bits
