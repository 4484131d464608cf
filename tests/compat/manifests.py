"""Objects that the tests apply."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

COMMAND = ["sleep", "1000"]


def pod(name: str, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {"app": name}},
        "spec": {
            "runtimeClassName": "host",
            "containers": [
                {"name": "main", "command": COMMAND, "ports": [{"name": "http", "containerPort": 8080}]}
            ],
        },
    }


def deployment(name: str, replicas: int = 2, command: list[str] | None = None) -> Object:
    container = {
        "name": "main",
        "command": command or COMMAND,
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "A", "value": "1"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"runtimeClassName": "host", "containers": [container]},
            },
        },
    }


def service(name: str, **spec: Any) -> Object:
    ports = [{"name": "web", "port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": ports, **spec},
    }


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def network_policy(name: str) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {"app": "backend"}},
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": {"app": "frontend"}}}],
                    "ports": [{"protocol": "TCP", "port": 8080}],
                }
            ],
        },
    }


def cnp(name: str, fqdn: str = "kubernetes.io", kind: str = "CiliumNetworkPolicy") -> Object:
    return {
        "apiVersion": "cilium.io/v2",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": "backend"}},
            "egress": [{"toFQDNs": [{"matchName": fqdn}]}],
        },
    }
