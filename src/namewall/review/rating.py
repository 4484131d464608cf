"""How closed a set of policies is: 0 is open, 100 says who may talk to whom, by name and port, in both directions.

Every deduction is a reason that names its place. The half of each direction is lost where workloads are without
default deny in it; the rest where rules open more than whom and what they name, and where lint found a trap. It judges
how narrow the policies are, not whether they are the right ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from namewall.model.labels import Labels
from namewall.model.net import Direction, Protocol
from namewall.policy.diff.universe import describe
from namewall.policy.explain.words import rule_name
from namewall.policy.lint.contained import own_requirements, world_families
from namewall.policy.lint.finding import Finding, Project
from namewall.policy.rules import PortMatch, Rule
from namewall.policy.selectors import CidrSelector, FqdnSelector, LabelSelector
from namewall.review.papers import Papers

WORDS = ((90, "strong"), (70, "good"), (45, "fair"), (20, "weak"), (0, "open"))
HALF = 50
"""What one direction counts for."""
MOST = 50
"""Reasons that are listed."""
TRAPS = {"error": 10, "warning": 4}
COUNTED = {"any-peer", "public-suffix", "names-swallowed", "selects-everything", "dns-server-wide"}
"""Findings about width, which is judged here already."""
WIDE_PREFIX = {4: 8, 6: 32}
"""Prefix lengths up to which a range is a good part of the internet."""


class Reason(NamedTuple):
    points: int
    text: str
    file: str | None = None
    line: int | None = None


def rated(papers: Papers, project: Project, findings: list[Finding]) -> dict[str, Any] | None:
    """`rating` of docs/editor-api.md; None where what there may be cannot be read."""
    rules = [(index, rule) for index, rule in project.rules if index not in project.audited]
    if not rules and papers.broken:
        return None
    if not rules:
        text = "no policy is enforced: everything is allowed"
        return {"score": 0, "word": "open", "reasons": [Reason(-100, text)._asdict()]}
    reasons = [*_open_sides(rules, project), *_wide_rules(papers, project), *_traps(papers, findings)]
    reasons.sort(key=lambda reason: reason.points)
    score = max(0, 100 + sum(reason.points for reason in reasons))
    word = next(word for least, word in WORDS if score >= least)
    return {"score": score, "word": word, "reasons": [each._asdict() for each in reasons[:MOST]]}


def _open_sides(rules: list[tuple[int, Rule]], project: Project) -> Iterator[Reason]:
    """Workloads that the policies select, without default deny in a direction."""
    subjects: dict[Labels, Rule] = {}
    for _, rule in rules:
        for labels in project.subjects(rule)[:1]:
            subjects.setdefault(labels, rule)
    for direction in Direction:
        bare = [
            labels
            for labels in subjects
            if not any(
                rule.default_deny and rule.direction is direction and index not in project.audited
                for index, rule in project.by_subject.selecting(labels)
            )
        ]
        if bare:
            points = -max(1, round(HALF * len(bare) / len(subjects)))
            who = describe(bare[0]).removeprefix("default/") + (
                f" and {len(bare) - 1} more" if bare[1:] else ""
            )
            side = direction.name.lower()
            yield Reason(points, f"no default deny for {side} of {who}: all {side} is allowed")


def _wide_rules(papers: Papers, project: Project) -> Iterator[Reason]:
    for index, rule in project.allows():
        if index in project.audited or not rule.peers:
            continue
        every_port = any(port.protocol is Protocol.ANY or _is_whole(port) for port in rule.ports)
        found = max(_widths(rule, every_port), default=None)
        if found is not None:
            points, what = found
            one = papers.placed[index]
            text = f"{rule_name(rule.origin)} allows {what}{' on every port' if every_port else ''}"
            yield Reason(-points, text, one.source, one.line_of(rule.origin.rule))
        if any(port.dns == "any" for port in rule.ports):
            one = papers.placed[index]
            text = f"{rule_name(rule.origin)} lets every name be asked: data can leave by DNS"
            yield Reason(-3, text, one.source, one.line_of(rule.origin.rule))


def _is_whole(port: PortMatch) -> bool:
    return not port.name and port.first <= 1 and port.last == 65535 and port.protocol is Protocol.TCP


def _widths(rule: Rule, every_port: bool) -> Iterator[tuple[int, str]]:
    """(points, whom) for each peer that is wide."""
    out = rule.direction is Direction.EGRESS
    side = "to" if out else "from"
    for peer in rule.peers:
        if isinstance(peer, LabelSelector) and peer.is_wildcard:
            yield (25 if every_port else 15 if out else 8), f"traffic {side} everybody"
        elif world_families(peer):
            yield (20 if every_port else 12 if out else 5), f"traffic {side} the whole world"
        elif isinstance(peer, CidrSelector) and peer.cidr.prefixlen <= WIDE_PREFIX[peer.cidr.version]:
            yield (10 if every_port else 6), f"traffic {side} all of {peer.cidr}"
        elif isinstance(peer, FqdnSelector):
            fixed = peer.form.rpartition("*")[2].strip(".").split(".") if "*" in peer.form else []
            if "*" in peer.form and len([label for label in fixed if label]) < 2:
                yield (15 if every_port else 10), "names of domains that anybody may register"
            elif every_port:
                yield 3, f"traffic to {peer.form.removesuffix('.')}"
        elif isinstance(peer, LabelSelector) and not own_requirements(peer):
            yield (8 if every_port else 4), f"traffic {side} every pod of a namespace or of the cluster"
        elif isinstance(peer, LabelSelector) and every_port:
            yield 2, f"traffic {side} pods"


def _traps(papers: Papers, findings: list[Finding]) -> Iterator[Reason]:
    for finding in findings:
        points = TRAPS.get(finding.severity, 0)
        if points and finding.rule not in COUNTED:
            one = papers.placed[finding.index]
            text = f"{finding.message} ({finding.rule})"
            yield Reason(-points, text, one.source, one.line_of(finding.path))
