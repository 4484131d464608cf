"""The `Programmed` condition of policies: which generation of it the kernel enforces, or has in audit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any

from namewall.agent.node import timestamp
from namewall.kube.client import Client
from namewall.kube.errors import ApiError, KubeError
from namewall.kube.resources import CILIUM_CLUSTERWIDE_NETWORK_POLICIES, CILIUM_NETWORK_POLICIES, Resource

Object = dict[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace and name."""
log = logging.getLogger("namewall.agent")

WORDS = {
    "Programmed": "the kernel enforces this generation",
    "Audit": "nothing of it is enforced: what it would change is told (`namewall observe --verdict AUDIT`)",
}
"""Reason → message; NotProgrammed has the error's."""
KINDS = {
    "CiliumNetworkPolicy": CILIUM_NETWORK_POLICIES,
    "CiliumClusterwideNetworkPolicy": CILIUM_CLUSTERWIDE_NETWORK_POLICIES,
}


class PolicyStatus:
    """Queue what was applied; one write for each (policy, generation)."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queue: asyncio.Queue[tuple[Resource, Object, str, str]] = asyncio.Queue()
        self._told: dict[str, tuple[int, str, str]] = {}

    def programmed(
        self, policies: list[Object], error: str = "", audited: Collection[Key] = frozenset()
    ) -> None:
        """These objects, at these generations, are in the kernel (or are not, and why); those `audited` in audit."""
        live = set()
        for obj in policies:
            uid = obj["metadata"]["uid"]
            live.add(uid)
            metadata = obj["metadata"]
            key = str(obj.get("kind")), metadata.get("namespace") or "", metadata["name"]
            reason = "NotProgrammed" if error else "Audit" if key in audited else "Programmed"
            said = metadata.get("generation", 1), error, reason
            resource = KINDS.get(obj.get("kind", ""))
            if resource is not None and self._told.get(uid) != said:
                self._told[uid] = said
                self._queue.put_nowait((resource, obj, error, reason))
        self._told = {uid: said for uid, said in self._told.items() if uid in live}

    async def run(self) -> None:
        while True:
            resource, obj, error, reason = await self._queue.get()
            metadata = obj["metadata"]
            generation = metadata.get("generation", 1)
            if _says(obj, generation, reason):
                continue
            condition = {
                "type": "Programmed",
                "status": "False" if error else "True",
                "reason": reason,
                "message": error or WORDS[reason],
                "observedGeneration": generation,
                "lastTransitionTime": timestamp(),
            }
            body = {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
                "status": {"conditions": [condition]},
            }
            try:
                await self._client.patch(
                    resource,
                    metadata.get("namespace"),
                    metadata["name"],
                    body,
                    kind="apply",
                    subresource="status",
                    field_manager="namewall-agent",
                    force=True,
                )
            except ApiError as refused:
                if refused.code not in (404, 409):
                    log.warning("status of %s `%s` not written: %s", resource.kind, metadata["name"], refused)
            except KubeError as away:
                log.warning("status of %s `%s` not written: %s", resource.kind, metadata["name"], away)
                self._told.pop(metadata["uid"], None)


def _says(obj: Object, generation: int, reason: str) -> bool:
    for condition in (obj.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Programmed":
            said = condition.get("observedGeneration"), condition.get("reason")
            return bool(said == (generation, reason))
    return False
