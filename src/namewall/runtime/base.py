"""The contract between the agent and a runtime driver.

A sandbox is a pod's namespaces, interface and addresses; containers run in it. The interface is created
down and opened only after the datapath has the endpoint's programs and policy in.
"""

from __future__ import annotations

from dataclasses import dataclass

from namewall.model.net import Address


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A pod's place on this host. `uid` is the Pod's metadata.uid, `id` a small node-local endpoint id."""

    uid: str
    id: int
    namespace: str
    name: str
    ifname: str
    ifindex: int
    mac: bytes
    gateway_mac: bytes
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class ContainerState:
    """`exit_code` None while it runs. Times are seconds since the epoch. `pid` is the host's number."""

    name: str
    id: str
    pid: int | None
    started_at: float | None
    exit_code: int | None = None
    finished_at: float | None = None
    reason: str = ""
    message: str = ""
    attempt: int = 0
    """Counts the container's runs in this pod from 0: Kubernetes' restartCount."""
