"""Which peers of a universe a selector tells from the others, each selector asked once and of as few as possible.

Only for sorting peers into classes that no rule tells apart: as fine as `decide`, or finer. A selector that asks for
one value of a label is asked of the peers that have it, a name of those that have the name.
"""

from __future__ import annotations

from collections.abc import Mapping

from namewall.model.labels import parse_label
from namewall.policy.decide import PeerFacts
from namewall.policy.patterns import granted
from namewall.policy.selectors import CidrSelector, FqdnSelector, LabelSelector, PeerSelector


class Peers:
    """Everybody who can be a peer, by a unique name."""

    def __init__(self, facts: Mapping[str, PeerFacts]) -> None:
        self.facts = facts
        self.kinds = {
            name: (peer.inside, peer.host, peer.closed, peer.address is None) for name, peer in facts.items()
        }
        self._told: dict[PeerSelector, list[str]] = {}
        self._by_label: dict[tuple[str, str], list[str]] = {}
        self._by_name: dict[str, list[str]] = {}
        for name, peer in facts.items():
            for label in map(parse_label, peer.labels):
                self._by_label.setdefault((label.key, label.value), []).append(name)
            for known in peer.names:
                self._by_name.setdefault(known, []).append(name)

    def told(self, selector: PeerSelector) -> list[str]:
        """The names of those it selects."""
        found = self._told.get(selector)
        if found is None:
            near = dict.fromkeys(self._near(selector))
            found = self._told[selector] = [name for name in near if _tells(selector, self.facts[name])]
        return found

    def _near(self, selector: PeerSelector) -> list[str]:
        if isinstance(selector, LabelSelector):
            anchored = [
                self._by_label.get((r.key, next(iter(r.values))), [])
                for r in selector.requirements
                if r.operator == "In" and len(r.values) == 1
            ]
            return min(anchored, key=len) if anchored else list(self.facts)
        if isinstance(selector, FqdnSelector):
            if "*" not in selector.form:
                return self._by_name.get(selector.form, [])
            return [name for names in self._by_name.values() for name in names]
        return list(self.facts)


def _tells(selector: PeerSelector, peer: PeerFacts) -> bool:
    if isinstance(selector, LabelSelector):
        return selector.is_wildcard or (bool(peer.labels) and selector.matches(peer.labels))
    if isinstance(selector, CidrSelector):
        if peer.address is None:
            return selector.unaddressed is not None and selector.unaddressed.matches(peer.labels)
        return selector.selects_address(peer.address)
    if isinstance(selector, FqdnSelector):
        return any(granted(selector.form, name) for name in peer.names)
    return False
