"""patterns.jsonl and fqdn-name-vectors.json: names and patterns."""

from __future__ import annotations

import json
from typing import Any

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


def vectors() -> Any:
    return json.loads(shared("fqdn-name-vectors.json").read_text(encoding="utf-8"))


def test_every_set_of_vectors_is_run() -> None:
    assert set(vectors()) == {
        "cilium_match",
        "cilium_sanitize",
        "cilium_selector_validation",
        "npep133_match",
        "cargowall_match",
        "calico_grammar",
        "antrea_grammar",
    }


def test_the_vectors_of_cilium_s_own_tests() -> None:
    for case in vectors()["cilium_match"]["cases"]:
        form = normalize(case["pattern"])
        for name in case["accept"]:
            assert matches_form(form, name), (case["pattern"], name)
        for name in case["reject"]:
            assert not matches_form(form, name), (case["pattern"], name)


def test_cilium_s_normal_form_is_ours_once_stars_are_shortened() -> None:
    """Theirs adds the dot, ours also shortens: both of one pattern mean the same."""
    for written, sanitized in vectors()["cilium_sanitize"]["cases"].items():
        assert normalize(written) == normalize(sanitized)
        assert normalize(normalize(written)) == normalize(written)


def test_items_are_valid_as_in_cilium_s_own_tests() -> None:
    selectors = vectors()["cilium_selector_validation"]
    for item in selectors["accept"]:
        assert _accepted(item, dns=False), item
        assert _accepted(item, dns=True), item
    for item in selectors["reject"]:
        assert not _accepted(item, dns=False), item
        assert not _accepted(item, dns=True), item


def test_where_other_grammars_differ_is_known() -> None:
    """Not ours to match, but what an importer and lint must know; a change here is a change of meaning."""
    found = vectors()
    differ = {
        (case["pattern"], name)
        for case in found["npep133_match"]["cases"]
        for want, names in ((True, case["accept"]), (False, case["reject"]))
        for name in names
        if Pattern.of(case["pattern"]).matches(name) is not want
    }
    # NPEP-133's star stands for any number of labels.
    assert differ == {("*.kubernetes.io", "latest.blog.kubernetes.io")}
    differ = {
        (case["pattern"], case["name"])
        for case in found["cargowall_match"]["cases"]
        if Pattern.of(case["pattern"]).matches(case["name"]) is not case["match"]
    }
    # CargoWall's `**` stands for any number of labels anywhere, Cilium's only in front.
    assert {pattern for pattern, _ in differ} == {
        "actions.githubusercontent.com.**.internal.cloudapp.net",
        "*.**.example.com",
    }
    invalid = [
        p for p in found["cargowall_match"]["invalid"] if not _accepted({"matchPattern": p}, dns=False)
    ]
    assert invalid == ["", "foo..bar.com"]
    grammar = found["calico_grammar"]
    for pattern in (*grammar["valid"], *grammar["invalid"]):
        assert _accepted({"matchPattern": pattern}, dns=False), pattern
    # Antrea's star crosses dots.
    assert not Pattern.of("*foobar.com").matches("a.b.foobar.com")
    assert Pattern.of("*foobar.com").matches("xfoobar.com")
