"""Which kubectl plays the page, and whether it is new enough.

`kubectl exec` speaks WebSocket since 1.31 by default; before that it speaks SPDY, which the embedded API
server does not. Debian 12 packages 1.20. So a kubectl's version is asked before it is used.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FETCHED = REPOSITORY / ".cache" / "kubectl"
NAMEWALL = REPOSITORY / ".venv" / "bin" / "namewall"
OLDEST = (1, 31)


@dataclass(frozen=True, slots=True)
class Kubectl:
    """`version` is () where the program would not say, and for `namewall` itself."""

    path: Path
    version: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.path} (version {'.'.join(map(str, self.version)) or 'unknown'})"

    @property
    def too_old(self) -> str | None:
        """One sentence with the cure, None for a kubectl that will do."""
        if self.version >= OLDEST:
            return None
        return (
            f"{self.name} is too old: `kubectl exec` needs {OLDEST[0]}.{OLDEST[1]} or newer, as it speaks "
            f"WebSocket since; use {FETCHED} (scripts/setup fetches it)"
        )


def fetched() -> Kubectl | None:
    """The kubectl that scripts/setup brought, from PyPI."""
    return _kubectl(FETCHED) if os.access(FETCHED, os.X_OK) else None


def own(path: str) -> Kubectl | None:
    """The reader's own, the first in `path` (a $PATH)."""
    found = shutil.which("kubectl", path=path)
    return _kubectl(Path(found)) if found else None


def for_reader(path: str) -> tuple[Path, str]:
    """The program to type the page with, and a sentence on the choice.

    The reader's own if it is new enough, else the fetched one, else `namewall`, which has the page's verbs.
    """
    mine, brought = own(path), fetched()
    if mine and not mine.too_old:
        return mine.path, f"kubectl is your own: {mine.name}"
    reason = f"{mine.too_old}\n" if mine else ""
    if brought and not brought.too_old:
        return brought.path, f"{reason}kubectl is {brought.name}"
    return (
        NAMEWALL,
        f"{reason}kubectl is not installed: `kubectl` here is `namewall`, which has the page's verbs",
    )


def parse_version(text: str) -> tuple[int, ...]:
    """`v1.32.4-dispatcher` → (1, 32, 4); () for anything else."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in match.groups() if part) if match else ()


def _kubectl(path: Path) -> Kubectl:
    try:
        done = subprocess.run(
            [path, "version", "--client", "-o", "json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        version = parse_version(json.loads(done.stdout)["clientVersion"]["gitVersion"])
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        version = ()
    return Kubectl(path, version)
