"""docs/lint.md by its word: the first example of each rule is found, the second is not; no false alarms."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from namewall.policy.explain.anatomy import Catalog, at
from namewall.policy.explain.flow import catalog_of
from namewall.policy.lint.finding import Finding, Project
from namewall.policy.lint.run import IDS, lint
from namewall.policy.parse import parse
from namewall.policy.scenario_parse import parse_scenario
from namewall.review.lint import public_suffixes

ROOT = Path(__file__).parents[3]
SECTIONS = re.split(r"^## ", (ROOT / "docs" / "lint.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
EXAMPLES = {
    section.splitlines()[0]: re.findall(r"^```yaml\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    for section in SECTIONS
}
SUFFIXES = public_suffixes()


def findings(*raws: dict[str, Any], world: dict[str, Any] | None = None) -> list[Finding]:
    scenario = None
    catalog = Catalog(raws)
    if world is not None:
        scenario, problems = parse_scenario(world)
        assert scenario is not None, problems
        catalog = catalog_of(scenario, world["policies"], world)
    for raw in catalog.raws:
        assert parse(raw)[1] == [], "examples are valid"
    found = lint(Project(catalog, scenario, SUFFIXES))
    for finding in found:
        at(catalog.raws[finding.index], re.sub(r"\.matchLabels\[.*", "", finding.path))
    return found


def cnp(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "example", "namespace": "default"},
        "spec": {"endpointSelector": {"matchLabels": {"app": "web"}}, **spec},
    }


def rules_of(text: str) -> set[str]:
    documents = list(yaml.safe_load_all(text))
    first = documents[0]
    if "policies" in first:
        return {finding.rule for finding in findings(world=first)}
    raws = [document if "kind" in document else cnp(**document) for document in documents]
    return {finding.rule for finding in findings(*raws)}


def test_every_rule_has_a_section_in_order() -> None:
    assert tuple(EXAMPLES) == IDS


@pytest.mark.parametrize("rule", IDS)
def test_the_examples_of_docs_lint(rule: str) -> None:
    bad, good = EXAMPLES[rule]
    assert rule in rules_of(bad)
    assert rule not in rules_of(good)


def test_the_page_s_policies_are_clean() -> None:
    raws = [
        document
        for path in sorted((ROOT / "lab" / "manifests").glob("backend-*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    assert len(raws) == 3
    assert findings(*raws) == []


def test_a_rule_beside_names_judged_on_another_port_is_no_shadow() -> None:
    """A plain narrow port can hold up where a wider rule is judged: no false alarm."""
    kube_dns = {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}
    judged = [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": {"dns": [{"matchPattern": "*.test"}]}}]
    plain = [{"ports": [{"port": "53", "protocol": "UDP"}]}]
    found = findings(
        cnp(
            egress=[
                {"toEndpoints": [kube_dns], "toPorts": judged},
                {"toPorts": plain},
                {"toEndpoints": [kube_dns], "toPorts": plain},
            ]
        )
    )
    assert "shadowed" not in {finding.rule for finding in found}


@pytest.mark.parametrize(
    ("others", "shadow"),
    [
        ({"matchLabels": {"role": "x"}}, False),  # a pod may be web and have role x
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}, False),
        ({"matchLabels": {"app": "db"}}, True),
        ({"matchLabels": {"k8s:app": "db"}}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db", "web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, True),
    ],
)
def test_dns_rules_of_another_policy_count_for_pods_that_both_may_select(
    others: dict[str, Any], shadow: bool
) -> None:
    """The narrow rule lets every name pass (semantics.md 6.2); without it the longer L4 judges names (5.2)."""

    def to_world(port: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"toEntities": ["world"], "toPorts": [{"ports": [{**port, "protocol": "UDP"}], **more}]}

    narrow, wide = to_world({"port": "53"}), to_world({"port": "52", "endPort": 53})
    names = to_world({"port": "53"}, rules={"dns": [{"matchName": "a.example.com"}]})
    judging = {**cnp(endpointSelector=others, egress=[names]), "metadata": {"name": "names"}}
    hits = [f.path for f in findings(cnp(egress=[narrow, wide]), judging) if f.rule == "shadowed"]
    assert hits == (["spec.egress[0]"] if shadow else [])


@pytest.mark.parametrize(
    ("inner", "outer", "shadow"),
    [
        ({"toCIDR": ["203.0.113.9/32"]}, {"toCIDR": ["203.0.113.0/24"]}, True),
        (
            {"toCIDR": ["203.0.113.9/32"]},
            {"toCIDRSet": [{"cidr": "203.0.113.0/24", "except": ["203.0.113.8/29"]}]},
            False,
        ),
        (
            {"toFQDNs": [{"matchName": "a.example.com"}]},
            {"toFQDNs": [{"matchPattern": "*.example.com"}]},
            True,
        ),
        (
            {"toFQDNs": [{"matchPattern": "*.example.com"}]},
            {"toFQDNs": [{"matchPattern": "**.example.com"}]},
            True,
        ),
        (
            {"toFQDNs": [{"matchPattern": "**.example.com"}]},
            {"toFQDNs": [{"matchPattern": "*.example.com"}]},
            False,
        ),
        (
            {"toEndpoints": [{"matchLabels": {"app": "a", "tier": "x"}}]},
            {"toEndpoints": [{"matchLabels": {"app": "a"}}]},
            True,
        ),
        ({"toEndpoints": [{}]}, {"toEndpoints": [{"matchLabels": {"app": "a"}}]}, False),
        ({"toEndpoints": [{"matchLabels": {"app": "a"}}]}, {"toEntities": ["all"]}, True),
    ],
)
def test_what_lies_within_what(inner: dict[str, Any], outer: dict[str, Any], shadow: bool) -> None:
    ports = [{"ports": [{"port": "80", "protocol": "TCP"}]}]
    wide = [{"ports": [{"port": "1", "endPort": 1024, "protocol": "TCP"}]}]
    found = findings(cnp(egress=[{**inner, "toPorts": ports}, {**outer, "toPorts": wide}]))
    hits = [finding.path for finding in found if finding.rule == "shadowed"]
    assert hits == (["spec.egress[0]"] if shadow else [])
    swapped = findings(cnp(egress=[{**inner, "toPorts": wide}, {**outer, "toPorts": ports}]))
    hits = [finding.path for finding in swapped if finding.rule == "shadowed"]
    assert "spec.egress[0]" not in hits, "a wider port range is not within a narrower one"


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("k8s:io.kubernetes.pod.namespace", "namespace-overridden"),
        ("io.kubernetes.pod.namespace", "selects-nothing"),
    ],
)
def test_a_namespace_in_the_subject_is_overridden_or_excludes_all(key: str, rule: str) -> None:
    """Cilium puts the own namespace in the place of the label with its source, and asks for the other too."""
    raw = cnp(
        endpointSelector={"matchLabels": {"app": "web", key: "shop"}}, ingress=[{"fromEndpoints": [{}]}]
    )
    assert rule in {f.rule for f in findings(raw) if f.path == "spec.endpointSelector.matchLabels"}


@pytest.mark.parametrize(("port", "shadow"), [("53", True), ("dns", False)])
def test_dns_rules_on_a_named_port_do_something_even_where_all_of_it_is_denied(
    port: str, shadow: bool
) -> None:
    """Names that others may ask by the port's number are refused beside them (semantics.md 6.5)."""
    rules = {"dns": [{"matchName": "a.example.com"}]}
    db = {"toEndpoints": [{"matchLabels": {"app": "db"}}]}
    item = {**db, "toPorts": [{"ports": [{"port": port, "protocol": "UDP"}], "rules": rules}]}
    hits = [f.path for f in findings(cnp(egress=[item], egressDeny=[db])) if f.rule == "shadowed"]
    assert hits == (["spec.egress[0]"] if shadow else [])


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [("*.example.com", "one-level"), ("*.com", "public-suffix"), ("*.github.io", "public-suffix")],
)
def test_a_pattern_below_a_public_suffix_is_not_called_narrow(pattern: str, rule: str) -> None:
    found = findings(cnp(egress=[{"toFQDNs": [{"matchPattern": pattern}]}]))
    assert [f.rule for f in found if f.path.endswith("matchPattern")] == [rule]


