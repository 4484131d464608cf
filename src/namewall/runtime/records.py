"""The small JSON files that monitor, agent and API server share, and what they say of a container.

Each file has one writer and is replaced by rename. `exit.json` is written once: who finds one there leaves
it. Imports little: the monitor, which must stay small, uses it.
"""

from __future__ import annotations

import json
import os
from typing import Any

from namewall.runtime import places
from namewall.runtime.places import Attempt

LOST_EXIT_CODE = 137
LOST_REASON = "ContainerStatusUnknown"
"""As Kubernetes has it for a container whose end nobody saw."""


def write(path: str, document: dict[str, Any], *, once: bool = False) -> bool:
    """Replace the file whole; with `once` leave one that is there, and say False."""
    new = f"{path}.{os.getpid()}.new"
    with open(new, "w", encoding="utf-8") as file:
        json.dump(document, file)
    if not once:
        os.replace(new, path)
        return True
    try:
        os.link(new, path)
        return True
    except FileExistsError:
        return False
    finally:
        os.unlink(new)


def read(path: str) -> dict[str, Any] | None:
    """None where there is no such file, or it is no JSON object."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def start_time(pid: int) -> int | None:
    """Clock ticks since boot; None where no such process lives (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(started: dict[str, Any]) -> bool:
    """Whether the process of a `started.json` still is the one that was started."""
    pid = started.get("pid")
    return isinstance(pid, int) and pid > 0 and start_time(pid) == started.get("start_time")


def attempts(run_dir: str, uid: str, container: str) -> list[Attempt]:
    """The kept ones, oldest first."""
    try:
        names = os.listdir(f"{places.containers(run_dir, uid)}/{container}")
    except OSError:
        return []
    return [
        Attempt(run_dir, uid, container, n) for n in sorted(int(name) for name in names if name.isdigit())
    ]


def container_names(run_dir: str, uid: str) -> list[str]:
    try:
        return sorted(os.listdir(places.containers(run_dir, uid)))
    except OSError:
        return []


def pod_uids(run_dir: str) -> list[str]:
    try:
        return sorted(os.listdir(places.pods(run_dir)))
    except OSError:
        return []


def all_attempts(run_dir: str) -> list[Attempt]:
    return [
        attempt
        for uid in pod_uids(run_dir)
        for container in container_names(run_dir, uid)
        for attempt in attempts(run_dir, uid, container)
    ]
