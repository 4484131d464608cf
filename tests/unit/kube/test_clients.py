"""Both clients against a scripted HTTP server: pages, refusals, broken streams, warnings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from namewall.kube import request as requests
from namewall.kube.client import Client
from namewall.kube.config import KubeConfig
from namewall.kube.errors import ApiError, Unreachable
from namewall.kube.resources import PODS
from namewall.kube.sync import SyncClient

Answer = bytes | tuple[bytes, str]
"""A body with code 200, or a body with status line and headers of its own."""


@asynccontextmanager
async def serving(answer: Callable[[str, str, bytes], Answer]) -> AsyncIterator[tuple[KubeConfig, list[str]]]:
    """An HTTP/1.1 server that answers by a function of method, target and body; and the targets it saw."""
    seen: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                method, target, _ = line.decode().split()
                length = 0
                while (header := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = header.decode().partition(":")
                    if name.lower() == "content-length":
                        length = int(value)
                body = await reader.readexactly(length)
                seen.append(f"{method} {target}")
                reply = answer(method, target, body)
                content, head = reply if isinstance(reply, tuple) else (reply, "200 OK")
                if head == "cut":
                    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    writer.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
                    await writer.drain()
                    return
                if head == "drop":
                    return
                writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield KubeConfig(f"http://127.0.0.1:{port}", token="t"), seen
    finally:
        server.close()


def frame(kind: str, **metadata: str) -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": metadata}}).encode() + b"\n"


def page(names: list[str], continue_: str = "") -> bytes:
    items = [{"metadata": {"name": name}} for name in names]
    return json.dumps({"metadata": {"resourceVersion": "5", "continue": continue_}, "items": items}).encode()


GONE = json.dumps({"kind": "Status", "code": 410, "reason": "Expired", "message": "gone"}).encode()


async def test_pages_are_put_together_and_kinds_filled_in() -> None:
    def answer(method: str, target: str, body: bytes) -> Answer:
        return page(["b"]) if "continue=next" in target else page(["a"], "next")

    async with serving(answer) as (config, _), Client(config) as client:
        items, version = await client.list(PODS, label_selector="x=y")
    assert version == "5"
    assert [(item["kind"], item["metadata"]["name"]) for item in items] == [("Pod", "a"), ("Pod", "b")]


async def test_pages_that_expired_are_asked_for_at_once() -> None:
    def answer(method: str, target: str, body: bytes) -> Answer:
        if "continue" in target:
            return GONE, "410 Gone"
        return page(["a"], "next") if "limit" in target else page(["a", "b"])

    async with serving(answer) as (config, seen), Client(config) as client:
        items, _ = await client.list(PODS)
    assert len(items) == 2
    assert seen[-1] == "GET /api/v1/pods"


async def test_a_watch_yields_what_came_before_the_connection_broke() -> None:
    def answer(method: str, target: str, body: bytes) -> Answer:
        return frame("ADDED", name="a") + frame("BOOKMARK", resourceVersion="9") + b'{"type"', "cut"

    async with serving(answer) as (config, _), Client(config) as client:
        watching = aiter(client.watch(PODS, resource_version="1"))
        events = [(await anext(watching)).type for _ in range(2)]
        with pytest.raises(Unreachable, match="no answer from http://"):
            await anext(watching)
    assert events == ["ADDED", "BOOKMARK"]


@pytest.mark.parametrize("as_frame", [True, False])
async def test_a_version_that_is_too_old_is_410(as_frame: bool) -> None:
    def answer(method: str, target: str, body: bytes) -> Answer:
        return b'{"type":"ERROR","object":' + GONE + b"}\n" if as_frame else (GONE, "410 Gone")

    async with serving(answer) as (config, _), Client(config) as client:
        with pytest.raises(ApiError) as caught:
            await anext(aiter(client.watch(PODS, resource_version="1")))
    assert caught.value.expired


async def test_no_server_is_unreachable_for_both() -> None:
    async with serving(lambda *_: b"{}") as (config, _):
        pass
    async with Client(config) as client:
        with pytest.raises(Unreachable):
            await client.get(PODS, "x", "y")
        await client.event({"kind": "Pod", "name": "y", "namespace": "x"}, "Reason", "is never raised")
    with SyncClient(config) as sync, pytest.raises(Unreachable, match="was refused - did you specify"):
        sync.send(requests.get(PODS, "x", "y"))


async def test_an_answer_that_is_not_json_is_unreachable() -> None:
    async with serving(lambda *_: b"<html>") as (config, _), Client(config) as client:
        with pytest.raises(Unreachable, match="is not JSON"):
            await client.get(PODS, "x", "y")


async def test_events_are_created_then_counted_and_made_anew_when_they_expired() -> None:
    bodies: list[tuple[str, Any]] = []
    expired = False

    def answer(method: str, target: str, body: bytes) -> Answer:
        bodies.append((method, json.loads(body)))
        if method == "PATCH" and expired:
            return b'{"kind":"Status","code":404,"reason":"NotFound"}', "404 Not Found"
        return b"{}"

    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "uid": "u"}}
    async with serving(answer) as (config, _), Client(config, component="agent") as client:
        await client.event(pod, "Started", "m")
        await client.event(pod, "Started", "m")
        expired = True
        await client.event(pod, "Started", "m")
    assert [method for method, _ in bodies] == ["POST", "PATCH", "PATCH", "POST"]
    assert bodies[0][1]["involvedObject"]["uid"] == "u"
    assert bodies[0][1]["source"] == {"component": "agent"}
    assert bodies[1][1]["count"] == 2
    assert bodies[3][1]["count"] == 3


async def test_the_blocking_client_keeps_its_connection_and_tells_warnings() -> None:
    warnings: list[str] = []

    def answer(method: str, target: str, body: bytes) -> Answer:
        return b"{}", '200 OK\r\nWarning: 299 - "unknown field \\"spec.x\\""\r\nWarning: 299 - "two"'

    async with serving(answer) as (config, _):

        def work() -> None:
            with SyncClient(config, warnings.append) as client:
                client.send(requests.get(PODS, "x", "y"))
                client.send(requests.get(PODS, "x", "z"))

        await asyncio.to_thread(work)
    assert warnings == ['unknown field "spec.x"', "two"] * 2


async def test_an_idle_connection_that_the_server_closed_is_not_an_error() -> None:
    calls = 0

    def answer(method: str, target: str, body: bytes) -> Answer:
        nonlocal calls
        calls += 1
        return (b"", "drop") if calls == 2 else b"{}"

    async with serving(answer) as (config, seen):

        def work() -> None:
            with SyncClient(config) as client:
                client.send(requests.get(PODS, "x", "y"))
                client.send(requests.get(PODS, "x", "y"))

        await asyncio.to_thread(work)
    assert len(seen) == 3


async def test_the_blocking_watch_ends_with_the_servers() -> None:
    async with serving(lambda *_: frame("ADDED", name="a") + frame("DELETED", name="a")) as (config, _):

        def work() -> list[str]:
            with SyncClient(config) as client:
                return [event.type for event in client.watch(requests.watch(PODS, "x"))]

        assert await asyncio.to_thread(work) == ["ADDED", "DELETED"]
