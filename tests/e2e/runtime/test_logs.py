"""`kubectl logs`: what is read, from where, and until when."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime

import pytest

from namewall.runtime import log_index, logs
from namewall.runtime.base import Sandbox
from namewall.runtime.places import Attempt
from tests.e2e.runtime.harness import Lab


async def read(lab: Lab, sandbox: Sandbox, **options: object) -> str:
    chunks = [chunk async for chunk in logs.read(lab.instance, sandbox.uid, "main", **options)]  # type: ignore[arg-type]
    return b"".join(chunks).decode()


async def test_whole_tail_and_limit(lab: Lab) -> None:
    sandbox, _ = await lab.run("sh", "-c", "seq 1 5000; printf unfinished")
    await lab.wait(sandbox)
    everything = "".join(f"{n}\n" for n in range(1, 5001)) + "unfinished"
    assert await read(lab, sandbox) == everything
    assert await read(lab, sandbox, tail_lines=2) == "5000\nunfinished"
    assert await read(lab, sandbox, tail_lines=0) == ""
    assert await read(lab, sandbox, tail_lines=9999) == everything
    assert await read(lab, sandbox, limit_bytes=7) == "1\n2\n3\n4"


async def test_timestamps_and_since(lab: Lab) -> None:
    before = time.time()
    sandbox, _ = await lab.run("sh", "-c", "echo old; sleep 0.6; echo new; echo newer")
    await lab.wait(sandbox)
    lines = (await read(lab, sandbox, timestamps=True)).splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["old", "new", "newer"]
    times = [datetime.fromisoformat(line.split()[0]).timestamp() for line in lines]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.time()
    assert 0.4 < times[1] - times[0] < 1.0
    middle = datetime.fromtimestamp(times[0] + 0.3, UTC)
    assert await read(lab, sandbox, since_time=middle) == "new\nnewer\n"
    assert await read(lab, sandbox, since_time=middle.isoformat()) == "new\nnewer\n"
    assert await read(lab, sandbox, since_seconds=3600) == "old\nnew\nnewer\n"
    assert await read(lab, sandbox, since_time=time.time() + 1) == ""


async def test_follow_ends_with_the_container(lab: Lab) -> None:
    sandbox, _ = await lab.run("sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.15; done")
    seen = []
    async with asyncio.timeout(10):
        async for chunk in logs.read(lab.instance, sandbox.uid, "main", follow=True):
            seen.append((chunk, lab.runtime.state(sandbox.uid, "main")))
    assert b"".join(chunk for chunk, _ in seen) == b"1\n2\n3\n"
    first_state = seen[0][1]
    assert first_state is not None
    assert first_state.exit_code is None, "the first line came while it ran"


async def test_previous(lab: Lab) -> None:
    sandbox, pod = await lab.run("sh", "-c", "echo attempt $HOSTNAME; sleep 0.05")
    with pytest.raises(logs.LogError, match='previous terminated container "main" in pod "web" not found'):
        await read(lab, sandbox, previous=True)
    await lab.wait(sandbox)
    await lab.start(sandbox, pod)
    assert await read(lab, sandbox, previous=True) == "attempt web\n"


async def test_before_the_first_start(lab: Lab) -> None:
    sandbox, _ = await lab.sandbox(containers=[])
    with pytest.raises(logs.LogError, match='container "main" in pod "web" is waiting to start'):
        await read(lab, sandbox)


async def test_a_log_is_bounded_and_keeps_whole_lines(lab: Lab) -> None:
    script = "yes 'a line of a chatty program' | head -n 1400000; echo the end; sleep 1000"
    sandbox, _ = await lab.run("sh", "-c", script)
    attempt = Attempt(lab.instance.run_dir, sandbox.uid, "main", 0)
    async with asyncio.timeout(20):
        while "the end" not in await read(lab, sandbox, tail_lines=1):
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    assert os.stat(attempt.log).st_blocks * 512 <= 2 * log_index.KEEP + 1_000_000
    text = await read(lab, sandbox)
    assert len(text) >= log_index.KEEP
    assert set(text.splitlines()) == {"a line of a chatty program", "the end"}
    stamped = await read(lab, sandbox, timestamps=True, tail_lines=3)
    assert stamped.endswith(" the end\n")
