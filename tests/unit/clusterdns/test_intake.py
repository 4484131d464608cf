"""Whoever fills the queue fills only its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator

import pytest

from namewall.clusterdns import intake
from namewall.clusterdns.intake import Intake


def _udp(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.setblocking(False)
    return made


@pytest.fixture
def clients() -> Iterator[tuple[socket.socket, socket.socket]]:
    loud, quiet = _udp("127.0.0.2"), _udp("127.0.0.3")
    yield loud, quiet
    loud.close()
    quiet.close()


class Served:
    def __init__(self) -> None:
        self.order: list[bytes] = []
        self.answered = asyncio.Event()

    def __call__(self, data: bytes, client: str, send: Callable[[bytes], None]) -> None:
        self.order.append(data)
        send(data.upper())
        if data == b"last":
            self.answered.set()


async def test_a_flood_costs_others_one_turn(clients: tuple[socket.socket, socket.socket]) -> None:
    loud, quiet = clients
    bound, served = _udp("127.0.0.1"), Served()
    taking = Intake(bound, served)
    where = bound.getsockname()
    for number in range(100):
        loud.sendto(b"%d" % number, where)
    quiet.sendto(b"first", where)
    loud.sendto(b"last", where)
    async with asyncio.timeout(5):
        await served.answered.wait()
    assert served.order.index(b"first") <= 1
    assert served.order[-1] == b"last"
    assert len(served.order) == 102
    assert quiet.recv(10) == b"FIRST"
    taking.close()


async def test_what_is_beyond_a_client_s_bound_is_dropped(
    clients: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MOST_OF_ONE", 10)
    loud, quiet = clients
    bound, served = _udp("127.0.0.1"), Served()
    taking = Intake(bound, served)
    for _ in range(50):
        loud.sendto(b"more", bound.getsockname())
    quiet.sendto(b"last", bound.getsockname())
    async with asyncio.timeout(5):
        await served.answered.wait()
        await asyncio.sleep(0.01)
    assert served.order.count(b"more") == 10
    assert taking.dropped == 40
    taking.close()
