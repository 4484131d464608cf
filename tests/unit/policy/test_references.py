"""Services and CIDR groups, identities by label, labels of pods."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from namewall.model.labels import identity_labels, is_relevant
from namewall.policy.expand import CidrGroup, ServiceFacts, expand
from namewall.policy.identity_index import IdentityIndex
from namewall.policy.resolver import Resolver
from namewall.policy.rules import dns_selectors, fqdn_selectors
from namewall.policy.selectors import CidrSelector, LabelSelector
from tests.unit.policy.build import egress, good, pod
from tests.unit.policy.test_parse import LAB

GROUP = CidrGroup("office", {"site": "a"}, frozenset({ip_network("198.51.100.0/24")}))
SERVICE = ServiceFacts("data", "db", {"tier": "x"}, {"app": "db"})
OUTSIDE = ServiceFacts("data", "old", {}, {}, frozenset({ip_address("203.0.113.7")}))


@pytest.mark.parametrize(
    "item", [{"cidrGroupRef": "office"}, {"cidrGroupSelector": {"matchLabels": {"site": "a"}}}]
)
def test_cidr_groups_are_their_prefixes(item: dict[str, object]) -> None:
    policy = good(egress({"toCIDRSet": [item]}))
    assert expand([policy])[0].rules[0].peers == ()
    assert expand([policy], groups=[GROUP])[0].rules[0].peers == (
        CidrSelector(ip_network("198.51.100.0/24")),
    )


def test_prefixes_of_a_group_have_the_exceptions_that_meet_them() -> None:
    """Each exception is a CIDR class of the kernel's tables; what no prefix meets would be one for nothing."""
    texts = ["198.51.100.64/26", "198.51.0.0/16", "203.0.113.0/24"]
    policy = good(egress({"toCIDRSet": [{"cidrGroupRef": "office", "except": texts}]}))
    meeting = (ip_network("198.51.100.64/26"), ip_network("198.51.0.0/16"))
    (expanded,) = expand([policy], groups=[GROUP])
    assert expanded.rules[0].peers == (CidrSelector(ip_network("198.51.100.0/24"), meeting),)


def test_services_are_their_pods_or_their_addresses() -> None:
    by_name = {"k8sService": {"serviceName": "db", "namespace": "data"}}
    by_label = {"k8sServiceSelector": {"selector": {"matchLabels": {"tier": "x"}}, "namespace": "data"}}
    no_pods = {"k8sService": {"serviceName": "old", "namespace": "data"}}
    policy = good(egress({"toServices": [by_name]}, {"toServices": [by_label]}, {"toServices": [no_pods]}))
    (expanded,) = expand([policy], [SERVICE, OUTSIDE])
    first, second, third = (rule.peers for rule in expanded.rules)
    assert first == second
    assert isinstance(first[0], LabelSelector)
    assert first[0].matches(pod("data", app="db"))
    assert not first[0].matches(pod("other", app="db"))
    assert third == (CidrSelector(ip_network("203.0.113.7/32")),)


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        ({"metadata": {"name": "g"}}, CidrGroup("g", {}, frozenset())),
        ({"metadata": {"name": "g", "labels": None}, "spec": None}, CidrGroup("g", {}, frozenset())),
        ({"metadata": {"labels": {"a": "b", "n": 1}}}, CidrGroup("", {"a": "b"}, frozenset())),
        (
            {
                "metadata": {"name": "g", "labels": {"a": "b"}},
                "spec": {"externalCIDRs": ["10.0.0.7/8", "nothing"]},
            },
            CidrGroup("g", {"a": "b"}, frozenset({ip_network("10.0.0.0/8")})),
        ),
    ],
)
def test_a_cidr_group_is_read_from_its_object(obj: dict[str, object], expected: CidrGroup) -> None:
    assert CidrGroup.parse(obj) == expected


def test_policies_without_references_stay_the_same_value() -> None:
    policy = good(LAB)
    assert expand([policy], [SERVICE], [GROUP])[0] is policy


def test_a_resolver_follows_its_references() -> None:
    resolver = Resolver()
    resolver.set_policy(good(egress({"toCIDRSet": [{"cidrGroupRef": "office"}]})))
    subject = pod(app="x")
    before = resolver.resolve(subject)
    assert resolver.resolve(subject) is before
    resolver.set_references(groups=[GROUP])
    assert resolver.prefixes == GROUP.prefixes
    assert resolver.resolve(subject) != before


def test_selectors_of_names() -> None:
    assert fqdn_selectors([good(LAB)]) == {"kubernetes.io."}
    assert dns_selectors([good(LAB)]) == {"*"}
    ask = {
        "toPorts": [{"ports": [{"port": "53"}], "rules": {"dns": [{"matchName": n} for n in ("a", "B.c")]}}]
    }
    assert dns_selectors([good(egress(ask, {}))]) == {"a.", "b.c."}


def test_an_index_follows_its_identities() -> None:
    index = IdentityIndex({256: pod(app="web"), 257: pod(app="db")})
    selector = good(egress({"toEndpoints": [{"matchLabels": {"app": "web"}}]})).rules[0].peers[0]
    assert isinstance(selector, LabelSelector)
    assert set(index.select(selector)) == {256}
    index.add(300, pod(app="web", role="x"))
    index.remove(256)
    index.add(257, pod(app="web"))
    assert set(index.select(selector)) == {257, 300}
    assert not index.add(257, pod(app="web"))


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        ("app", True),
        ("pod-template-hash", False),
        ("app.kubernetes.io/name", True),
        ("kubernetes.io/x", False),
        ("x.beta.kubernetes.io/y", False),
        ("example.com/kubernetes.io", True),
        ("k8s.io/x", False),
        ("k8s-app", True),
        ("statefulset.kubernetes.io/pod-name", False),
        ("statefulset.kubernetes.io/other", True),
        ("controller-uid", False),
        ("io.kubernetes.pod.namespace", True),
        ("io.kubernetes.other", False),
    ],
)
def test_the_default_label_filter(key: str, kept: bool) -> None:
    assert is_relevant(key) is kept


def test_a_pod_s_identity() -> None:
    labels = identity_labels(
        {"app": "web", "io.cilium.k8s.x": "no", "debug": ""}, "prod", {"env": "p"}, "robot"
    )
    assert labels == {
        "k8s:app=web",
        "k8s:debug",
        "k8s:io.kubernetes.pod.namespace=prod",
        "k8s:io.cilium.k8s.policy.cluster=default",
        "k8s:io.cilium.k8s.policy.serviceaccount=robot",
        "k8s:io.cilium.k8s.namespace.labels.env=p",
    }
