"""`namewall up` in the foreground: it watches, it says so, and `down` elsewhere is the end of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import cluster, kubectl
from lab.cluster import Lab
from namewall.cli import processes

pytestmark = pytest.mark.root


@contextmanager
def foreground(lab: Lab) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    said = lab.root / "said"
    with said.open("w") as file:
        process = subprocess.Popen(
            [kubectl.NAMEWALL, "up"], stdout=file, stderr=file, text=True, env=lab.environment
        )
    try:
        _wait(lambda: "Ctrl-C takes it down" in said.read_text() or process.poll() is not None)
        yield process, said
    finally:
        process.kill()
        process.wait()


def _wait(is_so, seconds: float = 30) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_runs_already_is_adopted_with_a_word_and_not_twice() -> None:
    with cluster.lab() as lab:
        pids = {row["name"]: row["pid"] for row in lab.status()["processes"]}
        with foreground(lab) as (process, said):
            (line,) = [line for line in said.read_text().splitlines() if "it ran already" in line]
            assert line.endswith("Ctrl-C takes it down")
            second = lab.namewall("up")
            assert (second.returncode, second.stdout) == (3, "")
            assert f"the `namewall up` of pid {process.pid} watches it" in second.stderr
            assert len(second.stderr.splitlines()) == 1
            lab.up()  # is nothing new
            assert {row["name"]: row["pid"] for row in lab.status()["processes"]} == pids
            os.kill(pids["agent"], signal.SIGKILL)
            _wait(lambda: "the agent ended; starting it again" in said.read_text())
            _wait(lambda: processes.running(lab.instance, "agent") is not None)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        assert not Path(lab.instance.run_dir).exists()


def test_down_elsewhere_ends_the_watch_too() -> None:
    with cluster.lab() as lab, foreground(lab) as (process, said):
        done = lab.namewall("down")
        assert done.returncode == 0, done.stderr
        assert process.wait(10) == 0
        assert said.read_text().splitlines()[-1] == "namewall: it was taken down elsewhere"
        assert "starting it again" not in said.read_text()
        assert not Path(lab.instance.run_dir).exists()
        assert not Path(lab.instance.pin_dir).exists()
