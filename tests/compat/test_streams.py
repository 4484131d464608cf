"""kubectl exec and logs against real containers: the runtime runs the pod, the server carries the bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pexpect
import pytest
import pytest_asyncio

from namewall.model.instance import Instance
from tests.compat import manifests
from tests.compat.kubelet import Kubelet
from tests.compat.server import KUBECTL, Server, eventually, to_yaml
from tests.e2e.runtime.harness import Lab

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to run containers"),
    pytest.mark.skipif(shutil.which("runc") is None, reason="needs runc (apt install runc)"),
    pytest.mark.asyncio(loop_scope="module"),
]

SCRIPT = "echo one; echo two; trap 'exit 0' TERM; trap 'echo three' USR1; while :; do sleep 0.1; done"


@dataclass
class Pods:
    server: Server
    lab: Lab

    async def run(self, name: str, *command: str) -> None:
        """Applies a pod and starts its container by the real runtime, as the agent would."""
        obj = manifests.pod(name)
        obj["spec"]["containers"][0]["command"] = list(command)
        self.server.ok("apply", "-f", "-", input=to_yaml(obj))
        self.server.ok("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=20s")
        stored = self.server.get("pod", name)
        addresses = (ip_address("10.201.199.2"), ip_address("fd4e:7e57::c702"))
        sandbox = await self.lab.runtime.create(stored, addresses, "nameserver 10.220.0.10\n")
        await self.lab.runtime.open(sandbox)
        await self.lab.start(sandbox, stored)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pods(_kubectl: None) -> AsyncIterator[Pods]:
    root = Path(tempfile.mkdtemp(prefix="nw-", dir="/tmp"))
    server, lab = Server(root), Lab(Instance(str(root)))
    server.start()
    kubelet = Kubelet(server)
    lab.start_monitor()
    try:
        kubelet.start()
        await lab.monitor_ready()
        pods = Pods(server, lab)
        await pods.run("web", "sh", "-c", SCRIPT)
        yield pods
    finally:
        kubelet.stop()
        try:
            await lab.runtime.remove_all()
        finally:
            lab.end_monitor()
            server.stop(signal.SIGKILL)
            log = server.log()
            shutil.rmtree(root)
    assert "Traceback" not in log, log


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 28", 28), ("kill -9 $$", 137)])
async def test_exit_codes_arrive(pods: Pods, script: str, code: int) -> None:
    ran = pods.server.kubectl("exec", "web", "--", "sh", "-c", script)
    assert ran.code == code
    assert ran.err == (f"command terminated with exit code {code}\n" if code else "")


async def test_streams_are_apart_and_stdin_ends(pods: Pods) -> None:
    ran = pods.server.kubectl("exec", "-i", "web", "--", "sh", "-c", "cat; echo err >&2", input="in\n")
    assert (ran.code, ran.out, ran.err) == (0, "in\n", "err\n")


async def test_a_megabyte_each_way(pods: Pods) -> None:
    data = "0123456789abcde\n" * 65536
    assert pods.server.ok("exec", "-i", "web", "--", "cat", input=data) == data


async def test_a_terminal_has_the_clients_size_and_the_exit_code(pods: Pods) -> None:
    child = pexpect.spawn(
        str(KUBECTL),
        ["exec", "-ti", "web", "--", "bash", "--norc"],
        env={**pods.server.environment(), "TERM": "dumb"},
        dimensions=(31, 97),
        timeout=10,
        encoding="utf-8",
    )
    child.expect(r"[$#] ")
    child.sendline("stty size")
    child.expect("31 97")
    child.setwinsize(40, 120)
    child.sendline("sleep 0.2; stty size; tty && exit 28")
    child.expect("40 120")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 28


async def test_a_program_that_is_not_there(pods: Pods) -> None:
    ran = pods.server.kubectl("exec", "web", "--", "no-such-program")
    assert ran.code == 1
    assert "executable file not found" in ran.err


async def test_wrong_targets_are_told(pods: Pods) -> None:
    assert 'pods "nobody" not found' in pods.server.kubectl("exec", "nobody", "--", "true").err
    assert "container nope is not valid" in pods.server.kubectl("exec", "web", "-c", "nope", "--", "true").err
    attach = pods.server.kubectl("attach", "web")
    assert (attach.code, "attach is not offered" in attach.err) == (1, True)


async def test_a_client_that_goes_away_ends_its_terminal(pods: Pods) -> None:
    child = pexpect.spawn(
        str(KUBECTL), ["exec", "-ti", "web", "--", "sleep", "4242"], env=pods.server.environment(), timeout=10
    )
    eventually(_sleepers)
    child.kill(signal.SIGKILL)
    child.wait()
    eventually(lambda: not _sleepers())


def _sleepers() -> list[str]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                command = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if command == b"sleep\x004242\x00":
                found.append(entry)
    return found


async def test_logs_are_read_and_followed(pods: Pods) -> None:
    server = pods.server
    eventually(lambda: server.ok("logs", "web") == "one\ntwo\n")
    assert server.ok("logs", "web", "--tail=1") == "two\n"
    assert server.ok("logs", "web", "--since=1h") == "one\ntwo\n"
    stamp, word = server.ok("logs", "web", "--timestamps", "--tail=1").split()
    assert word == "two"
    assert stamp.endswith("Z")
    assert server.ok("logs", "-l", "app=web") == "one\ntwo\n"
    previous = server.kubectl("logs", "web", "--previous")
    assert previous.code == 1
    assert 'previous terminated container "main" in pod "web" not found' in previous.err
    following: subprocess.Popen[str] = server.background("logs", "-f", "web")
    try:
        assert following.stdout is not None
        assert following.stdout.readline() == "one\n"
        assert following.stdout.readline() == "two\n"
        server.ok("exec", "web", "--", "sh", "-c", "kill -USR1 1")
        assert following.stdout.readline() == "three\n"
    finally:
        following.kill()
        following.communicate()
