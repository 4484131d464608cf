"""cyclonus-cases.json.gz: Kubernetes NetworkPolicy as its own e2e tests mean it, by both readings.

Pods have addresses here, and an ipBlock means them too. Rows with From = To are loopback and left out.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from ipaddress import ip_address
from typing import Any

from namewall.model.labels import Labels, identity_labels
from namewall.model.net import Address, Direction, Protocol
from namewall.policy.compile import compile
from namewall.policy.decide import PeerFacts, decide
from namewall.policy.lookup import cidr_classes, lookup
from namewall.policy.map_state import MapState
from namewall.policy.parse import parse
from namewall.policy.ports import named_ports
from namewall.policy.rules import Policy, policy_prefixes
from tests.conformance.data import shared

PORTS = named_ports(
    (f"serve-{port}-{p.lower()}", p, port) for port in (80, 81) for p in ("TCP", "UDP", "SCTP")
)


class Cluster:
    """Pods and namespaces as the actions of a case leave them, and the verdict of each cell."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.namespaces = {name: dict(labels) for name, labels in data["namespaces"].items()}
        self.pods = {(p["ns"], p["name"]): dict(p["labels"]) for p in data["pods"]}
        self.addresses = {(p["ns"], p["name"]): ip_address(p["ip"]) for p in data["pods"]}
        self.policies: dict[tuple[str, str], Policy] = {}
        self._forget()

    def _forget(self) -> None:
        self._states: dict[Labels, MapState] = {}
        self.labels = cache(self._labels)
        self.decided = cache(self._decided)

    def act(self, action: dict[str, Any]) -> None:
        for verb, what in action.items():
            if what is not None:
                getattr(self, verb)(what)
        self._forget()

    def CreatePolicy(self, what: dict[str, Any]) -> None:
        obj = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", **what["Policy"]}
        policy, problems = parse(obj)
        assert policy is not None, problems
        self.policies[policy.namespace, policy.name] = policy

    UpdatePolicy = CreatePolicy

    def DeletePolicy(self, what: dict[str, Any]) -> None:
        del self.policies[what["Namespace"], what["Name"]]

    def CreateNamespace(self, what: dict[str, Any]) -> None:
        self.namespaces[what["Namespace"]] = dict(what["Labels"])

    SetNamespaceLabels = CreateNamespace

    def DeleteNamespace(self, what: dict[str, Any]) -> None:
        del self.namespaces[what["Namespace"]]
        self.pods = {key: labels for key, labels in self.pods.items() if key[0] != what["Namespace"]}

    def CreatePod(self, what: dict[str, Any]) -> None:
        key = what["Namespace"], what["Pod"]
        self.pods[key] = dict(what["Labels"])
        self.addresses.setdefault(key, ip_address("192.168.9.1") + len(self.addresses))

    def SetPodLabels(self, what: dict[str, Any]) -> None:
        self.pods[what["Namespace"], what["Pod"]] = dict(what["Labels"])

    def DeletePod(self, what: dict[str, Any]) -> None:
        del self.pods[what["Namespace"], what["Pod"]]

    def ReadNetworkPolicies(self, what: dict[str, Any]) -> None:
        """Nothing changes."""

    # Verdicts.

    def _labels(self, pod: tuple[str, str]) -> Labels:
        return identity_labels(self.pods[pod], pod[0], self.namespaces[pod[0]])

    def address(self, pod: tuple[str, str]) -> Address:
        return self.addresses[pod]

    def _decided(
        self, subject: tuple[str, str], direction: Direction, peer: tuple[str, str], l4: Any
    ) -> bool:
        decision = decide(
            self.policies.values(),
            self.labels(subject),
            direction,
            PeerFacts(self.labels(peer), self.address(peer)),
            *l4,
            own_ports=PORTS,
            cluster_ports=PORTS,
        )
        return decision.verdict == "allow"

    def looked_up(
        self, subject: tuple[str, str], direction: Direction, peer: tuple[str, str], l4: Any
    ) -> bool:
        labels = self.labels(subject)
        number = {each: 256 + n for n, each in enumerate(dict.fromkeys(map(self.labels, sorted(self.pods))))}
        if labels not in self._states:
            identities = {n: each for each, n in number.items()}
            self._states[labels] = compile(
                self.policies.values(), labels, identities, own_ports=PORTS, cluster_ports=PORTS
            )
        cidrs = cidr_classes(self.address(peer), policy_prefixes(self.policies.values()), inside=True)
        found = lookup(self._states[labels], direction, number[self.labels(peer)], cidrs, (), *l4)
        return found.verdict == "allow"


def test_every_cell_that_is_not_loopback() -> None:
    data = json.loads(gzip.decompress(shared("cyclonus-cases.json.gz").read_bytes()))
    cells, wrong = 0, []
    for case in data["cases"]:
        cluster = Cluster(data)
        for step in case["Steps"]:
            for action in step["Actions"] or ():
                cluster.act(action)
            for row in step["Expected"]:
                if row["From"] == row["To"]:
                    continue
                cells += 1
                source, target = (tuple(row[side].split("/")) for side in ("From", "To"))
                l4 = Protocol[row["Proto"]], row["Port"]
                expected = row["Egress"] == "allowed", row["Ingress"] == "allowed"
                for reading in (cluster.decided, cluster.looked_up):
                    egress = reading(source, Direction.EGRESS, target, l4)
                    ingress = reading(target, Direction.INGRESS, source, l4)
                    if (egress, ingress) != expected or (egress and ingress) != (
                        row["Combined"] == "allowed"
                    ):
                        wrong.append((case["Index"], case["Description"], row, egress, ingress))
    assert not wrong, f"{len(wrong)} of {2 * cells} differ, first: {wrong[:2]}"
    assert cells == 109_956
