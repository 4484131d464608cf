"""Watch streams: the changes after a resourceVersion, one JSON object a line, as clients' reflectors expect them.

Selectors are judged anew for every change: an object that begins to match arrives as ADDED, one that ceases to as
DELETED. `sendInitialEvents` (WatchList) and resourceVersion 0 or none begin with the current objects.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from namewall.apiserver import table
from namewall.apiserver.errors import expired
from namewall.apiserver.registry import Resource
from namewall.apiserver.request import Form
from namewall.apiserver.selectors import Selection
from namewall.apiserver.store import Change, Expired, Store
from namewall.apiserver.values import Object, dumps

BOOKMARK_SECONDS = 60.0
"""How often a quiet watch tells its client the current resourceVersion (Kubernetes: about once a minute)."""

INITIAL_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """`since` None begins with the current objects; `initial_end` marks their end with a bookmark (WatchList)."""

    resource: Resource
    namespace: str
    selection: Selection
    form: Form
    since: int | None
    bookmarks: bool
    initial_end: bool
    timeout: float
    include: str = "Metadata"


class _Writer:
    """Writes events in the form the client asked for. A Table's columns go with its first event only."""

    def __init__(self, request: WatchRequest, clock: Callable[[], float]) -> None:
        self._request = request
        self._clock = clock
        self._first = True

    def line(self, kind: str, obj: Object) -> bytes:
        resource = self._request.resource
        if self._request.form == "table":
            metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            obj = table.table(
                resource,
                [obj],
                self._clock(),
                metadata=metadata,
                include=self._request.include,
                columns=self._first,
            )
            self._first = False
        elif self._request.form == "partial":
            obj = table.partial(obj)
        return dumps({"type": kind, "object": obj}) + b"\n"

    def raw(self, kind: str, data: bytes) -> bytes:
        if self._request.form == "object":
            return b'{"type":"%s","object":%s}\n' % (kind.encode(), data)
        return self.line(kind, json.loads(data))

    def bookmark(self, version: int, annotations: Object | None = None) -> bytes:
        resource = self._request.resource
        metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        kind, api = resource.kind, resource.group_version
        if self._request.form == "partial":
            kind, api = "PartialObjectMetadata", "meta.k8s.io/v1"
        obj: Object = {"kind": kind, "apiVersion": api, "metadata": metadata}
        if self._request.form == "table":
            row = {"cells": [None] * len(resource.columns), "object": obj}
            obj = {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": str(version)},
                "columnDefinitions": [column.definition() for column in resource.columns]
                if self._first
                else None,
                "rows": [row],
            }
            self._first = False
        return dumps({"type": "BOOKMARK", "object": obj}) + b"\n"

    def change(self, change: Change) -> bytes:
        """The event of a change for this watch; nothing where it does not concern it."""
        request = self._request
        if change.key.resource != request.resource.key:
            return b""
        if request.namespace and change.key.namespace != request.namespace:
            return b""
        if not request.selection:
            return self.raw(change.type, change.new)
        new: Object = json.loads(change.new)
        was = change.old is not None and request.selection.matches(json.loads(change.old))
        matches = change.type != "DELETED" and request.selection.matches(new)
        if matches:
            return self.line("MODIFIED" if was else "ADDED", new)
        return self.line("DELETED", new) if was else b""


async def stream(store: Store, request: WatchRequest, clock: Callable[[], float]) -> AsyncIterator[bytes]:
    """The bytes of the answer until the request's timeout. Changes are never skipped: too slow a client gets 410."""
    writer = _Writer(request, clock)
    deadline = clock() + request.timeout
    if request.since is None:
        position = store.version
        lines = []
        for raw in store.list_raw(request.resource.key, request.namespace):
            if not request.selection or request.selection.matches(json.loads(raw)):
                lines.append(writer.raw("ADDED", raw))
        if request.initial_end:
            lines.append(writer.bookmark(position, INITIAL_END))
        yield b"".join(lines)
    else:
        position = request.since
        # The headers go out at once: clients wait for them before they take the watch for begun.
        yield b""
    while True:
        try:
            changes = list(store.since(position))
        except Expired as error:
            yield dumps({"type": "ERROR", "object": expired(str(error)).status()}) + b"\n"
            return
        if changes:
            position = changes[-1].version
            if data := b"".join(map(writer.change, changes)):
                yield data
        left = deadline - clock()
        if left <= 0:
            if request.bookmarks:
                yield writer.bookmark(position)
            return
        quiet = not await store.changed(position, min(left, BOOKMARK_SECONDS))
        if quiet and request.bookmarks and left > BOOKMARK_SECONDS:
            yield writer.bookmark(position)
