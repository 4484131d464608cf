"""Tables of the node's verbs."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from namewall.cli.main import main
from namewall.cli.node_output import cell, document, show

ROWS = [
    {"id": 1, "pod": "default/web", "names": ["a.example.com", "b.example.com"], "up": True},
    {"id": 22, "pod": None, "names": [], "up": False},
]
COLUMNS = tuple((name.upper(), lambda row, name=name: row[name]) for name in ROWS[0])


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, COLUMNS, "table")
    assert capsys.readouterr().out == (
        "ID   POD           NAMES                         UP\n"
        "1    default/web   a.example.com,b.example.com   yes\n"
        "22   -             -                             no\n"
    )


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_json_and_yaml_are_whole(output: str, read: Any, capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, COLUMNS, output)
    assert read(capsys.readouterr().out) == ROWS


def test_a_pattern_that_is_none_is_wrong_usage() -> None:
    for pattern in ("exa mple", ""):
        done = CliRunner().invoke(main, ["fqdn", "cache", "list", "-p", pattern])
        assert done.exit_code == 2
        assert f"--matchpattern: `{pattern}` is no pattern of names" in done.stderr


def test_names_cannot_speak_to_the_terminal() -> None:
    evil = "\x1b[31mred\u202e"
    assert cell(evil) == "\\x1b[31mred\\u202e"
    assert cell([evil, "x"]) == "\\x1b[31mred\\u202e,x"
    for output in ("json", "yaml"):
        assert document({"name": evil}, output).replace("\n", "").isprintable()
