"""The daemons as processes: started apart from each other and from us, known by pid and start time.

None is the parent of another, so that any may die alone. A pid file names (pid, start time): a number that the
kernel gave to somebody else since is never signalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from namewall.model.instance import Instance

DAEMONS = ("apiserver", "monitor", "agent")
EDITOR = "editor"
"""Not every instance has one, and nothing waits for it."""
WATCHER = "up"
"""A `namewall up` in the foreground, which starts again what dies; while it is noted here, and no longer."""


@dataclass(frozen=True, slots=True)
class Process:
    name: str
    pid: int
    start_time: int
    """Clock ticks since boot, field 22 of /proc/PID/stat."""


def start_time(pid: int) -> int | None:
    """None where no such process lives (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def running(instance: Instance, name: str) -> Process | None:
    try:
        with open(_pid_file(instance, name), encoding="utf-8") as file:
            document = json.load(file)
        process = Process(name, int(document["pid"]), int(document["startTime"]))
    except (OSError, ValueError, KeyError):
        return None
    return process if start_time(process.pid) == process.start_time else None


def spawn(instance: Instance, name: str) -> Process:
    """Start a daemon in a session of its own, its words in `log_file`."""
    os.makedirs(f"{instance.run_dir}/daemons", mode=0o700, exist_ok=True)
    with open(log_file(instance, name), "ab") as log:
        child = subprocess.Popen(
            _command(instance, name),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
            env={**os.environ, "NAMEWALL_ROOT": instance.root},
        )
    return note(instance, name, child.pid)


def note(instance: Instance, name: str, pid: int) -> Process:
    """From now on `running` knows this process under the name."""
    started = start_time(pid)
    process = Process(name, pid, started if started is not None else 0)
    path = _pid_file(instance, name)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump({"pid": process.pid, "startTime": process.start_time}, file)
    os.replace(f"{path}.new", path)
    return process


def forget(instance: Instance, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_pid_file(instance, name))


def stop(instance: Instance, name: str, patience: float = 5.0) -> bool:
    """SIGTERM, then SIGKILL after `patience` seconds. False where it was not running."""
    process = running(instance, name)
    if process is None:
        return False
    _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while running(instance, name) and time.monotonic() < deadline:
        _reap(process.pid)
        time.sleep(0.02)
    if running(instance, name):
        _signal(process, signal.SIGKILL)
        while running(instance, name):
            _reap(process.pid)
            time.sleep(0.02)
    forget(instance, name)
    return True


def _command(instance: Instance, name: str) -> list[str]:
    if name == "monitor":  # without the CLI's imports: it is the one that should stay small
        return [sys.executable, "-m", "namewall.runtime.monitor", instance.run_dir]
    return [sys.executable, "-m", "namewall", "editor-server" if name == EDITOR else name]


def log_file(instance: Instance, name: str) -> str:
    return f"{instance.run_dir}/daemons/{name}.log"


def last_words(instance: Instance, name: str, lines: int = 5) -> str:
    try:
        with open(log_file(instance, name), encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:]).strip()
    except OSError:
        return ""


def _pid_file(instance: Instance, name: str) -> str:
    return f"{instance.run_dir}/daemons/{name}.json"


def _signal(process: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if start_time(process.pid) == process.start_time:
            os.kill(process.pid, number)


def _reap(pid: int) -> None:
    """A child of ours stays a zombie until it is waited for."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
