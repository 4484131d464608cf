"""The objects that run the cluster DNS, as anybody could apply them: Deployment and Service in kube-system.

Names and labels are those of every Kubernetes cluster (`kube-dns`, `k8s-app: kube-dns`), so that policies
written for one hold here. The server always listens on 5353 too: a Service whose targetPort is moved there
keeps working without a new roll-out. The ConfigMap with the records is the agent's (agent.dns_records).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from namewall.clusterdns.records import CONFIG_MAP, NAMESPACE
from namewall.model.net import Address

Object = dict[str, Any]

LABELS = {"k8s-app": "kube-dns"}
SECOND_PORT = 5353
MOUNT = "/etc/namewall/records"
"""Where the ConfigMap's files are in the pod."""


def objects(
    program: Sequence[str], service_ips: Sequence[Address], dns_port: int = 53, replicas: int = 1
) -> list[Object]:
    """`program` is the command line of `namewall` on the host; `service_ips` has one of each family."""
    return [deployment(program, dns_port, replicas), service(service_ips, dns_port)]


def deployment(program: Sequence[str], dns_port: int = 53, replicas: int = 1) -> Object:
    listen = [option for port in sorted({dns_port, SECOND_PORT}) for option in ("--listen", str(port))]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "cluster-dns",
            "namespace": NAMESPACE,
            "labels": {**LABELS, "kubernetes.io/name": "cluster-dns"},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "runtimeClassName": "namewall",
                    "containers": [
                        {
                            "name": "cluster-dns",
                            "command": [*program, "cluster-dns", *listen, "--records", MOUNT],
                            "ports": [
                                {"name": "dns", "containerPort": dns_port, "protocol": "UDP"},
                                {"name": "dns-tcp", "containerPort": dns_port, "protocol": "TCP"},
                            ],
                            "volumeMounts": [{"name": "records", "mountPath": MOUNT, "readOnly": True}],
                        }
                    ],
                    # Optional: the pod may start before the agent wrote the first records; it forwards then.
                    "volumes": [{"name": "records", "configMap": {"name": CONFIG_MAP, "optional": True}}],
                },
            },
        },
    }


def service(service_ips: Sequence[Address], dns_port: int = 53) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": NAMESPACE,
            "labels": {**LABELS, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {
            "selector": LABELS,
            "clusterIP": str(service_ips[0]),
            "clusterIPs": [str(address) for address in service_ips],
            "ipFamilies": [f"IPv{address.version}" for address in service_ips],
            "ipFamilyPolicy": "PreferDualStack" if len(service_ips) > 1 else "SingleStack",
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": dns_port},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": dns_port},
            ],
        },
    }
