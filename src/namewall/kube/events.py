"""Decides what a reported happening becomes: a new Event, a higher count on an old one, or nothing. Pure.

As client-go's EventCorrelator (tools/record/events_cache.go): the same happening again raises `count`; more
than ten messages of one reason within ten minutes become one "(combined from similar events)"; an object
that reports more than 25 at once, then one in five minutes, is not listened to. Memory is bounded: the least
recently seen is forgotten, which costs at worst one more Event object.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

CACHE_SIZE = 4096
SIMILAR_MESSAGES = 10
SIMILAR_SECONDS = 600.0
BURST = 25
REFILL_PER_SECOND = 1 / 300
PREFIX = "(combined from similar events): "

_REFERENCE = ("apiVersion", "kind", "namespace", "name", "uid", "resourceVersion", "fieldPath")


def reference(obj: dict[str, Any]) -> dict[str, str]:
    """The ObjectReference to an object; a dict that already is one (no `metadata`) passes through."""
    metadata = obj.get("metadata")
    source = (
        obj
        if metadata is None
        else {**metadata, "apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
    )
    return {key: str(source[key]) for key in _REFERENCE if source.get(key)}


@dataclass(slots=True)
class Recorded:
    """One Event object that was, or is about to be, written. Times are seconds since the epoch."""

    name: str
    namespace: str
    message: str
    first: float
    last: float
    count: int = 1
    new: bool = True


@dataclass(slots=True)
class _Similar:
    messages: set[str] = field(default_factory=set)
    last: float = 0.0


@dataclass(slots=True)
class _Bucket:
    tokens: float = BURST
    last: float = 0.0


class Correlator:
    """Not safe for threads; one for each reporting component."""

    def __init__(self, component: str) -> None:
        self.component = component
        self._recorded: OrderedDict[tuple[str, ...], Recorded] = OrderedDict()
        self._similar: OrderedDict[tuple[str, ...], _Similar] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, ...], _Bucket] = OrderedDict()

    def observe(
        self, involved: dict[str, str], type_: str, reason: str, message: str, now: float, times: int = 1
    ) -> Recorded | None:
        """The Event to write: create it where it is `new`, else patch it. None: too many.

        It happened `times` times since it was told last.
        """
        about = tuple(
            involved.get(key, "") for key in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")
        )
        if not self._may_speak(about, now):
            return None
        group = (*about, type_, reason)
        similar = _recall(self._similar, group, _Similar)
        if now - similar.last > SIMILAR_SECONDS:
            similar.messages.clear()
        similar.last = now
        similar.messages.add(message)
        key = (*group, message)
        if len(similar.messages) > SIMILAR_MESSAGES:
            similar.messages.discard(message)
            key, message = group, PREFIX + message
        recorded = self._recorded.get(key)
        if recorded is None:
            name = f"{involved.get('name', '')}.{int(now * 1e9):x}"
            recorded = Recorded(name, involved.get("namespace") or "default", message, now, now, times)
            _remember(self._recorded, key, recorded)
        else:
            self._recorded.move_to_end(key)
            recorded.count += times
            recorded.new = False
            recorded.last = now
            recorded.message = message
        return recorded

    def forget(self, recorded: Recorded) -> None:
        """The server no longer has it (Events expire): the next like it is a new one."""
        for key, value in self._recorded.items():
            if value is recorded:
                del self._recorded[key]
                return

    def body(self, recorded: Recorded, involved: dict[str, str], type_: str, reason: str) -> dict[str, Any]:
        """The whole Event object, to create."""
        return {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": recorded.name, "namespace": recorded.namespace},
            "involvedObject": involved,
            "type": type_,
            "reason": reason,
            "message": recorded.message,
            "source": {"component": self.component},
            "reportingComponent": self.component,
            "reportingInstance": "",
            "firstTimestamp": timestamp(recorded.first),
            "lastTimestamp": timestamp(recorded.last),
            "count": recorded.count,
        }

    def patch(self, recorded: Recorded) -> dict[str, Any]:
        """The merge patch that brings the stored Event up to date."""
        return {
            "count": recorded.count,
            "message": recorded.message,
            "lastTimestamp": timestamp(recorded.last),
        }

    def _may_speak(self, about: tuple[str, ...], now: float) -> bool:
        bucket = _recall(self._buckets, about, _Bucket)
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.last) * REFILL_PER_SECOND)
        bucket.last = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes metav1.Time."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_V = TypeVar("_V")


def _recall(cache: OrderedDict[tuple[str, ...], _V], key: tuple[str, ...], make: Callable[[], _V]) -> _V:
    value = cache.get(key)
    if value is None:
        value = make()
        _remember(cache, key, value)
    else:
        cache.move_to_end(key)
    return value


def _remember(cache: OrderedDict[tuple[str, ...], _V], key: tuple[str, ...], value: _V) -> None:
    cache[key] = value
    if len(cache) > CACHE_SIZE:
        cache.popitem(last=False)
