"""The policy of one label set as a value: what the kernel's policy map must hold for it.

`compile` makes a MapState, `lookup` reads one as the kernel does, `datapath` writes it into maps. Endpoints
with the same identity share one MapState.

Precedence (semantics.md section 6): every matching deny beats every allow; among allows the longer L4 match
wins; equally long, a specific peer beats ANY_PEER. The kernel looks a packet up once per peer it has (its
identity, its CIDR class where that counts, each live granted name class) and once for ANY_PEER.

Keys, peers and entries are named tuples: there are hundreds for each endpoint, and a tuple is made, hashed and
compared without running Python. No two kinds of peer are ever equal, since their members differ in type or number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from namewall.model.net import Direction, Network


class AnyPeer(NamedTuple):
    """Every peer, known or not."""


class IdentityPeer(NamedTuple):
    """Peers with this numeric identity (pods, reserved entities)."""

    number: int


class CidrPeer(NamedTuple):
    """Peers whose longest policy prefix is `prefix` (every prefix and except of every policy is one).

    With `pods` the class also counts for peers inside the cluster, as NetworkPolicy's ipBlock means it;
    without, only for peers outside it, as Cilium's kinds mean it.
    """

    prefix: Network
    pods: bool = False


class FqdnPeer(NamedTuple):
    """Addresses granted to the endpoint under a name that the FQDN selector matches.

    `selector` is a toFQDNs item's normal form (`policy.patterns.normalize`): lower-case with the trailing dot,
    a name if it has no star, else a pattern; "*" for every form of match-all.
    """

    selector: str


Peer = AnyPeer | IdentityPeer | CidrPeer | FqdnPeer

DnsRules = frozenset[str] | Literal["any"]
"""Names that may be asked for: normal forms as in FqdnPeer, or "any" for every name (a DNS rule's match-all)."""


class PolicyKey(NamedTuple):
    """`protocol` 0 is any, then `port_bits` is 0. The port is a prefix of `port_bits` (0 to 16) of its bits.

    For ICMP and ICMPv6 `port` is the type, `port_bits` 16 or 0.
    """

    direction: Direction
    peer: Peer
    protocol: int = 0
    port: int = 0
    port_bits: int = 0


class RuleOrigin(NamedTuple):
    """Which rule made an entry. `rule` is its zero-based path, as `spec.egress[1]`."""

    kind: str
    namespace: str
    name: str
    rule: str


class PolicyEntry(NamedTuple):
    """`dns` is None for a plain allow or a deny, else what may be asked on this port (UDP or TCP).

    `aside`: a plain allow of another L4 than the DNS rules that stand at this port. It lets pass as any does, and
    adds no names where another class of the same peer has them judged.
    """

    deny: bool = False
    dns: DnsRules | None = None
    origins: tuple[RuleOrigin, ...] = ()
    aside: bool = False


@dataclass(frozen=True, slots=True)
class MapState:
    """`enforce[d]` False means no rule selects the endpoint in direction d: all passes (audit aside)."""

    enforce_ingress: bool
    enforce_egress: bool
    entries: Mapping[PolicyKey, PolicyEntry]

    def enforces(self, direction: Direction) -> bool:
        return self.enforce_ingress if direction is Direction.INGRESS else self.enforce_egress


ALLOW_ALL = MapState(enforce_ingress=False, enforce_egress=False, entries={})
