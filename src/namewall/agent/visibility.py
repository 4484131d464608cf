"""What the operator sees of a node, wired: flows, Kubernetes Events for drops, the socket with tables and metrics.

    datapath events ─→ Learner ─→ Observer ─→ flow store ─→ socket ─→ verbs, editor, /metrics
                                     └─→ DropEvents ─→ Events

Nothing of the node waits for any of it, and it changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from namewall.agent.api import Api, socket_path
from namewall.agent.directory import Directory
from namewall.agent.drop_events import DropEvents
from namewall.agent.endpoints import Endpoint
from namewall.agent.forwarded import Forwarded
from namewall.agent.learned import Learner, boottime
from namewall.agent.nearest_rule import NearestRule
from namewall.agent.observer import Observer
from namewall.agent.policies import Policies
from namewall.agent.reconciler import Reconciler
from namewall.agent.unix_http import UnixServer
from namewall.agent.views import Node
from namewall.datapath.kernel import KernelDatapath
from namewall.kube.client import Client
from namewall.model.instance import Instance
from namewall.model.labels import Labels
from namewall.policy.expand import CidrGroup, ServiceFacts
from namewall.policy.resolver import Resolver
from namewall.state.tables import NodeTables

Object = dict[str, Any]
log = logging.getLogger("namewall.agent")

LOOK_FOR_LOSSES = 2.0
"""Seconds between looks at how many events the kernel could not tell."""


class Visibility:
    """The callables give what the agent knows now."""

    def __init__(
        self,
        instance: Instance,
        node_name: str,
        client: Client,
        datapath: KernelDatapath,
        learner: Learner,
        reconciler: Reconciler,
        policies: Policies,
        resolver: Resolver,
        *,
        endpoints: Callable[[], Iterable[Endpoint]],
        pods: Callable[[], Mapping[tuple[str, str], Object]],
        services: Callable[[], Iterable[Object]],
        identities: Callable[[], Mapping[int, Labels]],
        references: Callable[[], tuple[Iterable[ServiceFacts], Iterable[CidrGroup]]],
    ) -> None:
        self._instance = instance
        self._datapath = datapath
        self._tables = NodeTables()
        self._directory = Directory(
            datapath,
            learner.memory,
            endpoints=endpoints,
            pods=pods,
            services=services,
            identities=identities,
            policies=lambda: resolver.policies,
            tables=lambda: self._tables,
            now=boottime,
        )
        self._drop_events = DropEvents(
            client.event,
            self._directory.pod_reference,
            policies.object_of,
            boottime,
            NearestRule(policies.object_of, references).of,
        )
        self._observer = Observer(self._directory, node_name)
        # The learner first, so that a flow has the name that its address was just granted for.
        learner.hear(self._observer.take)
        self._observer.hear(self._drop_events.take)
        self._forwarded = Forwarded(lambda: ((e.sandbox.ifindex, e.sandbox.ifname) for e in endpoints()))
        self._node = Node(
            instance,
            self._observer,
            learner,
            reconciler,
            policies,
            resolver,
            endpoints=endpoints,
            pods=pods,
            identities=identities,
            tables=lambda: self._tables,
            kernel_bytes=datapath.memory_bytes,
            forwarded=self._forwarded,
        )
        reconciler.after_pass(self._applied)

    def work(self) -> Iterable[Coroutine[Any, Any, None]]:
        """To be run for as long as the agent lives, after the datapath is loaded."""
        return self._observer.run(), self._drop_events.run(), self._watch_losses(), self._serve()

    def _applied(self, tables: NodeTables) -> None:
        self._tables = tables
        self._directory.refresh()

    async def _serve(self) -> None:
        path = socket_path(self._instance)
        try:
            await UnixServer(path, Api(self._node).handle).run()
        except OSError as error:
            # A path too long for a socket, a full disk: pods and policy do not depend on it.
            log.error("the socket `%s` cannot be served: %s", path, error)

    async def _watch_losses(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                self._observer.count_losses(self._datapath.lost_events(), self._datapath.rationed_events())
            self._forwarded.count()
            await asyncio.sleep(LOOK_FOR_LOSSES)
