"""What the generators cannot make: facts no host would have."""

from __future__ import annotations

from ipaddress import ip_address

from namewall.model.net import Direction, Protocol
from namewall.policy.decide import PeerFacts, decide
from tests.unit.policy.build import egress, good, pod


def test_a_name_opens_nothing_inside_the_cluster() -> None:
    policy = good(egress({"toFQDNs": [{"matchName": "a.example.com"}]}))
    names = frozenset({"a.example.com."})
    for inside, verdict in ((True, "deny"), (False, "allow")):
        peer = PeerFacts(frozenset({"reserved:world-ipv4"}), ip_address("203.0.113.1"), inside, names)
        decision = decide([policy], pod(app="a"), Direction.EGRESS, peer, Protocol.TCP, 443)
        assert decision.verdict == verdict


def test_nobody_is_selected_without_labels() -> None:
    """The closed ranges have none: `NotIn` and `DoesNotExist` would hold for them."""
    missing = {"matchExpressions": [{"key": "reserved:host", "operator": "DoesNotExist"}]}
    policy = good(egress({"toEndpoints": [missing]}))
    peer = PeerFacts(address=ip_address("10.0.0.9"))
    assert decide([policy], pod(app="a"), Direction.EGRESS, peer, Protocol.TCP, 80).verdict == "deny"
