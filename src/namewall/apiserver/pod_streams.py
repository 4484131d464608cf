"""pods/exec over WebSocket and pods/log, on the modules of `namewall.runtime`.

Protocol of exec: v5.channel.k8s.io and v4 (kubernetes.io, WebSocket streaming; KEP-4006). Every message is binary and
begins with a channel number: 0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 resize, and in v5 255 with a channel
that the client closes. The last frame is always the Status on channel 3, then the socket is closed with 1000:
without it kubectl would take a failed command for a good one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from namewall.apiserver.errors import ApiError, bad_request, method_not_allowed, not_found
from namewall.apiserver.request import Query, Target
from namewall.apiserver.store import Key, Store
from namewall.apiserver.values import Object, dig, dumps, parse_timestamp
from namewall.model.instance import Instance

if TYPE_CHECKING:
    from namewall.runtime.exec import ExecSession

SUBRESOURCES = ("exec", "log", "attach", "portforward", "proxy")
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
FIRST_BYTES_SECONDS = 0.2
"""How long an answer waits for a log's first bytes, which may be an error, before its headers go out."""
_STDIN, _STATUS, _RESIZE, _CLOSE = 0, 3, 4, 255

_NOT_OFFERED = {
    "attach": "attach is not offered by this server: use `kubectl logs -f`, or `kubectl exec` for a shell",
    "portforward": "port-forward is not offered by this server: pods are reachable from this host by their addresses",
    "proxy": "proxy is not offered by this server: pods are reachable from this host by their addresses",
}


