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

from namewall.model.identity import Reserved
from namewall.model.labels import Labels
from namewall.model.net import Direction, Network, Protocol
from namewall.policy.identity_index import IdentityIndex
from namewall.policy.map_state import (
    AnyPeer,
    CidrPeer,
    DnsRules,
    FqdnPeer,
    IdentityPeer,
    MapState,
    Peer,
    PolicyEntry,
    PolicyKey,
    RuleOrigin,
)
from namewall.policy.ports import L4, NO_NAMES, PORT_BITS, NamedPorts, blocks
from namewall.policy.rules import Policy, Rule, policy_prefixes
from namewall.policy.selectors import CidrSelector, FqdnSelector, LabelSelector, PeerSelector
from namewall.policy.terms import ALL, Posture, Term, collect, dns_union, posture, selecting

ANY_PEER = AnyPeer()


def compile(
    policies: Iterable[Policy],
    subject: Labels,
    identities: Mapping[int, Labels],
    *,
    own_ports: NamedPorts = NO_NAMES,
    cluster_ports: NamedPorts = NO_NAMES,
    addressless: bool = False,
) -> MapState:
    """The MapState of endpoints whose identity is `subject`.

    `identities` are the pods' (the reserved ones are known). `own_ports` are the subject's named container
    ports (for ingress), `cluster_ports` those of all pods (for egress). Policies must be expanded
    (`policy.expand`); references that are not select nothing. `addressless` for scenarios whose pods have no addresses.
    """
    known = list(policies)
    rules = [rule for policy in known for rule in policy.rules]
    classes = Classes(IdentityIndex(identities), policy_prefixes(known), addressless=addressless)
    return compile_rules(rules, subject, classes, own_ports, cluster_ports)


class Classes:
    """Which peers of the kernel a selector is: the identities and prefixes of the node."""

    def __init__(
        self, index: IdentityIndex, prefixes: Iterable[Network], *, addressless: bool = False
    ) -> None:
        """`addressless`: pods have no addresses, as in scenarios that give none (see CidrSelector)."""
        self.index = index
        self.prefixes = tuple(prefixes)
        self._addressless = addressless
        self._kept: dict[CidrSelector, tuple[Peer, ...]] = {}

    def of(self, selector: PeerSelector) -> Iterable[Peer]:
        """The wildcard is ANY_PEER. References to Services and CIDR groups are nothing: expand them first."""
        if isinstance(selector, LabelSelector):
            if selector.is_wildcard:
                return (ANY_PEER,)
            return map(IdentityPeer, self.index.select(selector))
        if isinstance(selector, FqdnSelector):
            return (FqdnPeer(selector.form),)
        if isinstance(selector, CidrSelector):
            kept = self._kept.get(selector)
            if kept is None:
                kept = tuple(CidrPeer(p, selector.pods) for p in self.prefixes if selector.selects(p))
                if self._addressless and selector.unaddressed is not None:
                    kept += tuple(map(IdentityPeer, self.index.select(selector.unaddressed)))
                self._kept[selector] = kept
            return kept
        return ()


def compile_rules(
    rules: Iterable[Rule],
    subject: Labels,
    classes: Classes,
    own_ports: NamedPorts = NO_NAMES,
    cluster_ports: NamedPorts = NO_NAMES,
) -> MapState:
    """`compile` with what is kept between calls. `rules` may be all rules, or those that select the subject."""
    entries: dict[PolicyKey, PolicyEntry] = {}
    enforced = {}
    known = list(rules)
    for direction, names in ((Direction.INGRESS, own_ports), (Direction.EGRESS, cluster_ports)):
        mine = selecting(known, subject, direction)
        stance = posture(mine, subject)
        enforced[direction] = stance.enforced
        if stance.enforced:
            allows, denies = collect(mine, names, stance)
            table = _Table(direction)
            for l4, terms in denies.items():
                table.deny(l4, _by_peer(terms, classes))
            for l4, terms in allows.items():
                table.allow(l4, _by_peer(terms, classes))
            _fixed(table, direction, stance)
            entries.update(table.entries())
    return MapState(enforced[Direction.INGRESS], enforced[Direction.EGRESS], entries)


