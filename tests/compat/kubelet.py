"""A stand-in for the node agent: registers the node, makes bound pods run, and ends deleted ones. Through the API."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import httpx

from namewall.kube.config import KubeConfig
from tests.compat.server import NODE, Server

_NOW = "2026-01-01T00:00:00Z"


class Kubelet:
    """Runs in a thread of the test until `stop`. Pods in `broken` images never become ready."""

    def __init__(self, server: Server) -> None:
        self._config = KubeConfig.load(str(server.kubeconfig))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._numbers: dict[str, int] = {}

    def client(self) -> httpx.Client:
        context = self._config.ssl_context()
        assert context is not None
        return httpx.Client(base_url=self._config.server, verify=context, timeout=5)

    def start(self) -> None:
        with self.client() as client:
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
            assert client.post("/api/v1/nodes", json=node).status_code in (201, 409)
            ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]}
            headers = {"content-type": "application/merge-patch+json"}
            client.patch(
                f"/api/v1/nodes/{NODE}/status", json={"status": ready}, headers=headers
            ).raise_for_status()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        with self.client() as client:
            while not self._stop.wait(0.05):
                with contextlib.suppress(httpx.TransportError):
                    selector = f"spec.nodeName={NODE}"
                    pods = client.get("/api/v1/pods", params={"fieldSelector": selector}).json()
                    for pod in pods.get("items", []):
                        self._sync(client, pod)

    def _sync(self, client: httpx.Client, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        url = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        if metadata.get("deletionTimestamp"):
            client.request(
                "DELETE", url, json={"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
            )
        elif pod["status"]["phase"] == "Pending":
            status = self._running(pod)
            headers = {"content-type": "application/merge-patch+json"}
            client.patch(f"{url}/status", json={"status": status}, headers=headers)

    def _running(self, pod: dict[str, Any]) -> dict[str, Any]:
        number = self._numbers.setdefault(pod["metadata"]["uid"], len(self._numbers) + 1)
        broken = any("broken" in str(c.get("command")) for c in pod["spec"]["containers"])
        ready = "False" if broken else "True"
        conditions = [c for c in pod["status"].get("conditions", []) if c["type"] == "PodScheduled"]
        conditions += [
            {"type": kind, "status": ready, "lastTransitionTime": _NOW}
            for kind in ("Ready", "ContainersReady")
        ]
        statuses = [
            {
                "name": container["name"],
                "ready": not broken,
                "restartCount": 0,
                "image": container.get("image", ""),
                "imageID": "",
                "state": {"running": {"startedAt": _NOW}},
            }
            for container in pod["spec"]["containers"]
        ]
        v4, v6 = f"10.76.0.{number}", f"fd76::{number:x}"
        return {
            "phase": "Running",
            "podIP": v4,
            "podIPs": [{"ip": v4}, {"ip": v6}],
            "hostIP": "10.76.255.1",
            "conditions": conditions,
            "containerStatuses": statuses,
        }
