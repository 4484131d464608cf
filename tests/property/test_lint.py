"""What lint says of generated policies is so: a shadowed rule can go, swallowed names open nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import event, given

from namewall.policy.diff.changes import Comparison
from namewall.policy.explain.anatomy import Catalog
from namewall.policy.lint.finding import Project
from namewall.policy.lint.run import IDS, lint
from namewall.policy.rules import Policy
from tests.property.examples import RELAXED
from tests.property.policies import raw_policies
from tests.property.test_diff import UNIVERSE


def without(catalog: Catalog, index: int, path: str) -> list[Policy]:
    """The policies where one rule means nobody; it still turns on default deny."""
    result = []
    for number, policy in catalog.numbered():
        rules = tuple(
            rule._replace(peers=()) if number == index and rule.origin.rule == path else rule
            for rule in policy.rules
        )
        result.append(replace(policy, rules=rules))
    return result


@RELAXED
@given(raw_policies())
def test_findings_are_true(raws: list[dict[str, Any]]) -> None:
    catalog = Catalog(raws)
    for finding in lint(Project(catalog)):
        assert finding.rule in IDS
        if finding.rule not in ("shadowed", "names-swallowed"):
            continue
        if finding.rule == "names-swallowed" and "to the whole world:" not in finding.message:
            continue
        event(finding.rule)
        path = finding.path.removesuffix(".toFQDNs")
        changes = list(
            Comparison(catalog.policies, without(catalog, finding.index, path), UNIVERSE).changes()
        )
        if finding.rule == "names-swallowed":
            # Which names may be asked over the flow is another thing.
            changes = [c for c in changes if any(not port.question for port in c.ports)]
        assert not changes, (finding, changes[:2])
