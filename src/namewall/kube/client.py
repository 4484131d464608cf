"""The asynchronous client, for daemons: one connection pool to one server, dicts in and out.

Sends what `request` builds. Every failure is ApiError (the server said no) or Unreachable (it said nothing);
nothing else escapes. The client itself never repeats a request: who knows whether it may be repeated is the
caller (the informer, a work queue).
"""

from __future__ import annotations

import json
import logging
import random
import socket
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from namewall.kube import request as requests
from namewall.kube.config import KubeConfig
from namewall.kube.errors import ApiError, KubeError, Unreachable
from namewall.kube.events import Correlator, reference
from namewall.kube.request import PatchKind, Query, Request
from namewall.kube.resources import EVENTS, Resource
from namewall.kube.watch import FrameDecoder, WatchEvent

__all__ = ["ApiError", "Client", "KubeError", "Unreachable"]

log = logging.getLogger(__name__)

Object = dict[str, Any]

PAGE = 500
"""Objects a list asks for at a time, as client-go."""
TIMEOUT = 30.0
"""Seconds an ordinary request may take."""
WATCH_SECONDS = (240, 480)
"""A watch ends after a random time between these, so that watches do not all come back at once."""
WATCH_GRACE = 30.0
"""Seconds of silence beyond its end after which a watch's connection counts as dead."""

_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
]


class Client:
    """End it with `aclose()` or `async with`. `component` names us to the server and in events."""

    def __init__(self, config: KubeConfig, *, component: str = "namewall") -> None:
        self.config = config
        self._events = Correlator(component)
        headers = {"User-Agent": component}
        if config.token:
            headers["Authorization"] = f"Bearer {config.token}"
        context = config.ssl_context()
        transport = httpx.AsyncHTTPTransport(
            verify=context if context is not None else True,
            # Each watch holds a connection: there is no useful limit.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=30),
            socket_options=_KEEPALIVE,
            trust_env=False,
        )
        # A proxy from the environment must never sit between a node and its own API server.
        self._http = httpx.AsyncClient(
            transport=transport, base_url=config.server, headers=headers, timeout=TIMEOUT, trust_env=False
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the open watches too."""
        await self._http.aclose()

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> tuple[list[Object], str]:
        """All objects, `apiVersion` and `kind` filled in, and the resourceVersion to watch from."""
        items: list[Object] = []
        continue_, limit = "", PAGE
        while True:
            try:
                page = await self.send(
                    requests.list_(
                        resource,
                        namespace,
                        label_selector=label_selector,
                        field_selector=field_selector,
                        limit=limit,
                        continue_=continue_,
                    )
                )
            except ApiError as error:
                if not (error.expired and continue_):
                    raise
                # The pages' snapshot is gone: everything at once, as client-go's pager does.
                items, continue_, limit = [], "", 0
                continue
            for item in page.get("items") or ():
                items.append({"apiVersion": resource.api_version, "kind": resource.kind, **item})
            metadata = page.get("metadata") or {}
            continue_ = metadata.get("continue") or ""
            if not continue_:
                return items, str(metadata.get("resourceVersion", ""))

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        return await self.send(requests.get(resource, namespace, name))

    async def create(
        self, resource: Resource, namespace: str | None, obj: Mapping[str, Any], *, query: Query = ()
    ) -> Object:
        return await self.send(requests.create(resource, namespace, obj, query=query))

    async def replace(
        self, resource: Resource, namespace: str | None, obj: Mapping[str, Any], *, subresource: str = ""
    ) -> Object:
        """PUT; 409 where the object's resourceVersion is no longer the stored one."""
        return await self.send(requests.replace(resource, namespace, obj, subresource=subresource))

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Any,
        *,
        kind: PatchKind = "merge",
        subresource: str = "",
        field_manager: str = "namewall",
        force: bool = False,
    ) -> Object:
        """`kind="apply"` is server-side apply; `force` then takes fields over from other managers."""
        return await self.send(
            requests.patch(
                resource,
                namespace,
                name,
                body,
                kind=kind,
                subresource=subresource,
                field_manager=field_manager,
                force=force,
            )
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        grace_period_seconds: int | None = None,
        propagation: str | None = None,
        uid: str | None = None,
    ) -> Object:
        """The object as it is being deleted, or a Status."""
        return await self.send(
            requests.delete(
                resource,
                namespace,
                name,
                grace_period_seconds=grace_period_seconds,
                propagation=propagation,
                uid=uid,
            )
        )

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Changes after `resource_version`, bookmarks among them, until the server ends the stream.

        ApiError with code 410 where that version is too old. Leave it early with contextlib.aclosing.
        """
        seconds = random.randint(*WATCH_SECONDS)
        asked = requests.watch(
            resource,
            namespace,
            resource_version=resource_version,
            label_selector=label_selector,
            field_selector=field_selector,
            timeout_seconds=seconds,
        )
        decoder = FrameDecoder()
        timeout = httpx.Timeout(TIMEOUT, read=seconds + WATCH_GRACE)
        try:
            async with self._http.stream(
                asked.method, asked.target, headers=dict(asked.headers), timeout=timeout
            ) as response:
                if not response.is_success:
                    raise ApiError.from_body(response.status_code, await response.aread())
                async for chunk in response.aiter_bytes():
                    for event in decoder.feed(chunk):
                        yield event
        except (httpx.TransportError, httpx.StreamError) as error:
            raise self._unreachable(error) from error
        except ValueError as error:
            raise Unreachable(f"the answer of {self.config.server} is not a watch: {error}") from error

    async def event(
        self, involved: dict[str, Any], reason: str, message: str, type: str = "Normal", *, times: int = 1
    ) -> None:
        """Reports a happening about an object (or an ObjectReference to one); the same again raises a count.

        `times`: how often it happened since it was reported last.

        Never raises KubeError: an Event is a courtesy, its loss must not stop the work it tells about.
        """
        about = reference(involved)
        recorded = self._events.observe(about, type, reason, message, time.time(), times)
        if recorded is None:
            return
        try:
            if not recorded.new:
                try:
                    patch = self._events.patch(recorded)
                    await self.patch(EVENTS, recorded.namespace, recorded.name, patch)
                    return
                except ApiError as error:
                    if error.code != 404:
                        raise
            await self.create(EVENTS, recorded.namespace, self._events.body(recorded, about, type, reason))
        except KubeError as error:
            self._events.forget(recorded)
            log.warning("event %s about %s was not written: %s", reason, about.get("name"), error)

    async def send(self, asked: Request) -> Object:
        """Any request whose answer is one JSON object."""
        try:
            response = await self._http.request(
                asked.method, asked.target, headers=dict(asked.headers), content=asked.body
            )
        except (httpx.TransportError, httpx.StreamError) as error:
            raise self._unreachable(error) from error
        if not response.is_success:
            raise ApiError.from_body(response.status_code, response.content)
        try:
            answer = json.loads(response.content)
        except ValueError as error:
            raise Unreachable(f"the answer of {self.config.server} to {asked.path} is not JSON") from error
        if not isinstance(answer, dict):
            raise Unreachable(f"the answer of {self.config.server} to {asked.path} is not a JSON object")
        return answer

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(f"no answer from {self.config.server}: {str(error) or error.__class__.__name__}")
