"""patterns.jsonl and fqdn-name-vectors.json: names and patterns."""

from __future__ import annotations

import json

from namewall.policy.parse import parse
from namewall.policy.patterns import Pattern, matches_form, normalize
from tests.conformance.data import rows, shared


def _accepted(item: dict[str, str], dns: bool) -> bool:
    rule = (
        {"toPorts": [{"ports": [{"port": "53"}], "rules": {"dns": [item]}}]} if dns else {"toFQDNs": [item]}
    )
    policy = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "p"},
        "spec": {"endpointSelector": {}, "egress": [rule]},
    }
    return parse(policy)[0] is not None


def test_every_pattern_is_valid_and_matches_as_in_cilium() -> None:
    wrong = []
    for row in rows("patterns.jsonl"):
        item = {row["kind"]: row["pattern"]}
        pattern = Pattern.of(row["pattern"], row["kind"])
        valid = _accepted(item, dns=False), _accepted(item, dns=True)
        matches = (
            pattern.matches(row["name"]) if valid[0] else None,
            pattern.passes(row["name"]) if valid[1] else None,
        )
        expected = (row["valid_tofqdns"], row["valid_dns_rule"], row["match_tofqdns"], row["match_dns_rule"])
        if (*valid, *matches) != expected:
            wrong.append((row["id"], row["pattern"], row["name"], valid, matches))
    assert not wrong


def test_the_vectors_of_cilium_s_own_tests() -> None:
    vectors = json.loads(shared("fqdn-name-vectors.json").read_text())
    for case in vectors["cilium_match"]["cases"]:
        form = normalize(case["pattern"])
        for name in case["accept"]:
            assert matches_form(form, name), (case["pattern"], name)
        for name in case["reject"]:
            assert not matches_form(form, name), (case["pattern"], name)
