"""What cannot be parsed or enforced leaves its last good version in force."""

import copy
from typing import Any

from namewall.agent.policies import Policies

GOOD: dict[str, Any] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "p", "namespace": "default", "uid": "u1", "generation": 1},
    "spec": {"endpointSelector": {}, "egress": [{"toFQDNs": [{"matchName": "example.com"}]}]},
}
KEY = ("CiliumNetworkPolicy", "default", "p")


def changed(generation: int, egress: list[dict[str, Any]]) -> dict[str, Any]:
    obj = copy.deepcopy(GOOD)
    obj["metadata"]["generation"] = generation
    obj["spec"]["egress"] = egress
    return obj


def test_a_bad_update_keeps_the_good_version() -> None:
    policies = Policies()
    assert policies.take("added", GOOD)
    before = policies.good[KEY]
    assert not policies.take("modified", changed(2, [{"toFQDNs": [{"matchName": "exa mple.com"}]}]))
    assert policies.good[KEY] is before
    assert "u1" in policies.problems
    assert policies.take("modified", changed(3, [{"toFQDNs": [{"matchName": "example.org"}]}]))
    assert policies.good[KEY] != before
    assert not policies.problems


def test_the_same_generation_is_not_parsed_again() -> None:
    policies = Policies()
    policies.take("added", GOOD)
    assert not policies.take("modified", GOOD)


def test_what_cannot_be_enforced_is_not_enforced_as_an_allow() -> None:
    policies = Policies()
    http = {
        "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"method": "GET"}]}}]
    }
    assert not policies.take("added", changed(1, [http]))
    assert KEY not in policies.good


def test_a_deleted_policy_is_gone() -> None:
    policies = Policies()
    policies.take("added", GOOD)
    assert policies.take("deleted", GOOD)
    assert not policies.good
    assert not policies.objects
