"""Decodes the frames of a watch: bytes in, events out. Pure, no I/O; a frame is one JSON object on a line.

Invariant: events come out in the order of the bytes, however the network cut them. An ERROR frame is an
ApiError raised where it stands, after the events before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from namewall.kube.errors import ApiError

WatchType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
TYPES = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """A BOOKMARK's object carries only `metadata.resourceVersion` (and annotations)."""

    type: WatchType
    object: dict[str, Any]

    @property
    def resource_version(self) -> str:
        return str(self.object.get("metadata", {}).get("resourceVersion", ""))


class FrameDecoder:
    """Feed it what arrives; it yields what is complete and keeps the rest."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[WatchEvent]:
        """Raises ApiError for an ERROR frame and ValueError for what is no frame."""
        *lines, last = data.split(b"\n")
        if lines:
            lines[0] = b"".join([*self._rest, lines[0]])
            self._rest.clear()
        if last:
            self._rest.append(last)
        for line in lines:
            if line.strip():
                yield decode(line)

    @property
    def incomplete(self) -> bool:
        """Whether the stream ended inside a frame; that frame is as good as not sent: resume before it."""
        return bool(self._rest)


def decode(line: bytes) -> WatchEvent:
    """One frame."""
    frame = json.loads(line)
    if not isinstance(frame, dict) or not isinstance(frame.get("object"), dict):
        raise ValueError("a watch frame must be an object with `type` and `object`")
    kind, obj = frame.get("type"), frame["object"]
    if kind == "ERROR":
        raise ApiError.from_status(obj)
    if kind not in TYPES:
        raise ValueError(f"unknown watch event type `{kind}`")
    return WatchEvent(cast(WatchType, kind), obj)
