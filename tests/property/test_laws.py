"""What must hold of every set of policies, whatever they say."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from namewall.model.net import Protocol
from namewall.policy.compile import compile
from namewall.policy.decide import PeerFacts, decide
from namewall.policy.expand import CidrGroup, ServiceFacts, expand
from namewall.policy.parse import stored
from namewall.policy.ports import NamedPorts
from namewall.policy.resolver import Resolver
from namewall.policy.rules import Policy, policy_prefixes
from namewall.policy.schema import crd_schema, network_policy_schema
from tests.property.examples import QUIET
from tests.property.policies import Raw, chances, one, raw_policies
from tests.property.readings import IDENTITIES, Asked, decided, facts, flows, state_of, subjects
from tests.property.worlds import CLUSTER_PORTS, FACTS, GROUPS, PODS, Pod, World, parsed, worlds


@QUIET
@given(worlds, subjects, chances)
def test_order_does_not_matter_and_twice_is_once(world: World, subject: Pod, chance: random.Random) -> None:
    doubled = [*world.policies, *world.policies]
    chance.shuffle(doubled)
    shuffled = replace(world)
    object.__setattr__(shuffled, "policies", tuple(doubled))
    assert state_of(world, subject) == state_of(shuffled, subject)


@QUIET
@given(worlds, subjects, chances)
def test_the_order_of_rules_and_of_peers_does_not_matter(
    world: World, subject: Pod, chance: random.Random
) -> None:
    def mixed(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: mixed(child, name) for name, child in value.items()}
        if isinstance(value, list):
            return chance.sample([mixed(child) for child in value], len(value))
        return value

    def verdicts(raw: list[Raw]) -> Any:
        state = state_of(replace(world, raw=raw), subject)
        entries = {key: (entry.deny, entry.dns) for key, entry in state.entries.items()}
        return state.enforce_ingress, state.enforce_egress, entries

    assert verdicts(world.raw) == verdicts(mixed(world.raw))


@QUIET
@given(worlds, subjects)
def test_adding_and_removing_a_policy_is_nothing(world: World, subject: Pod) -> None:
    resolver = Resolver()
    resolver.set_identities(IDENTITIES)
    resolver.set_references(FACTS, GROUPS)
    *rest, last = parsed(world.raw)
    resolver.set_policies(rest)
    before = resolver.resolve(subject.labels)
    resolver.set_policy(last)
    resolver.resolve(subject.labels)
    resolver.remove_policy(last.key)
    assert resolver.resolve(subject.labels) == before


Change = tuple[list[Raw], str]


@QUIET
@given(
    st.lists(
        st.tuples(
            raw_policies(), one("add", "remove", "only", "identity", "forget", "ports", "refer", "keep")
        ),
        max_size=6,
    )
)
def test_incremental_is_from_scratch(changes: list[Change]) -> None:
    resolver = Resolver()
    known: dict[tuple[str, str, str], Policy] = {}
    identities = dict(IDENTITIES)
    ports: NamedPorts = {}
    services: tuple[ServiceFacts, ...] = ()
    groups: tuple[CidrGroup, ...] = ()
    resolver.set_identities(identities)
    for step, (raw, change) in enumerate(changes):
        policies = {policy.key: policy for policy in parsed(raw)}
        if change == "only":
            resolver.set_policies(policies.values())
            known = policies
        for policy in policies.values():
            if change == "remove":
                resolver.remove_policy(policy.key)
                known.pop(policy.key, None)
            elif change == "add":
                resolver.set_policy(policy)
                known[policy.key] = policy
        if change == "identity":
            labels = IDENTITIES[256 + step % len(IDENTITIES)] | {f"k8s:step={step}"}
            resolver.add_identity(300 + step, labels)
            identities[300 + step] = labels
        elif change == "forget" and identities:
            del identities[max(identities)]
            resolver.set_identities(identities)
        elif change == "ports":
            ports = {} if ports else CLUSTER_PORTS
            resolver.set_cluster_ports(ports)
        elif change == "refer":
            services, groups = (FACTS[step % 2 :], GROUPS[step % 3 :]) if not services else ((), ())
            resolver.set_references(services, groups)
        elif change == "keep":
            resolver.keep_subjects([PODS["red/web"].labels])
        expanded = expand(known.values(), services, groups)
        for pod in PODS.values():
            scratch = compile(expanded, pod.labels, identities, own_ports=pod.own_ports, cluster_ports=ports)
            assert resolver.resolve(pod.labels, pod.own_ports) == scratch
        assert resolver.prefixes == policy_prefixes(expanded)


# --- laws of symmetry: another world in which everything is called otherwise ---

SWAPPED = {"TCP": "UDP", "UDP": "TCP"}
TURNED = {Protocol.TCP: Protocol.UDP, Protocol.UDP: Protocol.TCP}


def swap(value: Any, kind: str) -> Any:
    """TCP for UDP and back, everywhere; a NetworkPolicy's port without a protocol is TCP."""
    if isinstance(value, list):
        return [swap(child, kind) for child in value]
    if not isinstance(value, dict):
        return value
    turned = {name: swap(child, kind) for name, child in value.items()}
    if "protocol" in value:
        turned["protocol"] = SWAPPED.get(value["protocol"], value["protocol"])
    elif kind == "NetworkPolicy" and "ports" in value:
        turned["ports"] = [
            {"protocol": "UDP" if "protocol" not in port else SWAPPED.get(port["protocol"], port["protocol"])}
            | {name: child for name, child in port.items() if name != "protocol"}
            for port in value["ports"]
        ]
    return turned


