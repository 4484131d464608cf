"""The cluster of bench/policy.py: policies and identities as Cilium's own measurement had them.

20 namespaces of 50 apps. Each CiliumNetworkPolicy protects one app of one namespace (1 in 20 the whole namespace)
and has two ingress rules (a role on two ports; the API server) and two egress rules (by turns names, a range with
an exception, DNS with names, two selectors; then the DNS port). The number of roles was not written down: with ten a
cold endpoint has no fewer map entries than Cilium's had (51 and 471). The seed makes all of it the same each time.
"""

from __future__ import annotations

import random
from typing import Any

from namewall.model.labels import Labels, identity_labels

Raw = dict[str, Any]

SPACES, APPS, ROLES = 20, 50, 6
FIRST_IDENTITY = 256


def identities(count: int) -> dict[int, Labels]:
    """Numbers and labels, the apps of all namespaces by turns; further rounds differ in `rev`."""
    found = {}
    for index in range(count):
        pair, revision = index % (SPACES * APPS), index // (SPACES * APPS)
        found[FIRST_IDENTITY + index] = _labels(pair // APPS, pair % APPS, f"r{revision}")
    return found


def endpoints(known: dict[int, Labels], count: int = 100) -> list[Labels]:
    """Local ones: apps from all over the cluster, each with all its identities, as replicas of a rollout are."""
    rounds = max(1, len(known) // (SPACES * APPS))
    step = SPACES * APPS * rounds // count
    pairs = range(0, SPACES * APPS, step)
    return [known[FIRST_IDENTITY + pair + turn * SPACES * APPS] for pair in pairs for turn in range(rounds)][
        :count
    ]


def spread(known: dict[int, Labels], count: int = 100) -> list[Labels]:
    """Local ones no two of which are of one app: nothing to share between them."""
    return [known[FIRST_IDENTITY + pair] for pair in range(0, SPACES * APPS, SPACES * APPS // count)][:count]


def new_identity(revision: str) -> Labels:
    """One more pod of the first endpoint's namespace, with labels nobody has."""
    return _labels(0, 7, revision)


def _labels(space: int, app: int, revision: str) -> Labels:
    labels = {"app": f"app{app}", "role": f"role{app % ROLES}", "rev": revision}
    return identity_labels(labels, f"ns{space}", {"team": f"team{space % 4}"})


def policies(count: int, seed: int = 1) -> list[Raw]:
    """As `kubectl get -o json` would list them."""
    chance = random.Random(seed)
    return [_policy(chance, index) for index in range(count)]


def extra_policy(index: int) -> Raw:
    """One more for the first endpoint's app, of the kind that selects pods."""
    raw = _policy(random.Random(index), 4 * index + 3)
    raw["metadata"] = {"name": f"extra-{index}", "namespace": "ns0"}
    raw["spec"]["endpointSelector"] = {"matchLabels": {"app": "app0"}}
    return raw


def _policy(chance: random.Random, index: int) -> Raw:
    space = chance.randrange(SPACES)
    subject = {} if chance.random() < 1 / 20 else {"app": f"app{chance.randrange(APPS)}"}
    selector = {"matchLabels": subject} if subject else {}
    ingress = [
        {"fromEndpoints": [_role(chance)], "toPorts": [_ports("8080", "9090")]},
        {"fromEntities": ["kube-apiserver"]},
    ]
    dns = {"toEndpoints": [_kube_dns()], "toPorts": [_ports("53", protocol="UDP")]}
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": f"policy-{index}", "namespace": f"ns{space}"},
        "spec": {
            "endpointSelector": selector,
            "ingress": ingress,
            "egress": [_egress(chance, index), dns],
        },
    }


def _egress(chance: random.Random, index: int) -> Raw:
    match index % 4:
        case 0:
            names = [
                {"matchName": f"api.svc{index}.example.com"},
                {"matchPattern": f"*.svc{index}.example.org"},
            ]
            return {"toFQDNs": names, "toPorts": [_ports("443")]}
        case 1:
            block = f"10.{index % 256}.{index // 256}"
            ranges = [{"cidr": f"{block}.0/24", "except": [f"{block}.128/25"]}]
            return {"toCIDRSet": ranges, "toPorts": [_ports("443")]}
        case 2:
            rules = {"dns": [{"matchPattern": f"*.svc{index}.example.com"}]}
            return {
                "toEndpoints": [_kube_dns()],
                "toPorts": [{**_ports("53", protocol="ANY"), "rules": rules}],
            }
        case _:
            app = {"matchLabels": {"app": f"app{chance.randrange(APPS)}"}}
            return {"toEndpoints": [_role(chance), app], "toPorts": [_ports("80")]}


def _role(chance: random.Random) -> Raw:
    return {"matchLabels": {"role": f"role{chance.randrange(ROLES)}"}}


def _kube_dns() -> Raw:
    return {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}


def _ports(*ports: str, protocol: str = "TCP") -> Raw:
    return {"ports": [{"port": port, "protocol": protocol} for port in ports]}
