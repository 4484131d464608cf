"""Every example in README.md and docs/ is run: policies are valid, scenarios answer as they say, commands print that.

Fenced blocks count by what they hold: a YAML document with `tests` or `queries` is a scenario, one with a policy's
`kind` a policy. The word after `yaml` says more: `file=PATH` puts the block there for the blocks after it, `test` says
that there is something to run, `invalid` is a policy that must be refused, `fails` a scenario in which something must
differ. In a `console` block each `$ namewall …` of a verb that needs no cluster is run, and must print what follows.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from namewall.cli.main import main
from namewall.cli.scenarios import place
from namewall.model.documents import read
from namewall.policy.expectation import differences
from namewall.policy.parse import API_VERSIONS, parse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
VERBS = {"validate", "match", "simulate", "test", "explain", "lint", "diff"}
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def file(self) -> str | None:
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(match[1], tuple(match[2].split()), match[3], text.count("\n", 0, match.start()) + 1)
        for match in _BLOCK.finditer(text)
    ]


def run_yaml(block: Block, folder: Path) -> int:
    """Runs what a block holds; how many examples that were."""
    if block.file:
        path = folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    count = 0
    for document in read(block.text.encode()):
        value: Any = document.value
        if not isinstance(value, dict):
            continue
        if value.get("kind") in API_VERSIONS and "metadata" in value:
            count += 1
            policy, problems = parse(value)
            assert (policy is None) == ("invalid" in block.words), "\n".join(map(str, problems))
        elif "kind" not in value and ("tests" in value or "queries" in value):
            count += 1
            file = place(str(folder / (block.file or "page.yaml")), document)
            assert file.scenario is not None, "\n".join(map(str, file.complaints))
            assert not file.rejected()
            wrong = [
                f"{query.path}: {text}"
                for query in file.scenario.queries
                for text in differences(query, file.scenario.answer(query))
            ]
            assert bool(wrong) == ("fails" in block.words), wrong
    return count


def commands(block: Block) -> Iterator[tuple[list[str], str]]:
    """(arguments, what is printed) of each namewall command that needs no cluster."""
    for chunk in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, printed = chunk.partition("\n")
        words = shlex.split(command, comments=True)
        if words[:1] == ["namewall"] and len(words) > 1 and words[1] in VERBS and not set(words) & {"|", ">"}:
            yield words[1:], printed


def settled(text: str) -> list[str]:
    """Without what differs from run to run: the time, and the rules of = that it moves."""
    return [re.sub(r"=+( .* in )\d+\.\d+s =+", r"= \1 s =", line).rstrip() for line in text.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("docs", "lab", "tests"):  # commands name files of the repository too
        (tmp_path / name).symlink_to(ROOT / name)
    for block in blocks(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if block.language == "yaml":
            try:
                count = run_yaml(block, tmp_path)
            except AssertionError as error:
                raise AssertionError(f"{where}: {error}") from error
            assert count or not {"test", "invalid", "fails"} & set(block.words), f"{where}: nothing was run"
        elif block.language == "console":
            for words, printed in commands(block):
                result = CliRunner().invoke(main, words, prog_name="namewall")
                assert not result.exception or isinstance(result.exception, SystemExit), (where, result)
                assert settled(result.output) == settled(printed), f"{where}: {' '.join(words)}"


def test_the_page_on_tests_has_examples(tmp_path: Path) -> None:
    """The net has no hole as large as a page."""
    found = blocks(ROOT / "docs" / "policy-tests.md")
    assert sum(run_yaml(block, tmp_path) for block in found if block.language == "yaml") >= 8
    assert sum(1 for block in found if block.language == "console" for _ in commands(block)) >= 2


def test_a_wrong_example_is_found(tmp_path: Path) -> None:
    text = "endpoints: [{name: a}]\ntests: [{from: a, to: '203.0.113.7:1', expect: deny}]\n"
    with pytest.raises(AssertionError):
        run_yaml(Block("yaml", (), text, 1), tmp_path)
    run_yaml(Block("yaml", ("fails",), text, 1), tmp_path)
    policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\nspec: {}\n"
    with pytest.raises(AssertionError):
        run_yaml(Block("yaml", (), policy, 1), tmp_path)
    run_yaml(Block("yaml", ("invalid",), policy, 1), tmp_path)
