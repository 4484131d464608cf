"""Running the host's own tools, and knowing processes for certain.

A process is named by pid and start time, never by pid alone: a number the kernel gave to somebody else
since is never signalled. Tools are found although PATH lacks the sbin directories, as a plain user's does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SBIN}", **more}


def run(*command: str, check: bool = True) -> str:
    """Standard output of a command. Raises RuntimeError with its own words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    start_time: int
    """Clock ticks since boot, field 22 of /proc/PID/stat."""

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(pid, _start_time(pid) or 0)

    @property
    def alive(self) -> bool:
        return _start_time(self.pid) == self.start_time

    def end(self, patience: float = 3.0) -> None:
        """SIGTERM, then SIGKILL after `patience` seconds; returns when it is gone."""
        for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            deadline = time.monotonic() + wait
            with suppress(ProcessLookupError):
                if self.alive:
                    os.kill(self.pid, number)
            while self.alive and time.monotonic() < deadline:
                time.sleep(0.02)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)  # a child of ours would stay a zombie


def _start_time(pid: int) -> int | None:
    """None where no such process lives (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
