"""Meaning is written three times; these laws keep the readings equal: oracle ≡ decide ≡ lookup(compile(…))."""

from __future__ import annotations

import os
import random
from ipaddress import ip_address
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from namewall.model.identity import Reserved
from namewall.model.labels import RESERVED_LABELS
from namewall.model.net import Direction, Protocol
from namewall.policy.compile import compile
from namewall.policy.decide import PeerFacts, decide
from namewall.policy.lookup import cidr_classes, dns_passes, granted_selectors, lookup
from namewall.policy.resolver import Resolver
from namewall.policy.rules import Policy, fqdn_selectors, policy_prefixes
from spec import oracle
from tests.property.policies import (
    ADDRESSES,
    CLUSTER_PORTS,
    INIT,
    NAMES,
    PODS,
    PORT_NUMBERS,
    Pod,
    Raw,
    one,
    parsed,
    raw_policies,
)

EXAMPLES = int(os.environ.get("NAMEWALL_EXAMPLES", "2000"))
"""`make test-long` asks for 100,000."""
QUICK = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
IDENTITIES = {256 + n: pod.labels for n, pod in enumerate(PODS.values())}
NUMBER = {labels: number for number, labels in IDENTITIES.items()}
RESERVED = (Reserved.HOST, Reserved.REMOTE_NODE, Reserved.KUBE_APISERVER, Reserved.HEALTH)

subjects = st.sampled_from([*PODS.values(), *PODS.values(), INIT])
peers = st.one_of(
    one(*PODS),
    st.tuples(one(*ADDRESSES), st.frozensets(one(*NAMES), max_size=2)),
    one(*RESERVED, Reserved.CLOSED),
)
questions = one(*NAMES, "weird name.", "A.Example.COM")
flows = st.one_of(
    st.tuples(
        subjects,
        one(*Direction),
        peers,
        one(Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP, Protocol.ICMPV6),
        one(*PORT_NUMBERS, 8),
        questions,
    ),
    st.tuples(subjects, st.just(Direction.EGRESS), peers, st.just(Protocol.UDP), one(53, 53, 52), questions),
)


def facts(peer: object) -> PeerFacts:
    if isinstance(peer, str):
        return PeerFacts(PODS[peer].labels, PODS[peer].address)
    if isinstance(peer, tuple):
        return PeerFacts.outside(ip_address(peer[0]), peer[1])
    if peer is Reserved.CLOSED:
        return PeerFacts(address=ip_address("10.0.0.77"), closed=True)
    assert isinstance(peer, Reserved)
    return PeerFacts.reserved(peer, ip_address("10.0.0.2"))


def number(peer: PeerFacts) -> int:
    if peer.closed:
        return Reserved.CLOSED
    reserved = {labels: n for n, labels in RESERVED_LABELS.items()}
    return NUMBER[peer.labels] if peer.labels in NUMBER else reserved[peer.labels]


def three_readings(
    policies: list[Policy], subject: Pod, direction: Direction, peer: object, *rest: object
) -> None:
    protocol, port, question = rest
    assert isinstance(protocol, Protocol)
    assert isinstance(port, int)
    assert isinstance(question, str)
    known = facts(peer)
    told = oracle.answer(
        policies,
        subject.labels,
        direction,
        oracle.Peer(known.labels, known.address, known.inside, known.names, known.host, known.closed),
        protocol,
        port,
        question,
        subject.own_ports,
        CLUSTER_PORTS,
    )
    decision = decide(
        policies,
        subject.labels,
        direction,
        known,
        protocol,
        port,
        own_ports=subject.own_ports,
        cluster_ports=CLUSTER_PORTS,
    )
    state = compile(
        policies, subject.labels, IDENTITIES, own_ports=subject.own_ports, cluster_ports=CLUSTER_PORTS
    )
    classes = cidr_classes(known.address, policy_prefixes(policies), known.inside) if known.address else ()
    granted = granted_selectors(known.names, fqdn_selectors(policies))
    found = lookup(state, direction, number(known), classes, granted, protocol, port)
    expected = "allow" if told.allowed else "deny"
    assert (decision.verdict, found.verdict) == (expected, expected)
    assert decision.reason == found.reason
    if told.allowed:
        assert decision.dns == found.dns
        assert (decision.dns is not None) == told.judged
        assert dns_passes(decision.dns, question) == (told.passes or not told.judged)
    origins = {origin for entry in found.entries for origin in entry.origins}
    if not told.allowed:  # of several denies of one peer the kernel sees the longest
        assert origins <= set(decision.rules)
        assert bool(origins) == bool(decision.rules)
    elif not known.host:  # its own way in needs no rule, whatever rules also allow it
        assert origins == set(decision.rules)


