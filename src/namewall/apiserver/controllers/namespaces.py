"""Namespaces: each has its default ServiceAccount; one that is deleted takes everything in it along, then goes."""

from __future__ import annotations

from collections.abc import Iterable

from namewall.apiserver import subresources
from namewall.apiserver.controllers.base import is_deleted, keys_of
from namewall.apiserver.deletion import DeleteOptions
from namewall.apiserver.registry import BY_KEY
from namewall.apiserver.store import Change, Key
from namewall.apiserver.values import Object, dig
from namewall.apiserver.writer import Options, Writer

MANAGER = "namespace-controller"
RETRY_SECONDS = 1.0
"""Pods end in their own time; their deletion is noticed at once, this is for what is held by finalizers."""


class NamespaceController:
    name = "namespace"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def interested(self, change: Change) -> Iterable[Key]:
        if change.key.resource == "namespaces":
            return [change.key]
        deleted = change.type == "DELETED"
        if deleted and (change.key.resource == "serviceaccounts" or self._is_ending(change.key.namespace)):
            return [Key("namespaces", "", change.key.namespace)]
        return ()

    def _is_ending(self, name: str) -> bool:
        found = self._writer.store.get(Key("namespaces", "", name)) if name else None
        return found is not None and is_deleted(found)

    def initial(self) -> Iterable[Key]:
        return keys_of(self._writer.store, "namespaces")

    def reconcile(self, key: Key) -> float | None:
        namespace = self._writer.store.get(key)
        if namespace is None:
            return None
        if not is_deleted(namespace):
            self._service_account(key.name)
            return None
        return self._empty(namespace)

    def _service_account(self, namespace: str) -> None:
        accounts = BY_KEY["serviceaccounts"]
        if self._writer.store.get_raw(Key("serviceaccounts", namespace, "default")) is None:
            account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
            self._writer.create(accounts, namespace, account, Options("service-account-controller"))

    def _empty(self, namespace: Object) -> float | None:
        name = namespace["metadata"]["name"]
        for key in self._writer.store.keys(name):
            obj = self._writer.store.get(key)
            if obj is not None and not is_deleted(obj):
                self._writer.delete(BY_KEY[key.resource], key.namespace, key.name, DeleteOptions())
        if self._writer.store.keys(name):
            return RETRY_SECONDS
        left = [item for item in dig(namespace, "spec", "finalizers", default=[]) if item != "kubernetes"]
        subresources.finalize(self._writer, name, {"spec": {"finalizers": left}}, Options(MANAGER))
        return None
