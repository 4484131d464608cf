"""Makes the kernel agree with what is wanted: one loop, one direction, every step idempotent.

Whoever learns something new calls `trigger`; many triggers in a row make one pass. A pass computes the whole
desired state and lets the datapath apply the difference. A pass that fails is tried again with back-off, and
what is enforced meanwhile is what was enforced before: nothing opens by an error here. A quiet loop looks again
every RECHECK seconds: a host's firewall that reloads takes our nft table away, and a link can be removed by hand.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from namewall.state.tables import NodeTables

log = logging.getLogger("namewall.agent")

FIRST_RETRY, LAST_RETRY = 0.05, 5.0
"""Seconds between tries of a pass that fails."""
RECHECK = 30.0
"""Seconds of quiet after which the kernel is looked at again."""


class Applies(Protocol):
    """The part of the datapath that this loop needs."""

    def apply(self, tables: NodeTables) -> None: ...

    def recheck(self) -> None: ...


class Reconciler:
    """`error` is "" while the kernel holds what is wanted, else why it does not."""

    def __init__(self, datapath: Applies, desired: Callable[[], NodeTables]) -> None:
        self._datapath = datapath
        self._desired = desired
        self._wake = asyncio.Event()
        self._wanted = 0
        self._done = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._after: list[Callable[[NodeTables], None]] = []
        self.error = ""
        self.passes = self.failures = 0
        self.last_pass: float | None = None
        self.last_seconds = 0.0
        """When the last good pass ended (seconds since the epoch), and how long it took."""

    def trigger(self) -> None:
        """Something that the desired state depends on changed."""
        self._wanted += 1
        self._wake.set()

    async def settled(self) -> None:
        """Returns when all that was known at the call is in the kernel."""
        self.trigger()
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((self._wanted, future))
        await future

    def after_pass(self, call: Callable[[NodeTables], None]) -> None:
        """`call` hears of each state that was applied."""
        self._after.append(call)

    async def run(self) -> None:
        retry = FIRST_RETRY
        while True:
            try:
                async with asyncio.timeout(RECHECK):
                    await self._wake.wait()
            except TimeoutError:
                self._datapath.recheck()
            self._wake.clear()
            wanted = self._wanted
            began = time.monotonic()
            try:
                tables = self._desired()
                self._datapath.apply(tables)
            except Exception as error:
                # Whatever went wrong, the next pass starts from what the maps hold.
                log.exception("the tables could not be written; trying again in %.2f s", retry)
                self.error = f"{type(error).__name__}: {error}"
                self.failures += 1
                self._wake.set()
                await asyncio.sleep(retry)
                retry = min(retry * 2, LAST_RETRY)
                continue
            retry, self.error, self._done = FIRST_RETRY, "", wanted
            self.passes += 1
            self.last_pass, self.last_seconds = time.time(), time.monotonic() - began
            for call in self._after:
                call(tables)
            still = []
            for revision, future in self._waiting:
                if revision > self._done:
                    still.append((revision, future))
                elif not future.done():
                    future.set_result(None)
            self._waiting = still
            await asyncio.sleep(0)
