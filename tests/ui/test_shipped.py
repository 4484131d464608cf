"""What the wheel carries is what ui/ builds, and its own checks pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ui.conftest import REPOSITORY

STATIC = REPOSITORY / "src/namewall/editor/static"


def run(*words: str) -> None:
    command = [sys.executable, "scripts/build_ui.py", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(600)
def test_the_package_has_what_the_sources_build(tmp_path: Path) -> None:
    run("--out", str(tmp_path / "built"))
    built, shipped = contents(tmp_path / "built"), contents(STATIC)
    assert built.keys() == shipped.keys(), "run `make ui` and commit what it writes"
    assert [name for name in built if built[name] != shipped[name]] == []


@pytest.mark.timeout(600)
def test_the_sources_pass_their_own_checks() -> None:
    run("--run", "check")
