"""Names against all patterns of a node: building the automaton, matching, one more pattern, memory.

Part of `make bench-policy`. The patterns and Cilium's figures are those of ../shared/research/cilium-baselines.md,
section c (one regular expression over all names of a DNS rule). Here one automaton stands for all rules.
"""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any

from namewall.fqdn.automaton import Automaton, build
from namewall.fqdn.change import changed

COUNTS = (10, 100, 1_000, 10_000, 100_000)
KINDS = {"*.svcN.example.com": "*.svc{}.example.com.", "x.svcN.example.com": "x.svc{}.example.com."}
CILIUM = {
    ("*.svcN.example.com", 10): (0.64, 1.5, 0.2, 0.02),
    ("*.svcN.example.com", 100): (9.7, 18.7, 0.4, 0.12),
    ("*.svcN.example.com", 1_000): (116.0, 231.0, 10.0, 1.2),
    ("*.svcN.example.com", 10_000): (2200.0, 3400.0, 105.0, 13.7),
    ("x.svcN.example.com", 10): (0.27, 0.22, 0.1, 0.03),
    ("x.svcN.example.com", 100): (1.0, 0.22, 0.3, 0.08),
    ("x.svcN.example.com", 1_000): (2.4, 0.30, 7.0, 0.90),
    ("x.svcN.example.com", 10_000): (5.2, 0.21, 94.0, 8.8),
}
"""Hit and miss in µs a name, install in ms, heap in MB."""
PROBES = 1000


def _microseconds(automaton: Automaton, names: list[str]) -> float:
    took = []
    for _ in range(5):
        begun = time.process_time()
        for name in names:
            automaton.match(name)
        took.append((time.process_time() - begun) / len(names) * 1e6)
    return statistics.median(took)


def main() -> list[dict[str, Any]]:
    """Prints the table; the rows as values."""
    print("### Names: all patterns in one automaton\n")
    print(
        "Beside each figure, Cilium's. Hit and miss are walks in Python; in the kernel it is one lookup a character.\n"
    )
    print(
        "| patterns | n | build ms | one more, ms | hit µs | miss µs | cells MB |\n|---|---|---|---|---|---|---|"
    )
    found = []
    for kind, pattern in KINDS.items():
        for count in COUNTS:
            forms = {pattern.format(number): pattern.format(number) for number in range(count)}
            gc.collect()  # not the last round's litter
            begun = time.process_time()
            automaton = build(forms)
            built = 1000 * (time.process_time() - begun)
            more = []
            for turn in range(5):
                form = pattern.format(f"-new{turn}")
                begun = time.process_time()
                changed(automaton, {**forms, form: form})
                more.append(1000 * (time.process_time() - begun))
            step = max(1, count // PROBES)
            hits = [f"x.svc{number}.example.com." for number in range(0, count, step)]
            misses = [f"x.svc{number}.example.net." for number in range(0, count, step)]
            row = {
                "kind": kind,
                "patterns": count,
                "build_ms": built,
                "one_more_ms": statistics.median(more),
                "hit_us": _microseconds(automaton, hits),
                "miss_us": _microseconds(automaton, misses),
                "cells_mb": len(automaton.cells) * 8 / 1e6,
                "states": automaton.states,
            }
            found.append(row)
            print(_line(row, CILIUM.get((kind, count))))
            del automaton, forms  # freed here, not while the next is timed
    print()
    return found


def _line(row: dict[str, Any], cilium: tuple[float, float, float, float] | None) -> str:
    hit, miss, install, heap = (f" ({value:g})" for value in cilium) if cilium else ("",) * 4
    built = f"{row['build_ms']:,.0f}" if row["build_ms"] >= 100 else f"{row['build_ms']:.2g}"
    return (
        f"| `{row['kind']}` | {row['patterns']:,} | {built}{install} | {row['one_more_ms']:.2g} | "
        f"{row['hit_us']:.2g}{hit} | {row['miss_us']:.2g}{miss} | {row['cells_mb']:.2g}{heap} |"
    )
