"""Hears the datapath's events: keeps the node's names up to date, and counts what was dropped.

Losing events never loses enforcement; it only means that a pattern added later may have to wait for the next
lookup. The names are kept in a file of the run directory, which lives as long as the grants themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence

from namewall.datapath.base import Datapath
from namewall.model.flow import Dropped, Event, Learned
from namewall.model.instance import Instance
from namewall.state.name_memory import NameMemory
from namewall.state.names import NameCache

log = logging.getLogger("namewall.agent")

SAVE_EVERY = 2.0
"""Seconds between saves of names that changed."""
READ_EVERY = 0.2
"""Seconds between looks for events that came without a wake-up (bpf/events.h)."""


def boottime() -> float:
    """Seconds of CLOCK_BOOTTIME, the clock of grants' deadlines."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def longest(ttl: int) -> int:
    """Seconds an answer may be good for that was told with this TTL: while a repeated one's deadline moves by no
    more than this (RETELL_PART and RETELL_AT_MOST of bpf/events.h), it is not told again."""
    return ttl + min(ttl // 4, 300)


class Learner:
    """`names` is what the node knows; `memory` what it called addresses, for people; `drops` counts by reason."""

    def __init__(self, instance: Instance, datapath: Datapath, min_ttl: int) -> None:
        self._file = f"{instance.run_dir}/names.json"
        self._datapath = datapath
        self._min_ttl = min_ttl
        self._changed = False
        self.names = NameCache()
        self.memory = NameMemory()
        self.freed = 0
        """Grants that ended and that nothing used any more."""
        self._hearers: list[Callable[[Sequence[Event]], None]] = []
        self.drops: Counter[str] = Counter()

    def load(self) -> None:
        """What an earlier agent knew."""
        try:
            with open(self._file, encoding="utf-8") as file:
                self.names.restore(json.load(file))
        except FileNotFoundError:
            return
        except (ValueError, TypeError) as error:
            log.warning("%s is damaged (%s); names learned before count as unknown", self._file, error)
        self.names.expire(boottime())
        for known in self.names.known():
            self.memory.learn(known.scope, known.name, (known.address,), known.deadline)

    def hear(self, hearer: Callable[[Sequence[Event]], None]) -> None:
        """`hearer` is told of all events, after the names in them are known."""
        self._hearers.append(hearer)

    def drain(self) -> None:
        """Take all events that wait."""
        events = self._datapath.read_events()
        for event in events:
            if isinstance(event, Learned):
                deadline = event.time + longest(max(event.ttl, self._min_ttl))
                self.names.learn(event.scope, event.name, event.addresses, deadline)
                self.memory.learn(event.scope, event.name, event.addresses, deadline)
                self._changed = True
            elif isinstance(event, Dropped):
                self.drops[event.reason.name] += 1
        for hearer in self._hearers:
            hearer(events)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._datapath.events_fd(), self.drain)
        try:
            while True:
                until = loop.time() + SAVE_EVERY
                while loop.time() < until:
                    await asyncio.sleep(READ_EVERY)
                    self.drain()
                self.names.expire(boottime())
                self.freed += self._datapath.sweep(boottime())
                if self._changed:
                    self._changed = False
                    self._save()
        finally:
            with contextlib.suppress(ValueError, OSError):
                loop.remove_reader(self._datapath.events_fd())

    def _save(self) -> None:
        with open(f"{self._file}.new", "w", encoding="utf-8") as file:
            json.dump(self.names.dump(), file)
        os.replace(f"{self._file}.new", self._file)
