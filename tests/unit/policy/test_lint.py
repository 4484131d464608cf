"""docs/lint.md by its word: the first example of each rule is found, the second is not; no false alarms."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from publicsuffixlist import PSLFILE, PublicSuffixList

from namewall.policy.explain.anatomy import Catalog, at
from namewall.policy.explain.flow import catalog_of
from namewall.policy.lint.finding import Finding, Project
from namewall.policy.lint.run import IDS, lint
from namewall.policy.parse import parse, stored
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
    kept = [stored(raw) for raw in raws]
    catalog = Catalog([raw for raw, _ in kept])
    if world is not None:
        scenario, problems = parse_scenario(world)
        assert scenario is not None, problems
        catalog = catalog_of(scenario, world["policies"], world)
    for raw in catalog.raws:
        assert parse(raw)[1] == [], "examples are valid"
    found = lint(Project(catalog, scenario, SUFFIXES, {n: nulls for n, (_, nulls) in enumerate(kept)}))
    for finding in found:
        at((raws or catalog.raws)[finding.index], re.sub(r"\.matchLabels\[.*", "", finding.path))
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
    [
        ("*.example.com", "one-level"),
        ("*.com", "public-suffix"),
        ("*.github.io", "public-suffix"),
        ("*.amazonaws.com", "one-level"),
        ("**.amazonaws.com", "public-suffix"),
        ("*.*.amazonaws.com", "public-suffix"),
        ("*.s3-*.amazonaws.com", "public-suffix"),
        ("logs-*.s3.*.amazonaws.com", "public-suffix"),
        ("*.s3.eu-west-1.amazonaws.com", "public-suffix"),
        ("*.github.com", "one-level"),
        ("*.googleapis.com", "one-level"),  # only Google makes names there; below storage anybody does
        ("**.googleapis.com", "public-suffix"),
        ("*.storage.googleapis.com", "public-suffix"),
        ("*.svc.cluster.local", "in-cluster-name"),
        ("**.shop.svc.cluster.local", "in-cluster-name"),
    ],
)
def test_a_pattern_below_a_public_suffix_is_not_called_narrow(pattern: str, rule: str) -> None:
    found = findings(cnp(egress=[{"toFQDNs": [{"matchPattern": pattern}]}]))
    assert [f.rule for f in found if f.path.endswith("matchPattern")] == [rule]


@pytest.mark.parametrize(
    "pattern",
    ["**.example.com", "**.github.com", "**.docker.io", "logs.s3.*.amazonaws.com", "*.sqs.*.amazonaws.com"],
)
def test_a_star_where_no_stranger_has_a_name_is_not_called_wide(pattern: str) -> None:
    found = findings(cnp(egress=[{"toFQDNs": [{"matchPattern": pattern}]}]))
    assert [f.rule for f in found if f.path.endswith("matchPattern")] == []


def test_all_levels_are_proposed_only_where_one_owner_has_them() -> None:
    items = [{"matchPattern": "*.amazonaws.com"}, {"matchPattern": "*.example.com"}]
    shared, own = (f.hint for f in findings(cnp(egress=[{"toFQDNs": items}])) if f.rule == "one-level")
    assert "not `**.amazonaws.com`: below `s3.amazonaws.com`" in shared
    assert "write `**.example.com`" in own


def test_public_suffixes_are_those_of_the_list() -> None:
    known = PublicSuffixList(accept_unknown=False)
    with open(PSLFILE, encoding="utf-8") as lines:
        entries = [line.strip().lstrip("!") for line in lines if line.strip() and not line.startswith("//")]
    for entry in (each.replace("*", "x") for each in entries if each.isascii()):
        for name in (entry, f"a.{entry}", entry.partition(".")[2] or "com"):
            assert SUFFIXES.is_public(name) is known.is_public(name) or name == "googleapis.com", name


PORT_53 = {"port": "53", "protocol": "ANY"}
SPACE = "k8s:io.kubernetes.pod.namespace"
OPENSHIFT = {SPACE: "openshift-dns", "dns.operator.openshift.io/daemonset-dns": "default"}


def asking(rule: dict[str, Any], *ports: dict[str, Any], **policy: Any) -> dict[str, Any]:
    """A policy that asks somebody for names and opens one."""
    to_ports = [{"ports": list(ports) or [PORT_53], "rules": {"dns": [{"matchPattern": "*"}]}}]
    return cnp(egress=[{**rule, "toPorts": to_ports}, {"toFQDNs": [{"matchName": "github.com"}]}], **policy)


def to_pods(**labels: str) -> dict[str, Any]:
    return {"toEndpoints": [{"matchLabels": labels}]}


KUBE_DNS = to_pods(**{SPACE: "kube-system", "k8s-app": "kube-dns"})


@pytest.mark.parametrize(
    ("peer", "found"),
    [
        (KUBE_DNS, []),
        (to_pods(**{"k8s-app": "kube-dns"}), [("dns-namespace", "warning")]),
        (to_pods(**{"k8s-app": "kube-dns", SPACE: "kubesystem"}), [("dns-namespace", "warning")]),
        (to_pods(**{"k8s-app": "kube-dns", SPACE: "dns"}), [("other-dns-server", "info")]),
        (to_pods(app="db"), [("other-dns-server", "info")]),
        (to_pods(**{SPACE: "kube-system", "k8s-app": "node-local-dns"}), []),
        (to_pods(**OPENSHIFT), []),
        ({"toCIDR": ["169.254.20.10/32"]}, []),
        ({"toEntities": ["host"]}, []),
        ({"toServices": [{"k8sService": {"serviceName": "kube-dns", "namespace": "kube-system"}}]}, []),
    ],
)
def test_whom_names_are_asked_of(peer: dict[str, Any], found: list[tuple[str, str]]) -> None:
    """Without a scenario; pods that may be a DNS server of somebody's own are no warning."""
    assert [(f.rule, f.severity) for f in findings(asking(peer))] == found


