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

from namewall.datapath.base import Datapath
from namewall.model.flow import Dropped, Learned
from namewall.model.instance import Instance
from namewall.state.names import NameCache

log = logging.getLogger("namewall.agent")

SAVE_EVERY = 2.0
"""Seconds between saves of names that changed."""


def boottime() -> float:
    """Seconds of CLOCK_BOOTTIME, the clock of grants' deadlines."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Learner:
    """`names` is what the node knows; `drops` counts by reason."""

    def __init__(self, instance: Instance, datapath: Datapath, min_ttl: int) -> None:
        self._file = f"{instance.run_dir}/names.json"
        self._datapath = datapath
        self._min_ttl = min_ttl
        self._changed = False
        self.names = NameCache()
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

    def drain(self) -> None:
        """Take all events that wait."""
        for event in self._datapath.read_events():
            if isinstance(event, Learned):
                deadline = event.time + max(event.ttl, self._min_ttl)
                self.names.learn(event.scope, event.name, event.addresses, deadline)
                self._changed = True
            elif isinstance(event, Dropped):
                self.drops[event.reason.name] += 1

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._datapath.events_fd(), self.drain)
        try:
            while True:
                await asyncio.sleep(SAVE_EVERY)
                self.drain()
                self.names.expire(boottime())
                self._datapath.sweep(boottime())
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
