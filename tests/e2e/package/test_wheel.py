"""The wheel alone makes a working program: the compiled BPF object is inside, a user needs no compiler."""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY))
    (made,) = folder.glob("namewall-*.whl")
    return made


def run(*command: str, **environment: str) -> str:
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=clean | environment, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_carries_the_object_the_schemas_and_no_sources_of_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith(".bpf.o")]
    assert not [name for name in names if name.endswith(".bpf.c")]
    assert "namewall/py.typed" in names
    assert "namewall/editor/static/index.html" in names


def test_pip_install_in_an_empty_venv_gives_a_working_program(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", str(tmp_path / "venv"))
    python = str(tmp_path / "venv" / "bin" / "python")
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel))
    program = str(tmp_path / "venv" / "bin" / "namewall")
    assert "namewall" in run(program, "--version")
    assert "Start the API server" in run(program, "--help")
    if os.geteuid() != 0:
        pytest.skip("`up` needs root")
    # A short root: sockets below it. No compiler is in this PATH that the program could find use for.
    with tempfile.TemporaryDirectory(prefix="nw-wheel-", dir="/tmp") as root:
        here = {"NAMEWALL_ROOT": root, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        ranges = ("--pod-cidr", "10.187.0.0/16", "--service-cidr", "10.188.0.0/16")
        upstream = ("--dns-upstream", "198.51.100.53")
        try:
            run(program, "up", "--detach", "--listen", "127.0.0.1:0", *ranges, *upstream, **here)
            status = json.loads(run(program, "status", "-o", "json", **here))
            assert all(process["pid"] for process in status["processes"])
            assert "cluster-dns" in run(program, "get", "pods", "-n", "kube-system", **here)
        finally:
            run(program, "down", "--purge", **here)
        assert os.listdir(root) == []