def test_the_cluster_dns_is_in_another_namespace_for_the_other_kinds_too() -> None:
    to = [{"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}]
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": to}]}
    metadata = {"name": "a", "namespace": "default"}
    raw = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    (finding,) = findings(raw)
    assert (finding.rule, finding.path) == ("dns-namespace", "spec.egress[0].to[0]")
    assert "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}" in finding.hint
    assert findings({**raw, "metadata": {**metadata, "namespace": "kube-system"}}) == []
    everywhere = asking(to_pods(**{"k8s-app": "kube-dns"}))
    assert findings({**everywhere, "kind": "CiliumClusterwideNetworkPolicy", "metadata": {"name": "a"}}) == []


@pytest.mark.parametrize(
    ("peer", "rules"),
    [
        (KUBE_DNS, []),
        (to_pods(**{"k8s-app": "kube-dns"}), ["fqdn-without-dns", "selects-nothing"]),
        (to_pods(app="db"), ["fqdn-without-dns", "other-dns-server"]),
        (to_pods(app="resolver"), []),
    ],
)
def test_a_scenario_says_who_is_asked(peer: dict[str, Any], rules: list[str]) -> None:
    """The cluster DNS that it has or that stands in, and the servers of its lookups."""
    pods = [{"name": name, "labels": {"app": name}} for name in ("web", "db", "resolver")]
    lookup = {
        "from": "web",
        "name": "a.com",
        "ips": ["203.0.113.1"],
        "server": "resolver",
        "ttl": 60,
        "at": 0,
    }
    found = findings(world={"policies": [asking(peer)], "endpoints": pods, "lookups": [lookup]})
    assert sorted(f.rule for f in found) == rules


@pytest.mark.parametrize(
    ("protocols", "found"),
    [
        (["ANY"], []),
        (["UDP", "TCP"], []),
        (["UDP"], [("dns-protocol", "info")]),
        (["TCP"], [("dns-protocol", "warning")]),
    ],
)
def test_dns_needs_both_protocols(protocols: list[str], found: list[tuple[str, str]]) -> None:
    policy = asking(KUBE_DNS, *({"port": "53", "protocol": each} for each in protocols))
    assert [(f.rule, f.severity) for f in findings(policy)] == found
    beside = {**cnp(egress=[{**KUBE_DNS, "toPorts": [{"ports": [PORT_53]}]}]), "metadata": {"name": "beside"}}
    assert "dns-protocol" not in {f.rule for f in findings(policy, beside)}


@pytest.mark.parametrize(
    ("target", "ports", "hint"),
    [
        (5432, None, None),
        ("pg", [5432], None),
        ("pg", [6432], "write port 6432"),
        ("pg", [5432, 6432], "write port 5432 and 6432"),
        ("pg", [], "write port pg"),
        (6432, None, "write port 6432"),
    ],
)
def test_a_target_port_by_name_is_that_of_the_pods(
    target: int | str, ports: list[int] | None, hint: str | None
) -> None:
    policy = cnp(
        egress=[{**to_pods(app="db"), "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}]}]
    )
    pods = [
        {"name": f"db-{number}", "labels": {"app": "db"}, "namedPorts": [{"name": "pg", "port": port}]}
        for number, port in enumerate(ports or ())
    ] or [{"name": "db", "labels": {"app": "db"}}]
    service = {"name": "db", "selector": {"app": "db"}, "ips": ["10.96.0.4"]}
    world = {
        "policies": [policy],
        "endpoints": [{"name": "web", "labels": {"app": "web"}}, *pods],
        "services": [{**service, "ports": [{"port": 5432, "targetPort": target}]}],
    }
    assert [f.hint for f in findings(world=world) if f.rule == "service-port"] == ([hint] if hint else [])


def test_a_namespace_by_its_name_has_another_label_for_policies() -> None:
    name = {"kubernetes.io/metadata.name": "data"}
    hints = {f.rule: f.hint for f in findings(cnp(egress=[to_pods(**name)]))}
    assert hints["dropped-label"] == "for the namespace write `k8s:io.kubernetes.pod.namespace: data`"


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"ingress": [{}]}, [("info", "spec.ingress[0]", True)]),
        ({"ingress": [{}], "enableDefaultDeny": {"ingress": False}}, [("info", "spec.ingress[0]", False)]),
        ({"egress": [{"toEntities": ["cluster"]}, {}]}, [("warning", "spec.egress[1]", False)]),
        (
            {"ingress": [{"fromEntities": ["all"]}], "ingressDeny": [{}]},
            [("warning", "spec.ingressDeny[0]", False)],
        ),
        ({"egress": [{"toEntities": ["all"]}]}, []),
    ],
)
def test_an_empty_rule_alone_is_how_all_is_denied(
    spec: dict[str, Any], found: list[tuple[str, str, bool]]
) -> None:
    hits = [f for f in findings(cnp(**spec)) if f.rule == "empty-rule"]
    assert [(f.severity, f.path, f.message.endswith("is denied")) for f in hits] == found