def test_equal_rules_are_found_once() -> None:
    item = {"toCIDR": ["203.0.113.0/24"]}
    found = [f.path for f in findings(cnp(egress=[item, dict(item)])) if f.rule == "shadowed"]
    assert found == ["spec.egress[1]"]


@pytest.mark.parametrize(
    ("inner", "outer", "shadow"),
    [
        ({"port": "http"}, {"port": "0"}, True),
        ({"port": "http"}, {"port": "1", "endPort": 65535}, False),  # a name may stand for nothing
        ({"port": "http"}, {"port": "80"}, False),
        ({"port": "80"}, {"port": "http"}, False),
    ],
)
def test_a_named_port_lies_in_all_ports_only(
    inner: dict[str, Any], outer: dict[str, Any], shadow: bool
) -> None:
    to = {"toEntities": ["all"]}
    items = [{**to, "toPorts": [{"ports": [{**port, "protocol": "TCP"}]}]} for port in (inner, outer)]
    hits = [f.path for f in findings(cnp(egress=items)) if f.rule == "shadowed"]
    assert hits == (["spec.egress[0]"] if shadow else [])


def in_mode(mode: str, name: str, **spec: Any) -> dict[str, Any]:
    raw = cnp(**spec)
    metadata = {**raw["metadata"], "name": name, "annotations": {"namewall.io/mode": mode}}
    return {**raw, "metadata": metadata}


@pytest.mark.parametrize(
    ("first", "second", "shadow"),
    [("enforce", "enforce", True), ("enforce", "audit", False), ("audit", "audit", True)],
)
def test_a_policy_in_audit_shadows_none_that_is_enforced(first: str, second: str, shadow: bool) -> None:
    narrow, wide = [{"toCIDR": ["203.0.113.9/32"]}], [{"toCIDR": ["203.0.113.0/24"]}]
    for over in ({"egress": wide}, {"egressDeny": wide}):
        for order in (1, -1):
            pair = [in_mode(first, "narrow", egress=narrow), in_mode(second, "wide", **over)][::order]
            hits = [f.index for f in findings(*pair) if f.rule == "shadowed"]
            assert hits == ([0 if order == 1 else 1] if shadow else [])


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("*example.com", "write two items: matchName `example.com` and matchPattern `*.example.com`"),
        ("*co.uk", "`co.uk` is a public suffix: name the domain meant, as `example.co.uk`"),
        ("*a*b.com", "name the domain meant, as `example.com` or `*.example.com`"),
    ],
)
def test_what_is_told_to_write_fixes_the_domain(pattern: str, hint: str) -> None:
    found = findings(cnp(egress=[{"toFQDNs": [{"matchPattern": pattern}]}]))
    assert hint in [finding.hint for finding in found]
