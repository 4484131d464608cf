"""A MapState read as the kernel reads it: the twin of bpf/policy.h (map_state.py has the precedence).

One longest-prefix match for each peer the packet has (its identity, its CIDR classes, each granted FQDN selector)
and one for any peer. Any deny found wins. Among allows the longest L4 wins; equally long, a specific peer's
beats any peer's; of several specific ones all speak: names are a union, and one without DNS rules beside one
with them is every name, unless it is aside: of an L4 that does not tell what may be asked there (terms.telling).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from namewall.model.net import Address, Direction, Network
from namewall.policy.compile import ANY_PEER, covering
from namewall.policy.dns_types import passes
from namewall.policy.map_state import (
    CidrPeer,
    DnsRules,
    FqdnPeer,
    IdentityPeer,
    MapState,
    Peer,
    PolicyEntry,
    PolicyKey,
)
from namewall.policy.patterns import Pattern, granted
from namewall.policy.ports import PORT_BITS

Verdict = Literal["allow", "deny"]

ALLOWED = "allowed"
NO_POLICY = "no_policy"
DNS_REFUSED = "dns_refused"
POLICY_DENIED = "POLICY_DENIED"
"""No rule allows it: default deny (drop reason 133)."""
POLICY_DENY = "POLICY_DENY"
"""A deny rule denies it (drop reason 181)."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """`dns` None: no judgement of names; else what may be asked. `entries` decided, none for the default."""

    verdict: Verdict
    reason: str
    dns: DnsRules | None = None
    entries: tuple[PolicyEntry, ...] = ()

    def passes(self, name: str) -> bool:
        """May `name` be asked over this flow."""
        return self.verdict == "allow" and dns_passes(self.dns, name)


def dns_passes(dns: DnsRules | None, name: str, question_type: int = 1) -> bool:
    return (
        dns is None
        or dns == "any"
        or any(passes(form, question_type) and Pattern(form).passes(name) for form in dns)
    )


def cidr_classes(address: Address, prefixes: Iterable[Network], inside: bool) -> tuple[CidrPeer, ...]:
    """The CIDR peers of an address: its longest policy prefix, for ipBlock always, else only if not `inside`."""
    holding = [prefix for prefix in prefixes if address in prefix]
    if not holding:
        return ()
    longest = max(holding, key=lambda prefix: prefix.prefixlen)
    block = CidrPeer(longest, pods=True)
    return (block,) if inside else (CidrPeer(longest), block)


def granted_selectors(names: Iterable[str], selectors: Iterable[str]) -> frozenset[str]:
    """The FQDN selectors that an address learned under these canonical names is granted to."""
    known = list(names)
    return frozenset(form for form in selectors if any(granted(form, name) for name in known))


def lookup(
    state: MapState,
    direction: Direction,
    identity: int,
    cidrs: Collection[CidrPeer],
    granted: Collection[str],
    protocol: int,
    port: int,
) -> Lookup:
    """The verdict for a new connection. `port` is the destination's, for ICMP the type.

    `cidrs` as `cidr_classes` gives them, `granted` the FQDN selectors granted for the peer's address.
    """
    if not state.enforces(direction):
        return Lookup("allow", NO_POLICY)
    specific: list[Peer] = [IdentityPeer(identity), *cidrs, *map(FqdnPeer, granted)]
    found: list[tuple[tuple[bool, int, bool], PolicyEntry]] = []
    for peer in (*specific, ANY_PEER):
        match = _longest(state, PolicyKey(direction, peer, protocol, port, PORT_BITS))
        if match is not None:
            key, entry = match
            found.append(((bool(key.protocol), key.port_bits, peer != ANY_PEER), entry))
    denies = tuple(entry for _, entry in found if entry.deny)
    if denies:
        return Lookup("deny", POLICY_DENY, entries=denies)
    if not found:
        return Lookup("deny", POLICY_DENIED)
    best = max(rank for rank, _ in found)
    entries = tuple(entry for rank, entry in found if rank == best)
    return Lookup("allow", ALLOWED, spoken(entries), entries)


def spoken(entries: Iterable[PolicyEntry]) -> DnsRules | None:
    """What allows of equal rank say of names together; those aside say nothing."""
    return union([entry.dns for entry in entries if not entry.aside])


def union(rules: Collection[DnsRules | None]) -> DnsRules | None:
    """What entries of equal rank say of names together: nothing if none judges, else the union."""
    if all(dns is None for dns in rules):
        return None
    names: frozenset[str] = frozenset()
    for dns in rules:
        if dns is None or dns == "any":
            return "any"
        names |= dns
    return names


def _longest(state: MapState, key: PolicyKey) -> tuple[PolicyKey, PolicyEntry] | None:
    for wider in covering(key):
        entry = state.entries.get(wider)
        if entry is not None:
            return wider, entry
    return None
