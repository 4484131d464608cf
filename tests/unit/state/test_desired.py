"""From what a node knows to its tables: identities by address, shared policies, closed ranges."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from namewall.model.identity import Reserved
from namewall.model.net import Direction
from namewall.policy.map_state import FqdnPeer
from namewall.policy.parse import parse
from namewall.policy.resolver import Resolver
from namewall.state.desired import EndpointFacts, NodeFacts, PolicyNumbers, desired

POLICY = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "only-example", "namespace": "default", "uid": "1"},
    "spec": {
        "endpointSelector": {"matchLabels": {"app": "backend"}},
        "egress": [{"toFQDNs": [{"matchName": "example.com"}]}],
    },
}


def labels(app: str) -> frozenset[str]:
    return frozenset({f"k8s:app={app}", "k8s:io.kubernetes.pod.namespace=default"})


def endpoint(number: int, app: str, identity: int) -> EndpointFacts:
    return EndpointFacts(
        id=number,
        scope=1000 + number,
        ifname=f"nw{number}",
        ifindex=10 + number,
        mac=bytes(6),
        gateway_mac=bytes(6),
        addresses=(ip_address(f"10.1.0.{number}"), ip_address(f"fd00:1::{number}")),
        labels=labels(app),
        identity=identity,
    )


def facts(*endpoints: EndpointFacts) -> NodeFacts:
    return NodeFacts(
        endpoints=endpoints,
        closed=(ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16")),
        node_addresses=(ip_address("198.51.100.7"),),
        services={},
        trusted_resolvers=frozenset(),
        known_names=frozenset(),
        min_ttl=60,
    )


def resolver(*endpoints: EndpointFacts) -> Resolver:
    made = Resolver()
    policy, problems = parse(POLICY)
    assert policy is not None, problems
    made.set_policies([policy])
    made.set_identities({each.identity: each.labels for each in endpoints})
    return made


def test_replicas_share_a_policy_and_others_are_not_enforced() -> None:
    known = endpoint(1, "backend", 300), endpoint(2, "backend", 300), endpoint(3, "frontend", 301)
    tables = desired(facts(*known), resolver(*known), PolicyNumbers())
    first, second, third = (tables.endpoints[number].policy for number in (1, 2, 3))
    assert first == second != third
    backend = tables.policies[first]
    assert backend.enforces(Direction.EGRESS)
    assert not backend.enforces(Direction.INGRESS)
    assert any(key.peer == FqdnPeer("example.com.") for key in backend.entries)
    assert not tables.policies[third].enforces(Direction.EGRESS)


def test_closed_ranges_are_inside_and_pods_are_known_in_them() -> None:
    one = endpoint(1, "backend", 300)
    rows = desired(facts(one), resolver(one), PolicyNumbers()).ipcache
    assert rows[ip_network("10.1.0.1/32")].identity == 300
    assert rows[ip_network("fd00:1::1/128")].identity == 300
    assert rows[ip_network("10.2.0.0/16")].identity == Reserved.CLOSED
    assert rows[ip_network("198.51.100.7/32")].identity == Reserved.HOST
    assert all(row.inside for network, row in rows.items() if network.prefixlen > 0)
    assert not rows[ip_network("0.0.0.0/0")].inside


def test_the_same_facts_give_the_same_tables_and_a_number_is_not_used_again() -> None:
    numbers = PolicyNumbers()
    one, two = endpoint(1, "backend", 300), endpoint(2, "frontend", 301)
    known = resolver(one, two)
    assert desired(facts(one, two), known, numbers) == desired(facts(two, one), known, numbers)
    before = desired(facts(one, two), known, numbers).endpoints[2].policy
    desired(facts(one), known, numbers)
    renamed = replace(two, labels=labels("other"))
    assert desired(facts(one, renamed), known, numbers).endpoints[2].policy != before


def test_endpoints_with_the_same_rules_share_a_policy_until_their_rules_differ() -> None:
    numbers = PolicyNumbers()
    one, two, other = endpoint(1, "frontend", 300), endpoint(2, "cache", 301), endpoint(3, "backend", 302)
    known = resolver(one, two, other)
    before = desired(facts(one, two, other), known, numbers)
    assert before.endpoints[1].policy == before.endpoints[2].policy != before.endpoints[3].policy
    policy, _ = parse(
        POLICY
        | {
            "metadata": {"name": "more", "namespace": "default", "uid": "2"},
            "spec": {"endpointSelector": {"matchLabels": {"app": "frontend"}}, "ingress": [{}]},
        }
    )
    assert policy is not None
    known.set_policy(policy)
    after = desired(facts(one, two, other), known, numbers)
    # Who keeps the old rows keeps the old number; who leaves gets one that nobody had.
    assert after.endpoints[2].policy == before.endpoints[2].policy
    assert after.endpoints[3].policy == before.endpoints[3].policy
    assert after.endpoints[1].policy not in before.policies
    assert after.policies[after.endpoints[1].policy].enforces(Direction.INGRESS)


def test_a_policy_that_changes_for_all_its_endpoints_keeps_its_number() -> None:
    numbers = PolicyNumbers()
    one, two = (
        endpoint(1, "backend", 300),
        replace(endpoint(2, "backend", 301), labels=labels("backend") | {"x:y"}),
    )
    known = resolver(one, two)
    before = desired(facts(one, two), known, numbers)
    changed, _ = parse({**POLICY, "spec": {**POLICY["spec"], "ingress": [{}]}})  # type: ignore[dict-item]
    assert changed is not None
    known.set_policy(changed)
    after = desired(facts(one, two), known, numbers)
    assert {row.policy for row in after.endpoints.values()} == {
        row.policy for row in before.endpoints.values()
    }
    assert after.policies != before.policies
