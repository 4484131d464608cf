"""Events are news: they go after an hour, as in Kubernetes."""

from __future__ import annotations

from collections.abc import Iterable

from namewall.apiserver.store import Change, Key
from namewall.apiserver.values import dig, parse_timestamp
from namewall.apiserver.writer import Writer

KEPT_SECONDS = 3600.0
SWEEP_SECONDS = 300.0

_ALL = Key("events", "", "")


class EventExpiry:
    name = "event-expiry"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def interested(self, change: Change) -> Iterable[Key]:
        return ()

    def initial(self) -> Iterable[Key]:
        return [_ALL]

    def reconcile(self, key: Key) -> float | None:
        oldest = self._writer.clock() - KEPT_SECONDS
        for event in self._writer.store.objects("events"):
            last = (
                event.get("lastTimestamp")
                or event.get("eventTime")
                or dig(event, "metadata", "creationTimestamp")
            )
            if parse_timestamp(last) < oldest:
                metadata = event["metadata"]
                self._writer.store.delete(Key("events", metadata["namespace"], metadata["name"]))
        return SWEEP_SECONDS
