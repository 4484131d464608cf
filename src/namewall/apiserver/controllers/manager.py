"""Runs the controllers: notes which keys a change concerns, and reconciles them one after another on the loop.

A reconcile is synchronous and quick, so no two see each other's half-done work; between two of them requests get
their turn. A failed key is tried again with growing pauses, and for ever.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from dataclasses import dataclass, field

from namewall.apiserver.config import ServerConfig
from namewall.apiserver.controllers.base import Controller
from namewall.apiserver.controllers.deployment import DeploymentController
from namewall.apiserver.controllers.endpoints import EndpointsController
from namewall.apiserver.controllers.events import EventExpiry
from namewall.apiserver.controllers.garbage import GarbageCollector
from namewall.apiserver.controllers.namespaces import NamespaceController
from namewall.apiserver.controllers.policy_status import PolicyStatusController
from namewall.apiserver.controllers.replica_set import ReplicaSetController
from namewall.apiserver.controllers.scheduler import Scheduler
from namewall.apiserver.store import Change, Key
from namewall.apiserver.writer import Writer

FIRST_RETRY = 0.2
LAST_RETRY = 30.0

log = logging.getLogger("namewall.apiserver.controllers")

Item = tuple[int, Key]
"""The number of a controller, and what it is to reconcile."""


@dataclass(slots=True)
class Queue:
    """Keys to reconcile, each at most once, in order; and those to come later. Pure: `now` is an argument."""

    ready: dict[Item, None] = field(default_factory=dict)
    later: list[tuple[float, Item]] = field(default_factory=list)
    failures: dict[Item, int] = field(default_factory=dict)

    def add(self, item: Item) -> None:
        self.ready[item] = None

    def add_at(self, when: float, item: Item) -> None:
        heapq.heappush(self.later, (when, item))

    def take(self, now: float) -> Item | None:
        while self.later and self.later[0][0] <= now:
            self.ready[heapq.heappop(self.later)[1]] = None
        if not self.ready:
            return None
        item = next(iter(self.ready))
        del self.ready[item]
        return item

    def next_due(self) -> float | None:
        return self.later[0][0] if self.later else None

    def failed(self, now: float, item: Item) -> None:
        count = self.failures.get(item, 0)
        self.failures[item] = count + 1
        self.add_at(now + min(LAST_RETRY, FIRST_RETRY * 2**count), item)

    def done(self, item: Item) -> None:
        self.failures.pop(item, None)


class Manager:
    """All controllers of one server."""

    def __init__(self, writer: Writer, config: ServerConfig) -> None:
        self._writer = writer
        self._controllers: list[Controller] = [
            NamespaceController(writer),
            DeploymentController(writer),
            ReplicaSetController(writer),
            Scheduler(writer, config.node_name),
            EndpointsController(writer),
            PolicyStatusController(writer),
            GarbageCollector(writer),
            EventExpiry(writer),
        ]
        self._queue = Queue()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._writer.store.listen(self._note)
        for number, controller in enumerate(self._controllers):
            for key in controller.initial():
                self._queue.add((number, key))
        self._wake.set()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _note(self, change: Change) -> None:
        for number, controller in enumerate(self._controllers):
            for key in controller.interested(change):
                self._queue.add((number, key))
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            item = self._queue.take(loop.time())
            if item is None:
                self._wake.clear()
                due = self._queue.next_due()
                timeout = None if due is None else max(0.0, due - loop.time())
                try:
                    async with asyncio.timeout(timeout):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                continue
            self._reconcile(item, loop.time())
            await asyncio.sleep(0)

    def _reconcile(self, item: Item, now: float) -> None:
        controller = self._controllers[item[0]]
        try:
            again = controller.reconcile(item[1])
        except Exception:
            log.exception("%s: %s failed, will try again", controller.name, item[1])
            self._queue.failed(now, item)
            return
        self._queue.done(item)
        if again is not None:
            self._queue.add_at(now + again, item)
