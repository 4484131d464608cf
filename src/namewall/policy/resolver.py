"""Policies and identities kept up to date, and the MapStates they make: little work for a little change.

What is kept: which identities each selector selects (`identity_index`), which rules select each subject, and each
subject's finished MapState. A change throws away only what it can reach:

  - a policy: the subjects it selects or selected, and, if the node's CIDR classes changed, those with CIDR
    rules;
  - an identity: the subjects with a selector that selects it or did;
  - named ports of the cluster: the subjects with egress rules by port name.

Law: whatever the order of changes, `resolve` is what `compile` makes of the present state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from namewall.model.labels import Labels
from namewall.model.net import Network
from namewall.policy.compile import Classes, compile_rules
from namewall.policy.expand import CidrGroup, ServiceFacts, expand
from namewall.policy.identity_index import IdentityIndex
from namewall.policy.map_state import MapState
from namewall.policy.ports import NO_NAMES, NamedPorts
from namewall.policy.rules import Policy, Rule, dns_selectors, fqdn_selectors, policy_prefixes
from namewall.policy.selectors import CidrSelector, LabelSelector

Key = tuple[str, str, str]
"""Kind, namespace and name of a policy."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A finished MapState and what it was made from."""

    state: MapState
    selectors: frozenset[LabelSelector]
    has_cidrs: bool
    has_names: bool


class Resolver:
    """The policies, identities and named ports of a node. Not for several threads."""

    def __init__(self) -> None:
        self._written: dict[Key, Policy] = {}
        self._policies: dict[Key, Policy] = {}
        self._services: tuple[ServiceFacts, ...] = ()
        self._groups: tuple[CidrGroup, ...] = ()
        self._index = IdentityIndex()
        self._classes = Classes(self._index, ())
        self._cluster_ports: NamedPorts = NO_NAMES
        self._rules: dict[Labels, list[Rule]] = {}
        self._made: dict[tuple[Labels, frozenset[tuple[object, ...]]], _Made] = {}

    # What is known now.

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies in force, references replaced."""
        return tuple(self._policies.values())

    @property
    def prefixes(self) -> frozenset[Network]:
        """The CIDR classes of the node: the longest that holds an address is its class."""
        return frozenset(self._classes.prefixes)

    @property
    def fqdn_selectors(self) -> frozenset[str]:
        return fqdn_selectors(self._policies.values())

    @property
    def dns_selectors(self) -> frozenset[str]:
        return dns_selectors(self._policies.values())

    def resolve(self, subject: Labels, own_ports: NamedPorts = NO_NAMES) -> MapState:
        """The MapState of an endpoint. `own_ports` are its own named container ports.

        The same value is returned until something it depends on changes.
        """
        key = (subject, frozenset((*name, numbers) for name, numbers in own_ports.items()))
        made = self._made.get(key)
        if made is None:
            rules = self._selecting(subject)
            state = compile_rules(rules, subject, self._classes, own_ports, self._cluster_ports)
            peers = [peer for rule in rules for peer in rule.peers]
            made = _Made(
                state,
                frozenset(peer for peer in peers if isinstance(peer, LabelSelector)),
                any(isinstance(peer, CidrSelector) for peer in peers),
                any(port.name for rule in rules for port in rule.ports),
            )
            self._made[key] = made
        return made.state

    def _selecting(self, subject: Labels) -> list[Rule]:
        rules = self._rules.get(subject)
        if rules is None:
            rules = [
                rule
                for policy in self._policies.values()
                for rule in policy.rules
                if rule.subject.matches(subject)
            ]
            self._rules[subject] = rules
        return rules

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
        for number in [n for n in self._index.numbers() if n not in identities and n >= 256]:
            self.remove_identity(number)
        for number, labels in identities.items():
            self.add_identity(number, labels)

    def add_identity(self, number: int, labels: Labels) -> None:
        before = self._index.labels(number)
        if self._index.add(number, labels):
            self._identity_changed(before, labels)

    def remove_identity(self, number: int) -> None:
        before = self._index.labels(number)
        if self._index.remove(number):
            self._identity_changed(before)

    def set_cluster_ports(self, ports: NamedPorts) -> None:
        """The named container ports of all pods, which egress rules by port name mean."""
        if ports != self._cluster_ports:
            self._cluster_ports = ports
            self._made = {key: made for key, made in self._made.items() if not made.has_names}

    def keep_subjects(self, subjects: Iterable[Labels]) -> None:
        """Forget what was made for subjects that no endpoint has any more."""
        wanted = set(subjects)
        self._made = {key: made for key, made in self._made.items() if key[0] in wanted}
        self._rules = {subject: rules for subject, rules in self._rules.items() if subject in wanted}
        used = {selector for made in self._made.values() for selector in made.selectors}
        self._index.forget_selectors(used)

    def _identity_changed(self, *labels: Labels) -> None:
        """Selectors are few compared with what is made from them; each is asked once."""
        asked: dict[LabelSelector, bool] = {}

        def reaches(selector: LabelSelector) -> bool:
            if selector not in asked:
                asked[selector] = any(selector.matches(each) for each in labels if each)
            return asked[selector]

        self._made = {key: made for key, made in self._made.items() if not any(map(reaches, made.selectors))}

    def _replace(self, changed: Mapping[Key, Policy | None]) -> None:
        if not changed:
            return
        rules: list[Rule] = []
        for key, policy in changed.items():
            before = self._policies.pop(key, None)
            rules += before.rules if before else ()
            if policy is not None:
                self._policies[key] = policy
                rules += policy.rules
        subjects = {rule.subject for rule in rules}
        reached = {
            subject
            for subject in {*self._rules, *(key[0] for key in self._made)}
            if any(selector.matches(subject) for selector in subjects)
        }
        for subject in reached:
            self._rules.pop(subject, None)
        prefixes = policy_prefixes(self._policies.values()) if _names_prefixes(rules) else self.prefixes
        moved = prefixes != self.prefixes
        if moved:
            self._classes = Classes(self._index, prefixes)
        self._made = {
            key: made
            for key, made in self._made.items()
            if key[0] not in reached and not (moved and made.has_cidrs)
        }


def _names_prefixes(rules: Iterable[Rule]) -> bool:
    return any(isinstance(peer, CidrSelector) for rule in rules for peer in rule.peers)
