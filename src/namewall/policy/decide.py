"""The verdict for one flow, and the rules that decided it: policy as it reads (spec/semantics.md).

Slower than a compiled MapState and free of it: peers are matched by their labels, addresses and names, not by
numbers. Law: decide ≡ lookup(compile(…)) ≡ spec/oracle. Used by simulate, explain and test.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from namewall.model.identity import Reserved
from namewall.model.labels import RESERVED_LABELS, Labels
from namewall.model.net import Address, Direction
from namewall.policy.lookup import (
    ALLOWED,
    DNS_REFUSED,
    NO_POLICY,
    POLICY_DENIED,
    POLICY_DENY,
    Verdict,
    dns_passes,
)
from namewall.policy.map_state import DnsRules, RuleOrigin
from namewall.policy.patterns import granted
from namewall.policy.ports import L4, NO_NAMES, NamedPorts, names_for
from namewall.policy.rules import Policy, Rule
from namewall.policy.selectors import CidrSelector, FqdnSelector, LabelSelector, PeerSelector
from namewall.policy.terms import (
    Filters,
    Posture,
    Term,
    collect,
    judging,
    names_of,
    posture,
    selecting,
    telling,
)


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """What is known of the other end.

    `inside` is True for pods, nodes and the closed ranges. An address outside the cluster has the labels of
    reserved:world-ipv4 or -ipv6. `names` are the canonical names the address was learned under.
    """

    labels: Labels = frozenset()
    address: Address | None = None
    inside: bool = True
    names: frozenset[str] = frozenset()
    closed: bool = False
    host: bool = False

    @classmethod
    def reserved(cls, number: int, address: Address | None = None) -> PeerFacts:
        return cls(RESERVED_LABELS[number], address, host=number == Reserved.HOST)

    @classmethod
    def outside(cls, address: Address, names: Iterable[str] = ()) -> PeerFacts:
        number = Reserved.WORLD_IPV4 if address.version == 4 else Reserved.WORLD_IPV6
        return cls(RESERVED_LABELS[number], address, inside=False, names=frozenset(names))


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is a drop reason (semantics.md section 12), `allowed`, `no_policy` or `dns_refused`.

    `rules` are those that decided: the denies, or the allows of the winning L4; none where no rule did. `dns`
    None means that names are not judged.
    """

    verdict: Verdict
    reason: str
    rules: tuple[RuleOrigin, ...] = ()
    dns: DnsRules | None = None


def decide(
    policies: Iterable[Policy],
    subject: Labels,
    direction: Direction,
    peer: PeerFacts,
    protocol: int,
    port: int,
    *,
    question: str | None = None,
    own_ports: NamedPorts = NO_NAMES,
    cluster_ports: NamedPorts = NO_NAMES,
    audit: bool = False,
) -> Decision:
    """One flow, as `SubjectRules.decide` says it.

    By the policies enforced; with `audit` by those in audit too (spec/semantics.md section 10). Policies must be
    expanded (`policy.expand`).
    """
    counting = (policy for policy in policies if audit or not policy.audit)
    rules = (rule for policy in counting for rule in policy.rules)
    names = names_for(direction, own_ports, cluster_ports)
    return SubjectRules(rules, subject, direction, names).decide(peer, protocol, port, question=question)


class SubjectRules:
    """What rules say of a subject in one direction, collected once for many flows.

    `rules` may be those for others too; `names` are the ports by name that they mean.
    """

    def __init__(
        self, rules: Iterable[Rule], subject: Labels, direction: Direction, names: NamedPorts = NO_NAMES
    ) -> None:
        mine = selecting(rules, subject, direction)
        self._direction = direction
        self._stance = posture(mine, subject)
        self._allows, self._denies = collect(mine, names, self._stance) if self._stance.enforced else ({}, {})

    def decide(self, peer: PeerFacts, protocol: int, port: int, *, question: str | None = None) -> Decision:
        """One new connection, `port` the destination's (for ICMP the type).

        With `question`, a DNS question for that name is sent over it, and is refused if names are judged and it
        may not be asked.
        """
        if not self._stance.enforced:
            return Decision("allow", NO_POLICY)
        denying = [term for _, _, term in _hits(self._denies, peer, protocol, port)]
        if denying or (peer.closed and self._stance.default_deny):
            return Decision("deny", POLICY_DENY, _origins(denying))
        decision = _allowed(self._allows, self._stance, peer, protocol, port)
        if decision is None:
            if peer.host and self._direction is Direction.INGRESS:
                return Decision("allow", ALLOWED)
            return Decision("deny", POLICY_DENIED)
        if question is not None and not dns_passes(decision.dns, question):
            return Decision("deny", DNS_REFUSED, decision.rules, decision.dns)
        return decision


Class = str
"""What the kernel tells one address's peers apart by: `identity`, `cidr`, `block`, `fqdn:FORM`, `any`."""


def _class(selector: PeerSelector, peer: PeerFacts) -> Class | None:
    """As which of its classes the selector selects this peer; None if it does not."""
    if isinstance(selector, LabelSelector):
        if selector.is_wildcard:
            return "any"
        return "identity" if peer.labels and selector.matches(peer.labels) else None
    if isinstance(selector, CidrSelector):
        if peer.address is None:
            known = selector.unaddressed is not None and selector.unaddressed.matches(peer.labels)
            return "identity" if known else None
        if (selector.pods or not peer.inside) and selector.selects_address(peer.address):
            return "block" if selector.pods else "cidr"
        return None
    if isinstance(selector, FqdnSelector) and not peer.inside:
        known = any(granted(selector.form, name) for name in peer.names)
        return f"fqdn:{selector.form}" if known else None
    return None


def _hits(filters: Filters, peer: PeerFacts, protocol: int, port: int) -> list[tuple[L4, Class, Term]]:
    return [
        (l4, as_class, term)
        for l4, terms in filters.items()
        if l4.covers(protocol, port)
        for selector, term in terms.items()
        if (as_class := _class(selector, peer)) is not None
    ]


def _allowed(allows: Filters, stance: Posture, peer: PeerFacts, protocol: int, port: int) -> Decision | None:
    hits = _hits(allows, peer, protocol, port)
    if not hits:
        return None
    longest = max(l4.rank_at(port) for l4, _, _ in hits)
    top = [hit for hit in hits if hit[0].rank_at(port) == longest]
    classes = {as_class for _, as_class, _ in top} - {"any"} or {"any"}
    asking = (
        l4
        for l4, terms in allows.items()
        if l4.covers(protocol, port) and l4.rank_at(port) == longest and judging(terms)
    )
    tell = telling(asking, stance)
    chosen = [term for _, as_class, term in top if as_class in classes]
    judged = any(term.judged for _, _, term in top)
    dns = names_of(term for l4, _, term in top if l4 in tell) if judged else None
    return Decision("allow", ALLOWED, _origins(chosen), dns)


def _origins(terms: Iterable[Term]) -> tuple[RuleOrigin, ...]:
    found = {origin for term in terms for origin in term.origins}
    return tuple(sorted(found, key=lambda o: (o.kind, o.namespace, o.name, o.rule)))
