"""`namewall describe` lays out, byte for byte, what kubectl describe lays out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.compat import manifests
from tests.compat.cli.twin import Twin
from tests.compat.server import Server, to_yaml

PEERS: list[dict[str, Any]] = [
    {"podSelector": {"matchLabels": {"app": "fe"}}},
    {"namespaceSelector": {"matchLabels": {"team": "red"}}, "podSelector": {}},
    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.2.0.0/16"]}},
]
PORTS = [{"port": 80}, {"protocol": "UDP", "port": 53}, {"port": "http"}, {"port": 1000, "endPort": 2000}]
STATUS = {
    "reason": "Odd",
    "message": "some message",
    "startTime": "2026-01-01T10:00:00Z",
    "containerStatuses": [
        {
            "name": "one",
            "image": "host",
            "imageID": "host@x",
            "containerID": "namewall://abc",
            "ready": False,
            "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            "lastState": {
                "terminated": {
                    "exitCode": 28,
                    "reason": "Error",
                    "message": "boo",
                    "startedAt": "2026-01-01T10:00:00Z",
                    "finishedAt": "2026-01-01T10:01:00Z",
                }
            },
        },
        {"name": "two", "image": "host", "imageID": "", "ready": True, "restartCount": 0, "state": {}},
    ],
}


def many() -> dict[str, Any]:
    pod = manifests.pod("many", a="b", c="d")
    pod["metadata"]["annotations"] = {"note": "x y", "other": "line\nlines", "long": "x" * 150}
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    ports = [{"containerPort": 80, "name": "http"}, {"containerPort": 53, "protocol": "UDP"}]
    resources = {"limits": {"memory": "64Mi"}, "requests": {"cpu": "100m"}}
    pod["spec"]["containers"] = [
        {
            "name": "one",
            "command": ["sh", "-c", "sleep 1\nsleep 2"],
            "args": ["a"],
            "env": env,
            "ports": ports,
        },
        {"name": "two", "command": ["sleep", "9"], "resources": resources},
    ]
    return pod


def policy(name: str, **spec: Any) -> dict[str, Any]:
    return {**manifests.network_policy(name), "spec": spec}


@pytest.fixture(scope="module", autouse=True)
def _objects(server: Server) -> None:
    ingress = [{"from": PEERS, "ports": PORTS}, {}]
    egress: list[Any] = [{"to": [{"podSelector": {}}]}]
    ports = [
        {"name": "a", "port": 80, "targetPort": "http"},
        {"name": "b", "port": 53, "protocol": "UDP", "targetPort": 5353},
    ]
    cw = manifests.cnp("cw", kind="CiliumClusterwideNetworkPolicy")
    cw["spec"]["egress"].append({"toEntities": ["cluster"]})
    objects = [
        many(),
        manifests.deployment("web"),
        manifests.service("web"),
        manifests.service("ports", ports=ports),
        manifests.service("headless", clusterIP="None"),
        manifests.service("dual", ipFamilyPolicy="PreferDualStack"),
        policy("full", podSelector={"matchLabels": {"x": "y"}}, ingress=ingress, egress=egress),
        policy("closed", podSelector={}, policyTypes=["Egress"], egress=[]),
        manifests.cnp("allow"),
        cw,
        manifests.config_map("texts", a="1", b="one\ntwo\n", c=""),
    ]
    server.ok("apply", "-f", "-", input=to_yaml(*objects))
    server.ok("wait", "--for=condition=Available", "deployment/web", "--timeout=20s")
    server.ok("wait", "--for=condition=Ready", "pod/many", "--timeout=20s")
    patch = json.dumps({"status": STATUS})
    server.ok("patch", "pod", "many", "--subresource=status", "--type=merge", "-p", patch)


LINES = """
describe pod many
describe pods -l app=web
describe pod ma
describe pods many --show-events=false
describe pod nosuch
describe pods -n kube-public
describe deploy/web
describe rs
describe svc
describe ep/web
describe endpointslices
describe netpol
describe cnp
describe cnp/allow
describe ccnp cw
describe cm texts
describe sa default
describe ns default
describe ev
describe runtimeclass
describe nosuch
describe pod many -l a=b
""".strip().splitlines()


@pytest.mark.parametrize("line", LINES)
def test_the_same_words_show_the_same(twin: Twin, line: str) -> None:
    twin.same(*line.split())


def test_a_node_is_described(twin: Twin) -> None:
    """Less than kubectl shows: no sums of requests, which nothing here schedules by."""
    said = twin.namewall("describe", "node", "node-1").out
    theirs = twin.server.ok("describe", "node", "node-1")
    assert said.splitlines()[:7] == theirs.splitlines()[:7]
    assert "Non-terminated Pods:" in said
    assert "many" in said
