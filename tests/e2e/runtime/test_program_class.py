"""Runtime class `namewall`: our own program, wherever it was cloned to; `host` does not see it there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.runtime.harness import SOURCES, Lab

START = """
import asyncio, sys
from ipaddress import ip_address
from namewall.model.instance import Instance
from namewall.runtime.pods import PodRuntime
root, program, kind, uid = sys.argv[1:]
async def main():
    runtime = PodRuntime(Instance(root))
    code = "import namewall.runtime.pods, click; print(namewall.__file__)"
    spec = {"runtimeClassName": kind, "containers": [{"name": "main", "command": [program, "-c", code]}]}
    pod = {"metadata": {"name": "dns", "namespace": "kube-system", "uid": uid}, "spec": spec}
    sandbox = await runtime.create(pod, (ip_address("10.201.250.1"),), "")
    try:
        await runtime.start(sandbox, pod, spec["containers"][0])
        print((await runtime.wait(uid, "main")).exit_code)
    except Exception as error:
        print(error)
asyncio.run(main())
"""


@pytest.fixture
def clone() -> Iterator[Path]:
    """A clone below /tmp with a virtual environment of its own, as `make` leaves it."""
    root = Path(tempfile.mkdtemp(prefix="nw-clone-", dir="/tmp"))
    shutil.copytree(
        f"{SOURCES}/namewall", root / "src" / "namewall", ignore=shutil.ignore_patterns("__pycache__")
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", root / ".venv"], check=True)
    packages = next((root / ".venv" / "lib").glob("python*/site-packages"))
    # Editable, as pip makes it; the other packages are those of the environment that runs the tests.
    (packages / "namewall.pth").write_text(f"{root}/src\n")
    mine = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    for name in ("click", "dns"):
        if (mine / name).exists():
            shutil.copytree(mine / name, packages / name)
    yield root
    shutil.rmtree(root)


@pytest.mark.parametrize(("kind", "works"), [("namewall", True), ("host", False)])
async def test_a_clone_below_tmp(lab: Lab, clone: Path, kind: str, works: bool) -> None:
    program, uid = str(clone / ".venv/bin/python"), "0b5e1a7c-0000-4000-8000-000000000001"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [program, "-c", START, lab.instance.root, program, kind, uid],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    if works:
        log = Path(f"{lab.instance.run_dir}/pods/{uid}/containers/main/0/log").read_text()
        assert (done.stdout, log) == ("0\n", f"{clone}/src/namewall/__init__.py\n")
    else:
        assert "no such file or directory" in done.stdout
