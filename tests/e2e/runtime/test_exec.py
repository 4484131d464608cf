"""One more process in a container: streams, terminals, exit codes."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from namewall.runtime import exec as pod_exec
from tests.e2e.runtime.harness import SOURCES, Lab


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 28", 28), ("kill -9 $$", 137)])
async def test_exit_codes(lab: Lab, script: str, code: int) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    assert await lab.exec(sandbox, "sh", "-c", script) == (code, "", "")


async def test_the_streams_are_apart(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    assert await lab.exec(sandbox, "sh", "-c", "echo out; echo err >&2") == (0, "out\n", "err\n")


@pytest.mark.parametrize(
    ("command", "words", "code"),
    [
        ("no-such-program", 'exec: "no-such-program": executable file not found in $PATH', 127),
        ("/no/such/program", "no such file or directory", 127),
        ("/etc/passwd", "permission denied", 126),
    ],
)
@pytest.mark.parametrize("tty", [False, True])
async def test_what_cannot_start(lab: Lab, command: str, words: str, code: int, tty: bool) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    with pytest.raises(pod_exec.ExecError) as caught:
        await pod_exec.start(lab.instance, sandbox.uid, "main", [command], stdin=False, tty=tty)
    assert words in str(caught.value)
    assert caught.value.exit_code == code
    assert os.listdir(f"{lab.instance.run_dir}/exec") == []


async def test_a_container_that_does_not_run(lab: Lab) -> None:
    sandbox, _ = await lab.run("true")
    await lab.wait(sandbox)
    with pytest.raises(pod_exec.ExecError, match=r'container not found \("main"\)'):
        await pod_exec.start(lab.instance, sandbox.uid, "main", ["true"], stdin=False, tty=False)


async def test_three_megabytes_both_ways(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    data = b"0123456789abcde\n" * (3 * 65536)
    code, out, err = await lab.exec(sandbox, "cat", stdin=data)
    assert (code, err) == (0, "")
    assert out.encode() == data


async def test_input_that_nobody_reads_ends_with_the_process(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    data = b"x" * 1_000_000
    assert await lab.exec(sandbox, "head", "-c", "3", stdin=data) == (0, "xxx", "")
    # Here the pipe stays open in a child that lives on and reads nothing.
    script = "sleep 5 <&0 & exit 2"
    assert (await lab.exec(sandbox, "sh", "-c", script, stdin=data))[0] == 2


async def test_fast_ends_lose_nothing(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    for number in range(20):
        assert await lab.exec(sandbox, "echo", str(number)) == (0, f"{number}\n", "")
    for number in range(5):
        assert (await lab.exec(sandbox, "echo", str(number), tty=True)) == (0, f"{number}\r\n", "")


async def test_a_slow_reader_gets_everything(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    session = await pod_exec.start(
        lab.instance, sandbox.uid, "main", ["head", "-c", "500000", "/dev/zero"], stdin=False, tty=False
    )
    total = 0
    async for _, data in session.output():
        total += len(data)
        await asyncio.sleep(0.03)
    assert (total, await session.wait()) == (500_000, 0)


async def test_a_child_left_behind_is_not_waited_for(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    before = time.monotonic()
    assert await lab.exec(sandbox, "sh", "-c", "sleep 20 & echo done") == (0, "done\n", "")
    assert time.monotonic() - before < 5


async def test_no_zombies_and_no_open_files_are_left(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    await lab.exec(sandbox, "true")
    before = len(os.listdir("/proc/self/fd"))
    for tty in (False, True):
        await lab.exec(sandbox, "true", tty=tty)
    await asyncio.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) == before
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    states = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in children]
    assert "Z" not in states


async def test_a_terminal_is_one(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    code, out, _ = await lab.exec(sandbox, "sh", "-c", "test -t 0 && test -t 1 && tty; echo $TERM", tty=True)
    assert (code, out) == (0, "/dev/pts/0\r\nxterm\r\n")


async def test_a_terminal_has_a_size_ctrl_c_and_job_control(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    session = await pod_exec.start(
        lab.instance, sandbox.uid, "main", ["bash", "--norc", "--noprofile"], stdin=True, tty=True
    )
    session.resize(101, 33)
    seen = bytearray()

    async def collect() -> None:
        async for _, data in session.output():
            seen.extend(data)

    collecting = asyncio.create_task(collect())

    async def until(words: bytes) -> None:
        async with asyncio.timeout(10):
            while words not in seen:
                await asyncio.sleep(0.01)
        seen.clear()

    await session.write(b"stty size\n")
    await until(b"33 101")
    session.resize(80, 24)
    await session.write(b"stty size\n")
    await until(b"24 80")
    await session.write(b"sleep 100\n")
    await asyncio.sleep(0.2)
    await session.write(b"\x03")
    await session.write(b"echo status=$?\n")
    await until(b"status=130")
    await session.write(b"sleep 50 & jobs; fg\n")
    await until(b"Running")
    await session.write(b"\x1a")
    await until(b"Stopped")
    # bash refuses the first `exit` while it has a stopped job.
    await session.write(b"exit\nexit 28\n")
    async with asyncio.timeout(5):
        assert await session.wait() == 28
        await collecting


async def test_ctrl_d_ends_a_terminals_input(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    code, out, _ = await lab.exec(sandbox, "cat", stdin=b"line\n", tty=True)
    assert (code, out.count("line")) == (0, 2), "the echo and cat's own"


async def test_terminate_hangs_a_terminal_up(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    session = await pod_exec.start(lab.instance, sandbox.uid, "main", ["sleep", "99"], stdin=True, tty=True)
    session.terminate()
    session.terminate()
    async with asyncio.timeout(5):
        assert await session.wait() == 129


async def test_the_container_is_what_it_is_for_its_own_process(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000", container={"env": [{"name": "COLOR", "value": "blue"}]})
    code, out = await lab.shell(
        sandbox, "hostname; echo $COLOR; grep -c ^NoNewPrivs:.1 /proc/self/status; pwd"
    )
    assert (code, out) == (0, "web\nblue\n1\n/\n")


async def test_a_process_goes_on_when_the_server_is_killed(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    program = f"""
import asyncio
from namewall.model.instance import Instance
from namewall.runtime import exec
async def main():
    session = await exec.start(Instance({lab.instance.root!r}), {sandbox.uid!r}, "main",
        ["sh", "-c", "while :; do echo x >> /tmp/count; sleep 0.02; done"], stdin=False, tty=False)
    print("started", flush=True)
    await session.wait()
asyncio.run(main())
"""
    # The tests before have made this process a subreaper; orphans must go to init, as a server's do.
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
    server = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": SOURCES}
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"started\n"
    server.kill()
    server.wait()
    server.stdout.close()
    _, first = await lab.shell(sandbox, "wc -l < /tmp/count")
    await asyncio.sleep(0.3)
    _, second = await lab.shell(sandbox, "wc -l < /tmp/count")
    assert int(second) > int(first)
