"""DNS names as policy sees them: presentation form, lower case, one trailing dot (semantics.md section 8).

Policy compares text, not wire labels: Cilium matches the lower-cased presentation form, so `NAME_CHARACTERS` is
its alphabet of a label and everything outside it matches no pattern but a DNS rule's match-all.
"""

from __future__ import annotations

NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
"""What `*` stands for, and what a label of a matchable name is made of (lower-cased)."""

MAX_FQDN = 255
"""Characters of a name or pattern with its trailing dot; a longer toFQDNs item is inert."""


LONGEST_LABEL, LONGEST_NAME = 63, 253
"""Characters between two dots, and of a name without its last one, as DNS carries them (RFC 1035)."""


def fqdn(name: str) -> str:
    """The one canonical form: `Kubernetes.IO` and `kubernetes.io.` are both `kubernetes.io.`."""
    lowered = name.lower()
    return lowered if lowered.endswith(".") else lowered + "."


def is_label(text: str) -> bool:
    """A non-empty label of the policy alphabet."""
    return bool(text) and NAME_CHARACTERS.issuperset(text)


def why_not_asked(text: str) -> str | None:
    """Why nobody can look this up, in a sentence; None for what may be a name. Odd characters are no reason: DNS
    carries them."""
    name = text.removesuffix(".")
    labels = name.split(".")
    if "*" in name:
        return f"`{text}` is a pattern and no name; ask about one name that it matches"
    if labels[-1].isascii() and labels[-1].isdigit():
        return f"`{text}` is no address, and no DNS name ends in a number"
    if not all(labels) or max(map(len, labels)) > LONGEST_LABEL or len(name) > LONGEST_NAME:
        return f"`{text}` is no DNS name: {LONGEST_NAME} characters at most, 1 to {LONGEST_LABEL} between two dots"
    return None
