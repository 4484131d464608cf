"""The agent's side of `observe`: the request, history, following, and what a client that was cut off hears."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from namewall.agent.flow_stream import parse_request, stream
from namewall.agent.observer import QUEUE, RING_BUFFER, WAITING, Observer
from namewall.agent.unix_http import Answer, Asked, UnixServer
from namewall.model.flow import DropReason
from namewall.state.flow_store import FlowStore
from namewall.state.observed import Observed
from tests.unit.state.flows import allowed, denied, drop_event, flow_event, ingress, learned_event
from tests.unit.state.test_observed import Known

SECOND = 1_000_000_000
NOON = 1795435200 * SECOND


def observer(*flows: Observed, capacity: int = 100) -> Observer:
    made = Observer(Known(), "node1", FlowStore(capacity))
    for flow in flows:
        made.store.add(flow)
    return made


async def told(made: Observer, **request: Any) -> list[dict[str, Any]]:
    return [
        json.loads(line) async for part in stream(made, parse_request(request)) for line in part.splitlines()
    ]


def ports(lines: list[dict[str, Any]]) -> list[int]:
    return [line["flow"]["l4"]["TCP"]["destination_port"] for line in lines]


def five() -> Observer:
    """Destination ports 1 to 5, one a second from noon on; 2 and 4 were denied."""
    return observer(
        *(
            (denied if port % 2 == 0 else allowed)(destination_port=port, time=NOON + port * SECOND)
            for port in range(1, 6)
        )
    )


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"number": 2}, [4, 5]),
        ({"number": 2, "first": True}, [1, 2]),
        ({"number": 1, "whitelist": [{"verdict": ["DROPPED"]}]}, [4]),
        ({"number": 9, "blacklist": [{"verdict": ["DROPPED"]}]}, [1, 3, 5]),
        ({"since": "2026-11-23T12:00:03Z"}, [3, 4, 5]),
        ({"since": "2026-11-23T13:00:02.5+01:00", "until": "2026-11-23T12:00:04Z"}, [3, 4]),
        ({"number": 1, "until": "2026-11-23T12:00:03Z"}, [3]),
    ],
)
async def test_history(request_: dict[str, Any], found: list[int]) -> None:
    assert ports(await told(five(), **request_)) == found


async def test_a_client_that_was_cut_off_goes_on_where_it_was() -> None:
    made = five()
    assert ports(await told(made, after=made.uuid(3))) == [4, 5]


async def test_a_client_of_an_earlier_agent_gets_all_that_this_one_has() -> None:
    assert ports(await told(five(), after=five().uuid(3))) == [1, 2, 3, 4, 5]


async def test_what_was_overwritten_meanwhile_is_counted() -> None:
    made = observer(*(allowed(destination_port=port) for port in range(1, 7)), capacity=3)
    lines = await told(made, after=made.uuid(1))
    assert lines[0] == {"lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "2"}}
    assert ports(lines[1:]) == [4, 5, 6]


async def next_line(parts: AsyncIterator[bytes]) -> dict[str, Any]:
    async with asyncio.timeout(5):
        found: dict[str, Any] = json.loads(await anext(parts))
        return found


async def test_following_begins_now_and_filters_and_tells_of_losses() -> None:
    made = five()
    parts = stream(made, parse_request({"follow": True, "whitelist": [{"verdict": ["DROPPED"]}]}))
    work = asyncio.ensure_future(made.run())
    first = asyncio.ensure_future(next_line(parts))
    await asyncio.sleep(0)
    made.take([flow_event(), drop_event(remote_port=99)])
    assert ports([await first]) == [99]
    made.lost[RING_BUFFER] += 3
    made.take([flow_event()])
    assert await next_line(parts) == {
        "lost_events": {"source": "PERF_EVENT_RING_BUFFER", "num_events_lost": "3"}
    }
    assert made.followers == 1
    await parts.aclose()  # type: ignore[attr-defined]
    assert made.followers == 0
    work.cancel()


async def test_more_events_than_can_be_kept_are_counted_not_piled_up() -> None:
    made = observer()
    made.take([flow_event()] * (WAITING + 7))
    assert made.lost[QUEUE] == 7


async def test_what_the_kernel_leaves_out_counts_from_the_start_of_this_agent() -> None:
    made = observer()
    made.count_losses(3, 1000)
    assert dict(made.lost) == {RING_BUFFER: 3}
    made.count_losses(4, 1007)
    assert made.lost == {RING_BUFFER: 4, QUEUE: 7}


async def test_drops_are_counted_with_those_like_them() -> None:
    made = observer()
    made.take([drop_event(left_out=4), drop_event(DropReason.INVALID_SOURCE_IP), learned_event()])
    assert made.drops == {("POLICY_DENIED", "EGRESS"): 5, ("INVALID_SOURCE_IP", "EGRESS"): 1}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"colour": 1}, "`colour` is no field of a flows request"),
        ({"number": "many"}, "number: `many` is no count"),
        ({"since": "noon"}, "since: `noon` is no time"),
        ({"since": "2026-13-23T12:00:00Z"}, "since: `2026-13-23T12:00:00Z` is no time"),
        ({"whitelist": {}, "blacklist": "x"}, "blacklist: want a list of filters"),
    ],
)
def test_a_wrong_request_is_told_with_its_field(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_request(request_)


async def test_a_unix_socket_speaks_http_for_root_alone(tmp_path: Path) -> None:
    async def many() -> AsyncIterator[bytes]:
        yield b"one\n"
        yield b"two\n"

    async def handler(asked: Asked) -> Answer:
        if asked.path == "/stream":
            return Answer(many(), media_type="application/x-ndjson")
        return Answer(json.dumps([asked.method, asked.path, asked.query, asked.body.decode()]).encode())

    path = tmp_path / "agent.sock"
    path.write_text("left by another")
    server = asyncio.ensure_future(UnixServer(str(path), handler).run())
    for _ in range(100):
        await asyncio.sleep(0.01)
        if path.is_socket():
            break
    assert path.stat().st_mode & 0o777 == 0o600

    async def ask(head: str, body: str = "") -> str:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(f"{head} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = (await reader.read()).decode()
        writer.close()
        return answer

    answer = await ask("POST /v1/x?last=3", "{}")
    assert answer.startswith("HTTP/1.1 200")
    assert json.loads(answer.rpartition("\r\n\r\n")[2]) == ["POST", "/v1/x", {"last": "3"}, "{}"]
    assert "one\n" in (await ask("GET /stream"))
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"nonsense\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)


async def test_a_client_that_hangs_up_ends_its_stream(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def quiet() -> AsyncIterator[bytes]:
        try:
            yield b"begun\n"
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def handler(asked: Asked) -> Answer:
        return Answer(quiet())

    path = tmp_path / "agent.sock"
    server = asyncio.ensure_future(UnixServer(str(path), handler).run())
    while not path.is_socket():
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readuntil(b"begun")
    writer.close()
    async with asyncio.timeout(5):
        await ended.wait()
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)


async def test_ingress_flows_are_kept_like_others() -> None:
    assert ports(await told(observer(ingress()))) == [8080]
