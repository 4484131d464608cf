"""Name patterns: matchName and matchPattern, exactly as Cilium reads them (semantics.md section 8).

Decides whether a name matches, in time linear in the name for each star (no regular expressions: a pattern
with many stars makes a backtracking matcher explode). The normal form is what the rest of Namewall
compares, stores and compiles; equal forms match the same names.

An item means one thing in toFQDNs and another in a DNS rule only where it is match-all: a DNS rule then passes
any question at all, toFQDNs only names made of policy labels (or the root).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from namewall.model.names import MAX_FQDN, NAME_CHARACTERS, fqdn, is_label

Kind = Literal["matchName", "matchPattern"]

MATCH_ALL = "*"
SUBDOMAINS = "**"
"""First label of a normal form that stands for one or more whole labels."""

_MATCH_ALL_TEXT = re.compile(r"\*+\.?")
_STARS = re.compile(r"\*+")


def normalize(text: str, kind: Kind = "matchPattern") -> str:
    """The normal form: lower case, trailing dot, runs of stars shortened; `*` for every form of match-all.

    A leading run of two or more stars before a dot is `**`, every other run is `*`. A form without a star is
    a name. Idempotent.
    """
    if kind == "matchPattern" and _MATCH_ALL_TEXT.fullmatch(text):
        return MATCH_ALL
    name = fqdn(text)
    if "*" not in name:
        return name
    first, _, rest = name.partition(".")
    if len(first) >= 2 and not first.strip("*"):
        return SUBDOMAINS + "." + _STARS.sub("*", rest)
    return _STARS.sub("*", name)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A normal form that can be asked.

    `inert` forms are accepted, but match nothing in toFQDNs: they have more than 255 characters once the trailing
    dot is there.
    """

    form: str

    @classmethod
    def of(cls, text: str, kind: Kind = "matchPattern") -> Pattern:
        return cls(normalize(text, kind))

    @property
    def is_match_all(self) -> bool:
        return self.form == MATCH_ALL

    @property
    def inert(self) -> bool:
        return len(self.form) > MAX_FQDN

    def matches(self, name: str) -> bool:
        """As a toFQDNs item."""
        return not self.inert and matches_form(self.form, fqdn(name))

    def passes(self, name: str) -> bool:
        """As an item of `rules.dns`: may this name be asked for, if only with some types (policy/dns_types.py)."""
        form = self.form.partition("#")[0]
        return form == MATCH_ALL or matches_form(form, fqdn(name))


def matches_form(form: str, name: str) -> bool:
    """`name` is canonical (`model.names.fqdn`), `form` normal. Match-all is meant as toFQDNs means it."""
    if form == MATCH_ALL:
        return name == "." or (name.endswith(".") and all(map(is_label, name[:-1].split("."))))
    if "*" not in form:
        return form == name
    wanted = form.split(".")
    labels = name.split(".")
    if wanted[0] == SUBDOMAINS:
        extra = len(labels) - len(wanted) + 1
        if extra < 1 or not all(map(is_label, labels[:extra])):
            return False
        wanted, labels = wanted[1:], labels[extra:]
    return len(wanted) == len(labels) and all(map(_label_matches, wanted, labels))


def _label_matches(pattern: str, label: str) -> bool:
    """A glob within one label. `*` is zero or more policy characters, so it never crosses a dot."""
    if "*" not in pattern:
        return pattern == label
    if not NAME_CHARACTERS.issuperset(label):
        return False
    first, *middle, last = pattern.split("*")
    if len(label) < len(first) + len(last) or not label.startswith(first) or not label.endswith(last):
        return False
    position, end = len(first), len(label) - len(last)
    for piece in middle:
        found = label.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True


@lru_cache(maxsize=65536)
def granted(form: str, name: str) -> bool:
    """Whether an address learned under `name` belongs to the FQDN selector `form`. Cached; both canonical."""
    return Pattern(form).matches(name)
