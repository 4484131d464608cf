"""The endpoints of this node: which sandbox has which labels, and so which identity.

`ensure` returns only when the kernel has the endpoint's programs and policy: a pod's interface is opened
after that, never before (design.md section 8, the race at start).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from namewall.agent.reconciler import Reconciler
from namewall.model.labels import identity_labels
from namewall.runtime.base import Sandbox
from namewall.state.identities import Identities, Labels

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    sandbox: Sandbox
    labels: Labels
    identity: int

    @property
    def scope(self) -> int:
        """The owner number of its grants: 32 random bits of the pod's uid, so it never comes again."""
        return int(self.sandbox.uid.replace("-", "")[:8], 16)


class Endpoints:
    """Sandboxes by pod uid. `namespaces` gives a namespace's labels by its name."""

    def __init__(self, identities: Identities, namespaces: Callable[[str], dict[str, str]]) -> None:
        self._identities = identities
        self._namespaces = namespaces
        self._pods: dict[str, tuple[Sandbox, Object]] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self.reconciler: Reconciler | None = None

    def all(self) -> dict[str, Endpoint]:
        return dict(self._endpoints)

    def at(self, namespace: str, name: str) -> Endpoint | None:
        for endpoint in self._endpoints.values():
            if (endpoint.sandbox.namespace, endpoint.sandbox.name) == (namespace, name):
                return endpoint
        return None

    async def ensure(self, sandbox: Sandbox, pod: Object) -> None:
        self._pods[sandbox.uid] = (sandbox, pod)
        self._relabel(sandbox.uid)
        await self._settled()

    async def forget(self, sandbox: Sandbox) -> None:
        if self._pods.pop(sandbox.uid, None) is not None:
            del self._endpoints[sandbox.uid]
            await self._settled()

    def pod_changed(self, pod: Object) -> None:
        """New labels on a pod that is an endpoint already."""
        uid = pod["metadata"]["uid"]
        if uid in self._pods:
            sandbox, _ = self._pods[uid]
            self._pods[uid] = (sandbox, pod)
            if self._relabel(uid):
                self._trigger()

    def namespace_changed(self, name: str) -> None:
        """A namespace's labels are part of its pods' identities."""
        changed = [
            self._relabel(uid) for uid, (sandbox, _) in list(self._pods.items()) if sandbox.namespace == name
        ]
        if any(changed):
            self._trigger()

    def _relabel(self, uid: str) -> bool:
        sandbox, pod = self._pods[uid]
        labels = frozenset(
            identity_labels(
                pod["metadata"].get("labels") or {},
                sandbox.namespace,
                self._namespaces(sandbox.namespace),
                pod.get("spec", {}).get("serviceAccountName") or "default",
            )
        )
        endpoint = Endpoint(sandbox, labels, self._identities.number(labels))
        if self._endpoints.get(uid) == endpoint:
            return False
        self._endpoints[uid] = endpoint
        return True

    def _trigger(self) -> None:
        if self.reconciler is not None:
            self.reconciler.trigger()

    async def _settled(self) -> None:
        if self.reconciler is not None:
            await self.reconciler.settled()
        else:
            await asyncio.sleep(0)
