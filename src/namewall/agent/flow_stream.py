"""Answers Hubble's GetFlowsRequest: which flows, from where on, for how long.

`number` newest that match (with `first` the oldest), or all between `since` and `until`, then with `follow` those
to come. `after` is ours: the uuid of the last flow that the client has; a client that was cut off goes on there,
and hears what it missed as Hubble's `lost_events`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from namewall.agent.observer import STORE, Observer
from namewall.state.flow_filter import Test, compile_filters
from namewall.state.flow_json import Json, flow_dict, lost_events, response
from namewall.state.observed import Observed

CHUNK = 500
"""Flows looked at between two looks at other work."""
LOOK_FOR_LOST = 2.0
"""Seconds after which a follower hears of lost events though no flow came."""


@dataclass(frozen=True, slots=True)
class FlowsRequest:
    """`number` 0 is all. Times are nanoseconds since the epoch."""

    test: Test
    number: int = 0
    first: bool = False
    follow: bool = False
    since: int | None = None
    until: int | None = None
    after: str = ""
    ours: bool = False


def parse_request(raw: Mapping[str, Any]) -> FlowsRequest:
    """Raises ValueError with the field's name."""
    known = {"number", "first", "follow", "since", "until", "whitelist", "blacklist", "after", "namewall"}
    for field in raw:
        if field not in known:
            raise ValueError(
                f"`{field}` is no field of a flows request; write one of {', '.join(sorted(known))}"
            )
    for field in ("whitelist", "blacklist"):
        if not isinstance(raw.get(field) or [], list):
            raise ValueError(f"{field}: want a list of filters")
    try:
        number = int(raw.get("number") or 0)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise ValueError(f"number: `{raw.get('number')}` is no count; write 0 for all")
    return FlowsRequest(
        compile_filters(raw.get("whitelist") or [], raw.get("blacklist") or []),
        number,
        bool(raw.get("first")),
        bool(raw.get("follow")),
        _time("since", raw.get("since")),
        _time("until", raw.get("until")),
        str(raw.get("after") or ""),
        bool(raw.get("namewall")),
    )


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


def _time(field: str, text: Any) -> int | None:
    if text in (None, ""):
        return None
    found = _TIME.fullmatch(str(text))
    if not found:
        raise ValueError(f"{field}: `{text}` is no time; write as 2026-11-23T12:00:00Z")
    zone = "+00:00" if found[3] == "Z" else found[3]
    try:
        seconds = int(datetime.fromisoformat(found[1] + zone).astimezone(UTC).timestamp())
    except ValueError:
        raise ValueError(f"{field}: `{text}` is no time; write as 2026-11-23T12:00:00Z") from None
    return seconds * 1_000_000_000 + int((found[2] or "0").ljust(9, "0"))


async def stream(observer: Observer, request: FlowsRequest) -> AsyncIterator[bytes]:
    """JSON lines: `{"flow": …}` and `{"lost_events": …}`."""
    store = observer.store
    wake = observer.follow()
    told = Counter(observer.lost)
    try:
        start, missed = _start(observer, request)
        if missed:
            yield _line(lost_events(STORE, missed))
        last = store.last
        numbers = await _history(observer, request, start, last)
        for at in range(0, len(numbers), CHUNK):
            lines = [_flow(observer, request, number) for number in numbers[at : at + CHUNK]]
            yield b"".join(line for line in lines if line)
            await asyncio.sleep(0)
        while request.follow:
            try:
                async with asyncio.timeout(LOOK_FOR_LOST):
                    await wake.wait()
            except TimeoutError:
                pass
            wake.clear()
            for source, count in (observer.lost - told).items():
                yield _line(lost_events(source, count))
            told = Counter(observer.lost)
            while last < store.last:
                if last + 1 < store.first:
                    yield _line(lost_events(STORE, store.first - last - 1))
                    last = store.first - 1
                until = min(store.last, last + CHUNK)
                lines = [
                    _flow(observer, request, number, flow)
                    for number in range(last + 1, until + 1)
                    if request.test(flow := store.get(number))
                ]
                last = until
                if lines:
                    yield b"".join(lines)
                await asyncio.sleep(0)
    finally:
        observer.unfollow(wake)


def _start(observer: Observer, request: FlowsRequest) -> tuple[int, int]:
    """The first number to look at, and how many flows the client missed."""
    store = observer.store
    if request.after:
        known = observer.number_of(request.after)
        if known is None:  # another agent's: all that this one has is new
            return store.first, 0
        return max(known + 1, store.first), max(0, store.first - known - 1)
    if request.since is not None:
        # A second earlier: flows of two CPUs may stand in the wrong order.
        return store.since(request.since - 1_000_000_000), 0
    return store.first, 0


async def _history(observer: Observer, request: FlowsRequest, start: int, last: int) -> list[int]:
    """The numbers of the flows that match, in order."""
    store = observer.store
    bounded = bool(request.number or request.after or request.since is not None or request.until is not None)
    if request.follow and not bounded:
        return []
    newest_first = bool(request.number and not request.first)
    order: Iterable[int] = range(last, start - 1, -1) if newest_first else range(start, last + 1)
    found: list[int] = []
    for count, number in enumerate(order):
        if count % CHUNK == CHUNK - 1:
            await asyncio.sleep(0)
        if number < store.first:  # overwritten while we looked
            if newest_first:
                break
            continue
        flow = store.get(number)
        if _in_time(flow, request) and request.test(flow):
            found.append(number)
            if request.number and len(found) == request.number:
                break
    return found[::-1] if newest_first else found


def _in_time(flow: Observed, request: FlowsRequest) -> bool:
    if request.since is not None and flow.time < request.since:
        return False
    return request.until is None or flow.time <= request.until


def _flow(observer: Observer, request: FlowsRequest, number: int, flow: Observed | None = None) -> bytes:
    """Empty where it was overwritten meanwhile."""
    if flow is None:
        if number < observer.store.first:
            return b""
        flow = observer.store.get(number)
    found = flow_dict(flow, observer.node, observer.uuid(number), ours=request.ours)
    return _line(response(found))


def _line(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
