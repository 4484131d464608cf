"""The pods of this node: makes what runs agree with what is stored, as a kubelet does.

One task a pod, its steps in order; pods do not wait for each other. A pod's way:

    sandbox (closed) → endpoint programmed → interface opened → containers, started again as the policy says
    deleted: SIGTERM, grace, SIGKILL → endpoint forgotten → sandbox removed → object removed

Nothing here is needed for a pod to go on. A new agent finds sandboxes and containers on disk and touches
none that is as it should be. It removes only what no stored object owns, and only after it has seen all
objects. While the API server is away containers are still restarted; statuses are written when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from ipaddress import ip_address
from typing import Any

from namewall.agent.pod_addresses import Addresses
from namewall.agent.pod_host import Endpoints
from namewall.agent.pod_worker import PodWorker
from namewall.kube.client import Client
from namewall.kube.informer import Change, Informer
from namewall.kube.resources import CONFIG_MAPS, PODS
from namewall.model.cluster import Cluster
from namewall.model.instance import Instance
from namewall.model.net import Address
from namewall.runtime.pods import PodRuntime, RuntimeFailure

Object = dict[str, Any]
log = logging.getLogger("namewall.agent.pods")


class PodManager:
    """The PodHost of this node; each PodWorker lives one pod."""

    def __init__(
        self,
        client: Client,
        instance: Instance,
        cluster: Cluster,
        runtime: PodRuntime,
        endpoints: Endpoints,
        node_addresses: Sequence[Address] = (),
    ) -> None:
        self.client = client
        self.cluster = cluster
        self.runtime = runtime
        self.endpoints = endpoints
        self.node_addresses: Sequence[Address] = tuple(node_addresses)
        self._selector = f"spec.nodeName={cluster.node_name}"
        self._pods = Informer(client, PODS, field_selector=self._selector)
        self._config_maps = Informer(client, CONFIG_MAPS)
        self._addresses = Addresses(cluster.pod_cidrs, f"{instance.run_dir}/last-addresses.json")
        self._workers: dict[str, PodWorker] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def adopt(self) -> None:
        """Give the endpoints of pods that run already to `endpoints`; the pods are not touched.

        To be called before the datapath is made to agree with the endpoints, else it would forget theirs.
        Raises KubeError where the server does not answer: without its list nothing may be decided.
        """
        pods, _ = await self.client.list(PODS, field_selector=self._selector)
        by_uid = {pod["metadata"]["uid"]: pod for pod in pods}
        for sandbox in self.runtime.list():
            if sandbox.uid in by_uid:
                await self.endpoints.ensure(sandbox, by_uid[sandbox.uid])

    async def run(self) -> None:
        """Until cancelled; pods go on."""
        self._config_maps.add_handler(self._config_map_changed)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._config_maps.run())
                # Before the first pod, so that one which needs a ConfigMap does not start by failing.
                await self._config_maps.synced.wait()
                group.create_task(self._pods.run())
                await self._pods.synced.wait()
                self._pods.add_handler(self._pod_changed)
                await self._remove_orphans()
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- for the workers

    def config_map(self, namespace: str, name: str) -> Object | None:
        return self._config_maps.get(namespace, name)

    def allocate(self) -> tuple[Address, ...]:
        in_use: set[Address] = set()
        for uid in self.runtime.uids():
            owner = self.runtime.owner(uid)
            if owner is not None:
                in_use.update(owner.addresses)
        for pod in self._pods.items.values():
            in_use.update(ip_address(entry["ip"]) for entry in pod.get("status", {}).get("podIPs") or [])
        return self._addresses.allocate(in_use)

    def event(
        self, pod: Object, reason: str, message: str, kind: str = "Normal", container: str = ""
    ) -> None:
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            **{key: pod["metadata"].get(key, "") for key in ("namespace", "name", "uid", "resourceVersion")},
        }
        if container:
            about["fieldPath"] = f"spec.containers{{{container}}}"
        self.spawn(self.client.event(about, reason, message, kind))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    # --- inside

    def _pod_changed(self, change: Change, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if change == "deleted":
            if worker is not None:
                worker.object_gone()
        elif worker is not None:
            worker.update(pod)
        else:
            worker = self._workers[uid] = PodWorker(self, pod)
            self.spawn(self._live(uid, worker))

    async def _live(self, uid: str, worker: PodWorker) -> None:
        try:
            await worker.run()
        finally:
            if self._workers.get(uid) is worker:
                del self._workers[uid]

    def _config_map_changed(self, change: Change, obj: Object) -> None:
        for worker in list(self._workers.values()):
            worker.config_map_changed(obj)

    async def _remove_orphans(self) -> None:
        """What is on disk and belongs to no stored pod. The list of pods is complete here."""
        stored = {pod["metadata"]["uid"] for pod in self._pods.items.values()}
        for uid in self.runtime.uids():
            if uid not in stored and uid not in self._workers:
                log.info("pod %s is stored no more; removing what is left of it", uid)
                owner = self.runtime.owner(uid)
                if owner is not None:
                    await self.endpoints.forget(owner)
                try:
                    await self.runtime.remove(uid)
                except (OSError, RuntimeFailure) as error:
                    log.error("cannot remove what is left of pod %s: %s", uid, error)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a pod's task failed", exc_info=error)
