"""A policy as another kind means the same, wherever nothing is said to be lost."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from hypothesis import event, given

from namewall.policy.decide import PeerFacts
from namewall.policy.diff.changes import Comparison
from namewall.policy.diff.universe import Known, Universe, reserved_peers
from namewall.policy.parse import API_VERSIONS, parse
from namewall.review.convert import Lost, convert
from namewall.review.wrong import Wrong
from tests.property.examples import RELAXED
from tests.property.policies import ADDRESSES, NAMES, raw_policies
from tests.property.worlds import CLUSTER_PORTS, PODS

METADATA_NAME = "kubernetes.io/metadata.name"


def _named(labels: frozenset[str]) -> frozenset[str]:
    """Every namespace has the label of its name: the API server gives it."""
    (namespace,) = (
        one.partition("=")[2] for one in labels if one.startswith("k8s:io.kubernetes.pod.namespace=")
    )
    own = f"k8s:io.cilium.k8s.namespace.labels.{METADATA_NAME}={namespace}"
    return frozenset({each for each in labels if METADATA_NAME not in each} | {own})


UNIVERSE = Universe(
    tuple(Known(name, _named(pod.labels), pod.address, pod.own_ports) for name, pod in PODS.items()),
    {
        **{text: PeerFacts.outside(ip_address(text)) for text in ADDRESSES},
        "named": PeerFacts.outside(ip_address("198.51.100.7"), ("a.example.com.",)),
        **reserved_peers(),
    },
    NAMES,
    CLUSTER_PORTS,
)


@RELAXED
@given(raw_policies())
def test_where_nothing_is_lost_nothing_changes(raws: list[dict[str, Any]]) -> None:
    for raw in raws:
        old, problems = parse(raw)
        if old is None:
            continue
        assert not problems
        for kind in API_VERSIONS:
            lost = Lost()
            try:
                after = convert(raw, kind, lost)
            except Wrong:
                continue
            new, problems = parse(after)
            assert new is not None, (raw, after, list(map(str, problems)))
            assert new.kind == kind
            if lost.rows() or old.unsupported:
                continue
            event(f"{raw['kind']} to {kind}")
            changes = list(Comparison([old], [new], UNIVERSE).changes())
            assert not changes, (raw, after, changes[:2])
