"""One flow by the three readings of policy, in a generated world."""

from __future__ import annotations

import random
from ipaddress import ip_address
from typing import Any, NamedTuple

from namewall.model.identity import Reserved
from namewall.model.labels import RESERVED_LABELS, Labels
from namewall.model.net import Direction, Protocol
from namewall.policy.compile import compile
from namewall.policy.decide import Decision, PeerFacts, decide
from namewall.policy.lookup import Lookup, cidr_classes, granted_selectors, lookup
from namewall.policy.map_state import MapState
from namewall.policy.rules import fqdn_selectors, policy_prefixes
from spec import oracle
from tests.property.policies import ADDRESSES, NAMES, PORT_NUMBERS, chances, one
from tests.property.worlds import CLUSTER_PORTS, INIT, PODS, Pod, World

IDENTITIES = {256 + n: pod.labels for n, pod in enumerate(PODS.values())}
NUMBER = {labels: number for number, labels in IDENTITIES.items()}
RESERVED = (Reserved.HOST, Reserved.REMOTE_NODE, Reserved.KUBE_APISERVER, Reserved.HEALTH, Reserved.INIT)
RESERVED_NUMBER: dict[Labels, int] = {labels: number for number, labels in RESERVED_LABELS.items()}


class Asked(NamedTuple):
    """`peer` is a pod's name, an outside address with the names it was learned under, or a reserved identity."""

    subject: Pod
    direction: Direction
    peer: str | tuple[str, frozenset[str]] | Reserved
    protocol: Protocol
    port: int
    question: str


SUBJECTS = (
    *(PODS[name] for name in ("red/web", "red/web", "red/db", "red/dns", "blue/web", "blue/dns")),
    INIT,
)
subjects = one(*SUBJECTS)
QUESTIONS = (*NAMES, "weird name.", "A.Example.COM")
TRANSPORTS = (Protocol.UDP, Protocol.UDP, Protocol.TCP, Protocol.SCTP)


def _outside(chance: random.Random) -> tuple[str, frozenset[str]]:
    return chance.choice(ADDRESSES), frozenset(chance.sample(NAMES, chance.choice((0, 1, 1, 2))))


def _peer(chance: random.Random) -> Any:
    kind = chance.random()
    if kind < 0.4:
        return chance.choice(tuple(PODS))
    return _outside(chance) if kind < 0.75 else chance.choice((*RESERVED, Reserved.CLOSED))


def asked_by(chance: random.Random, count: int = 24) -> list[Asked]:
    """Any flows, many of them at the ports where rules meet. A world is dear to make, to ask in it is cheap."""
    found = []
    some = chance.sample(SUBJECTS, 2)
    for _ in range(count):
        subject, question = chance.choice(some), chance.choice(QUESTIONS)
        if chance.random() < 0.5:
            peer = chance.choice(("red/dns", "blue/dns", _outside(chance), _outside(chance)))
            port = chance.choice((53, 53, 53, 52, 80))
            found.append(Asked(subject, Direction.EGRESS, peer, chance.choice(TRANSPORTS), port, question))
            continue
        direction = chance.choice((Direction.INGRESS, Direction.INGRESS, Direction.EGRESS))
        if chance.random() < 0.2:
            protocol, port = chance.choice((Protocol.ICMP, Protocol.ICMPV6)), chance.choice((0, 8, 128))
        else:
            protocol, port = chance.choice(TRANSPORTS), chance.choice(PORT_NUMBERS)
        found.append(Asked(subject, direction, _peer(chance), protocol, port, question))
    return found


flows = chances.map(asked_by)


def facts(asked: Asked, world: World) -> PeerFacts:
    peer = asked.peer
    if isinstance(peer, str):
        return PeerFacts(PODS[peer].labels, PODS[peer].address if world.addressed else None)
    if isinstance(peer, tuple):
        return PeerFacts.outside(ip_address(peer[0]), peer[1])
    if peer is Reserved.CLOSED:
        return PeerFacts(address=ip_address("10.0.0.77"), closed=True)
    return PeerFacts.reserved(peer, ip_address("10.0.0.2") if world.addressed else None)


def told(known: oracle.World, asked: Asked, peer: PeerFacts) -> oracle.Answer:
    return oracle.answer(
        known,
        asked.subject.labels,
        asked.direction,
        oracle.Peer(peer.labels, peer.address, peer.inside, peer.names, peer.host, peer.closed),
        asked.protocol,
        asked.port,
        asked.question,
        asked.subject.own_ports,
        CLUSTER_PORTS,
    )


def decided(world: World, asked: Asked, peer: PeerFacts, *, question: str | None = None) -> Decision:
    return decide(
        world.policies,
        asked.subject.labels,
        asked.direction,
        peer,
        asked.protocol,
        asked.port,
        question=question,
        own_ports=asked.subject.own_ports,
        cluster_ports=CLUSTER_PORTS,
    )


def state_of(world: World, subject: Pod) -> MapState:
    return compile(
        world.policies,
        subject.labels,
        IDENTITIES,
        own_ports=subject.own_ports,
        cluster_ports=CLUSTER_PORTS,
        addressless=not world.addressed,
    )


def looked_up(state: MapState, world: World, asked: Asked, peer: PeerFacts) -> Lookup:
    cidrs = cidr_classes(peer.address, policy_prefixes(world.policies), peer.inside) if peer.address else ()
    granted = granted_selectors(peer.names, fqdn_selectors(world.policies))
    number = Reserved.CLOSED if peer.closed else NUMBER.get(peer.labels) or RESERVED_NUMBER[peer.labels]
    return lookup(state, asked.direction, number, cidrs, granted, asked.protocol, asked.port)
