"""What applying stores, of a text that is as its author wrote it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from namewall.editor.apply import apply
from namewall.kube.client import Client
from namewall.kube.request import Request
from namewall.kube.resources import Resource

LAST = "kubectl.kubernetes.io/last-applied-configuration"
KEY = "CiliumNetworkPolicy/default/backend"
TEXT = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: backend, namespace: default}
spec: {endpointSelector: {matchLabels: {app: backend}}, egress: [{toCIDR: [203.0.113.9/32]}]}
"""
STORED = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {
        "name": "backend",
        "namespace": "default",
        "resourceVersion": "41",
        "annotations": {LAST: "{}"},
    },
    "spec": {"endpointSelector": {}},
}


class Server:
    """Has one policy."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def get(self, resource: Resource, namespace: str, name: str) -> Any:
        return STORED

    async def send(self, request: Request) -> Any:
        assert request.method == "PUT"
        assert request.body is not None
        self.sent.append(json.loads(request.body))
        return {"metadata": {"resourceVersion": "42"}}


def applied(server: Server, version: str) -> list[dict[str, Any]]:
    return asyncio.run(apply(cast(Client, server), [("a.yaml", TEXT)], False, {KEY: version}))


def test_what_kubectl_keeps_stays_so_that_it_can_apply_later() -> None:
    server = Server()
    (row,) = applied(server, "41")
    assert (row["operation"], row["error"]) == ("configured", None)
    _tried, stored = server.sent
    assert stored["metadata"]["annotations"] == {LAST: "{}"}
    assert stored["metadata"]["resourceVersion"] == "41"
    assert stored["spec"]["egress"] == [{"toCIDR": ["203.0.113.9/32"]}]


def test_what_was_changed_since_is_a_conflict() -> None:
    server = Server()
    (row,) = applied(server, "40")
    assert (row["status"], server.sent) == (409, [])
