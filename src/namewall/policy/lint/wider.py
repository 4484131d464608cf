"""Which rules may say all that another says: found by an index of their peers, so that a long policy is quick to lint.

Sound the safe way round: a rule that `contained.rule_within` would find is never left out; what is given is still to be
asked.
"""

from __future__ import annotations

from collections.abc import Iterable

from namewall.policy.lint.contained import own_requirements
from namewall.policy.rules import Rule
from namewall.policy.selectors import CidrSelector, FqdnSelector, LabelSelector, PeerSelector, Requirement

_Numbered = list[tuple[int, Rule]]
_EVERY = "every"
"""The bucket of peers that may hold any other."""


class Wider:
    """Over rules of one direction that protect the same subject, in their order."""

    def __init__(self, rules: Iterable[tuple[int, Rule]]) -> None:
        self._rules: _Numbered = list(rules)
        self._buckets: dict[object, dict[int, None]] = {}
        for number, (_, rule) in enumerate(self._rules):
            for peer in rule.peers:
                self._buckets.setdefault(_bucket(peer), {})[number] = None

    def candidates(self, rule: Rule) -> _Numbered:
        """Those with a peer that may hold each peer of the rule."""
        found: set[int] | None = None
        for peer in rule.peers[:4]:
            near = {number for bucket in _asked(peer) for number in self._buckets.get(bucket, ())}
            found = near if found is None else found & near
        return [self._rules[number] for number in sorted(found or ())]


def _bucket(peer: PeerSelector) -> object:
    """Where a peer waits to be asked whether it holds another."""
    if isinstance(peer, FqdnSelector):
        return ("pattern",) if "*" in peer.form else peer
    if isinstance(peer, CidrSelector):
        return ("cidr",)
    if isinstance(peer, LabelSelector):
        if peer.is_wildcard:
            return _EVERY
        anchors = sorted(_anchors(own_requirements(peer))) or sorted(_anchors(peer.requirements))
        return anchors[0] if anchors else ("labels",)
    return peer


def _asked(peer: PeerSelector) -> list[object]:
    """The buckets of those that may hold it."""
    if isinstance(peer, FqdnSelector):
        return [_EVERY, ("pattern",), peer]
    if isinstance(peer, CidrSelector):
        return [_EVERY, ("cidr",)]
    if isinstance(peer, LabelSelector):
        return [_EVERY, ("labels",), *_anchors(peer.requirements)]
    return [_EVERY, peer]


def _anchors(requirements: Iterable[Requirement]) -> set[tuple[str, str]]:
    """(key, value) of the conditions for one value: what holds the peer can ask for no other."""
    return {(r.key, next(iter(r.values))) for r in requirements if r.operator == "In" and len(r.values) == 1}
