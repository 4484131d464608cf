"""scripts/setup: quick when nothing is missing, and honest when something is. Fresh systems: by hand, in chroots."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from lab.kubectl import REPOSITORY

SETUP = REPOSITORY / "scripts" / "setup"


def _run(*arguments: str, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SETUP, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": path, "HOME": "/root"},
    )


def test_it_is_quick_and_quiet_when_nothing_is_missing_and_path_has_no_sbin() -> None:
    first = _run()
    assert first.returncode == 0, first.stderr
    began = time.monotonic()
    again = _run()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert time.monotonic() - began < 3
    assert Path(REPOSITORY, ".venv/bin/namewall").exists()


def test_an_argument_it_does_not_know_is_wrong_usage() -> None:
    done = _run("everything")
    assert done.returncode == 2
    assert "usage: scripts/setup [lab|test|bench]" in done.stderr
