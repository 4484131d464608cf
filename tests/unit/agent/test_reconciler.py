"""One loop: many triggers are one pass, a failed pass is tried again, `settled` means in the kernel."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from namewall.agent import reconciler as module
from namewall.agent.reconciler import Reconciler
from namewall.state.tables import NodeTables


class Kernel:
    """Keeps what was applied; fails as often as told."""

    def __init__(self) -> None:
        self.applied: list[NodeTables] = []
        self.failures = 0
        self.rechecks = 0

    def recheck(self) -> None:
        self.rechecks += 1

    def apply(self, tables: NodeTables) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the map is full")
        self.applied.append(tables)


@contextlib.asynccontextmanager
async def running(loop: Reconciler) -> AsyncIterator[None]:
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_many_triggers_are_one_pass() -> None:
    kernel = Kernel()
    loop = Reconciler(kernel, NodeTables)
    for _ in range(10):
        loop.trigger()
    async with running(loop):
        await asyncio.sleep(0.01)
    assert len(kernel.applied) == 1


async def test_settled_returns_after_what_was_known_is_applied() -> None:
    kernel = Kernel()
    wanted = NodeTables(min_ttl=1)
    loop = Reconciler(kernel, lambda: wanted)
    async with running(loop):
        await loop.settled()
        wanted = NodeTables(min_ttl=2)
        await loop.settled()
        assert kernel.applied[-1].min_ttl == 2


async def test_a_failed_pass_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY", 0.001)
    kernel = Kernel()
    kernel.failures = 2
    loop = Reconciler(kernel, NodeTables)
    errors = []
    async with running(loop):
        waiting = asyncio.create_task(loop.settled())
        await asyncio.sleep(0)
        while not waiting.done():
            errors.append(loop.error)
            await asyncio.sleep(0.001)
    assert "OSError: the map is full" in errors
    assert loop.error == ""
    assert len(kernel.applied) == 1


async def test_a_quiet_kernel_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECHECK", 0.01)
    kernel = Kernel()
    loop = Reconciler(kernel, NodeTables)
    async with running(loop):
        while len(kernel.applied) < 2:
            await asyncio.sleep(0.001)
    assert kernel.rechecks >= 2
