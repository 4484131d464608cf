"""Datagrams as they come: taken off the socket at once, served by turns of their clients.

A socket's buffer holds some two hundred questions and belongs to everyone: whoever fills it costs all others
theirs. So it is emptied before anything is answered, each client has a queue of its own, and of one client no more
waits than MOST_OF_ONE; what is beyond that is dropped, as the full buffer would have dropped it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

MOST_OF_ONE = 256
"""Questions of one client address that wait to be looked at."""
MOST_CLIENTS = 4096
BATCH = 512
"""Datagrams taken off the socket in one turn of the loop, so that a flood does not keep it from all else."""
TURN = 8
"""Questions looked at before the socket is emptied again."""
LARGEST = 65535

Address = tuple[Any, ...]
Serve = Callable[[bytes, str, Callable[[bytes], None]], None]
"""A datagram, its client's address, and how to answer."""


class Intake:
    """Of a bound, non-blocking UDP socket, which it closes. `dropped` counts what was beyond the bounds."""

    def __init__(self, bound: socket.socket, serve: Serve) -> None:
        self._socket = bound
        self._serve = serve
        self._waiting: dict[str, deque[tuple[bytes, Address]]] = {}
        self._busy = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(bound, self._take)
        self.dropped = 0

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._waiting.clear()

    def _take(self) -> None:
        for _ in range(BATCH):
            try:
                data, address = self._socket.recvfrom(LARGEST)
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP error about an answer of ours
            queue = self._waiting.get(address[0])
            if queue is None and len(self._waiting) < MOST_CLIENTS:
                queue = self._waiting[address[0]] = deque()
            if queue is None or len(queue) >= MOST_OF_ONE:
                self.dropped += 1
                continue
            queue.append((data, address))
        if self._waiting and not self._busy:
            self._busy = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """One of the first client, which goes to the end of the line; the same for some more."""
        for _ in range(TURN):
            client = next(iter(self._waiting), None)
            if client is None:
                break
            queue = self._waiting.pop(client)
            data, address = queue.popleft()
            if queue:
                self._waiting[client] = queue
            self._serve(data, client, lambda answer, address=address: self._send(answer, address))  # type: ignore[misc]
        self._busy = bool(self._waiting)
        if self._busy:
            self._loop.call_soon(self._look)

    def _send(self, answer: bytes, address: Address) -> None:
        # A client that is gone, or takes nothing, is its own loss: no buffer grows for it.
        with contextlib.suppress(OSError):
            if self._socket.fileno() >= 0:
                self._socket.sendto(answer, address)
