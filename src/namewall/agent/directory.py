"""Who is behind the numbers of an event: pods, Services, names, rules, as this node knows them now.

Everything is found by look-up; what is looked up is put together anew after each pass of the reconciler, when the
first event asks. Endpoints that have gone keep their entry for a while: their last events are read after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol

from namewall.agent.endpoints import Endpoint
from namewall.agent.services import cluster_ips, name_of
from namewall.model.flow import Audited, Dropped, DropReason, Flow
from namewall.model.identity import Reserved
from namewall.model.labels import RESERVED_LABELS, Labels
from namewall.model.net import Address, Direction
from namewall.policy.map_state import RuleOrigin
from namewall.policy.rules import Policy
from namewall.state.name_memory import NameMemory
from namewall.state.observed import NO_GROUNDS, End, Grounds, PolicyRef
from namewall.state.tables import NodeTables

Object = dict[str, Any]
GONE_ENDPOINTS = 256
CACHED = 16384
"""Ends of flows, and grounds of verdicts, kept ready."""


class Explains(Protocol):
    """The part of the datapath that knows which rules an entry is from."""

    def origins(self, event: Flow) -> tuple[RuleOrigin, ...]: ...


class Directory:
    """`state.observed.Who` over what the agent watches. The callables give what is known now."""

    def __init__(
        self,
        datapath: Explains,
        names: NameMemory,
        *,
        endpoints: Callable[[], Iterable[Endpoint]],
        pods: Callable[[], Mapping[tuple[str, str], Object]],
        services: Callable[[], Iterable[Object]],
        identities: Callable[[], Mapping[int, Labels]],
        policies: Callable[[], Iterable[Policy]],
        tables: Callable[[], NodeTables],
        now: Callable[[], float],
    ) -> None:
        self._datapath = datapath
        self._names = names
        self._endpoints, self._pods, self._services = endpoints, pods, services
        self._identities, self._policies, self._tables, self._now = identities, policies, tables, now
        self._stale = True
        self._by_id: dict[int, tuple[End, Endpoint]] = {}
        self._by_address: dict[Address, End] = {}
        self._vips: dict[Address, tuple[str, str]] = {}
        self._vip_identities: dict[Address, int] = {}
        self._identity_labels: Mapping[int, Labels] = {}
        self._labels: dict[int, tuple[str, ...]] = {}
        """Sorted, of the identities that were asked for."""
        self._peers: dict[tuple[int, Address, int], End] = {}
        self._grounds: dict[tuple[object, ...], Grounds] = {}
        self._selecting: dict[tuple[Labels, Direction, bool, bool], tuple[PolicyRef, ...]] = {}
        self._logs: dict[RuleOrigin, str] = {}

    def refresh(self) -> None:
        """Something that the node knows changed."""
        self._stale = True

    # Who.

    def endpoint(self, number: int) -> End:
        self._fresh()
        known = self._by_id.get(number)
        return known[0] if known else End(0, endpoint=number)

    def address_of(self, number: int, version: int) -> Address:
        known = self._by_id.get(number)
        if known:
            for address in known[1].sandbox.addresses:
                if address.version == version:
                    return address
        return IPv4Address(0) if version == 4 else IPv6Address(0)

    def peer(self, endpoint: int, address: Address, identity: int, port: int, protocol: int) -> End:
        self._fresh()
        key = (endpoint, address, identity)
        known = self._by_id.get(endpoint)
        names, stale = self._names.of(known[1].scope, address, self._now()) if known else ((), False)
        end = self._peers.get(key)
        if end is not None and end.names == names and end.stale == stale:
            return end
        if len(self._peers) >= CACHED:
            self._peers.clear()
        end = self._peers[key] = replace(self._peer(address, identity), names=names, stale=stale)
        return end

    def grounds(self, event: Flow) -> Grounds:
        self._fresh()
        # At a Service's address the rule depends on the address, else on the entry alone.
        vip = event.remote if event.remote in self._vips else None
        port = event.icmp_type
        if not port:
            port = event.remote_port if event.direction is Direction.EGRESS else event.local_port
        reason = event.reason if isinstance(event, Dropped | Audited) else None
        key = (
            event.policy,
            event.peer,
            event.direction,
            event.protocol,
            port,
            event.l4_bits,
            event.match,
            vip,
            reason,
        )
        found = self._grounds.get(key)
        if found is None:
            if len(self._grounds) >= CACHED:
                self._grounds.clear()
            found = self._grounds[key] = self._find_grounds(event, reason)
        if reason is DropReason.POLICY_DENIED:
            # Which policies turned default deny on depends on whose policy it is: equal MapStates share a number.
            audit = isinstance(event, Audited)
            return Grounds(selected_by=self._selected_by(event.endpoint, event.direction, audit=audit))
        return found

    def refusal(self, endpoint: int) -> Grounds:
        self._fresh()
        judges = self._selected_by(endpoint, Direction.EGRESS, dns=True)
        return Grounds(selected_by=judges or self._selected_by(endpoint, Direction.EGRESS))

    # What the operator's views need besides.

    def pod_reference(self, namespace: str, name: str) -> Object | None:
        """The Pod object, for an Event about it."""
        return self._pods().get((namespace, name))

    # Inside.

    def _find_grounds(self, event: Flow, reason: DropReason | None) -> Grounds:
        if reason is DropReason.POLICY_DENIED:
            return NO_GROUNDS
        rules = self._datapath.origins(event)
        if not rules:
            return NO_GROUNDS
        logs = tuple(dict.fromkeys(log for rule in rules if (log := self._logs.get(rule))))
        return Grounds(rules, logs)

    def _selected_by(
        self, endpoint: int, direction: Direction, *, dns: bool = False, audit: bool = False
    ) -> tuple[PolicyRef, ...]:
        """The policies with a rule for it; `dns`: with DNS rules; `audit`: those in audit too."""
        known = self._by_id.get(endpoint)
        if known is None:
            return ()
        labels = known[1].labels
        found = self._selecting.get((labels, direction, dns, audit))
        if found is None:
            found = tuple(
                sorted(
                    {
                        PolicyRef(*policy.key)
                        for policy in self._policies()
                        if (audit or not policy.audit)
                        and any(
                            rule.direction is direction
                            and rule.subject.matches(labels)
                            and (not dns or any(port.dns is not None for port in rule.ports))
                            for rule in policy.rules
                        )
                    },
                    key=lambda ref: (ref.kind, ref.namespace, ref.name),
                )
            )
            self._selecting[labels, direction, dns, audit] = found
        return found

    def _peer(self, address: Address, identity: int) -> End:
        service = self._vips.get(address)
        if service is not None:
            # A backend's is who was judged, and who is meant where nothing was.
            if identity in (Reserved.UNKNOWN, Reserved.CLOSED):
                identity = self._vip_identities.get(address, Reserved.CLOSED)
            return End(identity, self._labels_of(identity), namespace=service[0], service=service)
        pod = self._by_address.get(address)
        if pod is not None:
            return replace(
                pod, identity=identity or pod.identity, labels=self._labels_of(identity) or pod.labels
            )
        if not identity:
            identity = Reserved.WORLD_IPV4 if address.version == 4 else Reserved.WORLD_IPV6
        return End(int(identity), self._labels_of(identity))

    def _labels_of(self, identity: int) -> tuple[str, ...]:
        found = self._labels.get(identity)
        if found is None:
            labels = RESERVED_LABELS.get(identity) or self._identity_labels.get(identity, frozenset())
            found = self._labels[identity] = tuple(sorted(labels))
        return found

    def _fresh(self) -> None:
        if not self._stale:
            return
        self._stale = False
        self._peers.clear()
        self._grounds.clear()
        self._selecting.clear()
        self._identity_labels = self._identities()
        self._labels.clear()
        self._vips = {vip: name_of(service) for service in self._services() for vip in cluster_ips(service)}
        self._logs = {
            rule.origin: rule.log for policy in self._policies() for rule in policy.rules if rule.log
        }
        pods = self._pods()
        now: dict[int, tuple[End, Endpoint]] = {}
        self._by_address = {}
        for endpoint in self._endpoints():
            end = _end(endpoint, pods)
            now[endpoint.sandbox.id] = end, endpoint
            for address in endpoint.sandbox.addresses:
                self._by_address[address] = end
        self._vip_identities = {}
        for vip, backends in self._tables().services.items():
            for backend in backends:
                pod = self._by_address.get(backend.address)
                if pod is not None:
                    self._vip_identities[vip.address] = pod.identity
        gone = {number: known for number, known in self._by_id.items() if number not in now}
        self._by_id = {**dict(list(gone.items())[-GONE_ENDPOINTS:]), **now}


def _end(endpoint: Endpoint, pods: Mapping[tuple[str, str], Object]) -> End:
    sandbox = endpoint.sandbox
    pod = pods.get((sandbox.namespace, sandbox.name), {})
    return End(
        endpoint.identity,
        tuple(sorted(endpoint.labels)),
        sandbox.id,
        sandbox.namespace,
        sandbox.name,
        (workload(pod, sandbox.name),),
    )


def workload(pod: Object, name: str) -> tuple[str, str]:
    """Kind and name of what a pod belongs to, as Cilium finds it: a Deployment through its ReplicaSet."""
    metadata = pod.get("metadata", {})
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
    if owner is None:
        return "Pod", name
    if owner["kind"] == "ReplicaSet":
        suffix = "-" + (metadata.get("labels") or {}).get("pod-template-hash", "")
        if len(suffix) > 1 and owner["name"].endswith(suffix):
            return "Deployment", owner["name"].removesuffix(suffix)
    return owner["kind"], owner["name"]
