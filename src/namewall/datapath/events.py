"""Bytes of the ring buffer to events (bpf/types.h)."""

from __future__ import annotations

from namewall.datapath import layout, libbpf
from namewall.model.flow import Audited, Dropped, DropReason, Event, Flow, Learned, MatchType, Refused
from namewall.model.net import Direction

NANO = 1_000_000_000


class EventReader:
    """Reads what waits; everything read is handed out once."""

    def __init__(self, fd: int) -> None:
        self._waiting: list[Event] = []
        self._ring = libbpf.RingBuffer(fd, self._take)

    def _take(self, raw: bytes) -> None:
        event = decode(raw)
        if event is not None:
            self._waiting.append(event)

    def fileno(self) -> int:
        return self._ring.fileno()

    def read(self) -> list[Event]:
        self._ring.consume()
        events, self._waiting = self._waiting, []
        return events

    def tell(self, event: Event) -> None:
        """An event from elsewhere, to be read with the others."""
        self._waiting.append(event)

    def close(self) -> None:
        self._ring.close()


def decode(raw: bytes) -> Event | None:
    """None for a type that this version does not know."""
    kind = int.from_bytes(raw[8:12], "little")
    if kind in (layout.EventType.FLOW, layout.EventType.DROP, layout.EventType.AUDIT):
        return _flow(raw)
    if kind in (layout.EventType.LEARNED, layout.EventType.REFUSED):
        return _name(raw, kind)
    return None


def _match(decided: int, peer: int, l4_bits: int) -> MatchType:
    if not decided:
        return MatchType.NONE
    if l4_bits > 8:
        return MatchType.L3_L4 if peer else MatchType.L4_ONLY
    if l4_bits:
        return MatchType.L3_PROTO if peer else MatchType.PROTO_ONLY
    return MatchType.L3_ONLY if peer else MatchType.ALL


def _flow(raw: bytes) -> Flow:
    (
        time_ns,
        kind,
        endpoint,
        local,
        remote,
        local_port,
        remote_port,
        protocol,
        direction,
        tcp_flags,
        icmp_type,
        identity,
        policy,
        peer,
        _,
        l4_bits,
        decided,
        reason,
        left_out,
        length,
        dropped,
    ) = layout.FLOW_EVENT.unpack_from(raw)
    flow = (
        time_ns / NANO,
        endpoint,
        Direction(direction),
        protocol,
        layout.unpack_address(local),
        layout.unpack_address(remote),
        local_port,
        remote_port,
        identity,
        policy,
        peer,
        _match(decided, peer, l4_bits),
        l4_bits,
        tcp_flags,
        icmp_type,
        length,
    )
    if kind == layout.EventType.AUDIT:
        return Audited(
            *flow,
            DropReason(reason) if reason else None,
            DropReason(dropped) if dropped else None,
            left_out,
        )
    return Dropped(*flow, DropReason(reason), left_out) if reason else Flow(*flow)


def _name(raw: bytes, kind: int) -> Event:
    (
        time_ns,
        _,
        endpoint,
        scope,
        name_class,
        ttl,
        flags,
        server,
        server_port,
        query_type,
        name_length,
        address_count,
        name,
    ) = layout.NAME_EVENT.unpack_from(raw)
    # What a question may hold is any octet: escaped, so that it travels in logs as data.
    text = "".join(chr(c) if 0x21 <= c <= 0x7E else f"\\{c:03d}" for c in name[:name_length])
    at = (time_ns / NANO, endpoint, scope, text)
    where = (query_type, layout.unpack_address(server), server_port)
    if kind == layout.EventType.REFUSED:
        return Refused(*at, *where, left_out=ttl, audited=bool(flags & layout.REFUSED_IN_AUDIT))
    start = layout.NAME_EVENT.size
    addresses = tuple(
        layout.unpack_address(raw[start + 16 * i : start + 16 * (i + 1)]) for i in range(address_count)
    )
    return Learned(
        *at,
        addresses,
        ttl,
        *where,
        granted=bool(name_class & layout.CLASS_GRANTS),
        full=bool(flags & layout.LEARNED_FULL),
    )
