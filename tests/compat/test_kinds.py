"""Every kind through the verbs of issue 2, proof 2: apply twice with a change, edit, label, wait, diff, delete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.compat import manifests
from tests.compat.manifests import Object
from tests.compat.server import Server, eventually, to_yaml


def _with(obj: Object, path: str, value: Any) -> Object:
    changed: Object = json.loads(json.dumps(obj))
    *parents, last = path.split(".")
    node: Any = changed
    for step in parents:
        node = node[int(step)] if step.isdigit() else node.setdefault(step, {})
    node[int(last) if last.isdigit() else last] = value
    return changed


_SLICE: Object = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "slice"},
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.76.9.9"]}],
    "ports": [{"name": "", "protocol": "TCP", "port": 80}],
}
_EVENT: Object = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "news"},
    "involvedObject": {"kind": "Pod", "name": "x", "namespace": "default"},
    "reason": "Tested",
    "message": "one",
    "type": "Normal",
}
_CEP: Object = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumEndpoint",
    "metadata": {"name": "ep"},
    "status": {"id": 7, "state": "ready", "networking": {"addressing": [{"ipv4": "10.76.1.1"}]}},
}
_IDENTITY: Object = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumIdentity",
    "metadata": {"name": "300", "labels": {"io.kubernetes.pod.namespace": "default"}},
    "security-labels": {"k8s:app": "x"},
}

KINDS: dict[str, tuple[str, Object, str, Any]] = {
    "Namespace": (
        "namespace",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n1"}},
        "metadata.labels",
        {"team": "a"},
    ),
    "Node": (
        "node",
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "other"}},
        "spec.unschedulable",
        True,
    ),
    "Pod": ("pod", manifests.pod("single"), "metadata.labels", {"app": "single", "tier": "1"}),
    "ServiceAccount": (
        "serviceaccount",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}},
        "automountServiceAccountToken",
        False,
    ),
    "Service": ("service", manifests.service("front"), "spec.ports.0.port", 81),
    "Endpoints": (
        "endpoints",
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "ext"}},
        "subsets",
        [{"addresses": [{"ip": "10.76.2.2"}], "ports": [{"port": 53}]}],
    ),
    "ConfigMap": ("configmap", manifests.config_map("settings", a="1"), "data.b", "2"),
    "Event": ("event", _EVENT, "message", "two"),
    "Deployment": (
        "deployment.apps",
        manifests.deployment("many", 1),
        "spec.template.spec.containers.0.env.0.value",
        "2",
    ),
    "ReplicaSet": (
        "replicaset.apps",
        {**manifests.deployment("few", 1), "kind": "ReplicaSet"},
        "spec.replicas",
        2,
    ),
    "EndpointSlice": ("endpointslice.discovery.k8s.io", _SLICE, "endpoints.0.addresses.0", "10.76.9.8"),
    "NetworkPolicy": (
        "networkpolicy.networking.k8s.io",
        manifests.network_policy("in"),
        "spec.ingress.0.ports.0.port",
        8081,
    ),
    "CiliumNetworkPolicy": (
        "ciliumnetworkpolicy.cilium.io",
        manifests.cnp("out"),
        "spec.egress.0.toFQDNs.0.matchName",
        "cilium.io",
    ),
    "CiliumClusterwideNetworkPolicy": (
        "ciliumclusterwidenetworkpolicy.cilium.io",
        manifests.cnp("wide", kind="CiliumClusterwideNetworkPolicy"),
        "spec.egress.0.toFQDNs.0.matchName",
        "cilium.io",
    ),
    "CiliumEndpoint": ("ciliumendpoint.cilium.io", _CEP, "metadata.labels", {"a": "b"}),
    "CiliumIdentity": ("ciliumidentity.cilium.io", _IDENTITY, "security-labels", {"k8s:app": "y"}),
    "CiliumCIDRGroup": (
        "ciliumcidrgroup.cilium.io",
        {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumCIDRGroup",
            "metadata": {"name": "office"},
            "spec": {"externalCIDRs": ["203.0.113.0/24"]},
        },
        "spec.externalCIDRs.0",
        "198.51.100.0/24",
    ),
}
_CLUSTER = {"Namespace", "Node", "CiliumClusterwideNetworkPolicy", "CiliumIdentity", "CiliumCIDRGroup"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_goes_through_the_usual_verbs(server: Server, kind: str, tmp_path: Path) -> None:
    resource, obj, path, value = KINDS[kind]
    name = obj["metadata"]["name"]
    target = f"{resource}/{name}"
    changed = _with(obj, path, value)
    assert server.ok("apply", "-f", "-", input=to_yaml(obj)) == f"{target} created\n"
    assert server.ok("apply", "-f", "-", input=to_yaml(obj)) == f"{target} unchanged\n"
    first = server.get(target)
    dry = server.ok("apply", "--dry-run=server", "-f", "-", input=to_yaml(changed))
    assert dry == f"{target} configured (server dry run)\n"
    assert _plain(server.get(target)) == _plain(first)
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(changed))
    assert server.kubectl("diff", "-f", str(file)).code == 1
    assert server.ok("apply", "-f", str(file)) == f"{target} configured\n"
    assert server.kubectl("diff", "-f", str(file)).code == 0
    second = server.get(target)
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert second["metadata"]["uid"] == first["metadata"]["uid"]

    assert server.ok("label", target, "colour=blue") == f"{target} labeled\n"
    assert server.ok("annotate", target, "note=here") == f"{target} annotated\n"
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/note: here/note: there/" "$1"\n')
    editor.chmod(0o755)
    edited = server.kubectl("edit", target, env={"EDITOR": str(editor)})
    assert (edited.code, edited.out) == (0, f"{target} edited\n"), edited
    after = server.get(target)
    assert after["metadata"]["annotations"]["note"] == "there"
    assert after["metadata"]["labels"]["colour"] == "blue"
    assert server.ok("wait", target, "--for=jsonpath={.metadata.labels.colour}=blue", "--timeout=10s")
    assert server.ok("get", resource, "-l", "colour=blue", "-o", "name") == f"{target}\n"
    assert name in server.ok("get", resource, "-l", "colour", "--show-labels", "-o", "wide")
    described = server.ok("describe", resource, name)
    assert name in described
    assert server.ok("explain", resource.split(".")[0]).startswith(("KIND:", "GROUP:"))

    in_namespace = "" if kind in _CLUSTER else " from default namespace"
    assert server.ok("delete", resource, name) == f'{resource} "{name}" deleted{in_namespace}\n'
    gone = server.kubectl("get", resource, name)
    assert gone.code == 1
    assert "NotFound" in gone.err


def _plain(obj: Object) -> Object:
    """Without what the controllers write on their own."""
    kept = {key: value for key, value in obj.items() if key != "status"}
    kept["metadata"] = {
        key: value
        for key, value in obj["metadata"].items()
        if key not in ("resourceVersion", "managedFields", "annotations")
    }
    return kept


def test_creating_with_nouns_sends_protobuf_and_works(server: Server) -> None:
    assert server.ok("create", "configmap", "noun", "--from-literal=a=b") == "configmap/noun created\n"
    assert server.get("cm", "noun")["data"] == {"a": "b"}
    server.ok("create", "serviceaccount", "noun")
    server.ok("create", "deployment", "noun", "--image=x", "--replicas=0", "--port=80")
    assert server.get("deploy", "noun")["spec"]["template"]["spec"]["containers"][0]["ports"] == [
        {"containerPort": 80, "protocol": "TCP"}
    ]
    server.ok("create", "service", "clusterip", "noun", "--tcp=80:8080")
    assert server.get("svc", "noun")["spec"]["ports"] == [
        {"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}
    ]
    assert server.ok("auth", "can-i", "create", "pods") == "yes\n"
    assert "system:masters" in server.ok("auth", "whoami")
    server.ok("delete", "cm,sa,deploy,svc", "noun")


def test_columns_are_those_of_kubernetes_and_cilium(server: Server) -> None:
    server.ok("apply", "-f", "-", input=to_yaml(manifests.pod("cols"), manifests.cnp("cols"), _CEP))
    server.ok("wait", "pod/cols", "--for=condition=Ready", "--timeout=20s")
    eventually(lambda: "True" in server.ok("get", "cnp", "cols"))

    def header(*arguments: str) -> list[str]:
        return server.ok("get", *arguments).splitlines()[0].split("  ")

    def columns(*arguments: str) -> list[str]:
        return [word.strip() for word in header(*arguments) if word.strip()]

    assert columns("pods") == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert columns("pods", "-o", "wide")[5:] == ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    assert columns("cnp") == ["NAME", "AGE", "VALID"]
    assert columns("cep") == ["NAME", "SECURITY IDENTITY", "ENDPOINT STATE", "IPV4", "IPV6"]
    assert columns("nodes") == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert server.ok("get", "pod", "cols", "--no-headers").split()[1:4] == ["1/1", "Running", "0"]
    assert server.ok("get", "cnp", "cols", "--no-headers").split()[2] == "True"
    assert server.ok("get", "pods", "-l", "app=cols", "-o", "jsonpath={.items[0].metadata.name}") == "cols"
    assert server.get("pods", "--sort-by=.metadata.name")["items"]
    server.ok("delete", "pod,cnp", "cols")
    server.ok("delete", "cep", "ep")


def test_get_watch_prints_what_happens(server: Server) -> None:
    server.ok("create", "configmap", "seen", "--from-literal=a=b")
    only = ("--field-selector", "metadata.name=seen")
    watching = server.background("get", "configmap", "-w", *only, "--output-watch-events", "--no-headers")
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline().split()[:2] == ["ADDED", "seen"]
        server.ok("label", "cm/seen", "a=b")
        assert watching.stdout.readline().split()[:2] == ["MODIFIED", "seen"]
        server.ok("delete", "cm", "seen")
        assert watching.stdout.readline().split()[:2] == ["DELETED", "seen"]
    finally:
        watching.kill()
        watching.communicate()


def test_explain_reaches_the_fields_of_the_lab(server: Server) -> None:
    assert "matchName" in server.ok("explain", "cnp.spec.egress.toFQDNs")
    assert "matchPattern" in server.ok("explain", "cnp.spec.egress.toPorts.rules.dns")
    assert "podSelector" in server.ok("explain", "netpol.spec")
    assert "maxSurge" in server.ok("explain", "deploy.spec.strategy.rollingUpdate")
