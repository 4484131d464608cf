"""A DNS forwarder of the plainest kind in asyncio: what a proxy in Python could reach at best. For bench-dns.

python -m bench.relay LISTEN UPSTREAM
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import cast


class Upstream(asyncio.DatagramProtocol):
    """One socket to the server; questions are told apart by an id of its own."""

    def __init__(self) -> None:
        self.asked: dict[int, tuple[bytes, object]] = {}
        self.listener: asyncio.DatagramTransport | None = None
        self.transport: asyncio.DatagramTransport | None = None
        self._next = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def ask(self, message: bytes, client: object) -> None:
        self._next = number = (self._next + 1) & 0xFFFF
        self.asked[number] = message[:2], client
        if self.transport is not None:
            self.transport.sendto(number.to_bytes(2, "big") + message[2:])

    def datagram_received(self, data: bytes, addr: object) -> None:
        found = self.asked.pop(int.from_bytes(data[:2], "big"), None)
        if found is not None and self.listener is not None:
            self.listener.sendto(found[0] + data[2:], found[1])  # type: ignore[arg-type]


class Listener(asyncio.DatagramProtocol):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._upstream.listener = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._upstream.ask(data, addr)


async def relay(listen: str, upstream: str) -> None:
    loop = asyncio.get_running_loop()
    _, to_server = await loop.create_datagram_endpoint(Upstream, remote_addr=(upstream, 53))
    await loop.create_datagram_endpoint(lambda: Listener(to_server), local_addr=(listen, 53))
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(relay(*sys.argv[1:3]))
