"""A collection on a server that misbehaves as told: goes away, ends watches, forgets old versions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from namewall.kube.errors import ApiError, Unreachable
from namewall.kube.resources import Resource
from namewall.kube.watch import WatchEvent, WatchType

Object = dict[str, Any]
EXPIRED = ApiError(410, "Expired", "too old resource version")


class Collection:
    """What an Informer needs of a client, over a dict."""

    def __init__(self) -> None:
        self.state: dict[tuple[str, str], Object] = {}
        self.version = 1
        self.floor = 0
        """Versions below it are forgotten."""
        self.down = False
        self.lists = 0
        self._log: list[tuple[int, WatchEvent]] = []
        self._uids = 0
        self._epoch = 0
        self._changed = asyncio.Event()

    # --- what happens to it -------------------------------------------------------------------------------

    def put(self, name: str) -> None:
        """Makes the object, or changes it."""
        key = ("ns", name)
        old = self.state.get(key)
        if old is None:
            self._uids += 1
        uid = old["metadata"]["uid"] if old else str(self._uids)
        self.version += 1
        metadata = {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": str(self.version)}
        self.state[key] = {"metadata": metadata}
        self._say("MODIFIED" if old else "ADDED", self.state[key])

    def remove(self, name: str) -> None:
        obj = self.state.pop(("ns", name), None)
        if obj is not None:
            self.version += 1
            metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
            self._say("DELETED", {"metadata": metadata})

    def bookmark(self) -> None:
        self._say("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def forget(self) -> None:
        self.floor = self.version

    def end_watches(self) -> None:
        self._epoch += 1
        self._wake()

    def go_away(self) -> None:
        self.down = True
        self.end_watches()

    def come_back(self) -> None:
        self.down = False

    def _say(self, kind: WatchType, obj: Object) -> None:
        self._log.append((self.version, WatchEvent(kind, obj)))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # --- the client's side --------------------------------------------------------------------------------

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> tuple[list[Object], str]:
        await asyncio.sleep(0)
        if self.down:
            raise Unreachable("down")
        self.lists += 1
        return list(self.state.values()), str(self.version)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        await asyncio.sleep(0)
        if self.down:
            raise Unreachable("down")
        if int(resource_version) < self.floor:
            raise EXPIRED
        epoch, at = self._epoch, 0
        while True:
            changed = self._changed
            for version, event in self._log[at:]:
                if version > int(resource_version) or event.type == "BOOKMARK":
                    yield event
                    if self._epoch != epoch:
                        break
                at += 1
            if self._epoch != epoch:
                if self.down:
                    raise Unreachable("went away")
                return
            if changed is self._changed:
                await changed.wait()
