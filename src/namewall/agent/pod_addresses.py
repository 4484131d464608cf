"""Which address a new pod gets: the next free one of each range, never one that was just given back.

The place in the ranges is kept on disk, so that a restarted agent goes on behind it. What is in use is told
by the caller each time (sandboxes on disk and stored pods): there is no second book that could be wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from namewall.model.net import Address, Network
from namewall.runtime import records

FIRST_OFFSET = 2
"""Offset 0 names the network, 1 is what people expect a gateway at."""


class NoAddress(Exception):
    """Every address of a range is in use."""


def next_addresses(
    ranges: Sequence[Network], last: Sequence[int], in_use: Collection[Address]
) -> tuple[tuple[Address, ...], tuple[int, ...]]:
    """One address of each range and the offsets they are at; `last` are the offsets given before. Pure."""
    addresses, offsets = [], []
    for network, before in zip(ranges, [*last, *[FIRST_OFFSET - 1] * len(ranges)], strict=False):
        count = network.num_addresses - FIRST_OFFSET - 1  # the last one is IPv4's broadcast
        for step in range(count):
            offset = FIRST_OFFSET + (before + 1 - FIRST_OFFSET + step) % count
            if network[offset] not in in_use:
                addresses.append(network[offset])
                offsets.append(offset)
                break
        else:
            raise NoAddress(f"every address of {network} is in use")
    return tuple(addresses), tuple(offsets)


class Addresses:
    def __init__(self, ranges: Sequence[Network], path: str) -> None:
        self._ranges = tuple(ranges)
        self._path = path

    def allocate(self, in_use: Collection[Address]) -> tuple[Address, ...]:
        """Raises NoAddress."""
        stored = records.read(self._path) or {}
        before = stored.get("offsets", []) if stored.get("ranges") == [str(r) for r in self._ranges] else []
        addresses, offsets = next_addresses(self._ranges, before, in_use)
        records.write(self._path, {"ranges": [str(r) for r in self._ranges], "offsets": list(offsets)})
        return addresses
