"""Prometheus' text format (0.0.4): families of samples as values, and as text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Samples = Sequence[tuple[Mapping[str, str], float]]
"""Labels and value."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. A counter's name ends in `_total`; each sample has labels of its own.

    A summary has no samples of its own name: `parts` are those of `_sum` and `_count`.
    """

    name: str
    kind: Literal["counter", "gauge", "summary"]
    help: str
    samples: Samples = ()
    parts: Mapping[str, Samples] = field(default_factory=dict)


def gauge(name: str, help_: str, value: float) -> Family:
    return Family(name, "gauge", help_, [({}, value)])


def counter(name: str, help_: str, value: float) -> Family:
    return Family(name, "counter", help_, [({}, value)])


def render(families: Iterable[Family]) -> str:
    """HELP and TYPE stand also where there is no sample yet."""
    lines = []
    for family in families:
        lines.append(f"# HELP {family.name} {family.help}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for ending, samples in {"": family.samples, **family.parts}.items():
            lines += [_sample(family.name + ending, labels, value) for labels, value in samples]
    return "\n".join(lines) + "\n"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inner}}} {_number(value)}" if inner else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
