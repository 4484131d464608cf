"""Flows that a rule would allow but for a filter that this datapath cannot enforce (policy/beyond.py).

A plain rule beside such a filter would undo it, in Cilium too: no patch may offer one.
"""

from __future__ import annotations

from dataclasses import dataclass

from namewall.policy import beyond, cilium
from namewall.policy.explain.anatomy import Catalog
from namewall.policy.explain.case import Case
from namewall.policy.map_state import RuleOrigin


@dataclass(frozen=True, slots=True)
class Filtered:
    """`path` is the filter's, `what` the words for it."""

    rule: RuleOrigin
    path: str
    what: str

    @property
    def said(self) -> str:
        return f"{self.what}, which namewall cannot enforce"


def filtered(catalog: Catalog, case: Case) -> Filtered | None:
    for rule in catalog.enforced:
        if rule.deny or rule.direction is not case.direction or rule.origin.kind == "NetworkPolicy":
            continue
        if not rule.subject.matches(case.subject) or not case.means_peer(rule.peers):
            continue
        for number, port_rule in enumerate(catalog.item(rule.origin).get("toPorts") or ()):
            found = beyond.of_port_rule(port_rule)
            if found and case.means_port(cilium.read_ports({"toPorts": [{"ports": port_rule.get("ports")}]})):
                member, what = found[0]
                return Filtered(rule.origin, f"{rule.origin.rule}.toPorts[{number}].{member}", what)
    return None
