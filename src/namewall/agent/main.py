"""The agent: watches the API, keeps pods, and makes the kernel agree. The only place with the loop.

    pods, namespaces ─→ Endpoints ─┐
    policies ─→ Policies ──────────┼─→ desired() ─→ Reconciler ─→ datapath.apply
    Services, slices ─→ tables ────┤                    └─→ nft, CiliumEndpoints, `Programmed`, report
    datapath events ─→ Learner ────┘
                          └─→ Visibility: flows, Events, the socket

It may die at any time: everything it made stays, and the next one takes it up. It writes nothing before its first
complete look at the API and at the sandboxes on disk, so that a restart never closes or opens anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from namewall.agent import node
from namewall.agent.cilium_objects import Mirror, identity_labels_of
from namewall.agent.dns_proxy import DnsProxy
from namewall.agent.dns_records import RecordsWriter, host_resolvers, records
from namewall.agent.endpoints import Endpoint, Endpoints
from namewall.agent.host_addresses import HostAddresses
from namewall.agent.learned import Learner
from namewall.agent.pod_resolv import cluster_first, of_the_host, search_domains
from namewall.agent.pods import PodManager
from namewall.agent.policies import Policies, in_modes
from namewall.agent.policy_status import PolicyStatus
from namewall.agent.reconciler import Reconciler
from namewall.agent.references import cidr_groups, service_facts
from namewall.agent.report import write_report
from namewall.agent.services import cluster_ips, nat_tables, service_tables
from namewall.agent.visibility import Visibility
from namewall.clusterdns.manifest import objects as cluster_dns_objects
from namewall.datapath.kernel import KernelDatapath
from namewall.datapath.nat import Nat
from namewall.kube.client import Client
from namewall.kube.config import KubeConfig
from namewall.kube.errors import ApiError, KubeError
from namewall.kube.informer import Change, Informer
from namewall.kube.resources import (
    CILIUM_CIDR_GROUPS,
    CILIUM_CLUSTERWIDE_NETWORK_POLICIES,
    CILIUM_IDENTITIES,
    CILIUM_NETWORK_POLICIES,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    NAMESPACES,
    NETWORK_POLICIES,
    PODS,
    SERVICES,
)
from namewall.model.cluster import Cluster
from namewall.model.instance import Instance
from namewall.model.net import Address
from namewall.policy.expand import CidrGroup, ServiceFacts
from namewall.policy.ports import NamedPorts, named_ports
from namewall.policy.resolver import Resolver
from namewall.runtime.pods import PodRuntime
from namewall.state.desired import EndpointFacts, NodeFacts, PolicyNumbers, desired
from namewall.state.identities import Identities
from namewall.state.tables import DnsSettings, NodeTables

Object = dict[str, Any]
log = logging.getLogger("namewall.agent")

WATCHED = (
    NAMESPACES,
    PODS,
    SERVICES,
    ENDPOINT_SLICES,
    NETWORK_POLICIES,
    CILIUM_NETWORK_POLICIES,
    CILIUM_CLUSTERWIDE_NETWORK_POLICIES,
    CILIUM_CIDR_GROUPS,
)


FIRST_WAIT, LAST_WAIT = 0.03, 1.0
"""Seconds between looks for the API server at the start."""


def serve(instance: Instance, cluster: Cluster) -> None:
    """Runs until SIGTERM or SIGINT; leaves pods, links and enforcement as they are."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(_until_told(instance, cluster))


async def _until_told(instance: Instance, cluster: Cluster) -> None:
    loop = asyncio.get_running_loop()
    work = asyncio.current_task()
    assert work is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    try:
        await Agent(instance, cluster, await connect(instance)).run()
    except asyncio.CancelledError:
        log.info("told to stop; pods and enforcement stay")


async def connect(instance: Instance) -> Client:
    """A client once the server answers; the kubeconfig is read again each time, since its port may move."""
    wait = FIRST_WAIT
    while True:
        client = None
        try:
            client = Client(KubeConfig.load(instance.kubeconfig), component="namewall-agent")
            await client.get(NAMESPACES, None, "default")
            return client
        except KubeError as error:
            if client is not None:
                await client.aclose()
            log.info("waiting for the API server: %s", error)
        await asyncio.sleep(wait)
        wait = min(wait * 1.5, LAST_WAIT)