def _fixed(table: _Table, direction: Direction, stance: Posture) -> None:
    """What holds without a rule: the host may come in; nothing reaches the closed ranges."""
    term = Term(plain=True)
    if direction is Direction.INGRESS:
        table.allow(ALL, {IdentityPeer(Reserved.HOST): [term]})
    if stance.default_deny:
        table.deny(ALL, {IdentityPeer(Reserved.CLOSED): [term]})


Terms = dict[Peer, list[Term]]


def _by_peer(terms: Mapping[PeerSelector, Term], classes: Classes) -> Terms:
    found: Terms = {}
    for selector, term in terms.items():
        for peer in classes.of(selector):
            found.setdefault(peer, []).append(term)
    return found


class _Table:
    """The entries of one direction while they are put together."""

    def __init__(self, direction: Direction) -> None:
        self._direction = direction
        self._denies: dict[PolicyKey, set[RuleOrigin]] = {}
        self._allows: dict[PolicyKey, tuple[DnsRules | None, set[RuleOrigin]]] = {}

    def _keys(self, peer: Peer, l4: L4) -> Iterator[PolicyKey]:
        if l4.protocol is Protocol.ANY:
            yield PolicyKey(self._direction, peer)
            return
        for port, bits in blocks(l4.first, l4.last):
            yield PolicyKey(self._direction, peer, l4.protocol, port, bits)

    def deny(self, l4: L4, terms: Terms) -> None:
        for peer, parts in terms.items():
            for key in self._keys(peer, l4):
                self._denies.setdefault(key, set()).update(*(term.origins for term in parts))

    def allow(self, l4: L4, terms: Terms) -> None:
        """One L4's allows. Whatever selects a peer there speaks of names, the wildcard too."""
        wild = terms.get(ANY_PEER, [])
        for peer, parts in terms.items():
            dns = dns_union(parts if peer == ANY_PEER else [*parts, *wild])
            origins = {origin for term in parts for origin in term.origins}
            for key in self._keys(peer, l4):
                known = self._allows.get(key)
                # Another L4 has this very block (the end of a range): there the one with DNS rules stands.
                self._allows[key] = (
                    (dns, origins) if known is None else (_stricter(known[0], dns), known[1] | origins)
                )

    def entries(self) -> Iterator[tuple[PolicyKey, PolicyEntry]]:
        for key, origins in self._denies.items():
            yield key, PolicyEntry(deny=True, origins=_sorted(origins))
        peers = {key.peer for key in self._denies}
        for key, (dns, origins) in self._allows.items():
            if key.peer not in peers or not any(wider in self._denies for wider in covering(key)):
                yield key, PolicyEntry(dns=dns, origins=_sorted(origins))


def _stricter(one: DnsRules | None, other: DnsRules | None) -> DnsRules | None:
    if one is None or other is None:
        return other if one is None else one
    return "any" if one == "any" or other == "any" else one | other


def covering(key: PolicyKey) -> Iterator[PolicyKey]:
    """The key itself and every key of the same peer that covers it, longest first."""
    if key.protocol:
        for bits in range(key.port_bits, -1, -1):
            port = key.port >> (PORT_BITS - bits) << (PORT_BITS - bits)
            yield PolicyKey(key.direction, key.peer, key.protocol, port, bits)
    yield PolicyKey(key.direction, key.peer)


def _sorted(origins: Iterable[RuleOrigin]) -> tuple[RuleOrigin, ...]:
    return tuple(sorted(origins, key=lambda o: (o.kind, o.namespace, o.name, o.rule)))


__all__ = ["ANY_PEER", "Classes", "compile", "compile_rules", "covering"]
