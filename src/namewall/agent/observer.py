"""Keeps the newest flows, and tells those who follow: events of the datapath in, numbered flows out.

Reading events must never hold up pods or policy: they wait in a bounded queue, are shaped a few at a time between
other work, and no more than FLOWS_A_SECOND are kept; what is left out is counted by Hubble's names of where.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence

from namewall.model.flow import Dropped, Event
from namewall.state.flow_metrics import FlowMetrics
from namewall.state.flow_store import FlowStore
from namewall.state.observed import Observed, Who, observe

log = logging.getLogger("namewall.agent")

WAITING = 16384
"""Events in the queue; more than the kernel's ring buffer holds."""
SLICE = 200
"""Events shaped between two looks at other work: about 4 ms."""
FLOWS_A_SECOND = 5000
BURST = 20000

RING_BUFFER, QUEUE, STORE = "PERF_EVENT_RING_BUFFER", "OBSERVER_EVENTS_QUEUE", "HUBBLE_RING_BUFFER"
"""Hubble's LostEventSource: the kernel's buffer was full, more came than is told or kept, a reader was slow."""


def offset() -> int:
    """Nanoseconds from CLOCK_BOOTTIME to the time of day."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Observer:
    """`run` numbers this agent's life: with a flow's number it makes the flow's uuid."""

    def __init__(self, who: Who, node: str, store: FlowStore | None = None) -> None:
        self.node = node
        self.store = FlowStore() if store is None else store
        self.metrics = FlowMetrics()
        self.run_id = secrets.randbits(64)
        self.lost: Counter[str] = Counter()
        self.drops: Counter[tuple[str, str]] = Counter()
        """Packets by reason and direction, also of flows that were not kept."""
        self.began = time.time()
        self._who = who
        self._waiting: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._followers: set[asyncio.Event] = set()
        self._hearers: list[Callable[[Observed], None]] = []
        self._rationed: int | None = None
        self._tokens, self._filled = float(BURST), time.monotonic()

    def uuid(self, number: int) -> str:
        return str(uuid.UUID(int=self.run_id << 64 | number))

    def number_of(self, text: str) -> int | None:
        """The number of a flow of this agent's life; None for another's. ValueError for no uuid."""
        value = uuid.UUID(text).int
        return value & (1 << 64) - 1 if value >> 64 == self.run_id else None

    def hear(self, hearer: Callable[[Observed], None]) -> None:
        """`hearer` is told of each flow that is kept."""
        self._hearers.append(hearer)

    def take(self, events: Sequence[Event]) -> None:
        """Events that were read just now, oldest first."""
        for event in events:
            if isinstance(event, Dropped):
                self.drops[event.reason.name, event.direction.name] += 1 + event.left_out
        self._waiting.extend(events)
        while len(self._waiting) > WAITING:
            self._waiting.popleft()
            self.lost[QUEUE] += 1
        if self._waiting:
            self._wake.set()

    def count_losses(self, lost: int, rationed: int) -> None:
        """What the kernel says it could not tell, and what it left out beyond its ration, since its maps were made."""
        self.lost[RING_BUFFER] = lost
        if self._rationed is not None:
            self.lost[QUEUE] += max(0, rationed - self._rationed)
        self._rationed = rationed

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._shape(offset())
                await asyncio.sleep(0)

    def _shape(self, ahead: int) -> None:
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * FLOWS_A_SECOND)
        self._filled = now
        for _ in range(min(SLICE, len(self._waiting))):
            event = self._waiting.popleft()
            if self._tokens < 1:
                self.lost[QUEUE] += 1
                continue
            self._tokens -= 1
            try:
                self._keep(observe(event, self._who, ahead))
            except Exception:
                # One event that cannot be told must not keep the others from being.
                log.exception("an event could not be told: %r", event)
                self.lost[QUEUE] += 1
        for follower in self._followers:
            follower.set()

    def _keep(self, flow: Observed) -> None:
        self.store.add(flow)
        self.metrics.count(flow)
        for hearer in self._hearers:
            hearer(flow)

    def follow(self) -> asyncio.Event:
        """Set whenever there are new flows; give it back to `unfollow`."""
        event = asyncio.Event()
        self._followers.add(event)
        return event

    def unfollow(self, event: asyncio.Event) -> None:
        self._followers.discard(event)

    @property
    def followers(self) -> int:
        return len(self._followers)
