"""The life of one pod on this node.

Invariant: at most one task changes a pod's sandbox and containers, this one (and its children, one a
container). What it knows is on disk or at the server; after a restart of the agent it goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from namewall.agent import pod_resolv
from namewall.agent.pod_addresses import NoAddress
from namewall.agent.pod_backoff import Backoff, restarts
from namewall.agent.pod_host import PodHost
from namewall.agent.pod_status import ContainerFacts, is_finished, pod_status, restart_count, waiting_status
from namewall.kube.errors import ApiError, KubeError
from namewall.kube.resources import PODS
from namewall.runtime.base import ContainerState, Sandbox
from namewall.runtime.pods import ConfigError, RuntimeFailure, StartError

Object = dict[str, Any]
log = logging.getLogger("namewall.agent.pods")

OURS = ("host", "namewall")
"""Runtime classes that this node runs."""

FIRST_RETRY, LAST_RETRY = 0.2, 10.0
"""Seconds between attempts at what the host or the server refused."""


class PodWorker:
    def __init__(self, host: PodHost, pod: Object) -> None:
        self.pod = pod
        self._host = host
        self._runtime = host.runtime
        self._uid: str = pod["metadata"]["uid"]
        self._gone = False
        self._changed = asyncio.Event()
        """Something of the object changed; the waiter clears it."""
        self._dirty = asyncio.Event()
        """The status may have to be written."""
        self._config_maps_changed = asyncio.Event()
        self._waiting: dict[str, tuple[str, str]] = {}
        """By container: why it does not run."""
        self._sandbox: Sandbox | None = None
        self._blocked: tuple[str, str] | None = None
        """Why there is no sandbox."""

    # --- told of changes

    def update(self, pod: Object) -> None:
        if _version(pod) < _version(self.pod):
            return  # a watch lags behind the answers to our own writes
        self.pod = pod
        self._changed.set()
        self._dirty.set()

    def object_gone(self) -> None:
        """Deleted without grace: nobody waits for a farewell."""
        self._gone = True
        self._changed.set()

    def config_map_changed(self, config_map: Object) -> None:
        metadata = config_map["metadata"]
        if metadata.get("namespace") != self.pod["metadata"]["namespace"]:
            return
        if metadata["name"] not in _config_map_names(self.pod["spec"]):
            return
        self._config_maps_changed.set()
        if self._sandbox is not None:
            with suppress(ConfigError, OSError):
                self._runtime.update_volumes(self.pod, self._config_map)

    # --- the life

    async def run(self) -> None:
        """Until the pod is gone from here and from the server."""
        status = asyncio.create_task(self._keep_status())
        delay = FIRST_RETRY
        try:
            while True:
                try:
                    if await self._step():
                        return
                    delay = FIRST_RETRY
                    continue
                except (RuntimeFailure, NoAddress, OSError) as error:
                    self._refused(str(error))
                except KubeError as error:
                    log.warning("pod %s: %s", self._name, error)
                except Exception:
                    log.exception("pod %s: trying again", self._name)
                await self._sleep(delay)
                delay = min(LAST_RETRY, delay * 2)
        finally:
            status.cancel()
            await asyncio.gather(status, return_exceptions=True)

    async def _step(self) -> bool:
        """One stretch of the life; True at its end."""
        if self._is_leaving:
            await self._leave()
            return True
        if is_finished(self.pod):
            await self._rest()
            return False
        if (reason := self._not_ours()) is not None:
            self._block("FailedCreatePodSandBox", reason)
            await self._until_leaving()
            return False
        sandbox = await self._ensure_sandbox()
        await self._host.endpoints.ensure(sandbox, self.pod)
        await self._runtime.open(sandbox)
        self._dirty.set()
        await self._run_containers(sandbox)
        return False

    @property
    def _is_leaving(self) -> bool:
        return self._gone or bool(self.pod["metadata"].get("deletionTimestamp"))

    @property
    def _name(self) -> str:
        return f"{self.pod['metadata']['namespace']}/{self.pod['metadata']['name']}"

    def _not_ours(self) -> str | None:
        name = self.pod["spec"].get("runtimeClassName")
        if name in OURS:
            return None
        if name:
            return (
                f'Failed to create pod sandbox: no runtime for "{name}" is configured; this node has `host`'
            )
        return (
            "Failed to create pod sandbox: this node has no container engine and pulls no images; "
            "set `runtimeClassName: host` to run `command` from the host's own file system"
        )

    async def _ensure_sandbox(self) -> Sandbox:
        sandbox = self._runtime.sandbox(self._uid)
        if sandbox is None:
            if self._uid in self._runtime.uids():
                log.info("pod %s lost its sandbox; making a new one", self._name)
                await self._runtime.remove(self._uid)
            sandbox = await self._runtime.create(self.pod, self._host.allocate(), self._resolv_conf())
        self._sandbox, self._blocked = sandbox, None
        return sandbox

    def _resolv_conf(self) -> str:
        if self.pod["spec"].get("dnsPolicy") == "Default":
            return pod_resolv.of_the_host()
        cluster = self._host.cluster
        return pod_resolv.cluster_first(
            self.pod["metadata"]["namespace"], cluster.domain, cluster.dns_addresses
        )

    async def _run_containers(self, sandbox: Sandbox) -> None:
        """Until every container has ended for good, or the pod is to go."""
        specs = self.pod["spec"]["containers"]
        finished = asyncio.gather(*(self._run_container(sandbox, spec) for spec in specs))
        leaving = asyncio.create_task(self._until_leaving())
        try:
            either: set[asyncio.Future[Any]] = {finished, leaving}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not finished.done():
                return
            await finished
        finally:
            finished.cancel()
            leaving.cancel()
            await asyncio.gather(finished, leaving, return_exceptions=True)
        await self._write_status_now()
        if not is_finished(self.pod):
            # The server has no such pod any more; its watch is about to say so.
            await self._sleep(LAST_RETRY)

    async def _run_container(self, sandbox: Sandbox, spec: Object) -> None:
        name = spec["name"]
        policy = self.pod["spec"].get("restartPolicy") or "Always"
        backoff = Backoff()
        while True:
            state = self._runtime.state(self._uid, name)
            self._dirty.set()
            if state is not None and state.exit_code is None and state.started_at is not None:
                await self._runtime.wait(self._uid, name)
                continue
            if state is not None and state.exit_code is not None:
                if not restarts(policy, state.exit_code):
                    return
                await self._back_off(name, state, backoff)
            await self._start(sandbox, spec)

    async def _back_off(self, name: str, state: ContainerState, backoff: Backoff) -> None:
        before = backoff.delay
        wait = backoff.next(state.started_at, state.finished_at or 0, time.time())
        if wait <= 0:
            return
        metadata = self.pod["metadata"]
        where = f"pod={metadata['name']}_{metadata['namespace']}({self._uid})"
        duration = _duration(before)
        message = f"back-off {duration} restarting failed container={name} {where}"
        self._wait_for(name, "CrashLoopBackOff", message)
        about = f"pod {metadata['name']}_{metadata['namespace']}({self._uid})"
        self._host.event(
            self.pod, "BackOff", f"Back-off restarting failed container {name} in {about}", "Warning", name
        )
        await asyncio.sleep(wait)

    async def _start(self, sandbox: Sandbox, spec: Object) -> None:
        """Returns when the container was started, or has failed to with an end on record."""
        name = spec["name"]
        ran_before = restart_count(self.pod, name)
        delay = FIRST_RETRY
        while True:
            self._config_maps_changed.clear()
            try:
                await self._runtime.start(
                    sandbox,
                    self.pod,
                    spec,
                    node_name=self._host.cluster.node_name,
                    host_addresses=self._host.node_addresses,
                    config_map=self._config_map,
                    attempt=None if ran_before is None else ran_before + 1,
                )
            except StartError as error:
                self._event("Failed", f"Error: failed to start container: {error}", name, "Warning")
            except ConfigError as error:
                self._wait_for(name, "CreateContainerConfigError", str(error))
                self._event("Failed", f"Error: {error}", name, "Warning")
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_RETRY):
                        await self._config_maps_changed.wait()
                continue
            except (RuntimeFailure, OSError) as error:
                self._wait_for(name, "CreateContainerError", str(error))
                self._event("Failed", f"Error: {error}", name, "Warning")
                await asyncio.sleep(delay)
                delay = min(LAST_RETRY, delay * 2)
                continue
            else:
                self._event("Created", f"Created container: {name}", name)
                self._event("Started", f"Started container {name}", name)
            self._waiting.pop(name, None)
            self._dirty.set()
            return

    async def _rest(self) -> None:
        """All containers ended for good: the network goes, logs stay until the object does."""
        sandbox = self._runtime.owner(self._uid)
        if sandbox is not None:
            await self._host.endpoints.forget(sandbox)
            await self._runtime.release(sandbox)
        await self._until_leaving()

    async def _leave(self) -> None:
        sandbox = self._runtime.owner(self._uid)
        if not self._gone:
            await self._stop_containers()
            if not self._gone:
                await self._write_status_now()
        if sandbox is not None:
            await self._host.endpoints.forget(sandbox)
        if self._uid in self._runtime.uids():
            await self._runtime.remove(self._uid)
        metadata = self.pod["metadata"]
        while not self._gone:
            try:
                await self._host.client.delete(
                    PODS, metadata["namespace"], metadata["name"], grace_period_seconds=0, uid=self._uid
                )
                return
            except ApiError as error:
                if error.code in (404, 409):
                    return
                log.warning("pod %s: %s", self._name, error)
            except KubeError as error:
                log.info("pod %s has ended; the server does not know yet: %s", self._name, error)
            await self._sleep(1.0)

    async def _stop_containers(self) -> None:
        states = self._runtime.states(self._uid)
        for name, state in states.items():
            if state.exit_code is None:
                self._event("Killing", f"Stopping container {name}", name)
        grace = self.pod["metadata"].get("deletionGracePeriodSeconds")
        if grace is None:
            grace = self.pod["spec"].get("terminationGracePeriodSeconds", 30)
        stopping = asyncio.create_task(self._runtime.stop(self._uid, grace=float(grace)))
        try:
            while not stopping.done():
                # A second, more impatient delete may come.
                self._changed.clear()
                hurry = asyncio.create_task(self._changed.wait())
                await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
                hurry.cancel()
                now_grace = self.pod["metadata"].get("deletionGracePeriodSeconds", grace)
                if self._gone or now_grace < grace:
                    grace = 0 if self._gone else now_grace
                    await self._runtime.stop(self._uid, grace=float(grace))
            await stopping
        finally:
            stopping.cancel()

    # --- status

    async def _keep_status(self) -> None:
        """Writes it when it differs, whatever happens to the server meanwhile."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._write_status()
            except KubeError:
                self._dirty.set()
                await asyncio.sleep(1.0)
            except Exception:
                log.exception("pod %s: its status was not written", self._name)
                await asyncio.sleep(1.0)

    async def _write_status_now(self) -> None:
        """For a turn of its life that must be stored before the next: retried until it is."""
        while not self._gone:
            try:
                await self._write_status()
                return
            except KubeError as error:
                log.info("pod %s: the status waits for the server: %s", self._name, error)
                await asyncio.sleep(1.0)

    async def _write_status(self) -> None:
        if self._gone:
            return
        status = self._status()
        stored = self.pod.get("status") or {}
        if all(stored.get(key) == value for key, value in status.items()):
            return
        metadata = self.pod["metadata"]
        body = {"metadata": {"uid": self._uid}, "status": status}
        try:
            stored_pod = await self._host.client.patch(
                PODS, metadata["namespace"], metadata["name"], body, kind="strategic", subresource="status"
            )
        except ApiError as error:
            if error.code in (404, 409):
                # Gone, or another pod of that name: the informer will say so.
                return
            raise
        if stored_pod["metadata"].get("uid") == self._uid:
            self.pod = stored_pod

    def _status(self) -> Object:
        now = time.time()
        owner = self._sandbox or self._runtime.owner(self._uid)
        if owner is None:
            reason, message = self._blocked or ("ContainerCreating", "")
            if is_finished(self.pod) or (self.pod.get("status") or {}).get("podIP"):
                return {}
            return waiting_status(self.pod, reason, message, now)
        facts: Mapping[str, ContainerFacts] = {
            spec["name"]: ContainerFacts(
                self._runtime.state(self._uid, spec["name"]),
                self._runtime.previous_state(self._uid, spec["name"]),
                self._waiting.get(spec["name"]),
            )
            for spec in self.pod["spec"]["containers"]
        }
        return pod_status(self.pod, facts, owner.addresses, self._host.node_addresses, now)

    # --- words

    def _refused(self, why: str) -> None:
        log.warning("pod %s: %s", self._name, why)
        self._block("FailedCreatePodSandBox", f"Failed to create pod sandbox: {why}")

    def _block(self, reason: str, message: str) -> None:
        # What `kubectl get pods` shows stays ContainerCreating, as with a kubelet; the Event tells.
        self._blocked = ("ContainerCreating", message)
        self._host.event(self.pod, reason, message, "Warning")
        self._dirty.set()

    def _wait_for(self, container: str, reason: str, message: str) -> None:
        self._waiting[container] = (reason, message)
        self._dirty.set()

    def _event(self, reason: str, message: str, container: str, kind: str = "Normal") -> None:
        self._host.event(self.pod, reason, message, kind, container)

    def _config_map(self, name: str) -> Object | None:
        return self._host.config_map(self.pod["metadata"]["namespace"], name)

    # --- waiting

    async def _until_leaving(self) -> None:
        while True:
            self._changed.clear()
            if self._is_leaving:
                return
            await self._changed.wait()

    async def _sleep(self, seconds: float) -> None:
        """Shorter where the object changes."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()


def _config_map_names(spec: Object) -> set[str]:
    volumes = spec.get("volumes") or []
    names = {volume["configMap"].get("name") for volume in volumes if volume.get("configMap")}
    for container in spec.get("containers") or []:
        for item in container.get("env") or []:
            reference = (item.get("valueFrom") or {}).get("configMapKeyRef")
            if reference:
                names.add(reference.get("name"))
    return {name for name in names if name}


def _version(pod: Object) -> int:
    """resourceVersions may be compared as numbers (Kubernetes API conventions, since 1.35)."""
    version = str(pod["metadata"].get("resourceVersion") or "0")
    return int(version) if version.isdigit() else 0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
