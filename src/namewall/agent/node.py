"""The Node object: this host as Kubernetes sees it."""

from __future__ import annotations

import os
import platform
import socket
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from namewall import __version__
from namewall.kube.client import Client
from namewall.kube.errors import ApiError
from namewall.kube.resources import NODES
from namewall.model.cluster import Cluster
from namewall.model.net import Address

Object = dict[str, Any]


def timestamp() -> str:
    """Now as Kubernetes writes times: RFC 3339, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def node_addresses(families: set[int]) -> tuple[Address, ...]:
    """The addresses this host would send from, one of each family that has a default route."""
    found: list[Address] = []
    for family, probe in ((socket.AF_INET, "192.175.48.1"), (socket.AF_INET6, "2620:4f:8000::1")):
        if (4 if family == socket.AF_INET else 6) not in families:
            continue
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            try:
                # No packet is sent: connect on UDP only asks the routing table for a source address. The probe is
                # the AS112 project's (RFC 7534), since a lab may route the documentation's own.
                udp.connect((probe, 9))
                found.append(ip_address(udp.getsockname()[0].partition("%")[0]))
            except OSError:
                continue
    return tuple(found)


def node_object(cluster: Cluster, addresses: tuple[Address, ...]) -> Object:
    """What `kubectl get nodes -o wide` shows."""
    uname = os.uname()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    capacity = {"cpu": str(os.cpu_count() or 1), "memory": f"{memory}Ki", "pods": "256"}
    now = timestamp()
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": cluster.node_name,
            "labels": {
                "kubernetes.io/hostname": cluster.node_name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(
                    uname.machine, uname.machine
                ),
                "node-role.kubernetes.io/control-plane": "",
            },
        },
        "spec": {
            "podCIDR": str(cluster.pod_cidrs[0]),
            "podCIDRs": [str(cidr) for cidr in cluster.pod_cidrs],
        },
        "status": {
            "addresses": [
                *({"type": "InternalIP", "address": str(address)} for address in addresses),
                {"type": "Hostname", "address": cluster.node_name},
            ],
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "message": "the namewall agent runs pods and enforces policy",
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                }
            ],
            "nodeInfo": {
                "architecture": uname.machine,
                "bootID": _read("/proc/sys/kernel/random/boot_id"),
                "containerRuntimeVersion": "runc://",
                "kernelVersion": uname.release,
                "kubeProxyVersion": "",
                "kubeletVersion": f"v1.35.0-namewall-{__version__}",
                "machineID": _read("/etc/machine-id"),
                "operatingSystem": "linux",
                "osImage": _os_image(),
                "systemUUID": "",
            },
        },
    }


async def register(client: Client, wanted: Object) -> None:
    """Create the Node or bring it up to date; a user's labels and taints stay."""
    name = wanted["metadata"]["name"]
    try:
        await client.get(NODES, None, name)
        await client.patch(
            NODES, None, name, {key: wanted[key] for key in ("metadata", "spec")}, kind="merge"
        )
    except ApiError as error:
        if error.code != 404:
            raise
        await client.create(NODES, None, wanted)
    await client.patch(NODES, None, name, {"status": wanted["status"]}, kind="merge", subresource="status")


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