@pytest.mark.parametrize(
    ("port", "hint"), [("0443", ['write "443"']), ("07", []), ("443", []), ("0", []), ("0x50", [])]
)
def test_a_port_with_a_leading_zero_is_octal(port: str, hint: list[str]) -> None:
    for rules in ("egress", "egressDeny"):
        item = {"toEntities": ["world"], "toPorts": [{"ports": [{"port": port, "protocol": "TCP"}]}]}
        found = [f for f in findings(cnp(**{rules: [item]})) if f.rule == "octal-port"]
        assert [f.hint for f in found] == hint
        assert not found or "port 291" in found[0].message


@pytest.mark.parametrize(
    ("cidr", "held"), [("10.96.0.10/32", True), ("10.0.0.0/8", False), ("10.0.0.5/32", False)]
)
def test_an_ip_block_means_pods_and_never_services(cidr: str, held: bool) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "out"},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": cidr}}]}],
        },
    }
    pod = {"name": "db", "labels": {"app": "db"}, "ips": ["10.0.0.5"]}
    service = {"name": "db", "selector": {"app": "db"}, "ips": ["10.96.0.10"], "ports": [{"port": 80}]}
    found = findings(world={"policies": [policy], "endpoints": [pod], "services": [service]})
    assert [(f.rule, f.path) for f in found] == (
        [("cidr-means-no-pods", "spec.egress[0].to[0]")] if held else []
    )


