"""Policies as people write them, as another kind and back: where nothing is lost, `namewall diff` finds no change."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from namewall.policy.parse import API_VERSIONS
from namewall.review.answers import ANSWERS

CCNP = "CiliumClusterwideNetworkPolicy"
CASES = yaml.safe_load((Path(__file__).parent / "conversions.yaml").read_text(encoding="utf-8"))


def converted(text: str, to: str) -> tuple[str, list[dict[str, str]]]:
    found = ANSWERS["convert"]({"file": {"name": "a.yaml", "text": text}, "object": 0, "to": to})
    return found["text"], found["lost"]


def changes(old: str, new: str) -> list[dict[str, object]]:
    """What becomes of every flow of that world."""
    sides = [
        [{"name": "w.yaml", "text": CASES["world"]}, {"name": "a.yaml", "text": text}] for text in (old, new)
    ]
    found = ANSWERS["diff"]({"old": sides[0], "new": sides[1]})["groups"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("case", CASES["examples"], ids=range(len(CASES["examples"])))
@pytest.mark.parametrize("to", API_VERSIONS)
def test_there_and_back(case: dict[str, str], to: str) -> None:
    kind, spec = case["kind"], case["spec"]
    where = "" if kind == CCNP else ", namespace: shop"
    body = "".join(f"  {line}\n" for line in spec.strip().splitlines())
    text = f"apiVersion: {API_VERSIONS[kind]}\nkind: {kind}\nmetadata: {{name: a{where}}}\nspec:\n{body}"
    other, lost = converted(text, to)
    back, lost_back = converted(other, kind)
    for (old, new), gone in zip(pairwise((text, other, back)), (lost, lost_back), strict=True):
        assert gone or changes(old, new) == []
