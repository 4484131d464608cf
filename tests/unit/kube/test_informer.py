"""The informer against a server that goes away, ends watches and forgets."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from namewall.kube.errors import Unreachable
from namewall.kube.informer import LONGEST_WAIT, Change, Informer
from namewall.kube.resources import PODS
from tests.unit.kube.scripted import EXPIRED, Collection

Object = dict[str, Any]
Action = tuple[str, int]
NAMES = "abc"


class Replayed:
    """What a handler that believes every word would hold; it refuses news that make no sense."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Object] = {}
        self.changes: list[tuple[Change, str]] = []

    def __call__(self, change: Change, obj: Object) -> None:
        metadata = obj["metadata"]
        key = (metadata["namespace"], metadata["name"])
        self.changes.append((change, metadata["name"]))
        assert (change == "added") is (key not in self.items), (change, key)
        if change == "deleted":
            assert self.items.pop(key)["metadata"]["uid"] == metadata["uid"]
        else:
            if change == "modified":
                assert self.items[key]["metadata"]["uid"] == metadata["uid"]
            self.items[key] = obj


async def quick(_: float) -> None:
    await asyncio.sleep(0)


def act(server: Collection, action: Action) -> None:
    kind, number = action
    name = NAMES[number % len(NAMES)]
    match kind:
        case "put":
            server.put(name)
        case "remove":
            server.remove(name)
        case "anew":
            server.remove(name)
            server.put(name)
        case "bookmark":
            server.bookmark()
        case "forget":
            server.forget()
        case "end":
            server.end_watches()
        case "down":
            server.go_away()
        case "up":
            server.come_back()


KINDS = ["put", "remove", "anew", "bookmark", "forget", "end", "down", "up"]
ACTIONS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 8), st.integers(0, 6)), max_size=40)


@given(ACTIONS)
@example([("put", 0, 6), ("down", 0, 6), ("anew", 0, 0), ("forget", 0, 0), ("up", 0, 6)])
@example([("put", 0, 6), ("down", 0, 6), ("remove", 0, 0), ("up", 0, 6)])
def test_any_interleaving_ends_in_the_servers_state(actions: list[tuple[str, int, int]]) -> None:
    async def play() -> None:
        server, told = Collection(), Replayed()
        informer = Informer(server, PODS, sleep=quick)
        informer.add_handler(told)
        running = asyncio.create_task(informer.run())
        for kind, number, turns in actions:
            act(server, (kind, number))
            for _ in range(turns):
                await asyncio.sleep(0)
        server.come_back()
        for _ in range(200):
            await asyncio.sleep(0)
        assert not running.done()
        running.cancel()
        assert informer.items == server.state
        assert told.items == server.state
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(play())


def connected(informer: Informer) -> bool:
    return informer.connected


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def test_an_absent_server_clears_nothing_and_the_watch_is_resumed() -> None:
    server, told = Collection(), Replayed()
    server.put("a")
    informer = Informer(server, PODS, sleep=quick)
    informer.add_handler(told)
    running = asyncio.create_task(informer.run())
    await asyncio.wait_for(informer.synced.wait(), 5)
    server.go_away()
    await settle()
    assert connected(informer) is False
    assert set(informer.items) == {("ns", "a")}
    server.remove("a")
    server.put("b")
    server.come_back()
    await settle()
    assert told.changes == [("added", "a"), ("deleted", "a"), ("added", "b")]
    assert connected(informer) is True
    assert server.lists == 1
    running.cancel()


async def test_a_late_handler_is_told_of_everything() -> None:
    server, told = Collection(), Replayed()
    server.put("a")
    informer = Informer(server, PODS, sleep=quick)
    running = asyncio.create_task(informer.run())
    await asyncio.wait_for(informer.synced.wait(), 5)
    informer.add_handler(told)
    assert told.items == server.state
    running.cancel()


async def test_one_handlers_fault_is_not_the_others(caplog: pytest.LogCaptureFixture) -> None:
    server, told = Collection(), Replayed()

    def faulty(change: Change, obj: Object) -> None:
        raise RuntimeError("mine")

    server.put("a")
    informer = Informer(server, PODS, sleep=quick)
    informer.add_handler(faulty)
    informer.add_handler(told)
    running = asyncio.create_task(informer.run())
    with caplog.at_level(logging.ERROR):
        await asyncio.wait_for(informer.synced.wait(), 5)
    assert told.items == server.state
    assert "a handler failed on added pod" in caplog.text
    running.cancel()


@pytest.mark.parametrize("fault", [Unreachable("no"), EXPIRED], ids=["away", "always 410"])
async def test_a_failing_server_is_asked_ever_more_slowly(fault: Exception) -> None:
    waits: list[float] = []

    class Failing(Collection):
        async def list(self, *args: Any, **options: Any) -> tuple[list[Object], str]:
            raise fault

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)
        if len(waits) == 12:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Informer(Failing(), PODS, sleep=sleep).run()
    assert waits[0] <= 0.2
    assert waits[-1] >= LONGEST_WAIT / 2
    assert max(waits) <= LONGEST_WAIT
    assert sorted(waits)[2] < 1.0 < sorted(waits)[-3]


async def test_a_server_that_ends_every_watch_at_once_is_not_hammered() -> None:
    waits: list[float] = []
    server = Collection()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        server.end_watches()
        if len(waits) == 10:
            raise asyncio.CancelledError

    async def keep_ending() -> None:
        while True:
            server.end_watches()
            await asyncio.sleep(0)

    ending = asyncio.create_task(keep_ending())
    with pytest.raises(asyncio.CancelledError):
        await Informer(server, PODS, sleep=sleep).run()
    ending.cancel()
    assert waits[-1] >= LONGEST_WAIT / 2