class PodStreams:
    """Byte streams into and out of pods."""

    def __init__(self, instance: Instance, store: Store) -> None:
        self._instance = instance
        self._store = store

    async def http(self, target: Target, method: str, query: Query) -> Response:
        """What comes as plain HTTP: logs, and the tries of clients that could not have a WebSocket."""
        self._refuse(target)
        pod, container = self._container(target, query)
        if target.subresource == "exec":
            raise bad_request(
                "exec is offered over WebSocket only (kubectl 1.31 and later): Upgrade request required"
            )
        if method not in ("GET", "HEAD"):
            raise method_not_allowed("", "pods/log")
        return await self._log(pod, container, query)

    @staticmethod
    def _refuse(target: Target) -> None:
        if why := _NOT_OFFERED.get(target.subresource):
            raise ApiError(405, "MethodNotAllowed", why)

    def _container(self, target: Target, query: Query) -> tuple[Object, str]:
        """The pod and the container meant."""
        pod = self._store.get(Key("pods", target.namespace, target.name))
        if pod is None:
            raise not_found("", "pods", target.name)
        names = [container["name"] for container in dig(pod, "spec", "containers", default=[])]
        wanted = query.get("container")
        if not wanted:
            if len(names) > 1:
                listed = " ".join(names)
                raise bad_request(
                    f"a container name must be specified for pod {target.name}, choose one of: [{listed}]"
                )
            wanted = names[0]
        if wanted not in names:
            raise bad_request(f"container {wanted} is not valid for pod {target.name}")
        return pod, wanted

    # --- logs ---------------------------------------------------------------------------------------------

    async def _log(self, pod: Object, container: str, query: Query) -> Response:
        from namewall.runtime import logs

        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        statuses = dig(pod, "status", "containerStatuses", default=[])
        found = next((status for status in statuses if status.get("name") == container), None)
        if found is None or (dig(found, "state", "waiting") and not dig(found, "lastState", "terminated")):
            why = dig(found or {}, "state", "waiting", "reason", default="ContainerCreating")
            raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {why}')
        since = query.get("sinceTime")
        try:
            since_time = parse_timestamp(since) if since else None
        except ValueError:
            raise bad_request(f"`sinceTime` must be an RFC 3339 time, not `{since}`") from None
        lines = logs.read(
            self._instance,
            uid,
            container,
            follow=query.flag("follow"),
            tail_lines=query.number("tailLines"),
            since_seconds=query.number("sinceSeconds"),
            since_time=since_time,
            timestamps=query.flag("timestamps"),
            previous=query.flag("previous"),
            limit_bytes=query.number("limitBytes"),
        )
        iterator = aiter(lines)
        # The first piece decides between an answer and an error; one that never comes must not hold the headers.
        first = asyncio.ensure_future(_next(iterator))
        await asyncio.wait({first}, timeout=FIRST_BYTES_SECONDS)
        if first.done() and (error := first.exception()) is not None:
            if isinstance(error, logs.LogError):
                raise bad_request(str(error))
            raise error
        return StreamingResponse(_chain(first, iterator), media_type="text/plain")

    # --- exec ---------------------------------------------------------------------------------------------

    async def websocket(
        self, target: Target, query: Query, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """An exec session from its opening request to its close. Raises ApiError before it is accepted."""
        self._refuse(target)
        if target.subresource != "exec":
            raise bad_request("only pods/exec speaks WebSocket here")
        pod, container = self._container(target, query)
        command = query.all("command")
        if not command:
            raise bad_request("you must specify at least one command for the container")
        if dig(pod, "status", "phase") in ("Succeeded", "Failed"):
            phase = pod["status"]["phase"]
            raise bad_request(f"cannot exec into a container in a completed pod; current phase is {phase}")
        offered = scope.get("subprotocols") or []
        protocol = next((name for name in PROTOCOLS if name in offered), None)
        if protocol is None:
            raise bad_request(f"exec offers the WebSocket subprotocols {', '.join(PROTOCOLS)}, not {offered}")
        socket = WebSocket(scope, receive, send)
        await socket.accept(subprotocol=protocol)
        from namewall.runtime import exec as runtime_exec

        stdin, tty = query.flag("stdin"), query.flag("tty")
        uid = pod["metadata"]["uid"]
        try:
            session = await runtime_exec.start(self._instance, uid, container, command, stdin=stdin, tty=tty)
        except runtime_exec.ExecError as error:
            await _finish(
                socket, _failure(f"Internal error occurred: error executing command in container: {error}")
            )
            return
        await _converse(socket, session)


async def _next(iterator: AsyncIterator[bytes]) -> bytes | None:
    return await anext(iterator, None)


async def _chain(first: asyncio.Future[bytes | None], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        piece = await first
        while piece is not None:
            yield piece
            piece = await anext(rest, None)
    finally:
        first.cancel()
        close = getattr(rest, "aclose", None)
        if close is not None:
            with contextlib.suppress(RuntimeError):
                await close()


def _failure(message: str) -> Object:
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}


def exit_status(code: int) -> Object:
    """The Status of a command that ended with `code`."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


async def _finish(socket: WebSocket, status: Object) -> None:
    with contextlib.suppress(Exception):
        await socket.send_bytes(bytes([_STATUS]) + dumps(status))
        await socket.close(1000)


async def _converse(socket: WebSocket, session: ExecSession) -> None:
    """Carries bytes both ways until the command ended and all it wrote is sent, or the client is gone."""

    async def send_until_end() -> int:
        async for channel, data in session.output():
            await socket.send_bytes(bytes([channel]) + data)
        return await session.wait()

    receiving = asyncio.create_task(_receive(socket, session))
    sending = asyncio.create_task(send_until_end())
    try:
        await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            # A client that went away meanwhile is no error of ours.
            with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
                await _finish(socket, exit_status(sending.result()))
    finally:
        for task in (receiving, sending):
            task.cancel()
        await asyncio.gather(receiving, sending, return_exceptions=True)
        session.terminate()


async def _receive(socket: WebSocket, session: ExecSession) -> None:
    """Takes the client's frames until it goes away."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        data: bytes = message.get("bytes") or (message.get("text") or "").encode()
        if not data:
            continue
        channel, data = data[0], data[1:]
        if channel == _STDIN and data:
            await session.write(data)
        elif channel == _RESIZE:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                size = json.loads(data)
                session.resize(int(size["Width"]), int(size["Height"]))
        elif channel == _CLOSE and data[:1] == bytes([_STDIN]):
            await session.close_stdin()
