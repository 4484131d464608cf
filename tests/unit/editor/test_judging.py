"""Workers: answers, limits, and what becomes of one that hangs or dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from namewall.editor.judging import WAITING, Judges, Overloaded

POLICY = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a}
spec: {endpointSelector: {}, egress: [{}]}
"""
ASKED = json.dumps({"files": [{"name": "a", "text": POLICY}]}).encode()
SLOW = json.dumps({"files": [{"name": "a", "text": "- {a: [1, 2]}\n" * 250_000}]}).encode()


@pytest.fixture
async def judges() -> AsyncIterator[Judges]:
    found = Judges(patience=1.5, rest=0.4)
    yield found
    found.close()


def workers() -> list[int]:
    """Living children of ours that judge."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == os.getpid() and b"namewall.editor.worker" in line:
                found.append(int(entry.name))
    return found


async def test_an_answer_comes_and_the_worker_rests_then_ends(judges: Judges) -> None:
    status, body = await judges.ask("judge", ASKED)
    assert status == 200
    assert json.loads(body)["objects"][0]["accepted"]
    assert len(workers()) == 1
    for _ in range(40):
        await asyncio.sleep(0.05)
        if not workers():
            break
    assert workers() == []
    assert (await judges.ask("judge", ASKED))[0] == 200


async def test_a_worker_has_no_rights(judges: Judges) -> None:
    await judges.ask("judge", ASKED)
    (pid,) = workers()
    status = Path(f"/proc/{pid}/status").read_text()
    if os.geteuid() == 0:
        assert "Uid:\t65534\t65534\t65534\t65534" in status
        assert "CapEff:\t0000000000000000" in status
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert "unlimited" not in next(
        line for line in limits.splitlines() if line.startswith("Max address space")
    )


async def test_what_takes_too_long_ends_and_others_go_on(judges: Judges) -> None:
    slow = asyncio.create_task(judges.ask("judge", SLOW))
    await asyncio.sleep(0.2)
    assert (await judges.ask("judge", ASKED))[0] == 200
    with pytest.raises(Overloaded) as caught:
        await slow
    assert caught.value.status == 503
    assert "namewall validate" in str(caught.value)
    assert (await judges.ask("judge", ASKED))[0] == 200


async def test_a_worker_that_dies_is_replaced(judges: Judges) -> None:
    await judges.ask("judge", ASKED)
    (pid,) = workers()
    os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(0.1)
    assert (await judges.ask("judge", ASKED))[0] == 200


async def test_too_many_questions_are_refused() -> None:
    judges = Judges(patience=5)
    try:
        tasks = [asyncio.create_task(judges.ask("judge", ASKED)) for _ in range(WAITING + 20)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert any(isinstance(each, Overloaded) for each in results)
        assert sum(isinstance(each, tuple) and each[0] == 200 for each in results) >= WAITING
    finally:
        judges.close()


async def test_warming_starts_one(judges: Judges) -> None:
    judges.warm()
    judges.warm()
    await asyncio.sleep(0.2)
    assert len(workers()) == 1
    assert (await judges.ask("judge", ASKED))[0] == 200
    assert len(workers()) == 1


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"\xff", b"{}"])
async def test_what_is_no_question_is_a_sentence(judges: Judges, body: bytes) -> None:
    status, answer = await judges.ask("judge", body)
    assert status == 400
    assert json.loads(answer)["error"]
