"""Packets that passed endpoints' interfaces: the kernel's own counters of their host sides, summed over their lives.

What a workload sends counts there before it is judged, so its drops are taken off; what it is sent counts only when
it was let through. Frames that are no IP (ARP) count too. Read at each scrape and each save of names, so at most the
last two seconds of an endpoint that goes are missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

_COUNTERS = {"INGRESS": "tx_packets", "EGRESS": "rx_packets"}
"""Direction as the endpoint sees it → the counter at the host's side."""


def read_counter(ifname: str, counter: str) -> int | None:
    """None where the interface is gone."""
    try:
        with open(f"/sys/class/net/{ifname}/statistics/{counter}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


class Forwarded:
    """`interfaces` gives the names of now; an index, so that a name used again counts anew."""

    def __init__(
        self,
        interfaces: Callable[[], Iterable[tuple[int, str]]],
        read: Callable[[str, str], int | None] = read_counter,
    ) -> None:
        self._interfaces, self._read = interfaces, read
        self._gone = dict.fromkeys(_COUNTERS, 0)
        self._last: dict[int, dict[str, int]] = {}

    def count(self) -> dict[str, int]:
        """Packets of all endpoints since each began, by direction."""
        now: dict[int, dict[str, int]] = {}
        for index, name in self._interfaces():
            found = {way: self._read(name, counter) for way, counter in _COUNTERS.items()}
            now[index] = {way: value for way, value in found.items() if value is not None}
        for index, last in self._last.items():
            if index not in now:
                for way, value in last.items():
                    self._gone[way] += value
        self._last = now
        return {way: self._gone[way] + sum(each.get(way, 0) for each in now.values()) for way in _COUNTERS}
