"""Does an answer fit what its query expects?

`allow`, `deny` and `refused` are about the whole; a mapping compares the fields it has and no others. Where rules are
expected, each must be there with the fields given, in any order, and no other may be.
"""

from __future__ import annotations

from typing import Any

from namewall.policy.scenario import Answer, Query


def differences(query: Query, answer: Answer) -> list[str]:
    """How an Answer differs from what its query expects, one sentence each; empty where it does not."""
    expect, got = query.expect, answer.to_dict()
    if expect is None:
        return []
    if expect == "refused":
        return [] if answer.refused else [f"expected refused, got {_said(answer)}"]
    if isinstance(expect, str):
        return [] if answer.verdict == expect else [f"expected {expect}, got {_said(answer)}"]
    return [
        f"{key}: expected {_shown(want)}, got {_shown(got[key])}"
        for key, want in expect.items()
        if not _fits(want, got[key])
    ]


def _said(answer: Answer) -> str:
    return "refused" if answer.refused else str(answer.verdict)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        words = ([rule[key] for key in ("policy", "rule") if key in rule] or rule.values() for rule in value)
        return "[" + ", ".join(" ".join(map(str, each)) for each in words) + "]"
    return "null" if value is None else str(value)


def _fits(want: Any, got: Any) -> bool:
    """Rules fit where each expected one's given fields do, in any order; all else must be equal."""
    if not (isinstance(want, list) and isinstance(got, list)):
        return bool(want == got)
    left = [dict(rule) for rule in got]
    for rule in want:
        match = next((one for one in left if rule.items() <= one.items()), None)
        if match is None:
            return False
        left.remove(match)
    return not left


__all__ = ["differences"]
