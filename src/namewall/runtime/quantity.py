"""Kubernetes quantities (`100m`, `64Mi`) as numbers (pure). Source:
apimachinery/pkg/api/resource/quantity.go.
"""

from __future__ import annotations

import re
from fractions import Fraction

_FACTORS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{letter: Fraction(10) ** (3 * n) for n, letter in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{f"{letter}i": Fraction(1024) ** n for n, letter in enumerate(("K", "M", "G", "T", "P", "E"), 1)},
}
_FORM = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,3}))?")


def parse(quantity: str | int | float) -> Fraction:
    """Raises ValueError with a sentence."""
    match = _FORM.fullmatch(str(quantity))
    if match is None:
        raise ValueError(f"`{quantity}` is no quantity; write as 100m, 2, 64Mi or 1.5Gi")
    number, suffix, exponent = match.groups()
    return Fraction(number) * (Fraction(10) ** int(exponent) if exponent else _FACTORS[suffix or ""])
