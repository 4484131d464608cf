"""The agent's /metrics: what Cilium's agent and Hubble call the same things, and ours beside them."""

from __future__ import annotations

import asyncio
from collections import Counter

from namewall.agent import views
from namewall.agent.learned import boottime
from namewall.datapath.reading import Pins
from namewall.datapath.views import enforcement as enforcement_word
from namewall.model.errors import Cannot
from namewall.model.exposition import Family, counter, gauge, render
from namewall.model.instance import Instance

_ENFORCEMENT = ("none", "ingress", "egress", "both")


async def text(node: views.Node) -> str:
    found = [*_of_policy(node), *_of_endpoints(node), *_of_flows(node)]
    kernel_bytes = node.kernel_bytes()
    # In a thread: it reads all grants and connections.
    return render([*found, *await asyncio.to_thread(_of_kernel, node.instance, kernel_bytes)])


def _of_policy(node: views.Node) -> list[Family]:
    reconciler = node.reconciler
    tables = node.tables()
    states = [
        tables.policies[row.policy] for row in tables.endpoints.values() if row.policy in tables.policies
    ]
    enforcement = Counter(enforcement_word(each.enforce_ingress, each.enforce_egress) for each in states)
    return [
        gauge("cilium_policy", "Number of policies currently loaded", len(node.resolver.policies)),
        gauge(
            "namewall_policies_in_audit",
            "Number of policies of which nothing is enforced",
            sum(policy.audit for policy in node.resolver.policies),
        ),
        gauge("cilium_policy_max_revision", "Highest policy revision number in the agent", reconciler.passes),
        Family(
            "cilium_policy_change_total",
            "counter",
            "Number of policy changes by outcome",
            [
                ({"outcome": "success"}, node.policies.changes),
                ({"outcome": "failure"}, node.policies.refusals),
            ],
        ),
        Family(
            "cilium_policy_endpoint_enforcement_status",
            "gauge",
            "Number of endpoints labeled by policy enforcement status",
            [({"enforcement": word}, enforcement[word]) for word in _ENFORCEMENT],
        ),
        gauge(
            "namewall_policies_not_enforced",
            "Policy objects whose newest version is not enforced",
            len(node.policies.problems),
        ),
        counter("namewall_reconcile_total", "Passes that made the kernel agree", reconciler.passes),
        counter("namewall_reconcile_failures_total", "Passes that failed", reconciler.failures),
        gauge("namewall_reconcile_last_seconds", "Seconds that the last pass took", reconciler.last_seconds),
        gauge(
            "namewall_reconcile_last_timestamp_seconds",
            "When the last pass ended, seconds since the epoch",
            reconciler.last_pass or 0,
        ),
    ]


def _of_endpoints(node: views.Node) -> list[Family]:
    endpoints = list(node.endpoints())
    names: Counter[int] = Counter()
    addresses: Counter[int] = Counter()
    known = node.learner.names.known()
    for scope, _ in {(row.scope, row.name) for row in known}:
        names[scope] += 1
    for scope, _ in {(row.scope, row.address) for row in known}:
        addresses[scope] += 1
    labels = [({"endpoint": str(e.sandbox.id)}, e.scope) for e in endpoints]
    return [
        gauge("cilium_endpoint", "Number of endpoints managed by this agent", len(endpoints)),
        Family(
            "cilium_endpoint_state",
            "gauge",
            "Count of all endpoints",
            [({"endpoint_state": "ready"}, len(endpoints))],
        ),
        Family(
            "cilium_identity",
            "gauge",
            "Number of identities currently allocated",
            [({"type": "cluster_local"}, len(node.identities()))],
        ),
        gauge(
            "cilium_fqdn_selectors",
            "Number of registered ToFQDN selectors",
            len(node.resolver.fqdn_selectors),
        ),
        Family(
            "cilium_fqdn_active_names",
            "gauge",
            "Number of domains inside the DNS cache that have not expired, per endpoint",
            [(label, names[scope]) for label, scope in labels],
        ),
        Family(
            "cilium_fqdn_active_ips",
            "gauge",
            "Number of IPs inside the DNS cache associated with a domain that has not expired, per endpoint",
            [(label, addresses[scope]) for label, scope in labels],
        ),
        counter(
            "cilium_fqdn_gc_deletions_total",
            "Number of grants freed after they ended and nothing used them",
            node.learner.freed,
        ),
    ]


