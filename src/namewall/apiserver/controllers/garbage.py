"""Objects whose owners are gone go too (kubernetes.io, Garbage Collection).

Background: dependents follow when the owner is deleted. Foreground: the owner waits, by its finalizer, until the
dependents that block it are gone. Orphan: dependents are let go first.
"""

from __future__ import annotations

from collections.abc import Iterable

from namewall.apiserver.controllers.base import is_deleted
from namewall.apiserver.deletion import FOREGROUND, ORPHAN, DeleteOptions
from namewall.apiserver.errors import ApiError
from namewall.apiserver.registry import BY_KEY, BY_KIND
from namewall.apiserver.store import Change, Key
from namewall.apiserver.values import Object, deep_copy, dig
from namewall.apiserver.writer import Writer

_UID = "(uid)"
"""The resource of keys that stand for a uid that is gone."""


class GarbageCollector:
    name = "garbage-collector"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def interested(self, change: Change) -> Iterable[Key]:
        obj = change.object()
        references = dig(obj, "metadata", "ownerReferences", default=[])
        if change.type == "DELETED":
            owners = [self._writer.store.by_uid(str(entry.get("uid"))) for entry in references]
            return [Key(_UID, "", obj["metadata"]["uid"]), *(owner for owner in owners if owner)]
        if references or dig(obj, "metadata", "deletionTimestamp"):
            return [change.key]
        return ()

    def initial(self) -> Iterable[Key]:
        store = self._writer.store
        gone = [Key(_UID, "", uid) for uid in store.owners() if store.by_uid(uid) is None]
        ending = [
            Key(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            for resource in BY_KEY
            for obj in store.objects(resource)
            if is_deleted(obj) and obj["metadata"].get("finalizers")
        ]
        return [*gone, *ending]

    def reconcile(self, key: Key) -> float | None:
        if key.resource == _UID:
            for dependent in self._writer.store.dependents(key.name):
                self._collect(dependent)
            return None
        obj = self._writer.store.get(key)
        if obj is None:
            return None
        finalizers = dig(obj, "metadata", "finalizers", default=[])
        if is_deleted(obj) and ORPHAN in finalizers:
            self._orphan(key, obj)
        elif is_deleted(obj) and FOREGROUND in finalizers:
            self._foreground(key, obj)
        elif not is_deleted(obj):
            self._collect(key)
        return None

    def _is_gone(self, reference: Object, namespace: str) -> bool:
        """Whether an owner does not exist. Owners of kinds that are not served here are left alone."""
        if (reference.get("apiVersion"), reference.get("kind")) not in BY_KIND:
            return False
        owner = self._writer.store.by_uid(str(reference.get("uid")))
        return owner is None or owner.namespace not in ("", namespace)

    def _collect(self, key: Key) -> None:
        """Deletes an object none of whose owners is left; takes dead references out of one that has others."""
        obj = self._writer.store.get(key)
        if obj is None:
            return
        references: list[Object] = dig(obj, "metadata", "ownerReferences", default=[])
        alive = [entry for entry in references if not self._is_gone(entry, key.namespace)]
        if len(alive) == len(references):
            return
        if alive:
            self._set_references(key, obj, alive)
        elif not is_deleted(obj):
            self._delete(key, "Background")

    def _delete(self, key: Key, propagation: str) -> None:
        try:
            options = DeleteOptions(propagation=propagation)
            self._writer.delete(BY_KEY[key.resource], key.namespace, key.name, options)
        except ApiError as error:
            if error.code != 404:
                raise

    def _set_references(self, key: Key, obj: Object, references: list[Object]) -> None:
        changed = deep_copy(obj)
        if references:
            changed["metadata"]["ownerReferences"] = references
        else:
            changed["metadata"].pop("ownerReferences", None)
        self._writer.write(BY_KEY[key.resource], obj, changed, self.name)

    def _orphan(self, key: Key, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        for dependent in self._writer.store.dependents(uid):
            found = self._writer.store.get(dependent)
            if found is not None:
                kept = [entry for entry in found["metadata"]["ownerReferences"] if entry.get("uid") != uid]
                self._set_references(dependent, found, kept)
        self._drop_finalizer(key, obj, ORPHAN)

    def _foreground(self, key: Key, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        blocking = False
        for dependent in self._writer.store.dependents(uid):
            found = self._writer.store.get(dependent)
            if found is None:
                continue
            mine = next(entry for entry in found["metadata"]["ownerReferences"] if entry.get("uid") == uid)
            blocking = blocking or bool(mine.get("blockOwnerDeletion"))
            if not is_deleted(found):
                self._delete(
                    dependent,
                    "Foreground" if self._writer.store.dependents(found["metadata"]["uid"]) else "Background",
                )
                if self._writer.store.get_raw(dependent) is None:
                    blocking = any(self._blocks(other, uid) for other in self._writer.store.dependents(uid))
        if not blocking:
            current = self._writer.store.get(key)
            if current is not None:
                self._drop_finalizer(key, current, FOREGROUND)

    def _blocks(self, key: Key, uid: str) -> bool:
        found = self._writer.store.get(key)
        references = dig(found, "metadata", "ownerReferences", default=[])
        return any(entry.get("uid") == uid and entry.get("blockOwnerDeletion") for entry in references)

    def _drop_finalizer(self, key: Key, obj: Object, name: str) -> None:
        changed = deep_copy(obj)
        left = [entry for entry in changed["metadata"].get("finalizers") or [] if entry != name]
        if left:
            changed["metadata"]["finalizers"] = left
        else:
            changed["metadata"].pop("finalizers", None)
        self._writer.write(BY_KEY[key.resource], obj, changed, self.name)
