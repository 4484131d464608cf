"""HTTP/1.1 on a unix socket for root alone: one request a connection, answers whole or as a stream.

h11 reads and writes the protocol; this only moves bytes. The file's mode is the access control.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

import h11

log = logging.getLogger("namewall.agent")

PATIENCE = 10.0
"""Seconds that a request may take to arrive."""
MAX_BODY = 1 << 20
SLOW_READER = 30.0
"""Seconds after which a reader that takes nothing is cut off."""


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes | AsyncIterator[bytes]
    status: int = 200
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Asked], Awaitable[Answer]]


class UnixServer:
    """Serves `handler` at `path` until it is cancelled; removes what an earlier process left there."""

    def __init__(self, path: str, handler: Handler) -> None:
        self._path = path
        self._handler = handler

    async def run(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._connected, self._path)
        finally:
            os.umask(before)
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (ConnectionError, TimeoutError, h11.ProtocolError):
            pass  # it went away, or speaks no HTTP
        except Exception:
            log.exception("a request on the agent's socket failed")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = h11.Connection(h11.SERVER)
        async with asyncio.timeout(PATIENCE):
            asked = await _read(protocol, reader)
        answer = await self._handler(asked)
        headers = {"content-type": answer.media_type, "connection": "close", **answer.headers}
        if isinstance(answer.body, bytes):
            headers["content-length"] = str(len(answer.body))
        await _send(writer, protocol, h11.Response(status_code=answer.status, headers=list(headers.items())))
        if isinstance(answer.body, bytes):
            await _send(writer, protocol, h11.Data(data=answer.body))
        else:
            await _unless_gone(reader, _pour(writer, protocol, answer.body))
        await _send(writer, protocol, h11.EndOfMessage())


async def _read(protocol: h11.Connection, reader: asyncio.StreamReader) -> Asked:
    head: h11.Request | None = None
    body = b""
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise ConnectionError("the request is too large")
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            target = urlsplit(head.target.decode("ascii", "replace"))
            query = {name: values[-1] for name, values in parse_qs(target.query).items()}
            return Asked(head.method.decode("ascii"), unquote(target.path), query, body)
        else:
            raise ConnectionError("closed before a request")


async def _send(writer: asyncio.StreamWriter, protocol: h11.Connection, event: h11.Event) -> None:
    data = protocol.send(event)
    if data:
        writer.write(data)
        async with asyncio.timeout(SLOW_READER):
            await writer.drain()


async def _pour(writer: asyncio.StreamWriter, protocol: h11.Connection, parts: AsyncIterator[bytes]) -> None:
    async for part in parts:
        if part:
            await _send(writer, protocol, h11.Data(data=part))


async def _unless_gone(reader: asyncio.StreamReader, work: Awaitable[None]) -> None:
    """Ends the work when the client hangs up: a stream without news would not notice."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ConnectionError("the client went away")
        await task
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)
