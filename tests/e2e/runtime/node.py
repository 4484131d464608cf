"""A whole node but for the datapath: the real API server, monitor and PodManager."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from namewall.agent.node import node_object, register
from namewall.agent.pods import PodManager
from namewall.kube.client import Client
from namewall.kube.config import KubeConfig
from namewall.kube.errors import ApiError
from namewall.kube.resources import EVENTS, PODS
from namewall.model.cluster import Cluster
from namewall.runtime.base import Sandbox
from namewall.runtime.pods import PodRuntime
from tests.e2e.runtime.harness import SOURCES, Lab

Object = dict[str, Any]


class RecordingEndpoints:
    """Notes what it is told, and whether the pod's link was up then."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, bool]] = []

    async def ensure(self, sandbox: Sandbox, pod: Object) -> None:
        self.told.append(("ensure", sandbox.name, _is_up(sandbox)))

    async def forget(self, sandbox: Sandbox) -> None:
        self.told.append(("forget", sandbox.name, _is_up(sandbox)))


def _is_up(sandbox: Sandbox) -> bool:
    try:
        return bool(int(Path(f"/sys/class/net/{sandbox.ifname}/flags").read_text(), 16) & 1)
    except OSError:
        return False


class Node:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cluster = Cluster(
            node_name="node",
            listen_port=0,
            pod_cidrs=(ip_network("10.203.7.0/24"), ip_network("fd4e:7e57:7::/112")),
            service_cidrs=(ip_network("10.204.0.0/24"), ip_network("fd4e:7e57:8::/112")),
        )
        self.server: subprocess.Popen[bytes] | None = None
        self.endpoints = RecordingEndpoints()
        self._agent: asyncio.Task[None] | None = None

    def start_server(self) -> None:
        services = ", ".join(f"ip_network({str(cidr)!r})" for cidr in self.cluster.service_cidrs)
        program = f"""
from ipaddress import ip_network
from namewall.apiserver.main import ServerConfig, serve
from namewall.model.instance import Instance
serve(ServerConfig(instance=Instance({self.lab.instance.root!r}), host="127.0.0.1", port=0, node_name="node",
    service_cidrs=({services}), cluster_domain="cluster.local"))
"""
        log = open(f"{self.lab.instance.root}/apiserver.log", "ab")  # noqa: SIM115
        with log:
            self.server = subprocess.Popen(
                [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": SOURCES}, stderr=log
            )

    def stop_server(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.server.wait()
        self.server = None

    async def ready(self) -> None:
        async with asyncio.timeout(20):
            while True:
                with suppress(Exception):
                    async with Client(KubeConfig.load(self.lab.instance.kubeconfig)) as client:
                        await client.list(PODS)
                        await register(client, node_object(self.cluster, ()))
                        return
                await asyncio.sleep(0.05)

    def start_agent(self) -> None:
        self._agent = asyncio.create_task(self._run_agent())

    async def stop_agent(self) -> None:
        assert self._agent is not None
        self._agent.cancel()
        with suppress(asyncio.CancelledError):
            await self._agent

    async def _run_agent(self) -> None:
        async with Client(KubeConfig.load(self.lab.instance.kubeconfig), component="agent") as client:
            runtime = PodRuntime(self.lab.instance)
            manager = PodManager(client, self.lab.instance, self.cluster, runtime, self.endpoints)
            await manager.adopt()
            await manager.run()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with Client(KubeConfig.load(self.lab.instance.kubeconfig)) as client:
            yield client

    async def create(self, name: str, *command: str, **spec: Any) -> Object:
        container = {"name": "main", "command": list(command), **spec.pop("container", {})}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"runtimeClassName": "host", "containers": [container], **spec},
        }
        async with self.client() as client:
            return await client.create(PODS, "default", pod)

    async def get(self, name: str) -> Object | None:
        async with self.client() as client:
            try:
                return await client.get(PODS, "default", name)
            except ApiError as error:
                if error.code == 404:
                    return None
                raise

    async def until(self, name: str, holds: Callable[[Object], Any], seconds: float = 15) -> Object:
        """The pod, once `holds` is true of it."""
        pod: Object | None = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    pod = await self.get(name)
                    if pod is not None and holds(pod):
                        return pod
                    await asyncio.sleep(0.03)
        except TimeoutError:
            raise AssertionError(f"it never held; the pod is {pod}") from None

    async def until_gone(self, name: str, seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while await self.get(name) is not None:
                await asyncio.sleep(0.03)

    async def delete(self, name: str, grace: int | None = None) -> None:
        async with self.client() as client:
            await client.delete(PODS, "default", name, grace_period_seconds=grace)

    async def events(self, name: str) -> list[tuple[str, str]]:
        async with self.client() as client:
            found, _ = await client.list(EVENTS, "default")
        mine = [event for event in found if event["involvedObject"]["name"] == name]
        return [(event["reason"], event["message"]) for event in mine]


def phase(pod: Object) -> str:
    return str(pod["status"].get("phase"))


def status(pod: Object) -> Object:
    """Of the one container."""
    found = pod["status"].get("containerStatuses") or [{"state": {}, "lastState": {}}]
    return dict(found[0])


def is_ready(pod: Object) -> bool:
    conditions = {entry["type"]: entry["status"] for entry in pod["status"].get("conditions") or []}
    return conditions.get("Ready") == "True"
