from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.kubelet import Kubelet
from tests.compat.server import KUBECTL, ROOT, Server


@pytest.fixture(scope="session")
def _kubectl() -> None:
    script = ROOT / "scripts" / "fetch_kubectl.py"
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert KUBECTL.exists()


@pytest.fixture(scope="module")
def server(_kubectl: None) -> Iterator[Server]:
    """A fresh server with a stand-in for the agent. One a module: names in a module must not clash."""
    root = Path(tempfile.mkdtemp(prefix="nw-", dir="/tmp"))
    server = Server(root)
    server.start()
    kubelet = Kubelet(server)
    kubelet.start()
    try:
        yield server
    finally:
        kubelet.stop()
        assert server.process is not None
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)
        failures = [line for line in server.log().splitlines() if "Traceback" in line or "ERROR" in line]
        log = server.log()
        shutil.rmtree(root)
    assert not failures, log