def turn_ports(ports: NamedPorts) -> NamedPorts:
    return {(name, TURNED.get(protocol, protocol)): numbers for (name, protocol), numbers in ports.items()}


@QUIET
@given(worlds, flows)
def test_udp_and_tcp_get_equal_verdicts_under_equal_rules(world: World, asked: list[Asked]) -> None:
    assume('"http"' not in json.dumps(world.raw))  # which is for TCP alone
    other = replace(world, raw=[swap(raw, raw["kind"]) for raw in world.raw])
    for flow in asked:
        peer = facts(flow, world)
        turned = decide(
            other.policies,
            flow.subject.labels,
            flow.direction,
            peer,
            TURNED.get(flow.protocol, flow.protocol),
            flow.port,
            own_ports=turn_ports(flow.subject.own_ports),
            cluster_ports=turn_ports(CLUSTER_PORTS),
        )
        assert turned == decided(world, flow, peer)


RENAMED = {
    "red": "amber",
    "blue": "zinc",
    "web": "shop",
    "db": "store",
    "team": "squad",
    "role": "aspect",
    "app": "part",
}
_WORD = re.compile(rf"\b({'|'.join(RENAMED)})\b")


def rename(text: str) -> str:
    return _WORD.sub(lambda found: RENAMED[found.group()], text)


def renamed_labels(labels: frozenset[str]) -> frozenset[str]:
    return frozenset(map(rename, labels))


@QUIET
@given(worlds, flows)
def test_labels_and_namespaces_may_be_called_otherwise(world: World, asked: list[Asked]) -> None:
    services = tuple(
        replace(
            each,
            namespace=rename(each.namespace),
            name=rename(each.name),
            selector={rename(key): rename(value) for key, value in each.selector.items()},
        )
        for each in world.services
    )
    other = replace(world, raw=json.loads(rename(json.dumps(world.raw))), services=services)
    for flow in asked:
        peer = facts(flow, world)
        was = decided(world, flow, peer)
        now = decide(
            other.policies,
            renamed_labels(flow.subject.labels),
            flow.direction,
            PeerFacts(
                renamed_labels(peer.labels), peer.address, peer.inside, peer.names, peer.closed, peer.host
            ),
            flow.protocol,
            flow.port,
            own_ports=flow.subject.own_ports,
            cluster_ports=CLUSTER_PORTS,
        )
        assert (now.verdict, now.reason, now.dns) == (was.verdict, was.reason, was.dns)


@QUIET
@given(worlds, subjects, chances)
def test_null_is_as_if_it_were_not_there(world: World, subject: Pod, chance: random.Random) -> None:
    """Of fields that a schema knows; as an API server has it."""

    def with_nulls(value: Any, schema: Any) -> Any:
        if isinstance(value, list):
            return [with_nulls(each, schema.get("items", {})) for each in value]
        if not isinstance(value, dict):
            return value
        known = schema.get("properties", {})
        more = {name: None for name in known if name not in value and chance.random() < 0.3}
        return {**more, **{name: with_nulls(each, known.get(name, {})) for name, each in value.items()}}

    raw = [
        with_nulls(
            each, network_policy_schema() if each["kind"] == "NetworkPolicy" else crd_schema(each["kind"])
        )
        for each in world.raw
    ]
    assert [stored(each)[0] for each in raw] == [stored(each)[0] for each in world.raw]
    assert state_of(replace(world, raw=raw), subject) == state_of(world, subject)
