"""The newest flows in memory, packed: a ring of byte strings and pools of what they share.

A flow is some 90 bytes of its own (more for a DNS answer, by its name and addresses); ends and grounds, which
many flows have in common, are kept once and counted, so that nothing outlives the last flow that names it.
Flows are numbered from 1 on, and a number is not used again: a reader knows by it what it missed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Generic, TypeVar

from namewall.model.flow import DropReason, MatchType
from namewall.model.net import Address, Direction
from namewall.model.packed import pack_address, unpack_address
from namewall.state.observed import Dns, End, EventKind, Grounds, Observed, Verdict

CAPACITY = 100_000

_HEAD = struct.Struct("<q16s16sHHBBBBBBBBbBIIII")
_DNS = struct.Struct("<BHHIBH")
_REPLY = {None: -1, False: 0, True: 1}

T = TypeVar("T")


class Pool(Generic[T]):
    """Equal values under one number for as long as something refers to it."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}
        self._values: dict[int, list[T | int]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def take(self, value: T) -> int:
        number = self._numbers.get(value)
        if number is None:
            number = self._next = (self._next + 1) & 0xFFFFFFFF
            self._numbers[value] = number
            self._values[number] = [value, 0]
        self._values[number][1] += 1  # type: ignore[operator]
        return number

    def value(self, number: int) -> T:
        return self._values[number][0]  # type: ignore[return-value]

    def drop(self, number: int) -> None:
        held = self._values[number]
        held[1] -= 1  # type: ignore[operator]
        if not held[1]:
            del self._values[number]
            del self._numbers[held[0]]  # type: ignore[arg-type]


class FlowStore:
    """Flows `first` to `last` (numbers) are held; `last` is 0 before the first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.last = 0
        self._ring: list[bytes] = []
        self._ends: Pool[End] = Pool()
        self._grounds: Pool[Grounds] = Pool()

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def first(self) -> int:
        """`last` + 1 where there is none."""
        return self.last - len(self._ring) + 1

    def add(self, flow: Observed) -> int:
        """Its number. The oldest goes when it is full."""
        raw = self._pack(flow)
        self.last += 1
        if len(self._ring) < self.capacity:
            self._ring.append(raw)
        else:
            place = (self.last - 1) % self.capacity
            gone = _HEAD.unpack_from(self._ring[place])
            self._ends.drop(gone[-3])
            self._ends.drop(gone[-2])
            self._grounds.drop(gone[-1])
            self._ring[place] = raw
        return self.last

    def get(self, number: int) -> Observed:
        """KeyError where it is not held."""
        if not self.first <= number <= self.last:
            raise KeyError(number)
        return self._unpack(self._ring[(number - 1) % self.capacity])

    def time_of(self, number: int) -> int:
        """Nanoseconds since the epoch, without unpacking the rest."""
        return int.from_bytes(self._ring[(number - 1) % self.capacity][:8], "little", signed=True)

    def since(self, time: int) -> int:
        """The number from which on flows are no older than `time`; `last` + 1 where all are older.

        Flows of several CPUs come nearly, not exactly, in the order of their times: callers look at each.
        """
        low, high = self.first, self.last + 1
        while low < high:
            middle = (low + high) // 2
            if self.time_of(middle) < time:
                low = middle + 1
            else:
                high = middle
        return low

    def flows(self) -> Iterator[Observed]:
        """All, oldest first."""
        for number in range(self.first, self.last + 1):
            yield self.get(number)

    def shared(self) -> tuple[int, int]:
        """How many ends and how many grounds are kept."""
        return len(self._ends), len(self._grounds)

    def _pack(self, flow: Observed) -> bytes:
        source, destination = self._ends.take(flow.source), self._ends.take(flow.destination)
        head = _HEAD.pack(
            flow.time,
            pack_address(flow.source_ip),
            pack_address(flow.destination_ip),
            flow.source_port,
            flow.destination_port,
            flow.kind,
            flow.verdict,
            flow.direction,
            flow.protocol,
            flow.reason or 0,
            flow.match,
            flow.tcp_flags,
            flow.icmp_type,
            _REPLY[flow.reply],
            flow.dns is not None,
            min(flow.times, 0xFFFFFFFF),
            source,
            destination,
            self._grounds.take(flow.grounds),
        )
        dns = flow.dns
        if dns is None:
            return head
        name = dns.query.encode()[:0xFFFF]
        fixed = _DNS.pack(dns.response, dns.query_type, len(name), dns.ttl, dns.rcode, len(dns.ips))
        return b"".join((head, fixed, name, *map(pack_address, dns.ips)))

    def _unpack(self, raw: bytes) -> Observed:
        (
            time,
            source_ip,
            destination_ip,
            source_port,
            destination_port,
            kind,
            verdict,
            direction,
            protocol,
            reason,
            match,
            tcp_flags,
            icmp_type,
            reply,
            has_dns,
            times,
            source,
            destination,
            grounds,
        ) = _HEAD.unpack_from(raw)
        return Observed(
            time,
            EventKind(kind),
            Verdict(verdict),
            Direction(direction),
            protocol,
            self._ends.value(source),
            self._ends.value(destination),
            unpack_address(source_ip),
            unpack_address(destination_ip),
            source_port,
            destination_port,
            DropReason(reason) if reason else None,
            MatchType(match),
            tcp_flags,
            icmp_type,
            None if reply < 0 else bool(reply),
            times,
            self._grounds.value(grounds),
            _unpack_dns(raw) if has_dns else None,
        )


def _unpack_dns(raw: bytes) -> Dns:
    response, query_type, length, ttl, rcode, count = _DNS.unpack_from(raw, _HEAD.size)
    at = _HEAD.size + _DNS.size
    ips: tuple[Address, ...] = tuple(
        unpack_address(raw[at + length + 16 * i : at + length + 16 * (i + 1)]) for i in range(count)
    )
    return Dns(raw[at : at + length].decode(), query_type, bool(response), ips, ttl, rcode)
