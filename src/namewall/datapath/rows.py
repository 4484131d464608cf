"""From NodeTables to the rows of the kernel's maps: pure, bytes to bytes.

What is settled here and not in the kernel: a toFQDNs selector becomes one row for each name class it is in;
NetworkPolicy's ipBlock (which counts for pods too) and Cilium's CIDR rules share one peer for the outside;
a service becomes the different (peer, port) pairs that policy must allow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Generic, TypeVar

from namewall.datapath import layout
from namewall.datapath.numbers import Numbers
from namewall.model.flow import Flow
from namewall.model.identity import Reserved
from namewall.model.net import Address, Direction, Network, Protocol
from namewall.policy.dns_types import mask_of, pattern_of
from namewall.policy.lookup import spoken
from namewall.policy.map_state import (
    ALLOW_ALL,
    CidrPeer,
    FqdnPeer,
    IdentityPeer,
    MapState,
    Peer,
    PolicyEntry,
)
from namewall.policy.rules import Verify
from namewall.state.tables import EndpointRow, IpcacheRow, NodeTables, ServiceBackend, VipKey

Rows = dict[bytes, bytes]
Selectors = Mapping[str, Sequence[int]]
"""Selector key (`fqdn:FORM`, `dns:FORM`) → the numbers of the classes it is in."""

ALL_IPV4 = layout.pack_prefix(ip_network("0.0.0.0/0"))
NO_CLASS = layout.NUMBER.pack(0)
"""IPv4 addresses lie in ::ffff:0:0/96 as keys, and so in ::/0: a row for all of IPv4 is always there."""
TOO_MANY = layout.SERVICE.pack(layout.MAX_BACKENDS + 1, b"")


def name_forms(tables: NodeTables) -> tuple[set[str], set[str]]:
    """All toFQDNs forms and all forms of DNS rules of the node."""
    fqdn: set[str] = set()
    dns: set[str] = set()
    for state in tables.policies.values():
        for key, entry in state.entries.items():
            if isinstance(key.peer, FqdnPeer):
                fqdn.add(key.peer.selector)
            if isinstance(entry.dns, frozenset):
                dns.update(map(pattern_of, entry.dns))
    for row in tables.endpoints.values():
        dns |= search_forms(row)
    return fqdn, dns


def search_forms(row: EndpointRow) -> frozenset[str]:
    """The names below its search domains."""
    return frozenset(f"**.{domain}" for domain in row.search)


def prefixes_of(tables: NodeTables) -> set[Network]:
    """The CIDR classes of the node."""
    named = {
        key.peer.prefix
        for state in tables.policies.values()
        for key in state.entries
        if isinstance(key.peer, CidrPeer)
    }
    return named | tables.prefixes


def _peers(peer: Peer, numbers: Numbers, selectors: Selectors) -> Iterable[int]:
    if isinstance(peer, IdentityPeer):
        return (peer.number,)
    if isinstance(peer, CidrPeer):
        number = numbers.of_prefix(peer.prefix)
        outside = layout.PEER_CIDR | number
        return (outside, layout.PEER_CIDR_INSIDE | number) if peer.pods else (outside,)
    if isinstance(peer, FqdnPeer):
        return (layout.PEER_NAME | number for number in selectors.get(f"fqdn:{peer.selector}", ()))
    return (0,)


L4 = tuple[int, int, int, int]
"""Direction, protocol, port, port bits."""


def policy_rows(state: MapState, policy: int, numbers: Numbers, selectors: Selectors) -> Rows:
    """All rows of one policy under the number `policy`."""
    by_peer: dict[int, dict[L4, PolicyEntry]] = defaultdict(dict)
    for (direction, known, protocol, port, port_bits), entry in state.entries.items():
        l4 = (int(direction), protocol, port, port_bits)
        for peer in _peers(known, numbers, selectors):
            entries = by_peer[peer]
            entries[l4] = _together(entries[l4], entry) if l4 in entries else entry
    values: dict[tuple[int, PolicyEntry], bytes] = {}  # few, beside so many rows
    rows: Rows = {}
    for peer, entries in by_peer.items():
        for l4, entry in _without_covered(entries).items():
            bits = 8 + l4[3] if l4[1] else 0
            value = values.get((bits, entry))
            if value is None:
                value = values[bits, entry] = _policy_entry(l4, entry, numbers)
            rows[policy_key(policy, peer, *l4)] = value
    return rows


def _together(one: PolicyEntry, other: PolicyEntry) -> PolicyEntry:
    """Two selectors with one peer number and one port: both speak (policy/lookup.py, `spoken`)."""
    if one.deny or other.deny:
        return PolicyEntry(deny=True)
    return PolicyEntry(dns=spoken((one, other)), aside=one.aside and other.aside)


def _without_covered(entries: dict[L4, PolicyEntry]) -> dict[L4, PolicyEntry]:
    """An allow that a deny of the same peer covers would be the longer match: it goes."""
    denies = [l4 for l4, entry in entries.items() if entry.deny]
    if not denies or len(denies) == len(entries):
        return entries
    return {
        l4: entry
        for l4, entry in entries.items()
        if entry.deny or not any(_covers(wide, l4) for wide in denies)
    }


def _covers(wide: L4, narrow: L4) -> bool:
    if wide[0] != narrow[0]:
        return False
    if not wide[1]:
        return True
    shift = 16 - wide[3]
    return wide[1] == narrow[1] and wide[3] <= narrow[3] and wide[2] >> shift == narrow[2] >> shift


def policy_key(policy: int, peer: int, direction: int, protocol: int, port: int, port_bits: int) -> bytes:
    length = layout.POLICY_WHOLE + (8 + port_bits if protocol else 0)
    return layout.POLICY_KEY.pack(length, policy, peer, direction, protocol, port.to_bytes(2, "big"))


def _policy_entry(l4: L4, entry: PolicyEntry, numbers: Numbers) -> bytes:
    flags, rules = layout.POLICY_ASIDE if entry.aside else 0, 0
    if entry.deny:
        flags = layout.POLICY_DENY
    elif entry.dns == "any":
        flags = layout.POLICY_DNS | layout.POLICY_DNS_ANY
    elif entry.dns is not None:
        flags = layout.POLICY_DNS
        rules = numbers.of_rules(entry.dns)
    return layout.POLICY_ENTRY.pack(flags, 8 + l4[3] if l4[1] else 0, 0, rules)


def renumbered(rows: Rows, policy: int) -> Rows:
    """The same rows for another policy."""
    start = layout.POLICY_KEY.offset("policy")
    number = layout.NUMBER.pack(policy)
    return {key[:start] + number + key[start + 4 :]: value for key, value in rows.items()}


def read_policy_key(raw: bytes) -> tuple[int, int]:
    """The policy and the peer."""
    _, policy, peer, *_ = layout.POLICY_KEY.unpack(raw)
    return policy, peer


def inherit(rows: Mapping[bytes, bytes], classes: Mapping[int, int]) -> Rows:
    """Rows that give new CIDR classes what others have: `classes` is new number → the number it comes from."""
    heirs: dict[int, list[int]] = defaultdict(list)
    for new, old in classes.items():
        heirs[old].append(new)
    found: Rows = {}
    for key, value in rows.items() if classes else ():
        length, policy, peer, direction, protocol, port = layout.POLICY_KEY.unpack(key)
        kind = peer & ~layout.PEER_NUMBER
        if kind in (layout.PEER_CIDR, layout.PEER_CIDR_INSIDE):
            for new in heirs.get(peer & layout.PEER_NUMBER, ()):
                found[layout.POLICY_KEY.pack(length, policy, kind | new, direction, protocol, port)] = value
    return found


def around(prefix: Network, known: Iterable[Network]) -> Network | None:
    """The longest of `known` that `prefix` lies in, other than itself."""
    best: Network | None = None
    for other in known:
        if (
            other.version == prefix.version
            and other.prefixlen < prefix.prefixlen
            and prefix.network_address in other
            and (best is None or other.prefixlen > best.prefixlen)
        ):
            best = other
    return best


def dns_rule_rows(numbers: Numbers, used: Iterable[frozenset[str]], selectors: Selectors) -> Rows:
    rows: Rows = {}
    for forms in used:
        number = numbers.of_rules(forms)
        types: dict[int, int] = defaultdict(int)
        for form in forms:
            for name_class in selectors.get(f"dns:{pattern_of(form)}", ()):
                types[name_class] |= mask_of(form)
        for name_class, mask in types.items():
            rows[layout.DNS_RULE_KEY.pack(number, name_class)] = layout.NUMBER.pack(mask)
    return rows


def rules_of(raw: bytes) -> int:
    """The set of DNS rules that the key of such a row is of."""
    return int(layout.DNS_RULE_KEY.unpack(raw)[0])


def dns_ports_of(tables: NodeTables) -> set[int]:
    """53, where some policy judges names, and the ports of services that lead there."""
    ports = {53} | {
        key.port
        for state in tables.policies.values()
        for key, entry in state.entries.items()
        if entry.dns is not None
    }
    leading = {
        vip.port
        for vip, backends in tables.services.items()
        if any(backend.port in ports for backend in backends)
    }
    return ports | leading


def deciding(
    state: MapState, event: Flow, numbers: Numbers, selectors: Selectors, backend_ports: Collection[int] = ()
) -> list[PolicyEntry]:
    """The entries behind the row that decided: several where selectors share a name class.

    At a service's address a backend's target port was judged, not the packet's: `backend_ports` are all there are.
    """
    ports = backend_ports or (_port_of(event),)
    return [
        entry
        for key, entry in state.entries.items()
        if key.direction is event.direction
        and (8 + key.port_bits if key.protocol else 0) == event.l4_bits
        and (not key.protocol or key.protocol == event.protocol)
        and event.peer in _peers(key.peer, numbers, selectors)
        and any(port >> (16 - key.port_bits) == key.port >> (16 - key.port_bits) for port in ports)
    ]


def _port_of(event: Flow) -> int:
    if event.protocol in (Protocol.ICMP, Protocol.ICMPV6):
        return event.icmp_type
    return event.remote_port if event.direction is Direction.EGRESS else event.local_port


def ipcache_rows(ipcache: Mapping[Network, IpcacheRow]) -> Rows:
    return {
        layout.pack_prefix(prefix): layout.IPCACHE_ENTRY.pack(
            row.identity, layout.INSIDE if row.inside else 0
        )
        for prefix, row in ipcache.items()
    }


T = TypeVar("T")


class Prefixes(Generic[T]):
    """Longest-prefix look-up in Python, for the backends of services."""

    def __init__(self, rows: Mapping[Network, T]) -> None:
        self._by_length: dict[tuple[int, int], dict[int, T]] = defaultdict(dict)
        for prefix, row in rows.items():
            length = (prefix.version, prefix.max_prefixlen - prefix.prefixlen)
            self._by_length[length][int(prefix.network_address) >> length[1]] = row
        self._lengths = sorted(self._by_length)

    def find(self, address: Address) -> T | None:
        for length in self._lengths:
            if length[0] == address.version:
                row = self._by_length[length].get(int(address) >> length[1])
                if row is not None:
                    return row
        return None


def service_rows(
    services: Mapping[VipKey, tuple[ServiceBackend, ...]],
    ipcache: Mapping[Network, IpcacheRow],
    prefixes: Mapping[Network, int],
) -> Rows:
    if not services:
        return {}
    identities, cidrs = Prefixes(ipcache), Prefixes(prefixes)
    rows: Rows = {}
    for vip, backends in services.items():
        pairs = sorted({_backend(backend, identities, cidrs) for backend in backends})
        key = layout.SERVICE_KEY.pack(layout.pack_address(vip.address), vip.port, vip.protocol, b"")
        if len(pairs) > layout.MAX_BACKENDS:
            rows[key] = TOO_MANY
        else:
            packed = b"".join(layout.BACKEND.pack(*pair, 0) for pair in pairs)
            rows[key] = layout.SERVICE.pack(len(pairs), packed)
    return rows


def _backend(
    backend: ServiceBackend, identities: Prefixes[IpcacheRow], cidrs: Prefixes[int]
) -> tuple[int, int, int]:
    row = identities.find(backend.address)
    if row is None:
        world = Reserved.WORLD_IPV4 if backend.address.version == 4 else Reserved.WORLD_IPV6
        row = IpcacheRow(world, inside=False)
    number = cidrs.find(backend.address)
    kind = layout.PEER_CIDR_INSIDE if row.inside else layout.PEER_CIDR
    return row.identity, kind | number if number else 0, backend.port


Numbered = tuple[int, MapState]
"""A policy and the number it has in the kernel."""
NO_AUDIT: Numbered = (0, ALLOW_ALL)


VERIFIES = {Verify.OFF: 0, Verify.AUDIT: layout.VERIFY_IN_AUDIT, Verify.ENFORCE: layout.VERIFY_NAMES}


def endpoint_value(
    row: EndpointRow,
    slot: int,
    policy: Numbered,
    audit: Numbered = NO_AUDIT,
    min_ttl: int = 60,
    search: int = 0,
) -> bytes:
    """`min_ttl` is the node's, `search` the number of the endpoint's `search_forms`, 0 for none."""
    if len(row.addresses) > layout.MAX_ADDRESSES:
        raise ValueError(f"endpoint {row.id} has more than {layout.MAX_ADDRESSES} addresses")
    number, state = policy
    names = (key.peer for one in (state, audit[1]) for key in one.entries)
    flags = (
        _enforced(state)
        | (layout.REBINDING_STRICT if row.strict else 0)
        | VERIFIES[row.verify]
        | (layout.LEARNS_NAMES if any(isinstance(peer, FqdnPeer) for peer in names) else 0)
    )
    addresses = b"".join(map(layout.pack_address, row.addresses))
    return layout.ENDPOINT.pack(
        row.id,
        row.scope,
        slot,
        row.identity,
        number,
        flags,
        row.mac,
        row.gateway_mac,
        len(row.addresses),
        min_ttl if row.min_ttl is None else row.min_ttl,
        search,
        audit[0],
        _enforced(audit[1]),
        addresses,
    )


def _enforced(state: MapState) -> int:
    return (layout.ENFORCE_INGRESS if state.enforce_ingress else 0) | (
        layout.ENFORCE_EGRESS if state.enforce_egress else 0
    )
