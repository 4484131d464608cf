"""The real server in a process of its own, and the real kubectl to talk to it: what every test here uses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = ROOT / ".cache" / "kubectl"
NODE = "node-1"

_SERVE = """
import sys
from ipaddress import ip_network
from namewall.apiserver.main import ServerConfig, serve
from namewall.model.instance import Instance
serve(ServerConfig(
    instance=Instance(sys.argv[1]), port=0, node_name=sys.argv[2],
    service_cidrs=tuple(map(ip_network, sys.argv[3].split(",")))))
"""


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass
class Server:
    """One instance below `root`; `kill` and `start` may be repeated, the store stays."""

    root: Path
    service_cidrs: str = "10.77.0.0/16,fd77::/112"
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def kubeconfig(self) -> Path:
        return self.root / "lib" / "kubeconfig"

    def start(self) -> None:
        self.root.mkdir(exist_ok=True)
        before = self.kubeconfig.stat().st_mtime_ns if self.kubeconfig.exists() else None
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        command = [sys.executable, "-W", "error", "-c", _SERVE, str(self.root), NODE, self.service_cidrs]
        with open(self.root / "log", "ab") as log:
            self.process = subprocess.Popen(
                command, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        end = time.monotonic() + 20
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log()
            if self.kubeconfig.exists() and self.kubeconfig.stat().st_mtime_ns != before:
                return
            time.sleep(0.02)
        raise AssertionError(f"the server did not come up:\n{self.log()}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(10)

    def log(self) -> str:
        return (self.root / "log").read_text()

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.root / "cache"),
        }

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,
        timeout: float = 60,
        env: dict[str, str] | None = None,
    ) -> Ran:
        ran = subprocess.run(
            [KUBECTL, *arguments],
            input=input,
            env={**self.environment(), **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def ok(self, *arguments: str, input: str | None = None, timeout: float = 60) -> str:
        """The output of a kubectl that must succeed and say nothing on stderr."""
        ran = self.kubectl(*arguments, input=input, timeout=timeout)
        assert ran.code == 0, ran
        assert ran.err == "", ran
        return ran.out

    def get(self, *arguments: str) -> Any:
        return json.loads(self.ok("get", *arguments, "-o", "json"))

    def background(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [KUBECTL, *arguments],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def to_yaml(*objects: dict[str, Any]) -> str:
    """Several objects as one input of `kubectl -f -`."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def eventually(check: Any, seconds: float = 10) -> Any:
    """The first true value of `check()`."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {check}"
        time.sleep(0.05)
