"""DNS names as policy sees them: presentation form, lower case, one trailing dot (semantics.md section 8).

Policy compares text, not wire labels: Cilium matches the lower-cased presentation form, so `NAME_CHARACTERS` is
its alphabet of a label and everything outside it matches no pattern but a DNS rule's match-all.
"""

from __future__ import annotations

NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
"""What `*` stands for, and what a label of a matchable name is made of (lower-cased)."""

MAX_FQDN = 255
"""Characters of a name or pattern with its trailing dot; a longer toFQDNs item is inert."""


def fqdn(name: str) -> str:
    """The one canonical form: `Kubernetes.IO` and `kubernetes.io.` are both `kubernetes.io.`."""
    lowered = name.lower()
    return lowered if lowered.endswith(".") else lowered + "."


def is_label(text: str) -> bool:
    """A non-empty label of the policy alphabet."""
    return bool(text) and NAME_CHARACTERS.issuperset(text)