@QUICK
@given(raw_policies(), st.lists(flows, min_size=3, max_size=8))
def test_oracle_decide_and_lookup_agree(raw: list[Raw], asked: list[tuple]) -> None:  # type: ignore[type-arg]
    policies = parsed(raw)
    for flow in asked:
        three_readings(policies, *flow)


def test_the_examples_reach_every_clause() -> None:
    """Every clause of spec/semantics.md that the oracle applies is met by generated worlds, none is dead."""
    text = (Path(oracle.__file__).parent / "semantics.md").read_text()
    oracle.clauses.clear()

    @settings(max_examples=1200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(raw_policies(), st.lists(flows, min_size=5, max_size=8))
    def run(raw: list[Raw], asked: list[tuple]) -> None:  # type: ignore[type-arg]
        policies = parsed(raw)
        for subject, direction, peer, protocol, port, question in asked:
            known = facts(peer)
            oracle.answer(
                policies,
                subject.labels,
                direction,
                oracle.Peer(known.labels, known.address, known.inside, known.names, known.host, known.closed),
                protocol,
                port,
                question,
                subject.own_ports,
                CLUSTER_PORTS,
            )

    oracle.expression.cache_clear()
    run()
    numbered = {line.split()[0] for line in text.splitlines() if line[:1].isdigit()}
    said_by_parse = {"1.4"}  # a namespaced policy's subjects: in the selector that parse makes
    assert numbered - said_by_parse <= set(oracle.clauses), numbered - said_by_parse - set(oracle.clauses)
    assert set(oracle.clauses) <= numbered


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw_policies(), subjects, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_twice_is_once(raw: list[Raw], subject: Pod, chance: random.Random) -> None:
    policies = parsed(raw)
    shuffled = policies + policies
    chance.shuffle(shuffled)
    assert compile(policies, subject.labels, IDENTITIES) == compile(shuffled, subject.labels, IDENTITIES)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(raw_policies(), one("add", "remove", "identity", "forget", "ports")), max_size=6))
def test_incremental_is_from_scratch(changes: list[tuple[list[Raw], str]]) -> None:
    resolver = Resolver()
    known: dict[tuple[str, str, str], Policy] = {}
    identities = dict(IDENTITIES)
    ports: dict = {}  # type: ignore[type-arg]
    resolver.set_identities(identities)
    for step, (raw, change) in enumerate(changes):
        for policy in parsed(raw):
            if change == "remove":
                resolver.remove_policy(policy.key)
                known.pop(policy.key, None)
            else:
                resolver.set_policy(policy)
                known[policy.key] = policy
        if change == "identity":
            labels = IDENTITIES[256 + step % len(IDENTITIES)]
            resolver.add_identity(300 + step, labels | {f"k8s:step={step}"})
            identities[300 + step] = labels | {f"k8s:step={step}"}
        elif change == "forget" and identities:
            gone = max(identities)
            resolver.remove_identity(gone)
            del identities[gone]
        elif change == "ports":
            ports = CLUSTER_PORTS if not ports else {}  # type: ignore[assignment]
            resolver.set_cluster_ports(ports)
        for pod in PODS.values():
            scratch = compile(
                known.values(), pod.labels, identities, own_ports=pod.own_ports, cluster_ports=ports
            )
            assert resolver.resolve(pod.labels, pod.own_ports) == scratch
            assert resolver.prefixes == policy_prefixes(known.values())


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw_policies(), subjects)
def test_adding_and_removing_a_policy_is_nothing(raw: list[Raw], subject: Pod) -> None:
    resolver = Resolver()
    resolver.set_identities(IDENTITIES)
    *rest, last = parsed(raw)
    resolver.set_policies(rest)
    before = resolver.resolve(subject.labels)
    resolver.set_policy(last)
    resolver.resolve(subject.labels)
    resolver.remove_policy(last.key)
    assert resolver.resolve(subject.labels) == before
