"""What words of YAML mean, and that what the page writes as text is read as that text (ui/tests/yaml.test.ts)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from namewall.model.documents import read_yaml

TABLE = json.loads((Path(__file__).parent / "yaml-words.json").read_text(encoding="utf-8"))


def only(text: str) -> Any:
    (document,) = read_yaml(text.encode())
    return document.value


@pytest.mark.parametrize(("word", "value"), TABLE["words"])
def test_a_word_means(word: str, value: Any) -> None:
    found = only(f"a: {word}\n")["a"]
    if isinstance(found, float) and not math.isfinite(found):
        found = {"float": {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(found)]}
    assert found == value
    assert type(found) is type(value) or isinstance(found, float)


@pytest.mark.parametrize(("text", "block", "flow"), TABLE["texts"])
def test_a_text_of_the_page_is_read_as_it(text: str, block: str, flow: str) -> None:
    assert only(f"a: {block}\nb: [{flow}, x]\n") == {"a": text, "b": [text, "x"]}