@pytest.mark.parametrize(("space", "where"), [({}, "default"), ({SPACE: "dat"}, "dat")])
def test_a_selector_that_misses_the_namespace_is_told_it(space: dict[str, str], where: str) -> None:
    pods = [
        {"name": "web", "labels": {"app": "web"}},
        {"name": "db", "namespace": "data", "labels": {"app": "db"}},
    ]
    policy = cnp(egress=[to_pods(app="db", **space)])
    (finding,) = findings(world={"policies": [policy], "endpoints": pods})
    assert finding.message == f"it selects no endpoint of the scenario (in namespace `{where}`)"
    assert finding.hint == "data/db has these labels: write `k8s:io.kubernetes.pod.namespace: data`"


def test_findings_are_in_the_order_of_the_items() -> None:
    items = [{"matchPattern": f"*.{number}.example.com"} for number in range(11)]
    found = [f.path for f in findings(cnp(egress=[{"toFQDNs": items}])) if f.rule == "one-level"]
    assert found == [f"spec.egress[0].toFQDNs[{number}].matchPattern" for number in range(11)]


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


@pytest.mark.parametrize(
    ("member", "of"),
    [
        ("toCIDR", "203.0.{}.0/24"),
        ("toCIDR", "2001:db8:{}::/48"),
        ("toFQDNs", {"matchName": "n{}.example.com"}),
        ("toFQDNs", {"matchPattern": "*.n{}.example.com"}),
        ("toFQDNs", {"matchPattern": "**.n{}.example.com"}),
        ("toEndpoints", {"matchLabels": {"app": "n{}"}}),
    ],
)
def test_a_rule_of_a_long_policy_is_held_against_few(member: str, of: Any) -> None:
    """Else a policy of some thousand rules takes minutes."""

    def peer(number: int) -> Any:
        if isinstance(of, str):
            return of.format(number)
        ((key, value),) = of.items()
        return {key: {"app": f"n{number}"} if isinstance(value, dict) else value.format(number)}

    many = cnp(egress=[{member: [peer(number)]} for number in range(200)])
    project = Project(Catalog([many]))
    assert all(project.wider(rule) == [(0, rule)] for _, rule in project.rules)


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        (
            {"ingress": [{"fromEndpoints": None, "toPorts": None}], "egress": None},
            ["spec.ingress[0].fromEndpoints"],
        ),
        ({"description": None, "labels": None, "log": None, "egress": [{}]}, []),
        (
            {"egress": [{"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": None}]}]},
            ["spec.egress[0].toCIDRSet[0].except"],
        ),
    ],
)
def test_a_null_that_limits_nothing_is_said_of_fields_that_would(
    spec: dict[str, Any], paths: list[str]
) -> None:
    said = [finding.path for finding in findings(cnp(**spec)) if finding.rule == "null-field"]
    assert [path for path in said if path in paths] == paths
    assert bool(said) is bool(paths)


def test_policy_types_say_what_a_null_list_of_rules_restricts() -> None:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": None, "egress": [{"to": None}]}
    metadata = {"name": "none", "namespace": "default"}
    raw = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    assert [f.path for f in findings(raw) if f.rule == "null-field"] == ["spec.egress[0].to"]