def _of_flows(node: views.Node) -> list[Family]:
    observer = node.observer
    return [
        Family(
            "cilium_drop_count_total",
            "counter",
            "Total dropped packets, tagged by drop reason and ingress/egress direction",
            [
                ({"reason": reason, "direction": direction}, count)
                for (reason, direction), count in sorted(observer.drops.items())
            ],
        ),
        Family(
            "cilium_forward_count_total",
            "counter",
            "Total forwarded packets, tagged by ingress/egress direction",
            [({"direction": way}, count) for way, count in _forwarded(node).items()],
        ),
        *observer.metrics.families(),
        Family(
            "hubble_lost_events_total",
            "counter",
            "Number of lost events, by where they were lost",
            [({"source": source}, count) for source, count in sorted(observer.lost.items())],
        ),
        gauge("namewall_flows_kept", "Flows in memory", len(observer.store)),
        counter("namewall_flows_total", "Flows since the agent started", observer.store.last),
    ]


def _forwarded(node: views.Node) -> dict[str, int]:
    """What a workload sends is counted before it is judged: its drops come off."""
    seen = node.forwarded.count()
    dropped = sum(count for (_, way), count in node.observer.drops.items() if way == "EGRESS")
    return {**seen, "EGRESS": max(0, seen["EGRESS"] - dropped)}


def _of_kernel(instance: Instance, kernel_bytes: int) -> list[Family]:
    """From the pins: sizes, live grants and connections, packets dropped."""
    try:
        with Pins(instance) as pins:
            now = boottime()
            sizes = pins.sizes()
            drops = pins.drops()
            live = {(row.endpoint, row.remote) for row in pins.connections() if row.expires >= now}
            grants = pins.grants()
            endpoints = {row.scope: row.id for row in pins.endpoints()}
    except (Cannot, OSError):
        return []
    pressure: dict[str, float] = {}
    for size in sizes:
        name = size.name.partition("/")[0]
        pressure[name] = max(pressure.get(name, 0.0), size.pressure / 100)
    zombies: Counter[int] = Counter()
    granted: Counter[int] = Counter()
    for grant in grants:
        endpoint = endpoints.get(grant.scope, 0)
        granted[endpoint] += 1
        if grant.deadline < now and (endpoint, grant.address) in live:
            zombies[endpoint] += 1
    return [
        Family(
            "cilium_bpf_map_pressure",
            "gauge",
            "Fill percentage of map, tagged by map name; of maps that each endpoint has, the fullest",
            [({"map_name": f"namewall_{name}"}, round(value, 6)) for name, value in sorted(pressure.items())],
        ),
        Family(
            "cilium_fqdn_alive_zombie_connections",
            "gauge",
            "Number of addresses whose grant ended but that a live connection still uses, per endpoint",
            [({"endpoint": str(number)}, zombies[number]) for number in sorted(endpoints.values())],
        ),
        Family(
            "namewall_grants",
            "gauge",
            "Addresses granted to an endpoint, by name class",
            [({"endpoint": str(number)}, granted[number]) for number in sorted(endpoints.values())],
        ),
        Family(
            "namewall_packets_dropped_total",
            "counter",
            "Packets dropped since the maps were made, as the kernel counts them",
            [({"reason": reason.name}, count) for reason, count in sorted(drops.items())],
        ),
        gauge("namewall_kernel_bytes", "Kernel memory of all maps", kernel_bytes),
    ]
