"""Who is behind the numbers of events."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from namewall.agent.directory import Directory, workload
from namewall.agent.endpoints import Endpoint
from namewall.model.flow import DropReason, Flow
from namewall.model.labels import Labels
from namewall.model.net import Direction, Protocol
from namewall.policy.map_state import RuleOrigin
from namewall.policy.parse import parse
from namewall.policy.rules import Policy
from namewall.runtime.base import Sandbox
from namewall.state.name_memory import NameMemory
from namewall.state.observed import PolicyRef
from namewall.state.tables import NodeTables, ServiceBackend, VipKey
from tests.unit.state.flows import a, drop_event, flow_event

BACKEND_LABELS: Labels = frozenset({"k8s:app=backend", "k8s:io.kubernetes.pod.namespace=default"})
DNS_LABELS: Labels = frozenset({"k8s:k8s-app=kube-dns", "k8s:io.kubernetes.pod.namespace=kube-system"})


def endpoint(number: int, namespace: str, name: str, labels: Labels, identity: int) -> Endpoint:
    addresses = ip_address(f"10.219.0.{number}"), ip_address(f"fd00::{number}")
    uid = f"{number:08x}-0000-0000-0000-000000000000"
    sandbox = Sandbox(uid, number, namespace, name, f"nw{number}", number, bytes(6), bytes(6), addresses)
    return Endpoint(sandbox, labels, identity)


def policy(name: str, spec: dict[str, Any]) -> Policy:
    document = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"endpointSelector": {"matchLabels": {"app": "backend"}}, **spec},
    }
    found, problems = parse(document)
    assert found is not None, problems
    return found


class Node:
    """A node with a backend, kube-dns and its Service."""

    def __init__(self) -> None:
        self.endpoints = [
            endpoint(1, "kube-system", "cluster-dns-7c-x", DNS_LABELS, 256),
            endpoint(2, "default", "backend-7d-x", BACKEND_LABELS, 257),
        ]
        self.policies = [
            policy(
                "names",
                {"egress": [{"toFQDNs": [{"matchName": "kubernetes.io"}]}], "log": {"value": "audited"}},
            ),
            policy("inside", {"ingress": [{"fromEndpoints": [{}]}]}),
        ]
        self.asked = 0
        vip = VipKey(a("10.220.0.10"), 53, Protocol.UDP)
        self.tables = NodeTables(services={vip: (ServiceBackend(a("10.219.0.1"), 53),)})
        self.memory = NameMemory()
        self.directory = Directory(
            self,
            self.memory,
            endpoints=lambda: self.endpoints,
            pods=dict,
            services=lambda: [
                {
                    "metadata": {"namespace": "kube-system", "name": "kube-dns"},
                    "spec": {"clusterIP": "10.220.0.10"},
                }
            ],
            identities=lambda: {each.identity: each.labels for each in self.endpoints},
            policies=lambda: self.policies,
            tables=lambda: self.tables,
            now=lambda: 50.0,
        )

    def origins(self, event: Flow) -> tuple[RuleOrigin, ...]:
        self.asked += 1
        return (RuleOrigin("CiliumNetworkPolicy", "default", "names", "spec.egress[0]"),)


def test_an_endpoint_is_its_pod() -> None:
    found = Node().directory.endpoint(2)
    assert (found.namespace, found.pod, found.identity, found.endpoint) == ("default", "backend-7d-x", 257, 2)
    assert found.labels == tuple(sorted(BACKEND_LABELS))


def test_an_endpoint_that_has_gone_is_remembered() -> None:
    node = Node()
    assert node.directory.endpoint(2).pod == "backend-7d-x"
    del node.endpoints[1]
    node.directory.refresh()
    assert node.directory.endpoint(2).pod == "backend-7d-x"
    assert node.directory.endpoint(9).pod == ""


def test_a_peer_is_a_pod_a_service_or_the_world_under_a_name() -> None:
    node = Node()
    node.memory.learn(2, "kubernetes.io.", (a("203.0.113.7"),), 60.0)
    peer = node.directory.peer
    pod = peer(2, a("10.219.0.1"), 256, 8080, Protocol.TCP)
    assert (pod.pod, pod.identity, pod.names) == ("cluster-dns-7c-x", 256, ())
    vip = peer(2, a("10.220.0.10"), 256, 53, Protocol.UDP)
    assert (vip.service, vip.namespace, vip.pod) == (("kube-system", "kube-dns"), "kube-system", "")
    assert vip.labels == tuple(sorted(DNS_LABELS))
    site = peer(2, a("203.0.113.7"), 9, 443, Protocol.TCP)
    assert (site.names, site.stale, site.labels) == (("kubernetes.io",), False, ("reserved:world-ipv4",))
    assert peer(1, a("203.0.113.7"), 9, 443, Protocol.TCP).names == ()


def test_where_the_kernel_did_not_look_the_address_says_who_it_is() -> None:
    peer = Node().directory.peer
    assert peer(2, a("10.220.0.10"), 0, 53, Protocol.UDP).identity == 256
    assert peer(2, a("10.219.0.1"), 0, 53, Protocol.UDP).identity == 256
    assert peer(2, a("2001:db8::1"), 0, 53, Protocol.UDP).identity == 10


def test_a_name_learned_later_is_on_the_next_flow() -> None:
    node = Node()
    peer = node.directory.peer
    assert peer(2, a("203.0.113.7"), 9, 443, Protocol.TCP).names == ()
    node.memory.learn(2, "kubernetes.io.", (a("203.0.113.7"),), 40.0)
    found = peer(2, a("203.0.113.7"), 9, 443, Protocol.TCP)
    assert (found.names, found.stale) == (("kubernetes.io",), True)


def test_the_rules_are_asked_for_once() -> None:
    node = Node()
    for port in (40000, 40001):
        grounds = node.directory.grounds(flow_event(local_port=port))
    assert grounds.rules == (RuleOrigin("CiliumNetworkPolicy", "default", "names", "spec.egress[0]"),)
    assert node.asked == 1
    node.directory.refresh()
    node.directory.grounds(flow_event())
    assert node.asked == 2


def test_a_default_deny_names_the_policies_that_turned_it_on() -> None:
    node = Node()
    names = PolicyRef("CiliumNetworkPolicy", "default", "names")
    inside = PolicyRef("CiliumNetworkPolicy", "default", "inside")
    found = node.directory.grounds(drop_event())
    assert (found.rules, found.selected_by) == ((), (names,))
    assert node.directory.grounds(drop_event(direction=Direction.INGRESS)).selected_by == (inside,)
    assert node.directory.grounds(drop_event(endpoint=1)).selected_by == ()
    assert node.directory.refusal(2).selected_by == (names,)
    assert node.directory.grounds(drop_event(DropReason.POLICY_DENY)).rules


def test_the_log_of_a_rule_is_on_its_flows() -> None:
    node = Node()
    node.origins = lambda event: (node.policies[0].rules[0].origin,)  # type: ignore[method-assign]
    assert node.directory.grounds(flow_event()).logs == ("audited",)


def test_the_workload_of_a_pod() -> None:
    owner = {"kind": "ReplicaSet", "name": "web-5f6c8", "controller": True}
    pod = {"metadata": {"ownerReferences": [owner], "labels": {"pod-template-hash": "5f6c8"}}}
    assert workload(pod, "web-5f6c8-x") == ("Deployment", "web")
    assert workload({"metadata": {"ownerReferences": [owner]}}, "web-5f6c8-x") == ("ReplicaSet", "web-5f6c8")
    assert workload({}, "alone") == ("Pod", "alone")
