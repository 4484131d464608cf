"""What the runtime tests work with: an instance, its monitor process, and short words for what they do."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from namewall.model.instance import Instance
from namewall.runtime import exec as pod_exec
from namewall.runtime import places
from namewall.runtime.base import ContainerState, Sandbox
from namewall.runtime.pods import PodRuntime

Object = dict[str, Any]

SOURCES = str(Path(__file__).parents[3] / "src")
_numbers = itertools.count(os.getpid() % 200 + 2)


class Lab:
    """One instance with short words for what tests do."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.runtime = PodRuntime(instance)
        self.monitor: subprocess.Popen[bytes] | None = None
        self.exit_codes: list[int] = []

    def start_monitor(self) -> subprocess.Popen[bytes]:
        self.monitor = subprocess.Popen(
            [sys.executable, "-m", "namewall.runtime.monitor", self.instance.run_dir],
            env={**os.environ, "PYTHONPATH": SOURCES},
            stdin=subprocess.DEVNULL,
        )
        return self.monitor

    async def monitor_ready(self) -> None:
        assert self.monitor is not None
        async with asyncio.timeout(10):
            while True:
                with suppress(Exception):
                    if (await self.runtime.ask_monitor({"op": "ping"}))["pid"] == self.monitor.pid:
                        return
                await asyncio.sleep(0.01)

    def end_monitor(self, number: int = signal.SIGTERM) -> None:
        assert self.monitor is not None
        self.monitor.send_signal(number)
        self.monitor.wait(10)
        self.monitor = None

    async def sandbox(self, **spec: Any) -> tuple[Sandbox, Object]:
        number = next(_numbers)
        pod = make_pod(**spec)
        addresses = (ip_address(f"10.201.{number >> 8}.{number & 255}"), ip_address(f"fd4e:7e57::{number:x}"))
        return await self.runtime.create(pod, addresses, "nameserver 10.220.0.10\n"), pod

    async def run(self, *command: str, is_open: bool = True, **spec: Any) -> tuple[Sandbox, Object]:
        """A pod whose one container `main` runs the command."""
        container = {"name": "main", "command": list(command), **spec.pop("container", {})}
        sandbox, pod = await self.sandbox(containers=[container], **spec)
        if is_open:
            await self.runtime.open(sandbox)
        await self.start(sandbox, pod)
        return sandbox, pod

    async def start(self, sandbox: Sandbox, pod: Object, **options: Any) -> ContainerState:
        return await self.runtime.start(sandbox, pod, pod["spec"]["containers"][0], **options)

    async def wait(self, sandbox: Sandbox) -> ContainerState:
        async with asyncio.timeout(20):
            return await self.runtime.wait(sandbox.uid, "main")

    def log(self, sandbox: Sandbox, attempt: int = 0) -> str:
        return Path(places.Attempt(self.instance.run_dir, sandbox.uid, "main", attempt).log).read_text()

    async def exec(
        self, sandbox: Sandbox, *command: str, stdin: bytes | None = None, tty: bool = False
    ) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        session = await pod_exec.start(
            self.instance, sandbox.uid, "main", list(command), stdin=stdin is not None, tty=tty
        )

        async def feed() -> None:
            if stdin is not None:
                await session.write(stdin)
                await session.close_stdin()

        async with asyncio.timeout(30):
            feeding = asyncio.create_task(feed())
            streams: dict[int, list[bytes]] = {1: [], 2: []}
            async for stream, data in session.output():
                streams[stream].append(data)
            code = await session.wait()
            await feeding
        session.terminate()
        return code, b"".join(streams[1]).decode(), b"".join(streams[2]).decode()

    async def shell(self, sandbox: Sandbox, script: str) -> tuple[int, str]:
        """Exit code and stdout with stderr after it."""
        code, out, err = await self.exec(sandbox, "sh", "-c", script)
        return code, out + err


def make_pod(name: str = "web", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": str(uuid.uuid4()), "labels": {"app": name}},
        "spec": {"runtimeClassName": "host", "nodeName": "node", **spec},
    }