class Agent:
    """The wiring; each part decides for itself."""

    def __init__(self, instance: Instance, cluster: Cluster, client: Client) -> None:
        self._instance = instance
        self._cluster = cluster
        self._client = client
        self._informers = {resource.plural: Informer(self._client, resource) for resource in WATCHED}
        families = {int(cidr.version) for cidr in cluster.pod_cidrs}
        self._node_addresses: tuple[Address, ...] = node.node_addresses(families)
        self._datapath = KernelDatapath(instance)
        self._nat = Nat(instance)
        self._identities = Identities()
        self._resolver = Resolver()
        self._numbers = PolicyNumbers()
        self._policies = Policies()
        self._learner = Learner(instance, self._datapath, cluster.min_ttl)
        self._endpoints = Endpoints(self._identities, self._namespace_labels)
        self._proxy = DnsProxy(instance, self._datapath, self._learner.names.names_of)
        self._proxy.told = self._learner.drain
        self._reconciler = Reconciler(self._datapath, self._desired)
        self._reconciler.after_pass(self._proxy.take)
        self._reconciler.after_pass(self._applied)
        self._visibility = Visibility(
            instance,
            cluster.node_name,
            client,
            self._datapath,
            self._learner,
            self._reconciler,
            self._policies,
            self._resolver,
            endpoints=lambda: self._endpoints.all().values(),
            pods=lambda: self._items(PODS.plural),
            services=lambda: self._items(SERVICES.plural).values(),
            identities=self._identities.labels,
            references=self._references,
        )
        self._host = HostAddresses(self._reconciler.trigger)
        self._mirror = Mirror(self._client, self._endpoints, self._items(PODS.plural))
        self._status = PolicyStatus(self._client)
        self._records = RecordsWriter(self._client, self._wanted_records)
        self._upstreams = cluster.dns_upstreams or host_resolvers()
        self._pods = PodManager(
            self._client, instance, cluster, PodRuntime(instance), self._endpoints, self._node_addresses
        )

    async def run(self) -> None:
        """Take up what is there, then keep it so."""
        self._datapath.load()
        self._learner.load()
        known = [
            (int(obj["metadata"]["name"]), identity_labels_of(obj))
            for obj in (await self._client.list(CILIUM_IDENTITIES))[0]
        ]
        self._identities.restore(known)
        await self._mirror.load()
        for informer in self._informers.values():
            informer.add_handler(self._changed)
        async with asyncio.TaskGroup() as group:

            def start(work: Coroutine[Any, Any, None]) -> None:
                group.create_task(work)

            for informer in self._informers.values():
                start(informer.run())
            await asyncio.gather(*(informer.synced.wait() for informer in self._informers.values()))
            await self._pods.adopt()
            self._endpoints.reconciler = self._reconciler
            start(self._reconciler.run())
            start(self._host.run())
            await self._reconciler.settled()
            await self._proxy.start({int(cidr.version) for cidr in self._cluster.pod_cidrs})
            start(self._learner.run())
            for work in self._visibility.work():
                start(work)
            start(self._status.run())
            start(self._mirror.run())
            start(self._records.run())
            await self._records.write()
            await node.register(self._client, node.node_object(self._cluster, self._node_addresses))
            start(self._pods.run())
            await self._install_cluster_dns()

    async def _install_cluster_dns(self) -> None:
        """Create what is missing; what a user changed stays as the user wants it."""
        program = f"{os.path.dirname(sys.executable)}/namewall"
        command = [program] if os.path.exists(program) else [sys.executable, "-m", "namewall"]
        for obj in cluster_dns_objects(command, self._cluster.dns_addresses):
            resource = DEPLOYMENTS if obj["kind"] == "Deployment" else SERVICES
            try:
                await self._client.create(resource, obj["metadata"]["namespace"], obj)
            except ApiError as error:
                if error.code != 409:
                    raise

    # What is known.

    def _items(self, plural: str) -> dict[tuple[str, str], Object]:
        return self._informers[plural].items

    def _namespace_labels(self, name: str) -> dict[str, str]:
        namespace = self._items(NAMESPACES.plural).get(("", name), {})
        return dict(namespace.get("metadata", {}).get("labels") or {})

    def _changed(self, change: Change, obj: Object) -> None:
        """Any watched object; what it can change is told at once, in this order."""
        kind = obj["kind"]
        if kind == "Pod":
            if change != "deleted":
                self._endpoints.pod_changed(obj)
            self._records.trigger()
        elif kind == "Namespace":
            self._endpoints.namespace_changed(obj["metadata"]["name"])
            self._reconciler.trigger()  # its policies may be in audit now, or no more
        elif kind in ("Service", "EndpointSlice"):
            self._reconciler.trigger()
            self._records.trigger()
        elif kind == "CiliumCIDRGroup" or self._policies.take(change, obj):
            self._reconciler.trigger()

    def _wanted_records(self) -> Any:
        return records(
            self._items(SERVICES.plural).values(),
            self._items(ENDPOINT_SLICES.plural).values(),
            self._items(PODS.plural).values(),
            domain=self._cluster.domain,
            upstreams=self._upstreams,
            ranges=(*self._cluster.pod_cidrs, *self._cluster.service_cidrs),
        )

    # What follows.

    def _desired(self) -> NodeTables:
        services = self._items(SERVICES.plural).values()
        slices = self._items(ENDPOINT_SLICES.plural).values()
        endpoints = self._endpoints.all()
        self._identities.keep(endpoint.labels for endpoint in endpoints.values())
        self._resolver.set_identities(self._identities.labels())
        self._resolver.set_cluster_ports(
            named_ports(port for pod in self._items(PODS.plural).values() for port in _ports(pod))
        )
        self._resolver.set_references(*self._references())
        namespaces = {name: obj for (_, name), obj in self._items(NAMESPACES.plural).items()}
        self._resolver.set_policies(in_modes(self._policies.good.values(), namespaces))
        tables = service_tables(services, slices)
        facts = NodeFacts(
            endpoints=tuple(self._facts(endpoint) for endpoint in endpoints.values()),
            closed=(*self._cluster.pod_cidrs, *self._cluster.service_cidrs),
            node_addresses=tuple(self._host.now),
            services=tables,
            trusted_resolvers=self._trusted(tables),
            known_names=self._learner.names.known(),
            min_ttl=self._cluster.min_ttl,
            dns=DnsSettings(
                refusal=self._cluster.dns_refusal,
                grace=self._cluster.grace,
                rate=self._cluster.dns_rate,
                longest_label=self._cluster.dns_max_label,
            ),
        )
        # Service addresses before the programs judge by them: a VIP the kernel does not know is dropped.
        self._nat.apply(
            nat_tables(
                services,
                slices,
                pod_ranges=self._cluster.pod_cidrs,
                service_ranges=self._cluster.service_cidrs,
                nodes=self._node_addresses,
            )
        )
        self._learner.names.keep(endpoint.scope for endpoint in endpoints.values())
        self._learner.memory.keep(endpoint.scope for endpoint in endpoints.values())
        return desired(facts, self._resolver, self._numbers)

    def _references(self) -> tuple[list[ServiceFacts], list[CidrGroup]]:
        """What policies may refer to outside themselves."""
        services = self._items(SERVICES.plural).values()
        slices = self._items(ENDPOINT_SLICES.plural).values()
        return service_facts(services, slices), cidr_groups(self._items(CILIUM_CIDR_GROUPS.plural).values())

    def _facts(self, endpoint: Endpoint) -> EndpointFacts:
        sandbox = endpoint.sandbox
        pod = self._items(PODS.plural).get((sandbox.namespace, sandbox.name), {})
        return EndpointFacts(
            id=sandbox.id,
            scope=endpoint.scope,
            ifname=sandbox.ifname,
            ifindex=sandbox.ifindex,
            mac=sandbox.mac,
            gateway_mac=sandbox.gateway_mac,
            addresses=sandbox.addresses,
            labels=endpoint.labels,
            identity=endpoint.identity,
            own_ports=_own_ports(pod),
            search=self._search(pod),
        )

    def _search(self, pod: Object) -> tuple[str, ...]:
        if pod.get("spec", {}).get("dnsPolicy") == "Default":
            return search_domains(of_the_host())
        return (
            search_domains(cluster_first(pod["metadata"]["namespace"], self._cluster.domain, ()))
            if pod
            else ()
        )

    def _trusted(self, tables: Any) -> frozenset[Address]:
        """The kube-dns Service and its backends (design.md section 4); none with --strict-dns-rules."""
        if self._cluster.strict_dns_rules:
            return frozenset()
        service = self._items(SERVICES.plural).get(("kube-system", "kube-dns"))
        if service is None:
            return frozenset()
        vips = set(cluster_ips(service))
        backends = {each.address for vip, found in tables.items() if vip.address in vips for each in found}
        return frozenset(vips | backends)

    def _applied(self, tables: NodeTables) -> None:
        problems = self._policies.problems
        good = [obj for uid, obj in self._policies.objects.items() if uid not in problems]
        audited = {policy.key for policy in self._resolver.policies if policy.audit}
        self._status.programmed(good, audited=audited)
        self._mirror.node = self._node_addresses
        self._mirror.trigger()
        write_report(
            self._instance,
            {
                "pid": os.getpid(),
                "endpoints": len(tables.endpoints),
                "policies": len(self._policies.good),
                "mapBytes": self._datapath.memory_bytes(),
                "error": "; ".join(problems.values()),
            },
        )


def _ports(pod: Object) -> list[tuple[str, str, int]]:
    return [
        (port["name"], port.get("protocol", "TCP"), port["containerPort"])
        for container in pod.get("spec", {}).get("containers", [])
        for port in container.get("ports") or []
        if port.get("name")
    ]


def _own_ports(pod: Object) -> NamedPorts:
    return named_ports(_ports(pod))
