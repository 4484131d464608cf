"""The words of an explanation: its lines with the places in the YAML, and the unified diff of a patch."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from namewall.policy.explain.flow import Explanation
from namewall.policy.explain.words import policy_name, rule_name
from namewall.review.complaints import clean
from namewall.review.scenarios import ScenarioFile
from namewall.review.yaml_writing import plain_yaml


def lines(file: ScenarioFile, found: Explanation) -> Iterator[str]:
    """What `namewall explain` prints."""
    answer = found.answer
    asked = ""
    if found.query.dns is not None:
        asked = f", the question {'refused' if answer.refused else 'passed'}"
    verdict = "allowed" if found.allowed else "denied"
    yield clean(f"{found.query}: {verdict} ({answer.reason}{asked})")
    for rule in answer.rules:
        yield clean(f"  decided by {rule_name(rule.origin)}{_place(file, rule.origin)}")
    yield ""
    for step in found.steps:
        side = step.direction.name.lower() if step.direction is not None else "flow"
        yield clean(f"  {side:<8}{step.kind.replace('_', ' '):<14}{step.text}")
    if found.allowed:
        return
    if found.nearest is not None:
        near = found.nearest
        yield ""
        yield clean(f"nearest rule: {rule_name(near.rule)}{_place(file, near.rule)}")
        yield clean(f"  field  {near.field}")
        yield clean(f"  want   {_words(near.want)}")
        yield clean(f"  got    {_words(near.got)}")
    yield ""
    if found.patch is None:
        yield clean(f"no patch: {found.no_patch}")
        return
    yield "smallest patch (applied and decided again: allowed):"
    raws = [placed.object for placed in file.policies]
    for old, new in found.patch.changed([raw for raw in raws if isinstance(raw, dict)]):
        yield from ("  " + clean(line) for line in diff(old, new))


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nobody"
    return "not there" if value is None else str(value)


def _place(file: ScenarioFile, origin: Any) -> str:
    place = file.line_of_rule(origin) if file.source else None
    return f" ({place[0]}:{place[1]})" if place else ""


def diff(old: dict[str, Any] | None, new: dict[str, Any]) -> Iterator[str]:
    """Unified, of the two documents as YAML in the order of their fields."""
    metadata = new["metadata"]
    clusterwide = new["kind"] == "CiliumClusterwideNetworkPolicy"
    name = policy_name(
        new["kind"], "" if clusterwide else metadata.get("namespace", "default"), metadata["name"]
    )
    yield from difflib.unified_diff(
        [] if old is None else plain_yaml(old).splitlines(),
        plain_yaml(new).splitlines(),
        "/dev/null" if old is None else name,
        name,
        n=3,
        lineterm="",
    )
