"""Compiles bpf/*.bpf.c to src/namewall/datapath/*.bpf.o, where sources are newer.

`python scripts/build_bpf.py` does it for the Makefile; hatchling runs it as a build hook, so that the wheel
carries the object and a user needs no compiler.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-O2", "-g", "-target", "bpfel", "-mcpu=v3", "-Wall", "-Wextra", "-Werror"]
QUIET = ["-Wno-unused-parameter", "-Wno-sign-compare"]


def build(root: Path = ROOT) -> list[Path]:
    """Compile what is out of date; the objects, made now or before."""
    headers = max((path.stat().st_mtime for path in (root / "bpf").glob("*.h")), default=0.0)
    objects = []
    for source in sorted((root / "bpf").glob("*.bpf.c")):
        target = root / "src/namewall/datapath" / source.with_suffix(".o").name
        newest = max(headers, source.stat().st_mtime, Path(__file__).stat().st_mtime)
        if not target.exists() or target.stat().st_mtime < newest:
            _compile(source, target)
        objects.append(target)
    return objects


def _compile(source: Path, target: Path) -> None:
    clang = shutil.which(os.environ.get("CLANG", "clang"))
    if clang is None:
        raise SystemExit("clang is not installed; apt-get install clang libbpf-dev (or set CLANG)")
    # The UAPI headers' <asm/types.h> lies in a directory of the machine's own.
    include = f"-I/usr/include/{platform.machine()}-linux-gnu"
    made = target.with_suffix(".tmp")
    subprocess.run([clang, *FLAGS, *QUIET, include, "-c", str(source), "-o", str(made)], check=True)
    strip = shutil.which("llvm-strip")
    if strip:
        subprocess.run([strip, "-g", str(made)], check=True)  # DWARF goes, BTF stays
    made.replace(target)
    print(f"compiled {source.name} ({target.stat().st_size / 1024:.0f} kB)", file=sys.stderr)


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:
    if __name__ == "__main__":
        build()
else:

    class BpfBuildHook(BuildHookInterface):  # type: ignore[type-arg,misc]
        """The object is an artifact of the wheel, not of the repository."""

        PLUGIN_NAME = "custom"

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            objects = build(Path(self.root))
            build_data["artifacts"] += [str(path.relative_to(self.root)) for path in objects]

    if __name__ == "__main__":
        build()
