"""What the agent knows, as JSON for its socket: endpoints, policies, names, status (docs/agent-api.md).

What grows with policies and endpoints lets other work go on in between; what reads the kernel's tables does so in a
thread, from snapshots: looking must not hold up pods or policy.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from namewall import __version__
from namewall.agent.directory import workload
from namewall.agent.endpoints import Endpoint
from namewall.agent.forwarded import Forwarded
from namewall.agent.learned import Learner, boottime
from namewall.agent.observer import Observer
from namewall.agent.policies import Policies
from namewall.agent.reconciler import Reconciler
from namewall.agent.services import name_of
from namewall.datapath import views as tables
from namewall.datapath.reading import Pins
from namewall.model.errors import Cannot
from namewall.model.instance import Instance
from namewall.model.labels import Labels
from namewall.model.net import Address, Direction, Protocol
from namewall.policy.lookup import lookup
from namewall.policy.map_state import FqdnPeer, MapState
from namewall.policy.resolver import Resolver
from namewall.policy.rules import Policy
from namewall.state.tables import NodeTables

Object = dict[str, Any]
DNS_PORT = 53
BREATH = 100
"""Policies looked at between two looks at other work."""


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of the agent that are shown. The callables give what is known now."""

    instance: Instance
    observer: Observer
    learner: Learner
    reconciler: Reconciler
    policies: Policies
    resolver: Resolver
    endpoints: Callable[[], Iterable[Endpoint]]
    pods: Callable[[], Mapping[tuple[str, str], Object]]
    identities: Callable[[], Mapping[int, Labels]]
    tables: Callable[[], NodeTables]
    kernel_bytes: Callable[[], int]
    forwarded: Forwarded

    def pod_names(self) -> dict[int, str]:
        """Endpoint id → `ns/pod`."""
        return {e.sandbox.id: f"{e.sandbox.namespace}/{e.sandbox.name}" for e in self.endpoints()}


async def endpoint_views(node: Node) -> list[Object]:
    now = node.tables()
    policies = node.resolver.policies
    names = Counter(scope for scope, _ in {(known.scope, known.name) for known in node.learner.names.known()})
    by_labels: dict[Labels, list[Object]] = {}
    found = []
    for endpoint in sorted(node.endpoints(), key=lambda each: each.sandbox.id):
        if endpoint.labels not in by_labels:
            by_labels[endpoint.labels] = await _selecting(policies, endpoint.labels)
        sandbox = endpoint.sandbox
        row = now.endpoints.get(sandbox.id)
        state = now.policies.get(row.policy) if row is not None else None
        pod = node.pods().get((sandbox.namespace, sandbox.name), {})
        kind, name = workload(pod, sandbox.name)
        reachable, why = dns_reachable(state, now) if state is not None else (None, "")
        addresses = sandbox.addresses
        found.append(
            {
                "id": sandbox.id,
                "namespace": sandbox.namespace,
                "pod": sandbox.name,
                "uid": sandbox.uid,
                "workload": {"kind": kind, "name": name},
                "state": "ready" if state is not None else "waiting-to-regenerate",
                "identity": endpoint.identity,
                "labels": sorted(endpoint.labels),
                "ipv4": [str(a) for a in addresses if a.version == 4],
                "ipv6": [str(a) for a in addresses if a.version == 6],
                "interface": sandbox.ifname,
                "mac": sandbox.mac.hex(":"),
                "enforcement": tables.enforcement(
                    bool(state and state.enforce_ingress), bool(state and state.enforce_egress)
                ),
                "policies": by_labels[endpoint.labels],
                "names": names[endpoint.scope],
                "dnsReachable": reachable,
                "dnsMessage": why,
            }
        )
    return found


async def _selecting(policies: Iterable[Policy], labels: Labels) -> list[Object]:
    """The policies that select a label set, and in which directions."""
    found = []
    for count, policy in enumerate(policies):
        if count % BREATH == BREATH - 1:
            await asyncio.sleep(0)
        rules = [rule for rule in policy.rules if rule.subject.matches(labels)]
        if rules:
            found.append(
                {
                    "kind": policy.kind,
                    "namespace": policy.namespace,
                    "name": policy.name,
                    "directions": sorted({rule.direction.name.lower() for rule in rules}),
                }
            )
    return found


def dns_reachable(state: MapState, now: NodeTables) -> tuple[bool | None, str]:
    """Can this workload ask for the names that its toFQDNs rules mean? None where it has no such rule."""
    if not state.enforce_egress or not any(isinstance(key.peer, FqdnPeer) for key in state.entries):
        return None, ""
    servers: set[tuple[Address, int]] = {
        (backend.address, backend.port)
        for vip, backends in now.services.items()
        if vip.address in now.trusted_resolvers and vip.port == DNS_PORT
        for backend in backends
    }
    if not servers:
        return None, "no resolver is known"
    for address, port in servers:
        row = next(
            (row for prefix, row in now.ipcache.items() if address in prefix and _single(prefix)), None
        )
        if row is None:
            continue
        for protocol in (Protocol.UDP, Protocol.TCP):
            if lookup(state, Direction.EGRESS, row.identity, (), (), protocol, port).verdict == "allow":
                return True, ""
    return False, "no egress rule allows DNS to kube-dns: its toFQDNs rules open nothing; allow port 53 to it"


