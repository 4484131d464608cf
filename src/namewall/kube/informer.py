"""Keeps a copy of a collection and tells of each change, for ever, whatever happens to the server.

List, then watch from there; when a watch ends, resume from the last version seen (bookmarks move it on); on
410 list again. Waits, longer each time and at random, while the server is away.

Invariants. `items` is only ever a state the server had, part by part: an unreachable server clears nothing.
After each reconnect the difference is delivered, deletions missed meanwhile included, and an object deleted
and made anew under the same name is a `deleted` and then an `added`. Replaying what a handler was told gives
`items`, always. Handlers are plain functions, called in order in the loop; they must be quick (put keys into
a queue) and not change what they are given.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Literal, Protocol, cast

from namewall.kube.errors import ApiError, KubeError, Unreachable
from namewall.kube.resources import Resource
from namewall.kube.watch import WatchEvent

log = logging.getLogger(__name__)

Change = Literal["added", "modified", "deleted"]
Object = dict[str, Any]
Key = tuple[str, str]
Handler = Callable[[Change, Object], None]

FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
"""Seconds between attempts while the server is away: the first, and the most; each a random half less."""


class Source(Protocol):
    """What an informer needs of a client."""

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> tuple[list[Object], str]: ...

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]: ...


class Informer:
    """`items` is {(namespace, name): object}; the namespace of a cluster-wide object is ""."""

    def __init__(
        self,
        client: Source,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.resource = resource
        self.items: dict[Key, Object] = {}
        self.synced = asyncio.Event()
        """Set once the first list is in `items` and delivered; never cleared."""
        self.connected = False
        """Whether a list or watch succeeded last."""
        self._client = client
        self._namespace = namespace
        self._selectors = {"label_selector": label_selector, "field_selector": field_selector}
        self._sleep = sleep
        self._handlers: list[Handler] = []
        self._version = ""
        self._failures = 0

    def add_handler(self, handler: Handler) -> None:
        """A late one is first told of everything there is, as `added`."""
        self._handlers.append(handler)
        for obj in list(self.items.values()):
            self._call(handler, "added", obj)

    def get(self, namespace: str, name: str) -> Object | None:
        return self.items.get((namespace, name))

    async def run(self) -> None:
        """Until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            started, error = clock(), None
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except (ApiError, Unreachable) as caught:
                error = caught
            if clock() - started > LONGEST_WAIT:
                self._failures = 0
            if isinstance(error, ApiError) and error.expired:
                self._version = ""
            # Once at once; a server that says 410, or ends an empty watch, again and again is not hammered.
            if self._failures or isinstance(error, Unreachable):
                await self._wait(error)
            else:
                self._failures = 1

    async def _list(self) -> None:
        items, version = await self._client.list(self.resource, self._namespace, **self._selectors)
        fresh = {_key(obj): obj for obj in items}
        for key in [key for key in self.items if key not in fresh]:
            self._remove(key, self.items[key])
        for key, obj in fresh.items():
            self._put(key, obj)
        self._version = version
        self.connected = True
        self.synced.set()

    async def _watch(self) -> None:
        events = self._client.watch(
            self.resource, self._namespace, resource_version=self._version, **self._selectors
        )
        async with aclosing(cast("AsyncGenerator[WatchEvent, None]", events)):
            async for event in events:
                self._take(event)
                self._failures = 0
                self.connected = True

    def _take(self, event: WatchEvent) -> None:
        if event.type == "DELETED":
            self._remove(_key(event.object), event.object)
        elif event.type != "BOOKMARK":
            self._put(_key(event.object), event.object)
        if event.resource_version:
            self._version = event.resource_version

    def _put(self, key: Key, obj: Object) -> None:
        old = self.items.get(key)
        if old is not None and _meta(old, "uid") != _meta(obj, "uid"):
            self._remove(key, old)
            old = None
        if old is not None and _meta(old, "resourceVersion") == _meta(obj, "resourceVersion"):
            return
        self.items[key] = obj
        self._tell("modified" if old is not None else "added", obj)

    def _remove(self, key: Key, last: Object) -> None:
        if self.items.pop(key, None) is not None:
            self._tell("deleted", last)

    def _tell(self, change: Change, obj: Object) -> None:
        for handler in self._handlers:
            self._call(handler, change, obj)

    def _call(self, handler: Handler, change: Change, obj: Object) -> None:
        try:
            handler(change, obj)
        except Exception:
            # One handler's fault must not cost the others their news.
            log.exception("a handler failed on %s %s %s", change, self.resource.singular, _key(obj))

    async def _wait(self, error: KubeError | None) -> None:
        if error is not None:
            if self.connected or not self._failures:
                log.info("%s: %s; trying again", self.resource.plural, error)
            self.connected = False
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self._failures, 16))
        self._failures += 1
        await self._sleep(longest * (0.5 + random.random() / 2))


def _meta(obj: Object, name: str) -> Any:
    return obj.get("metadata", {}).get(name)


def _key(obj: Object) -> Key:
    metadata = obj.get("metadata", {})
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
