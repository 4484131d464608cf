"""How the program ends where it is not its words that are wrong: exit code 1 is a finding and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from namewall.cli.main import main

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
PROGRAM = [sys.executable, "-m", "namewall"]
SCENARIO = "endpoints: [{name: a}]\nqueries: [{from: a, to: '203.0.113.7:1'}]\n"
ROW = json.dumps({"id": 1, "endpoints": [{"name": "a"}], "queries": [{"from": "a", "to": "203.0.113.7:1"}]})
WORDS = [
    (("simulate", "-"), SCENARIO),
    (("simulate", "--batch", "-"), f"{ROW}\n" * 3),
    (("explain", "-"), SCENARIO),
    (("match", "*", "a"), ""),
    (("validate", "--help"), ""),
    (("--help",), ""),
    (("up", "--help"), ""),
]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(("words", "text"), WORDS, ids=[" ".join(words) for words, _ in WORDS])
def test_a_full_disk_is_said_in_a_line_and_ends_in_3(words: tuple[str, ...], text: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, *words], input=text, stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
    assert done.returncode == 3, done.stderr
    assert done.stderr == "namewall: cannot write to stdout: no space left on device\n"


@pytest.mark.parametrize(("words", "text"), WORDS, ids=[" ".join(words) for words, _ in WORDS])
def test_a_pipe_that_nobody_reads_ends_it_in_silence_as_sigpipe_would(
    words: tuple[str, ...], text: str
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [*PROGRAM, *words], input=text, stdout=theirs, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("validate", "-"), 130),
        (("simulate", "--batch", "-"), 130),
        (("editor", "--port", "0", "--no-open"), 0),
    ],
    ids=["validate", "batch", "editor"],
)
def test_ctrl_c_is_no_finding(words: tuple[str, ...], code: int) -> None:
    with subprocess.Popen(
        [*PROGRAM, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, "NAMEWALL_ROOT": "/nonexistent"},
    ) as process:
        time.sleep(1)
        if words[0] == "editor":
            assert process.stdout is not None
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.strip()) == (code, "")


def test_a_misspelt_verb_is_told_which_is_meant() -> None:
    result = CliRunner().invoke(main, ["validte"])
    assert result.exit_code == 2
    assert "No such command 'validte'. Did you mean 'validate'?" in result.stderr
    assert "Did you mean 'ipcache'?" in CliRunner().invoke(main, ["bpf", "ipcash"]).stderr
    assert "Did you mean" not in CliRunner().invoke(main, ["frobnicate"]).stderr
    assert "Did you mean" not in CliRunner().invoke(main, ["apiservr"]).stderr, "nobody types those"
