"""Which rules may say all that another says: found by an index of their peers, so that a long policy is quick to lint.

Sound the safe way round: a rule that `contained.rule_within` would find is never left out, nor a peer that
`contained.peer_within` would; what is given is still to be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from namewall.model.net import Network
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
        self._buckets: dict[object, list[tuple[int, PeerSelector]]] = {}
        for number, (_, rule) in enumerate(self._rules):
            for peer in rule.peers:
                self._buckets.setdefault(_bucket(peer), []).append((number, peer))

    def candidates(self, rule: Rule) -> _Numbered:
        """Those with a peer that may hold each peer of the rule."""
        found: set[int] | None = None
        for peer in rule.peers[:4]:
            near = {number for number, _ in self._near(peer)}
            found = near if found is None else found & near
        return [self._rules[number] for number in sorted(found or ())]

    def peers(self, peer: PeerSelector) -> Iterator[PeerSelector]:
        """Those that may hold it."""
        return (each for _, each in self._near(peer))

    def _near(self, peer: PeerSelector) -> Iterator[tuple[int, PeerSelector]]:
        for bucket in _asked(peer):
            yield from self._buckets.get(bucket, ())


def _bucket(peer: PeerSelector) -> object:
    """Where a peer waits to be asked whether it holds another."""
    if isinstance(peer, FqdnSelector):
        return ("pattern", _tail(peer.form)) if "*" in peer.form else peer
    if isinstance(peer, CidrSelector):
        return _block(peer.cidr, peer.cidr.prefixlen)
    if isinstance(peer, LabelSelector):
        if peer.is_wildcard:
            return _EVERY
        anchors = sorted(_anchors(own_requirements(peer))) or sorted(_anchors(peer.requirements))
        return anchors[0] if anchors else ("labels",)
    return peer


def _asked(peer: PeerSelector) -> list[object]:
    """The buckets of those that may hold it."""
    if isinstance(peer, FqdnSelector):
        return [_EVERY, *(("pattern", tail) for tail in _tails(peer.form)), peer]
    if isinstance(peer, CidrSelector):
        return [_EVERY, *(_block(peer.cidr, length) for length in range(peer.cidr.prefixlen + 1))]
    if isinstance(peer, LabelSelector):
        return [_EVERY, ("labels",), *_anchors(peer.requirements)]
    return [_EVERY, peer]


def _tail(form: str) -> str:
    """The labels behind the last that has a star: every name of the pattern ends in them."""
    return form.rpartition("*")[2].partition(".")[2]


def _tails(form: str) -> Iterator[str]:
    """All that a pattern may end in which holds the form."""
    rest = _tail(form) if "*" in form else form
    while rest:
        yield rest
        rest = rest.partition(".")[2]
    yield ""


def _block(cidr: Network, length: int) -> object:
    """The prefix of that length around it."""
    return cidr.version, length, int(cidr.network_address) >> (cidr.max_prefixlen - length)


def _anchors(requirements: Iterable[Requirement]) -> set[tuple[str, str]]:
    """(key, value) of the conditions for one value: what holds the peer can ask for no other."""
    return {(r.key, next(iter(r.values))) for r in requirements if r.operator == "In" and len(r.values) == 1}
