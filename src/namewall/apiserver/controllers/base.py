"""What a controller is, and the events it writes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

from namewall.apiserver.errors import ApiError
from namewall.apiserver.registry import BY_KEY
from namewall.apiserver.store import Change, Key, Store
from namewall.apiserver.values import Object, dig, timestamp
from namewall.apiserver.writer import Options, Writer

REMEMBERED_EVENTS = 512


class Controller(Protocol):
    """Level-triggered: `reconcile` looks at what is stored and does what is missing, however often it is called."""

    name: str

    def interested(self, change: Change) -> Iterable[Key]:
        """The keys to reconcile after a change."""
        ...

    def initial(self) -> Iterable[Key]:
        """The keys to reconcile at the start."""
        ...

    def reconcile(self, key: Key) -> float | None:
        """Brings one key in order. Returns the seconds after which to look again even if nothing changes."""
        ...


def keys_of(store: Store, *resources: str) -> list[Key]:
    """The keys of every object of the resources."""
    found = []
    for resource in resources:
        for obj in store.objects(resource):
            found.append(key_of(resource, obj))
    return found


def key_of(resource: str, obj: Object) -> Key:
    return Key(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def owner_key(obj: Object, kind: str, resource: str) -> Key | None:
    """The key of the object's controller, if that is of the kind."""
    for reference in dig(obj, "metadata", "ownerReferences", default=[]):
        if reference.get("controller") and reference.get("kind") == kind:
            return Key(resource, obj["metadata"].get("namespace", ""), reference["name"])
    return None


def is_deleted(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


class Recorder:
    """Writes Events about objects. The same event again raises its count instead of making another."""

    def __init__(self, writer: Writer, component: str) -> None:
        self._writer = writer
        self._component = component
        self._known: OrderedDict[tuple[str, str, str], Key] = OrderedDict()

    def record(self, obj: Object, reason: str, message: str, *, kind: str = "Normal") -> None:
        """Never fails: an event about a namespace that is going away has no place to be."""
        now = self._writer.clock()
        identity = (obj["metadata"]["uid"], reason, message)
        known = self._known.get(identity)
        stored = self._writer.store.get(known) if known else None
        if known is not None and stored is not None:
            stored["count"] = int(stored.get("count") or 1) + 1
            stored["lastTimestamp"] = timestamp(now)
            self._writer.store.update(known, stored)
            return
        namespace = obj["metadata"].get("namespace") or "default"
        reference = {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": obj["metadata"]["name"],
            "namespace": obj["metadata"].get("namespace", ""),
            "uid": obj["metadata"]["uid"],
            "resourceVersion": obj["metadata"].get("resourceVersion", ""),
        }
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{obj['metadata']['name'][:230]}.{int(now * 1e9):x}",
                "namespace": namespace,
            },
            "involvedObject": {name: value for name, value in reference.items() if value},
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": "",
            "firstTimestamp": timestamp(now),
            "lastTimestamp": timestamp(now),
            "count": 1,
        }
        try:
            created = self._writer.create(BY_KEY["events"], namespace, event, Options(self._component))
        except ApiError:
            return
        self._known[identity] = key_of("events", created)
        while len(self._known) > REMEMBERED_EVENTS:
            self._known.popitem(last=False)
