"""Policies in audit: what is enforced, what all say together, and how a policy comes into audit."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from namewall.agent.policies import in_modes
from namewall.model.net import Direction, Protocol
from namewall.policy.compile import compile
from namewall.policy.decide import PeerFacts, decide
from namewall.policy.metadata import of_subject
from namewall.policy.parse import parse
from namewall.policy.resolver import Resolver
from namewall.policy.rules import Options, Policy, Verify
from namewall.state.desired import EndpointFacts, NodeFacts, PolicyNumbers, desired
from tests.unit.policy.build import cnp, good, pod

WEB = pod(app="web")
WORLD = PeerFacts.outside(ip_address("203.0.113.1"))


def policy(name: str, mode: str = "", **spec: Any) -> Policy:
    annotations = {"namewall.io/mode": mode} if mode else {}
    obj = cnp({"endpointSelector": {}, **spec}, name=name)
    return good({**obj, "metadata": {**obj["metadata"], "annotations": annotations}})


def port(number: str) -> dict[str, Any]:
    return {"toPorts": [{"ports": [{"port": number, "protocol": "TCP"}]}]}


ALLOW_443 = policy("allow", egress=[port("443")])
DENY_443 = policy("deny", "audit", egressDeny=[port("443")])
ALLOW_80 = policy("more", "audit", egress=[{**port("80"), "toFQDNs": [{"matchName": "a.example"}]}])


def verdicts(policies: list[Policy], number: int) -> tuple[str, str]:
    ask = (WEB, Direction.EGRESS, WORLD, Protocol.TCP, number)
    return decide(policies, *ask).verdict, decide(policies, *ask, audit=True).verdict


@pytest.mark.parametrize(
    ("policies", "number", "expected"),
    [
        ([ALLOW_443], 443, ("allow", "allow")),
        ([ALLOW_443, DENY_443], 443, ("allow", "deny")),
        ([DENY_443], 443, ("allow", "deny")),
        ([DENY_443], 80, ("allow", "deny")),  # alone it turns on default deny, in audit only
        ([ALLOW_443, policy("any", "audit", egress=[port("80")])], 80, ("deny", "allow")),
        ([ALLOW_443, policy("any", "enforce", egress=[port("80")])], 80, ("allow", "allow")),
    ],
)
def test_the_verdict_is_that_of_the_policies_enforced(
    policies: list[Policy], number: int, expected: tuple[str, str]
) -> None:
    assert verdicts(policies, number) == expected


def test_the_resolver_keeps_both() -> None:
    resolver = Resolver()
    resolver.set_identities({256: WEB})
    resolver.set_policies([ALLOW_443])
    assert resolver.audit(WEB) is None
    for policies in ([ALLOW_443, DENY_443], [ALLOW_443, DENY_443, ALLOW_80], [DENY_443], [ALLOW_80], []):
        resolver.set_policies(policies)
        assert resolver.resolve(WEB) == compile(policies, WEB, {256: WEB})
        together = compile(policies, WEB, {256: WEB}, audit=True)
        assert resolver.audit(WEB) == (together if any(one.audit for one in policies) else None)
        resolver.add_identity(257, pod(app="db"))
        resolver.remove_identity(257)
        assert resolver.resolve(WEB) == compile(policies, WEB, {256: WEB})


def test_the_tables_hold_both_and_learn_the_names_of_both() -> None:
    resolver = Resolver()
    resolver.set_identities({256: WEB})
    resolver.set_policies([ALLOW_443, ALLOW_80])
    address = ip_address("10.0.0.2")
    endpoint = EndpointFacts(1, 7, "veth", 3, b"", b"", (address,), WEB, 256)
    tables = desired(
        NodeFacts((endpoint,), (), (), {}, frozenset(), frozenset(), 60), resolver, PolicyNumbers()
    )
    row = tables.endpoints[1]
    assert tables.policies[row.policy] == resolver.resolve(WEB)
    assert tables.policies[row.audit] == resolver.audit(WEB)
    resolver.set_policies([ALLOW_443])
    tables = desired(
        NodeFacts((endpoint,), (), (), {}, frozenset(), frozenset(), 60), resolver, PolicyNumbers()
    )
    assert tables.endpoints[1].audit == 0


def test_what_a_policy_in_audit_says_for_endpoints_does_not_hold() -> None:
    strict = cnp({"endpointSelector": {}, "egress": [{}]}, name="strict")
    strict["metadata"]["annotations"] = {"namewall.io/mode": "audit", "namewall.io/rebinding-guard": "strict"}
    strict["metadata"]["annotations"]["namewall.io/verify-name"] = "sni"
    resolver = Resolver()
    resolver.set_policies([good(strict)])
    assert resolver.options(WEB) == of_subject([good(strict)], WEB) == Options(verify=Verify.AUDIT)


def test_another_mode_is_a_problem() -> None:
    obj = cnp({"endpointSelector": {}, "egress": [{}]})
    obj["metadata"]["annotations"] = {"namewall.io/mode": "Audit"}
    found, problems = parse(obj)
    assert found is None
    assert [problem.path for problem in problems] == ["metadata.annotations[namewall.io/mode]"]


def test_a_namespace_in_audit_has_its_policies_in_audit() -> None:
    audited = {"metadata": {"name": "default", "annotations": {"namewall.io/mode": "audit"}}}
    assert [one.audit for one in in_modes([ALLOW_443], {"default": audited})] == [True]
    assert [one.audit for one in in_modes([ALLOW_443, DENY_443], {"other": audited})] == [False, True]
