"""Policies as values: what `parse` makes and everything else reads.

A Policy is a list of rules, each one item of one direction list of one spec, with everything it needs to be
judged alone: whom it protects, which peers and ports it means, whether it denies, whether it turns on default
deny. The order of rules never matters.

Rules are named tuples, since a node makes tens of thousands of them when it starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from namewall.model.errors import Problem
from namewall.model.net import Direction, Network, Protocol
from namewall.policy.map_state import DnsRules, RuleOrigin
from namewall.policy.selectors import CidrSelector, FqdnSelector, LabelSelector, PeerSelector

LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class PortMatch:
    """Ports `first` to `last` of one protocol, or the port called `name` (and on to `last` if that is larger).

    Protocol ANY is every protocol, and then the range is every port. For ICMP and ICMPv6 the range is one type, or
    all of them. `dns` is what may be asked there; None is no DNS judgement. DNS rules stand on single ports only.
    """

    protocol: Protocol
    first: int = 0
    last: int = LAST_PORT
    name: str = ""
    dns: DnsRules | None = None

    @property
    def is_all_ports(self) -> bool:
        return not self.name and self.first == 0 and self.last == LAST_PORT


EVERYTHING = PortMatch(Protocol.ANY)


class Rule(NamedTuple):
    """One item of `ingress`, `ingressDeny`, `egress` or `egressDeny`.

    `peers` empty selects nothing: the rule then only has its default-deny effect. `default_deny` is the effective
    `enableDefaultDeny` of the rule's spec for this direction.
    """

    origin: RuleOrigin
    subject: LabelSelector
    direction: Direction
    peers: tuple[PeerSelector, ...]
    ports: tuple[PortMatch, ...]
    deny: bool = False
    default_deny: bool = True
    log: str = ""
    """Text for the flows it decides (`log.value`)."""
    labels: tuple[str, ...] = ()
    """The user's, as `source:key=value`."""
    description: str = ""


class Verify(IntEnum):
    """What becomes of TLS that does not ask for the name that opened its way. The higher is the stricter."""

    OFF = 0
    AUDIT = 1
    """It passes and is told of."""
    ENFORCE = 2


@dataclass(frozen=True, slots=True)
class Options:
    """What annotations say for every endpoint that the policy selects (policy/metadata.py)."""

    strict: bool = False
    """No name opens a private address."""
    min_ttl: int | None = None
    """Seconds; None is the node's."""
    verify: Verify = Verify.OFF

    def joined(self, other: Options) -> Options:
        """Both hold: the stricter guard and check, the longer TTL."""
        ttls = [ttl for ttl in (self.min_ttl, other.min_ttl) if ttl is not None]
        return Options(self.strict or other.strict, max(ttls, default=None), max(self.verify, other.verify))


@dataclass(frozen=True, slots=True)
class Policy:
    """`unsupported` says which parts are valid but not enforceable here; those rules select nothing."""

    kind: str
    namespace: str
    name: str
    uid: str
    rules: tuple[Rule, ...]
    unsupported: tuple[Problem, ...] = ()
    options: Options = Options()
    audit: bool = False
    """Nothing of it is enforced; what it would change is told."""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.namespace, self.name

    @property
    def holds(self) -> Options:
        """Of its options those that hold: in audit it only tells what its check would drop."""
        return Options(verify=min(self.options.verify, Verify.AUDIT)) if self.audit else self.options


def replaced(policies: Iterable[Policy | None]) -> dict[int, int]:
    """Where policies are applied in order: the numbers of those that one with the same key replaces, each with the
    number of the next one. None is a policy that was not accepted."""
    found: dict[int, int] = {}
    last: dict[tuple[str, str, str], int] = {}
    for number, policy in enumerate(policies):
        if policy is not None:
            if (before := last.get(policy.key)) is not None:
                found[before] = number
            last[policy.key] = number
    return found


def in_force(policies: Sequence[Policy | None]) -> list[Policy]:
    """The accepted ones that no later one replaces."""
    gone = replaced(policies)
    return [policy for number, policy in enumerate(policies) if policy is not None and number not in gone]


def policy_prefixes(policies: Iterable[Policy]) -> frozenset[Network]:
    """Every prefix and except of every policy: the CIDR classes of the node (see map_state.CidrPeer).

    Give it expanded policies (`policy.expand`), else the prefixes of CIDR groups and Services are missing.
    """
    return frozenset(prefix for policy in policies for prefix in prefixes_of(policy))


def prefixes_of(policy: Policy) -> set[Network]:
    """The prefixes and excepts of one policy, each once."""
    prefixes: set[Network] = set()
    for rule in policy.rules:
        for peer in rule.peers:
            if isinstance(peer, CidrSelector):
                prefixes.add(peer.cidr)
                prefixes.update(peer.excepts)
    return prefixes


def fqdn_selectors(policies: Iterable[Policy]) -> frozenset[str]:
    """The normal forms of all toFQDNs items: what an address may be granted for."""
    return frozenset(
        peer.form
        for policy in policies
        for rule in policy.rules
        for peer in rule.peers
        if isinstance(peer, FqdnSelector)
    )


def dns_selectors(policies: Iterable[Policy]) -> frozenset[str]:
    """The normal forms of all items of `rules.dns`, "*" among them where one passes every name."""
    forms: set[str] = set()
    for policy in policies:
        for rule in policy.rules:
            for port in rule.ports:
                if port.dns == "any":
                    forms.add("*")
                elif port.dns is not None:
                    forms.update(port.dns)
    return frozenset(forms)
