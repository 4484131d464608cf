"""All rules over one project."""

from __future__ import annotations

from namewall.policy.explain.anatomy import steps
from namewall.policy.lint import dns, effect, names, nulls, selection
from namewall.policy.lint.finding import Finding, Project

IDS = (
    "fqdn-without-dns",
    "dns-namespace",
    "other-dns-server",
    "dns-protocol",
    "public-suffix",
    "unanchored-pattern",
    "one-level",
    "double-star",
    "inert-pattern",
    "single-label-name",
    "in-cluster-name",
    "address-as-name",
    "empty-fqdns",
    "ndots-search",
    "dns-server-wide",
    "dns-rules-undone",
    "names-swallowed",
    "selects-nothing",
    "dropped-label",
    "selects-everything",
    "namespace-overridden",
    "cidr-means-no-pods",
    "netpol-or",
    "empty-from",
    "empty-rule",
    "own-namespace",
    "ignored-direction",
    "duplicate-name",
    "shadowed",
    "deny-denies-all",
    "idle-default-deny",
    "any-peer",
    "no-icmp",
    "service-port",
    "octal-port",
    "null-field",
    "not-enforceable",
)
"""Stable: a rule keeps its id, and an id its meaning. docs/lint.md has them in this order."""


def lint(project: Project) -> list[Finding]:
    """By object, then path, then rule; each said once."""
    found = {
        finding
        for rule in (*dns.RULES, *names.RULES, *selection.RULES, *effect.RULES, *nulls.RULES)
        for finding in rule(project)
    }
    return sorted(found, key=lambda f: (f.index, _place(f.path), IDS.index(f.rule), f.message))


def _place(path: str) -> list[tuple[str, int]]:
    """By which item 2 comes before item 10."""
    return [(step, 0) if isinstance(step, str) else ("", step) for step in steps(path)]
