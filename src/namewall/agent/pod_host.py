"""What the life of one pod needs of the node around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from namewall.kube.client import Client
from namewall.model.cluster import Cluster
from namewall.model.net import Address
from namewall.runtime.base import Sandbox
from namewall.runtime.pods import PodRuntime

Object = dict[str, Any]


class Endpoints(Protocol):
    """Who programs the datapath for a pod's interface."""

    async def ensure(self, sandbox: Sandbox, pod: Object) -> None:
        """Returns when the kernel has the endpoint's programs and policy. Idempotent."""

    async def forget(self, sandbox: Sandbox) -> None:
        """The pod ended. Idempotent."""


class PodHost(Protocol):
    """What the pods of a node share."""

    client: Client
    cluster: Cluster
    runtime: PodRuntime
    endpoints: Endpoints
    node_addresses: Sequence[Address]

    def config_map(self, namespace: str, name: str) -> Object | None:
        """As last seen."""

    def allocate(self) -> tuple[Address, ...]:
        """One address of each family that no pod has. Raises NoAddress."""

    def event(
        self, pod: Object, reason: str, message: str, kind: str = "Normal", container: str = ""
    ) -> None:
        """Written beside the work: an Event must not hold a pod up."""
