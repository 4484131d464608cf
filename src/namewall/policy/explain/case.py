"""One side of one flow as `decide` is asked it, and the questions that narrower policies answer.

What a rule or a part of one means for a flow is decided by a policy made of that part alone: nothing of decide's
meaning is said a second time here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from namewall.model.labels import Labels
from namewall.model.net import Direction
from namewall.policy.decide import Decision, PeerFacts, SubjectRules, decide
from namewall.policy.map_state import RuleOrigin
from namewall.policy.ports import NO_NAMES, NamedPorts, names_for
from namewall.policy.rules import EVERYTHING, Policy, PortMatch, Rule
from namewall.policy.selectors import WILDCARD, PeerSelector

_ALONE = RuleOrigin("", "", "", "")


@dataclass(frozen=True, slots=True)
class Case:
    """One direction of a flow. `who` and `whom` are how the subject and the peer are called in texts.

    `name` is the DNS name that was asked for, where the target was one. `unlearned`: the address is not known
    yet, the one in `peer` stands in for what the lookup would give. `must_teach`: the question must be judged by DNS
    rules, since only what those saw is learned here.
    """

    who: str
    subject: Labels
    direction: Direction
    whom: str
    peer: PeerFacts
    protocol: int
    port: int
    question: str | None = None
    own_ports: NamedPorts = field(default_factory=lambda: NO_NAMES)
    cluster_ports: NamedPorts = field(default_factory=lambda: NO_NAMES)
    name: str = ""
    unlearned: bool = False
    must_teach: bool = False

    def decided(self, policies: Iterable[Policy]) -> Decision:
        return decide(
            policies,
            self.subject,
            self.direction,
            self.peer,
            self.protocol,
            self.port,
            question=self.question,
            own_ports=self.own_ports,
            cluster_ports=self.cluster_ports,
        )

    def is_met_by(self, policies: Iterable[Policy]) -> bool:
        decision = self.decided(policies)
        return decision.verdict == "allow" and not (self.must_teach and decision.dns is None)

    def means_peer(self, peers: tuple[PeerSelector, ...]) -> bool:
        """Whether a rule with these peers and every port would mean the peer."""
        return bool(peers) and self._alone(peers, (EVERYTHING,))

    def means_port(self, ports: tuple[PortMatch, ...]) -> bool:
        """Whether a rule with these ports and every peer would mean the port. DNS rules do not count."""
        plain = tuple(replace(port, dns=None) for port in ports)
        return bool(plain) and self._alone((WILDCARD,), plain)

    def _alone(self, peers: tuple[PeerSelector, ...], ports: tuple[PortMatch, ...]) -> bool:
        rule = Rule(_ALONE, WILDCARD, self.direction, peers, ports)
        names = names_for(self.direction, self.own_ports, self.cluster_ports)
        # An owner-less address behind a closed range is denied whatever is asked; here it only must not match.
        peer = replace(self.peer, closed=False)
        decision = SubjectRules((rule,), self.subject, self.direction, names).decide(
            peer, self.protocol, self.port
        )
        return decision.verdict == "allow" and bool(decision.rules)