ALL = {"toEntities": ["all"]}
NAMES = {"toFQDNs": [{"matchName": "httpbin.org"}]}
ASK = {"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": [{"matchPattern": "*"}]}}
HTTP = {"toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}], "rules": {"http": [{"method": "GET"}]}}]}
OPENSHIFT = {
    "toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "openshift-dns"}}],
    "toPorts": [ASK],
}
KUBE_DNS = {
    "toEndpoints": [
        {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}
    ]
}
TEAM = {"toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "team"}}], "toPorts": [ASK]}


@pytest.mark.parametrize(
    ("spec", "rule", "said"),
    [
        ({"egress": [NAMES | HTTP, {"toPorts": [ASK]}]}, "names-swallowed", None),
        *(
            (
                {
                    "egress": [
                        KUBE_DNS | {"toPorts": [ASK | {"rules": {"dns": [{"matchPattern": asked}]}}]},
                        {"toFQDNs": [{"matchPattern": "**.example.com"}]},
                    ]
                },
                "fqdn-without-dns",
                said,
            )
            for asked, said in (
                ("*.example.com", "the DNS rules refuse `x.x.example.com`"),
                ("**.example.com", None),
            )
        ),
        ({"egress": [OPENSHIFT]}, "dns-server-wide", None),
        ({"egress": [TEAM]}, "dns-server-wide", "the DNS server may be any pod of namespace `team`"),
        ({"egressDeny": [ALL]}, "deny-denies-all", None),
        (
            {"egressDeny": [ALL | {"toPorts": [{"ports": [{"port": "25"}]}]}]},
            "deny-denies-all",
            "deny rules turn on",
        ),
        *(
            (
                {"egress": [{"toEndpoints": [{"matchLabels": {"app": "a"}, "matchExpressions": [term]}]}]},
                "selects-nothing",
                said,
            )
            for term, said in (
                (
                    {"key": "app", "operator": "NotIn", "values": ["a", "b"]},
                    "`app` cannot be `a` and none of it",
                ),
                ({"key": "app", "operator": "NotIn", "values": ["b"]}, None),
                ({"key": "app", "operator": "DoesNotExist"}, "`app` cannot be `a` and missing"),
                ({"key": "app", "operator": "Exists"}, None),
            )
        ),
    ],
)
def test_what_is_said_of_what_others_wrote(spec: dict[str, Any], rule: str, said: str | None) -> None:
    """Found in the policies of others, where it was wrong or missing."""
    found = [finding.message for finding in findings(cnp(**spec)) if finding.rule == rule]
    assert [said is not None and message.startswith(said) for message in found] == [True] * (said is not None)


def test_a_clusterwide_policy_that_lets_all_in_closes_nothing() -> None:
    def said(**spec: Any) -> list[str]:
        raw = {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumClusterwideNetworkPolicy",
            "metadata": {"name": "lockdown"},
            "spec": {"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["world"]}], **spec},
        }
        return [f.message for f in findings(raw) if f.rule == "selects-everything"]

    assert not said(ingress=[{"fromEntities": ["all"]}])
    assert said(ingress=[{"fromEntities": ["cluster"]}])


def test_a_service_and_another_cluster_are_told_as_such() -> None:
    world = {
        "policies": [
            cnp(
                egress=[
                    {"toServices": [{"k8sServiceSelector": {"selector": {"matchLabels": {"rgw": "red"}}}}]}
                ],
                ingress=[
                    {"fromEndpoints": [{"matchLabels": {"app": "db", "io.cilium.k8s.policy.cluster": "red"}}]}
                ],
            )
        ],
        "endpoints": [{"name": "web", "labels": {"app": "web"}}, {"name": "db", "labels": {"app": "db"}}],
        "services": [
            {"name": "s3", "labels": {"rgw": "blue"}, "selector": {"app": "db"}, "ips": ["10.1.0.1"]}
        ],
    }
    said = {f.path: (f.message, f.hint) for f in findings(world=world) if f.rule == "selects-nothing"}
    assert said["spec.egress[0].toServices[0]"][0] == "it selects no Service of the scenario"
    hint = "default/db has the other labels: the cluster is called `default` here"
    assert said["spec.ingress[0].fromEndpoints[0]"][1] == hint