def _single(prefix: Any) -> bool:
    return bool(prefix.prefixlen == prefix.max_prefixlen)


async def policy_views(node: Node) -> list[Object]:
    """Every policy object, enforced or not. `error` says why one is not (its last good version then is)."""
    by_labels: dict[Labels, list[str]] = {}
    for each in node.endpoints():
        by_labels.setdefault(each.labels, []).append(f"{each.sandbox.namespace}/{each.sandbox.name}")
    good = {policy.key: policy for policy in node.resolver.policies}
    found = []
    for count, (uid, obj) in enumerate(list(node.policies.objects.items())):
        if count % BREATH == BREATH - 1:
            await asyncio.sleep(0)
        metadata = obj["metadata"]
        key = obj["kind"], metadata.get("namespace") or "", metadata["name"]
        policy = good.get(key)
        rules = policy.rules if policy is not None else ()
        found.append(
            {
                "kind": key[0],
                "namespace": key[1],
                "name": key[2],
                "uid": uid,
                "generation": metadata.get("generation", 1),
                "enforced": policy is not None and not policy.audit and uid not in node.policies.problems,
                "audit": policy is not None and policy.audit,
                "error": node.policies.problems.get(uid, ""),
                "endpoints": sorted(
                    name
                    for labels, names in by_labels.items()
                    if any(rule.subject.matches(labels) for rule in rules)
                    for name in names
                ),
                "rules": [
                    {
                        "rule": rule.origin.rule,
                        "direction": rule.direction.name.lower(),
                        "deny": rule.deny,
                        "defaultDeny": rule.default_deny,
                        "description": rule.description,
                    }
                    for rule in rules
                ],
                "spec": obj.get("spec"),
                "specs": obj.get("specs"),
            }
        )
    return sorted(found, key=lambda view: (view["kind"], view["namespace"], view["name"]))


async def name_views(node: Node) -> list[Object]:
    pods, known = node.pod_names(), node.learner.names.known()

    def read() -> list[Object]:
        with Pins(node.instance) as pins:
            return tables.name_rows(pins, pods, known, boottime())

    return await asyncio.to_thread(read)


TABLES = ("policy", "grants", "ct", "ipcache", "services", "sizes")


async def table_views(node: Node, name: str) -> list[Object]:
    """One of TABLES."""
    pods, known = node.pod_names(), node.learner.names.known()

    def read() -> list[Object]:
        with Pins(node.instance) as pins:
            match name:
                case "policy":
                    return tables.policy_rows(pins, pods)
                case "grants":
                    return tables.grant_rows(pins, pods, known, boottime())
                case "ct":
                    return tables.connection_rows(pins, pods, boottime())
                case "ipcache":
                    return tables.ipcache_rows(pins, pods)
                case "services":
                    return tables.service_rows(pins)
            return tables.size_rows(pins)

    return await asyncio.to_thread(read)


async def status_view(node: Node) -> Object:
    """Everything that `namewall status --verbose` shows of the agent and the kernel."""
    reconciler, observer = node.reconciler, node.observer
    store = observer.store
    endpoints = await endpoint_views(node)
    objects = node.policies.objects
    errors = [
        f"{objects[uid]['kind']} {'/'.join(filter(None, name_of(objects[uid])))}: {problem}"
        for uid, problem in node.policies.problems.items()
        if uid in objects
    ]
    try:
        sizes = await table_views(node, "sizes")
    except Cannot as error:
        sizes, errors = [], [*errors, str(error)]
    unreachable = [f"{e['namespace']}/{e['pod']}" for e in endpoints if e["dnsReachable"] is False]
    return {
        "pid": os.getpid(),
        "version": __version__,
        "node": observer.node,
        "uptimeSeconds": int(time.time() - observer.began),
        "lastReconcile": reconciler.last_pass,
        "lastReconcileSeconds": round(reconciler.last_seconds, 4),
        "reconciles": reconciler.passes,
        "reconcileFailures": reconciler.failures,
        "errors": [*([reconciler.error] if reconciler.error else []), *errors],
        "policies": len(node.resolver.policies),
        "identities": len(node.identities()),
        "endpoints": [
            {
                key: each[key]
                for key in ("id", "namespace", "pod", "state", "enforcement", "dnsReachable", "dnsMessage")
            }
            for each in endpoints
        ],
        "conditions": [
            {
                "type": "DNSReachable",
                "status": "False" if unreachable else "True",
                "message": f"toFQDNs rules open nothing for {', '.join(unreachable)}" if unreachable else "",
            },
            {
                "type": "Programmed",
                "status": "False" if reconciler.error else "True",
                "message": reconciler.error,
            },
        ],
        "flows": {
            "kept": len(store),
            "most": store.capacity,
            "seen": store.last,
            "followers": observer.followers,
            "lost": dict(observer.lost),
        },
        "drops": [
            {"reason": reason, "direction": direction, "packets": count}
            for (reason, direction), count in sorted(observer.drops.items())
        ],
        "kernelBytes": node.kernel_bytes(),
        "tables": sizes,
    }
