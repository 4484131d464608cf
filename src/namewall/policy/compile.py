"""From policies to the MapState of one label set: what the kernel looks up (semantics.md sections 5, 6).

Invariant: for every flow, `lookup(compile(…))` is what `decide` says. All that depends on more than one rule
is settled here, so that the kernel needs one longest-prefix match for each peer:

  - default deny, and the wildcard allow where no rule asks for it;
  - the host's way into local pods, and the closed ranges' way to nowhere, are entries like any other;
  - an allow that a deny of the same peer covers is left out: a longest match would find it first;
  - what DNS questions may ask at a peer and port is the union over all selectors that select the peer there,
    the wildcard among them; a plain allow in that union is every name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from namewall.model.identity import Reserved
from namewall.model.labels import Labels
from namewall.model.net import Direction, Protocol
from namewall.policy.classes import Classes
from namewall.policy.identity_index import IdentityIndex
from namewall.policy.map_state import (
    AnyPeer,
    DnsRules,
    FqdnPeer,
    IdentityPeer,
    MapState,
    Peer,
    PolicyEntry,
    PolicyKey,
    RuleOrigin,
)
from namewall.policy.ports import L4, NO_NAMES, PORT_BITS, NamedPorts, blocks, names_for
from namewall.policy.rules import Policy, Rule, policy_prefixes
from namewall.policy.selectors import WILDCARD, CidrSelector, FqdnSelector, PeerSelector
from namewall.policy.terms import Filters, Posture, collect, judging, names_of, posture, telling

ANY_PEER = AnyPeer()
HOST, CLOSED = IdentityPeer(Reserved.HOST), IdentityPeer(Reserved.CLOSED)


def compile(
    policies: Iterable[Policy],
    subject: Labels,
    identities: Mapping[int, Labels],
    *,
    own_ports: NamedPorts = NO_NAMES,
    cluster_ports: NamedPorts = NO_NAMES,
    addressless: bool = False,
    audit: bool = False,
) -> MapState:
    """The MapState of endpoints whose identity is `subject`; with `audit` by policies in audit too, as in `decide`.

    `identities` are the pods' (the reserved ones are known). `own_ports` are the subject's named container
    ports (for ingress), `cluster_ports` those of all pods (for egress). Policies must be expanded
    (`policy.expand`). `addressless` for scenarios whose pods have no addresses.
    """
    known = list(policies)
    counting = (policy for policy in known if audit or not policy.audit)
    rules = [rule for policy in counting for rule in policy.rules if rule.subject.matches(subject)]
    classes = Classes(IdentityIndex(identities), policy_prefixes(known), addressless=addressless)
    return compile_sides(sides(rules, subject, own_ports, cluster_ports), classes)


Block = tuple[int, int, int]
"""Protocol, port and port bits of a key."""


# --- what the rules say --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Side:
    """One direction of a subject: what its rules say by L4 and selector. It knows of no identity and no prefix."""

    direction: Direction
    stance: Posture
    allows: Filters
    denies: Filters
    tell: Mapping[Block, frozenset[L4]]
    """Where some selector has DNS rules, and which L4s tell there what may be asked."""
    judged: frozenset[Block]
    """Where the wildcard has them: a plain allow of the same block is nothing beside it."""

    def selectors(self) -> set[PeerSelector]:
        return {
            selector
            for filters in (self.allows, self.denies)
            for terms in filters.values()
            for selector in terms
        }


def sides(
    rules: Iterable[Rule], subject: Labels, own_ports: NamedPorts, cluster_ports: NamedPorts
) -> tuple[Side, Side]:
    """Ingress and egress. `rules` are those that select the subject."""
    known = list(rules)

    def side(direction: Direction) -> Side:
        names = names_for(direction, own_ports, cluster_ports)
        mine = [rule for rule in known if rule.direction is direction]
        stance = posture(mine, subject)
        allows, denies = collect(mine, names, stance) if stance.enforced else ({}, {})
        asking: dict[Block, set[L4]] = {}
        judged: set[Block] = set()
        for l4, terms in allows.items():
            if judging(terms):
                for block in _blocks(l4):
                    asking.setdefault(block, set()).add(l4)
                if WILDCARD in terms and terms[WILDCARD].judged:
                    judged.update(_blocks(l4))
        tell = {block: telling(l4s, stance) for block, l4s in asking.items()}
        return Side(direction, stance, allows, denies, tell, frozenset(judged))

    return side(Direction.INGRESS), side(Direction.EGRESS)


# --- what each peer gets -------------------------------------------------------------------------------------------

EVERY_PORT: Block = (0, 0, 0)


@lru_cache(maxsize=4096)
def _blocks(l4: L4) -> tuple[Block, ...]:
    if l4.protocol is Protocol.ANY:
        return (EVERY_PORT,)
    return tuple((int(l4.protocol), port, bits) for port, bits in blocks(l4.first, l4.last))


def _rows(side: Side, selectors: Iterable[PeerSelector]) -> dict[Block, PolicyEntry]:
    """What a peer gets that these selectors, and no others, select. ANY_PEER is what the wildcard selects."""
    chosen = tuple(selectors)
    denies: dict[Block, set[RuleOrigin]] = {}
    for l4, terms in side.denies.items():
        for selector in chosen:
            if term := terms.get(selector):
                for block in _blocks(l4):
                    denies.setdefault(block, set()).update(term.origins)
    allows: dict[Block, set[RuleOrigin]] = {}
    judged: set[Block] = set()
    speaking: set[Block] = set()
    for l4, terms in side.allows.items():
        parts = [term for selector in chosen if (term := terms.get(selector))]
        if not parts:
            continue
        origins = set().union(*(term.origins for term in parts))
        for block in _blocks(l4):
            allows.setdefault(block, set()).update(origins)
            if block in side.tell:
                if any(term.judged for term in parts):
                    judged.add(block)
                if l4 in side.tell[block]:
                    speaking.add(block)
    rows = {
        block: PolicyEntry(deny=True, origins=tuple(sorted(origins))) for block, origins in denies.items()
    }
    for block, origins in allows.items():
        if not denies or not any(wider in denies for wider in _covering(*block)):
            dns = _names(side, block, chosen) if block in judged or block in side.judged else None
            aside = dns is None and block in side.tell and block not in speaking
            rows[block] = PolicyEntry(dns=dns, origins=tuple(sorted(origins)), aside=aside)
    return rows


def _names(side: Side, block: Block, chosen: Iterable[PeerSelector]) -> DnsRules:
    """What may be asked there of a peer that these select, and with it the wildcard."""
    selectors = {*chosen, WILDCARD}
    told = (side.allows[l4] for l4 in side.tell[block])
    return names_of(terms[selector] for terms in told for selector in selectors if selector in terms)


def _covering(protocol: int, port: int, port_bits: int) -> Iterator[Block]:
    """The block itself and every one that covers it, longest first."""
    if protocol:
        for bits in range(port_bits, -1, -1):
            yield protocol, port >> (PORT_BITS - bits) << (PORT_BITS - bits), bits
    yield EVERY_PORT


def covering(key: PolicyKey) -> Iterator[PolicyKey]:
    """The key itself and every key of the same peer that covers it, longest first."""
    for block in _covering(key.protocol, key.port, key.port_bits):
        yield PolicyKey(key.direction, key.peer, *block)


def entries_of(side: Side, peer: Peer, selectors: Iterable[PeerSelector]) -> dict[PolicyKey, PolicyEntry]:
    """All entries of one peer, which these selectors select."""
    if not side.stance.enforced:
        return {}
    rows = _rows(side, selectors)
    return _fixed(
        side, {PolicyKey(side.direction, peer, *block): entry for block, entry in rows.items()}, peer
    )


def _fixed(side: Side, entries: dict[PolicyKey, PolicyEntry], *peers: Peer) -> dict[PolicyKey, PolicyEntry]:
    """What holds without a rule: the host may come in; nothing reaches the closed ranges."""
    if HOST in peers and side.direction is Direction.INGRESS:
        entries.setdefault(PolicyKey(side.direction, HOST), PolicyEntry())
    if CLOSED in peers and side.stance.default_deny:
        entries[PolicyKey(side.direction, CLOSED)] = PolicyEntry(deny=True)
    return entries


# --- all peers -----------------------------------------------------------------------------------------------------


def compile_sides(both: tuple[Side, Side], classes: Classes) -> MapState:
    """The MapState of two sides. Peers that the same selectors select get the same rows, worked out once."""
    entries: dict[PolicyKey, PolicyEntry] = {}
    for side in both:
        if not side.stance.enforced:
            continue
        direction, found = side.direction, {}
        for selectors, peers in _alike(side.selectors(), classes):
            rows = list(_rows(side, selectors).items())
            for peer in peers:
                for (protocol, port, bits), entry in rows:
                    found[PolicyKey(direction, peer, protocol, port, bits)] = entry
        entries |= _fixed(side, found, HOST, CLOSED)
    ingress, egress = both
    return MapState(ingress.stance.enforced, egress.stance.enforced, entries)


Alike = tuple[tuple[PeerSelector, ...], Iterable[Peer]]


def _alike(selectors: Iterable[PeerSelector], classes: Classes) -> Iterator[Alike]:
    """Every peer that something selects, with others of the same selectors."""
    groups: list[tuple[int, tuple[PeerSelector, ...]]] = []
    addressed: dict[Peer, tuple[PeerSelector, ...]] = {}
    for selector in selectors:
        if selector == WILDCARD:
            addressed[ANY_PEER] = (WILDCARD,)
            continue
        groups = _split(groups, classes.identities(selector), selector)
        if isinstance(selector, FqdnSelector):
            addressed[FqdnPeer(selector.form)] = (selector,)
        elif isinstance(selector, CidrSelector):
            for block in classes.cidrs(selector):
                addressed[block] = (*addressed.get(block, ()), selector)
    for bits, chosen in groups:
        yield chosen, classes.index.peers(bits)
    for peer, chosen in addressed.items():
        yield chosen, (peer,)


def _split(
    groups: list[tuple[int, tuple[PeerSelector, ...]]], bits: int, selector: PeerSelector
) -> list[tuple[int, tuple[PeerSelector, ...]]]:
    """The groups of identities, further divided by one selector, `bits` of which it selects."""
    found = []
    for members, chosen in groups:
        both = members & bits
        if both:
            found.append((both, (*chosen, selector)))
            bits ^= both
        if both != members:
            found.append((members ^ both, chosen))
    if bits:
        found.append((bits, (selector,)))
    return found


__all__ = ["ANY_PEER", "Classes", "compile", "covering"]
