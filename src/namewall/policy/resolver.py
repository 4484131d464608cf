"""Policies and identities kept up to date, and the MapStates they make: little work for a little change.

    subject ─ selector_index ─→ the subject selectors that select it ─→ rules ─→ Sides ─┐
    identities, prefixes ─ classes ─→ what each peer selector selects ──────────────────┴─→ MapState

Subjects that the same subject selectors select have the same rules, and so share one MapState, whatever else tells
their labels apart: replicas of one app, and most revisions of it, cost nothing more. A change is taken no farther than
it reaches:

  - a policy: the MapStates made from its subject selectors are made anew; of the others those entries whose CIDR class
    comes or goes are changed;
  - an identity: its own entries, where a selector selects it or did;
  - named ports of the cluster: the MapStates with egress rules by port name.

Law: whatever the order of changes, `resolve` is what `compile` makes of the present state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from namewall.model.labels import RESERVED_LABELS, Labels
from namewall.model.net import Network
from namewall.policy.classes import Classes
from namewall.policy.compile import Side, compile_sides, entries_of, sides
from namewall.policy.expand import CidrGroup, ServiceFacts, expand
from namewall.policy.identity_index import IdentityIndex
from namewall.policy.map_state import CidrPeer, IdentityPeer, MapState, Peer
from namewall.policy.ports import NO_NAMES, NamedPorts
from namewall.policy.rules import Options, Policy, Rule, fqdn_selectors, prefixes_of
from namewall.policy.selector_index import SelectorIndex
from namewall.policy.selectors import LabelSelector, PeerSelector
from namewall.policy.terms import INIT

Key = tuple[str, str, str]
"""Kind, namespace and name of a policy."""
Ports = frozenset[tuple[object, frozenset[int]]]
NO_OPTIONS = Options()


@dataclass(slots=True, eq=False)
class _Made:
    """A MapState, what it was made from, and what it depends on. `chosen` are the subject selectors."""

    state: MapState
    sides: tuple[Side, Side]
    chosen: frozenset[LabelSelector]
    selectors: frozenset[PeerSelector]
    has_names: bool
    options: Options = NO_OPTIONS
    audited: _Made | None = None
    """Of all policies, where some of them are in audit."""


class Resolver:
    """The policies, identities and named ports of a node. Not for several threads."""

    def __init__(self) -> None:
        self._written: dict[Key, Policy] = {}
        self._policies: dict[Key, Policy] = {}
        self._services: tuple[ServiceFacts, ...] = ()
        self._groups: tuple[CidrGroup, ...] = ()
        self._index = IdentityIndex()
        self._classes = Classes(self._index)
        self._uses: Counter[Network] = Counter()
        self._prefixes: frozenset[Network] = frozenset()
        self._cluster_ports: NamedPorts = NO_NAMES
        self._subjects = SelectorIndex()
        self._rules: dict[LabelSelector, dict[Key, tuple[Rule, ...]]] = {}
        """By subject selector and policy."""
        self._made: dict[tuple[frozenset[LabelSelector], bool, Ports | None], _Made] = {}
        self._of_subject: dict[tuple[Labels, Ports | None], _Made] = {}
        self._users: dict[PeerSelector, set[_Made]] = {}
        """Which MapStates a peer selector is in."""
        self._idle: set[PeerSelector] = set()
        """Those that are in none any more, or were for a moment."""

    # What is known now.

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies in force, references replaced."""
        return tuple(self._policies.values())

    @property
    def prefixes(self) -> frozenset[Network]:
        """The CIDR classes of the node: the longest that holds an address is its class."""
        return self._prefixes

    @property
    def fqdn_selectors(self) -> frozenset[str]:
        return fqdn_selectors(self._policies.values())

    def resolve(self, subject: Labels, own_ports: NamedPorts = NO_NAMES) -> MapState:
        """The MapState of an endpoint. `own_ports` are its own named container ports.

        The same value is returned until something it depends on changes.
        """
        return self._made_for(subject, own_ports).state

    def audit(self, subject: Labels, own_ports: NamedPorts = NO_NAMES) -> MapState | None:
        """What all policies that select it say together, those in audit too; None where none of them is."""
        audited = self._made_for(subject, own_ports).audited
        return audited.state if audited is not None else None

    def options(self, subject: Labels, own_ports: NamedPorts = NO_NAMES) -> Options:
        """What annotations of the policies that select it say for an endpoint: `policy.metadata.of_subject`."""
        return self._made_for(subject, own_ports).options

    def _made_for(self, subject: Labels, own_ports: NamedPorts) -> _Made:
        key = (subject, frozenset(own_ports.items()) if own_ports else None)
        made = self._of_subject.get(key)
        if made is None:
            made = self._of_subject[key] = self._make(*key, own_ports)
        return made

    def _make(self, subject: Labels, ports: Ports | None, own_ports: NamedPorts) -> _Made:
        chosen = frozenset(self._subjects.selecting(subject))
        parts = [(name, part) for selector in chosen for name, part in self._rules[selector].items()]
        has_names = any(port.name for _, part in parts for rule in part for port in rule.ports)
        key = (chosen, INIT in subject, ports if has_names else None)
        made = self._made.get(key)
        if made is None:
            every = [rule for _, part in parts for rule in part]
            enforced = {name for name, _ in parts if not self._policies[name].audit}
            rules = [rule for name, part in parts if name in enforced for rule in part]
            made = self._compiled(rules, subject, own_ports, chosen, has_names)
            for name, _ in parts:
                made.options = made.options.joined(self._policies[name].holds)
            if len(rules) < len(every):
                made.audited = self._compiled(every, subject, own_ports, chosen, has_names)
            self._made[key] = made
        return made

    def _compiled(
        self,
        rules: list[Rule],
        subject: Labels,
        own_ports: NamedPorts,
        chosen: frozenset[LabelSelector],
        has_names: bool,
    ) -> _Made:
        both = sides(rules, subject, own_ports, self._cluster_ports)
        selectors = frozenset(selector for side in both for selector in side.selectors())
        made = _Made(compile_sides(both, self._classes), both, chosen, selectors, has_names)
        for selector in selectors:
            self._users.setdefault(selector, set()).add(made)
        return made

    # Changes.

    def set_policy(self, policy: Policy) -> None:
        """Add a policy, or put it in the place of the one with its kind, namespace and name."""
        if self._written.get(policy.key) != policy:
            self._written[policy.key] = policy
            (expanded,) = expand([policy], self._services, self._groups)
            self._replace({policy.key: expanded})

    def remove_policy(self, key: Key) -> None:
        if self._written.pop(key, None) is not None:
            self._replace({key: None})

    def set_policies(self, policies: Iterable[Policy]) -> None:
        """These and no others."""
        wanted = {policy.key: policy for policy in policies}
        changed: dict[Key, Policy | None] = {key: None for key in self._written if key not in wanted}
        for key, policy in wanted.items():
            if self._written.get(key) != policy:
                (changed[key],) = expand([policy], self._services, self._groups)
        self._written = wanted
        self._replace(changed)

    def set_references(self, services: Iterable[ServiceFacts] = (), groups: Iterable[CidrGroup] = ()) -> None:
        """What toServices and CIDR groups refer to; these and no others."""
        facts, known = tuple(services), tuple(groups)
        if (facts, known) == (self._services, self._groups):
            return
        self._services, self._groups = facts, known
        now = {p.key: p for p in expand(self._written.values(), facts, known)}
        self._replace({key: policy for key, policy in now.items() if self._policies.get(key) != policy})

    def set_identities(self, identities: Mapping[int, Labels]) -> None:
        """These pod identities and no others; the reserved ones are always known."""
        for number in self._index.numbers().keys() - identities.keys() - RESERVED_LABELS.keys():
            self.remove_identity(number)
        for number, labels in identities.items():
            self.add_identity(number, labels)

    def add_identity(self, number: int, labels: Labels) -> None:
        before = self._index.labels(number)
        if self._index.add(number, labels):
            self._identity_changed(number, before, labels)

    def remove_identity(self, number: int) -> None:
        before = self._index.labels(number)
        if self._index.remove(number):
            self._identity_changed(number, before, frozenset())

    def set_cluster_ports(self, ports: NamedPorts) -> None:
        """The named container ports of all pods, which egress rules by port name mean."""
        if ports != self._cluster_ports:
            self._cluster_ports = ports
            self._drop(made for made in self._made.values() if made.has_names)

    def keep_subjects(self, subjects: Iterable[Labels]) -> None:
        """Forget what was made for subjects that no endpoint has any more, and what no policy asks for."""
        wanted = set(subjects)
        self._of_subject = {key: made for key, made in self._of_subject.items() if key[0] in wanted}
        used = set(self._of_subject.values())
        self._drop(made for made in self._made.values() if made not in used)
        unused = self._idle - self._users.keys()
        self._index.forget_selectors(unused)
        self._classes.forget_cidrs(unused)
        self._idle.clear()

    # What a change reaches.

    def _identity_changed(self, number: int, before: Labels, after: Labels) -> None:
        old, new = self._index.kept_selecting(before), self._index.kept_selecting(after)
        self._peer_changed(IdentityPeer(number), old, new)

    def _peer_changed(
        self, peer: Peer, before: Iterable[PeerSelector], after: Iterable[PeerSelector]
    ) -> None:
        """Other selectors select a peer than before: its entries are replaced wherever one of them stands."""
        old, new = list(before), list(after)
        for made in {made for selector in (*old, *new) for made in self._users.get(selector, ())}:
            entries = dict(made.state.entries)
            for side in made.sides:
                for key in entries_of(side, peer, (s for s in old if s in made.selectors)):
                    del entries[key]
                entries |= entries_of(side, peer, (s for s in new if s in made.selectors))
            made.state = MapState(made.state.enforce_ingress, made.state.enforce_egress, entries)

    def _drop(self, unwanted: Iterable[_Made]) -> None:
        gone = set(unwanted)
        if not gone:
            return
        self._made = {key: made for key, made in self._made.items() if made not in gone}
        self._of_subject = {key: made for key, made in self._of_subject.items() if made not in gone}
        for made in gone | {made.audited for made in gone if made.audited is not None}:
            for selector in made.selectors:
                self._users[selector].discard(made)
                if not self._users[selector]:
                    del self._users[selector]
                    self._idle.add(selector)

    def _replace(self, changed: Mapping[Key, Policy | None]) -> None:
        reached: set[LabelSelector] = set()
        prefixes: Counter[Network] = Counter()
        for key, policy in changed.items():
            before = self._policies.pop(key, None)
            if before is not None:
                prefixes.subtract(prefixes_of(before))
                for subject in {rule.subject for rule in before.rules}:
                    del self._rules[subject][key]
                    reached.add(subject)
            if policy is not None:
                self._policies[key] = policy
                prefixes.update(prefixes_of(policy))
                for subject in {rule.subject for rule in policy.rules}:
                    mine = tuple(rule for rule in policy.rules if rule.subject == subject)
                    self._rules.setdefault(subject, {})[key] = mine
                    reached.add(subject)
        self._drop_subjects(reached)
        self._move_prefixes(prefixes)

    def _drop_subjects(self, reached: set[LabelSelector]) -> None:
        """What was made for subjects that these selectors select, or have come to."""
        new = SelectorIndex()
        for selector in reached:
            if selector not in self._subjects:
                new.add(selector)
                self._subjects.add(selector)
            if not self._rules[selector]:
                del self._rules[selector]
                self._subjects.discard(selector)
        for key in [key for key in self._of_subject if new.selecting(key[0])]:
            del self._of_subject[key]
        self._drop(made for made in self._made.values() if not made.chosen.isdisjoint(reached))

    def _move_prefixes(self, uses: Counter[Network]) -> None:
        moved = False
        for prefix, more in uses.items():
            was = self._uses[prefix]
            now = self._uses[prefix] = was + more
            if not now:
                del self._uses[prefix]
            if bool(was) == bool(now):
                continue
            moved = True
            selecting = self._classes.remove_prefix(prefix) if was else self._classes.add_prefix(prefix)
            for pods in (False, True):
                those = [selector for selector in selecting if selector.pods == pods]
                self._peer_changed(CidrPeer(prefix, pods), those if was else (), () if was else those)
        if moved:
            self._prefixes = self._classes.prefixes()
