"""Domains below which anybody may register, and whether a pattern lets such names through."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from namewall.policy.patterns import SUBDOMAINS, matches_form


class Suffixes:
    """A public suffix list: `com`, `*.ck` (whatever label stands there), `!www.ck` (but that one). ASCII, lower case,
    without trailing dots."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._entries = frozenset(entries)

    def is_public(self, name: str) -> bool:
        """The parent of a wildcard counts too, as the list's own tests have it."""
        parent = name.partition(".")[2]
        known = self._entries
        return f"!{name}" not in known and not known.isdisjoint({name, f"*.{name}", f"*.{parent}"})

    def opened_by(self, form: str) -> str | None:
        """The public suffix right below which a star of the pattern stands: strangers' names fit it, whatever else it
        fixes. `form` is normal; for several the shortest, None for none."""
        labels = form.removesuffix(".").split(".")
        stars = [number for number, label in enumerate(labels) if "*" in label]
        if not stars:
            return None
        domain = ".".join(labels[stars[-1] + 1 :])
        if self.is_public(domain):
            return domain
        return next((suffix for suffix in self._below.get(domain, ()) if _opens(labels, suffix)), None)

    @cached_property
    def _below(self) -> dict[str, list[str]]:
        """Domain → the suffixes below it, the shortest first, a wildcard's label as `x`."""
        below: dict[str, list[str]] = {}
        for entry in sorted(self._entries, key=lambda one: (one.count("."), len(one), one)):
            if not entry.startswith("!"):
                suffix = parent = entry.replace("*", "x")
                while parent := parent.partition(".")[2]:
                    below.setdefault(parent, []).append(suffix)
        return below


def _opens(labels: list[str], suffix: str) -> bool:
    """Whether the pattern has a star for the label below the suffix, and fits the suffix itself."""
    wanted = suffix.count(".") + 2
    if labels[0] == SUBDOMAINS:
        labels = ["*"] * max(1, wanted - len(labels) + 1) + labels[1:]
    below, *rest = labels[-wanted:]
    return len(rest) == wanted - 1 and "*" in below and matches_form(".".join(rest) + ".", suffix + ".")
