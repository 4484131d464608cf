"""Scenario documents: what is wrong with them, who is meant, and answers to whatever is asked."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from namewall.model.net import Protocol, never_granted
from namewall.policy.decide import PeerFacts
from namewall.policy.expectation import differences
from namewall.policy.scenario import Answer, Name, Node, Scenario, query_of
from namewall.policy.scenario_parse import parse_party, parse_scenario, parse_target
from namewall.policy.scenario_schema import EXPECT, SCENARIO

CASES = Path(__file__).parents[2] / "cases"


def policy(name: str, **spec: Any) -> dict[str, Any]:
    spec = {"endpointSelector": {}, **spec}
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def scenario(**document: Any) -> Scenario:
    found, problems = parse_scenario(document)
    assert found is not None, "\n".join(map(str, problems))
    return found


def ask(found: Scenario) -> list[Answer]:
    return [found.answer(query) for query in found.queries]


WEB: dict[str, Any] = {"endpoints": [{"name": "web", "labels": {"app": "web"}}]}
CLUSTER_DNS = {
    "toEndpoints": [
        {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}
    ],
    "toPorts": [{"ports": [{"port": "53", "protocol": "ANY"}]}],
}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (None, "a scenario must be a mapping"),
        ([], "a scenario must be a mapping"),
        ({"polices": []}, 'polices: unknown field "polices"'),
        ({"endpoints": [{"name": "a"}, {"name": "a"}]}, "endpoints[1].name: `default/a` is there twice"),
        ({"endpoints": [{"name": "a", "ips": ["10.0.0"]}]}, "endpoints[0].ips[0]: `10.0.0` is no address"),
        (
            {"endpoints": [{"name": "a", "ips": ["10.0.0.1"]}, {"name": "b", "ips": ["10.0.0.1"]}]},
            "endpoints[1].ips: `10.0.0.1` belongs to `default/a` already",
        ),
        ({"endpoints": [{"name": "a", "namespace": "Red"}]}, "endpoints[0].namespace: `Red` is no namespace"),
        ({"services": [{"name": "a", "namespace": "a.b"}]}, "services[0].namespace: `a.b` is no namespace"),
        ({"namespaces": [{"name": "-red"}]}, "namespaces[0].name: `-red` is no namespace: a lowercase RFC"),
        ({"externals": [{"ip": "kubernetes.io"}]}, "externals[0].ip: `kubernetes.io` is no address"),
        (
            {"queries": [{"from": "a", "to": "a.b:1"}]},
            "queries[0].from: `a` is no endpoint, address or reserved",
        ),
        ({"queries": [{"from": "host", "to": "a:1"}]}, "queries[0].to: `a` is no endpoint, Service, address"),
        (
            {"queries": [{"from": "host", "to": "*.x.io:1"}]},
            "queries[0].to: `*.x.io` is a pattern and no name",
        ),
        ({"queries": [{"from": "host", "to": "300.1.1.1:1"}]}, "queries[0].to: `300.1.1.1` is no address"),
        ({"queries": [{"from": "host", "to": "a..io:1"}]}, "queries[0].to: `a..io` is no DNS name"),
        ({"queries": [{"from": "a.b", "to": "host:1"}]}, "queries[0].from: `a.b` cannot begin a flow"),
        ({"queries": [{"from": "host", "to": "host"}]}, "queries[0].port: a query needs a port"),
        ({"queries": [{"from": "host"}]}, "queries[0].to: a query needs `to`"),
        (
            {"queries": [{"from": "host", "to": "host:1", "port": 2}]},
            "queries[0].port: `to` says another port",
        ),
        (
            {"queries": [{"from": "host", "to": "host:1/TCP", "protocol": "UDP"}]},
            "queries[0].protocol: `to` says",
        ),
        ({"queries": [{"from": "host", "to": "host:70000"}]}, "queries[0].to: `70000` is no port"),
        (
            {"queries": [{"from": "host", "to": "host:1/IP"}]},
            "queries[0].to: `IP` is no protocol; use one of",
        ),
        ({"queries": [{"from": "host", "to": "host:1", "expect": "no"}]}, "queries[0].expect: `no` is no"),
        (
            {"queries": [{"from": "host", "to": "host:1", "expect": {"x": 1}}]},
            "queries[0].expect.x: `x` is no",
        ),
        (
            {"queries": [{"from": "host", "to": "host:1", "expect": {"egress": "redirect"}}]},
            "queries[0].expect.egress: `redirect` cannot be; use one of allow, deny, null",
        ),
        (
            {"queries": [{"from": "host", "to": "host:1", "expect": {}}]},
            "queries[0].expect: nothing is expected here; write one of allow, deny, refused",
        ),
        ({"lookups": [{"name": "a.b", "ip": "1.2.3.4"}]}, "lookups[0].from: a lookup needs the endpoint"),
        *(
            (
                {"queries": [{"from": "host", "to": "host:1", "expect": expect}]},
                f"queries[0].expect.{problem}",
            )
            for expect, problem in (
                ({"reason": 1}, "reason: a reason is a word"),
                ({"rules": {}}, "rules: rules are a list"),
                ({"rules": [1]}, "rules[0]: a rule is a mapping of policy, kind"),
                ({"rules": [{"polcy": "p"}]}, "rules[0].polcy: `polcy` is no field of a rule"),
                ({"rules": [{"kind": None}]}, "rules[0].kind: must be a string"),
            )
        ),
        (WEB | {"lookups": [{"from": "web", "name": "a.b"}]}, "lookups[0].ip: a lookup needs `ip` or `ips`"),
        (
            WEB | {"lookups": [{"from": "web", "name": "a.b", "ip": "1.2.3.4", "server": "dns.test"}]},
            "lookups[0].server: `dns.test` is a name; a server is an address, an endpoint or a Service",
        ),
        (WEB | {"at": float("nan")}, "at: `nan` is no time"),
        (
            WEB | {"services": [{"name": "s", "endpoints": ["host"]}]},
            "services[0].endpoints[0]: `host` is no",
        ),
        (WEB | {"policies": [{"kind": "CiliumCIDRGroup"}]}, "policies[0].metadata: Required value"),
    ],
)
def test_problems_have_paths(document: Any, problem: str) -> None:
    found, problems = parse_scenario(document)
    assert found is None
    assert any(problem in str(each) for each in problems), list(map(str, problems))


def test_all_problems_at_once() -> None:
    document = {
        "endpoints": [{"name": "a", "ips": ["x"]}],
        "queries": [{"from": "b", "to": "c:1", "expect": "d"}] * 2,
    }
    assert len(parse_scenario(document)[1]) == 7


@pytest.mark.parametrize(("count", "more"), [(8, ""), (9, " …")])
def test_who_is_not_there_is_told_who_is(count: int, more: str) -> None:
    ends = [{"name": f"p{number}"} for number in range(count)]
    (problem,) = parse_scenario({"endpoints": ends, "queries": [{"from": "p", "to": "host:1"}]})[1]
    names = ", ".join(f"`default/p{number}`" for number in range(8))
    assert problem.message.endswith(f"; endpoints are {names}{more}")


def test_a_word_that_fits_several_is_a_problem() -> None:
    ends = [{"name": "x", "namespace": namespace} for namespace in ("a", "b")]
    problems = parse_scenario({"endpoints": ends, "queries": [{"from": "x", "to": "host:1"}]})[1]
    assert [str(problem) for problem in problems] == [
        "queries[0].from: `x` may be any of `a/x`, `b/x`; write which"
    ]


def test_one_problem_for_one_mistake_in_a_lookup() -> None:
    for row in ({"from": "nobody", "ip": "x"}, {"ip": "203.0.113.1"}, {"from": "web"}):
        document = WEB | {"lookups": [{"name": "a.b", **row}]}
        assert len(parse_scenario(document)[1]) == 1


def test_a_lookup_without_a_time_was_made_at_0() -> None:
    row = {"from": "web", "name": "a.b", "ip": "203.0.113.1"}
    (lookup,) = scenario(**WEB, lookups=[row]).lookups
    assert [lookup.live(now) for now in (-0.5, 0, 60, 60.5)] == [False, True, True, False]
    for key in ("ttl", "at"):
        (problem,) = parse_scenario(WEB | {"lookups": [row | {key: float("inf")}]})[1]
        assert str(problem).startswith(f"lookups[0].{key}: `inf` is no time")


def test_a_service_s_endpoints_fit_its_whole_selector() -> None:
    ends = [{"name": n, "labels": {"app": "a", "tier": n}} for n in ("one", "two")]
    ends += [{"name": "far", "namespace": "prod", "labels": {"app": "a", "tier": "one"}}]
    service = {"name": "s", "selector": {"app": "a", "tier": "one"}}
    outer = {"name": "o", "endpoints": ["one", "203.0.113.7"]}
    found = scenario(endpoints=ends, services=[service, outer])
    assert found.services[0].endpoints == found.endpoints[:1]
    assert found.services[1].endpoints == (found.endpoints[0], ip_address("203.0.113.7"))
    assert found.services[1].facts.addresses == {ip_address("203.0.113.7")}


def test_policies_that_are_not_accepted_have_results() -> None:
    bad = policy("bad", egres=[])
    http = [
        {"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"method": "GET"}]}}]}
    ]
    found = scenario(
        policies=[bad, policy("http", ingress=http), policy("good", egress=[{}]), 7, {"metadata": 7}]
    )
    rows = [result.to_dict() for result in found.results]
    assert [(row["name"], row["accepted"], row["enforceable"]) for row in rows] == [
        ("bad", False, None),
        ("http", True, False),
        ("good", True, True),
        (None, False, None),
        (None, False, None),
    ]
    assert "spec.egres" in rows[0]["error"]
    assert "HTTP rules cannot be enforced" in rows[1]["reason"]
    assert [one.name for one in found.policies] == ["http", "good"]


def test_who_is_meant() -> None:
    found = scenario(
        endpoints=[
            {"name": "web"},
            {"name": "web", "namespace": "prod"},
            {"name": "host", "namespace": "prod"},
        ],
        services=[{"name": "web"}, {"name": "web", "namespace": "prod"}, {"name": "db", "namespace": "prod"}],
    )
    first, second, third = found.endpoints
    for text, party in (
        ("web", first),
        ("pod/web", first),
        ("prod/web", second),
        ("pod/prod/web", second),
        ("host", third),
        ("svc/web", found.services[0]),
        ("service/prod/web", found.services[1]),
        ("svc/db", found.services[2]),
        ("db.prod.svc", found.services[2]),
        ("DB.prod.svc.cluster.local.", found.services[2]),
        ("kube-dns", found.stand_in),
        ("kube-system/kube-dns", found.stand_in),
    ):
        assert parse_party(found, text) is party, text
    node = parse_party(found, "remote-node")
    assert isinstance(node, Node)
    assert parse_party(found, "Kubernetes.io") == Name("kubernetes.io.")
    assert str(parse_party(found, "2001:DB8::1")) == "2001:db8::1"
    for text in ("nobody", "pod/nobody", "svc/nobody", "no.prod.svc.cluster.local", "a/b.c", ""):
        assert parse_party(found, text) is None
    with pytest.raises(ValueError, match="may be any of"):
        parse_party(scenario(endpoints=[{"name": "x", "namespace": n} for n in "ab"]), "x")


def test_targets() -> None:
    assert parse_target("a:1") == ("a", 1, None)
    assert parse_target("a/b:53/udp") == ("a/b", 53, Protocol.UDP)
    assert parse_target("[2001:db8::1]:443") == ("2001:db8::1", 443, None)
    assert parse_target("[odd:53") == ("[odd", 53, None)
    assert parse_target("[2001:db8::1]") == ("2001:db8::1", None, None)
    assert parse_target("2001:db8::1:443") == ("2001:db8::1:443", None, None)
    assert parse_target("a:1/ICMPv6") == ("a", 1, Protocol.ICMPV6)


def test_a_namespace_has_its_name_as_a_label() -> None:
    rule = {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "prod"}}}]}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "np"}}
    found = scenario(
        endpoints=[{"name": "a"}, {"name": "b", "namespace": "prod"}, {"name": "c", "namespace": "dev"}],
        policies=[kind | {"spec": {"podSelector": {}, "ingress": [rule]}}],
        queries=[{"from": "b", "to": "a:1"}, {"from": "c", "to": "a:1"}],
    )
    assert [answer.verdict for answer in ask(found)] == ["allow", "deny"]


def test_reason_and_rules_are_those_of_the_side_that_denied_first() -> None:
    found = scenario(
        endpoints=[{"name": n, "labels": {"app": n}} for n in "ab"],
        policies=[
            policy(
                "out", endpointSelector={"matchLabels": {"app": "a"}}, egressDeny=[{"toEntities": ["all"]}]
            ),
            policy(
                "in", endpointSelector={"matchLabels": {"app": "b"}}, ingressDeny=[{"fromEntities": ["all"]}]
            ),
        ],
        queries=[{"from": "a", "to": "b:1"}, {"from": "b", "to": "b:1"}],
    )
    both, one = ask(found)
    assert (both.egress, both.ingress, both.reason) == ("deny", "deny", "POLICY_DENY")
    assert [rule.origin.name for rule in both.rules] == ["out"]
    assert (one.egress, one.ingress) == ("allow", "deny")
    assert [rule.to_dict() for rule in one.rules] == [
        {
            "policy": "in",
            "kind": "CiliumNetworkPolicy",
            "namespace": "default",
            "direction": "ingress",
            "rule": "spec.ingressDeny[0]",
        }
    ]


def test_groups_services_and_cidr_groups_are_expanded() -> None:
    group = {"apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup", "metadata": {"name": "g"}}
    rules = [{"toCIDRSet": [{"cidrGroupRef": "g"}]}, {"toCIDRSet": [{"cidrGroupRef": "h"}]}]
    found = scenario(
        **WEB,
        policies=[policy("p", egress=rules), group | {"spec": {"externalCIDRs": ["203.0.113.0/25"]}}],
        cidrGroups=[{"name": "h", "externalCIDRs": ["198.51.100.0/24"]}],
        queries=[{"from": "web", "to": f"{ip}:1"} for ip in ("203.0.113.1", "203.0.113.200", "198.51.100.1")],
    )
    assert [answer.verdict for answer in ask(found)] == ["allow", "deny", "allow"]
    assert len(found.results) == 1


def test_strict_dns_rules_teach_by_dns_rules_only() -> None:
    document = {
        **WEB,
        "policies": [policy("p", egress=[CLUSTER_DNS, {"toFQDNs": [{"matchPattern": "*.example.com"}]}])],
        "lookups": [{"from": "web", "name": "a.example.com", "ip": "203.0.113.1"}],
        "queries": [{"from": "web", "to": "203.0.113.1:1"}, {"from": "web", "to": "b.example.com:1"}],
    }
    assert [answer.verdict for answer in ask(scenario(**document))] == ["allow", "allow"]
    strict = ask(scenario(**document, strictDnsRules=True))
    assert [answer.verdict for answer in strict] == ["deny", "deny"]
    assert "no `rules.dns`" in strict[0].notes[0]
    assert "not learned" in strict[1].notes[-1]


def test_a_lookup_of_one_query_comes_on_top_of_the_scenario_s() -> None:
    own = {"lookups": [{"name": "b.example.com", "ip": "203.0.113.2"}]}
    found = scenario(
        **WEB,
        policies=[policy("p", egress=[CLUSTER_DNS, {"toFQDNs": [{"matchPattern": "*.example.com"}]}])],
        lookups=[{"from": "web", "name": "a.example.com", "ip": "203.0.113.1"}],
        queries=[
            {"from": "web", "to": "203.0.113.1:1", **own},
            {"from": "web", "to": "203.0.113.2:1", **own},
            {"from": "web", "to": "203.0.113.2:1"},
            {"from": "203.0.113.9", "to": "a.example.com:1"},
            {"from": "web", "to": "c.example.com:1"},
        ],
    )
    answers = ask(found)
    assert [answer.verdict for answer in answers] == ["allow", "allow", "deny", "allow", "allow"]
    assert (answers[3].egress, answers[3].reason, answers[3].sides) == (None, "no_policy", ())
    assert len(answers[4].sides) == 3, "the question at both ends, then the flow"


def test_a_service_without_endpoints_is_nowhere() -> None:
    service = {"name": "s", "ips": ["10.96.0.1"], "ports": [{"port": 80}]}
    queries = [{"from": one, "to": "svc/s:80"} for one in ("web", "host")]
    inside, outside = ask(scenario(**WEB, services=[service], queries=queries))
    assert inside.to_dict() == {
        "egress": "deny",
        "ingress": None,
        "l7dns": None,
        "verdict": "deny",
        "reason": "SERVICE_BACKEND_NOT_FOUND",
        "rules": [],
    }
    assert (outside.verdict, outside.reason) == ("allow", "no_policy")


def test_a_service_of_too_many_kinds_of_endpoints_is_not_judged() -> None:
    everything = policy("p", endpointSelector={"matchLabels": {"n": "0"}}, egress=[{"toEntities": ["all"]}])
    for count, reason in ((16, "allowed"), (17, "TOO_MANY_BACKENDS")):
        pods = [{"name": f"p{n}", "labels": {"n": str(n), "all": "yes"}} for n in range(count)]
        service = {"name": "s", "selector": {"all": "yes"}, "ports": [{"port": 80}]}
        queries = [{"from": one, "to": "svc/s:80"} for one in ("p0", "p1")]
        found = scenario(endpoints=pods, services=[service], queries=queries, policies=[everything])
        assert [answer.reason for answer in ask(found)] == [reason, "no_policy"]


def test_a_name_may_have_many_addresses() -> None:
    addresses = [f"203.0.113.{n}" for n in range(1, 40)]
    found = scenario(
        **WEB,
        policies=[policy("p", egress=[CLUSTER_DNS, {"toFQDNs": [{"matchName": "a.example.com"}]}])],
        lookups=[{"from": "web", "name": "a.example.com", "ips": addresses}],
        queries=[{"from": "web", "to": "a.example.com:1"}],
    )
    assert [(answer.verdict, len(answer.sides)) for answer in ask(found)] == [("allow", 39)]


@pytest.mark.parametrize("first", ["denied", "unmentioned"])
def test_the_reason_is_that_of_the_first_endpoint_that_is_denied(first: str) -> None:
    pods = [{"name": n, "labels": {"app": n}} for n in ("web", "denied", "unmentioned")]
    order = [first, *({"denied", "unmentioned"} - {first})]
    service = {"name": "s", "ports": [{"port": 80}], "endpoints": order}
    deny = [{"toEndpoints": [{"matchLabels": {"app": "denied"}}]}]
    (answer,) = ask(
        scenario(
            endpoints=pods,
            services=[service],
            policies=[policy("p", endpointSelector={"matchLabels": {"app": "web"}}, egressDeny=deny)],
            queries=[{"from": "web", "to": "svc/s:80"}],
        )
    )
    assert answer.reason == ("POLICY_DENY" if first == "denied" else "POLICY_DENIED")
    assert [rule.origin.rule for rule in answer.rules] == ["spec.egressDeny[0]"] * (first == "denied")


def test_facts_are_what_decide_knows_of_either_end() -> None:
    found = scenario(
        endpoints=[{"name": "web", "ips": ["10.0.0.1", "2001:db8::1"]}],
        services=[{"name": "s", "ips": ["10.96.0.1"], "ports": [{"port": 80}]}],
        externals=[{"ip": "203.0.113.7", "names": ["a.example.com"]}],
        lookups=[{"from": "web", "name": "b.example.com", "ip": "203.0.113.7", "at": 5}],
    )
    (web,) = found.endpoints
    assert found.facts(web) == PeerFacts(web.labels, web.addresses[0])
    assert found.facts(ip_address("2001:db8::1")).labels == web.labels
    assert found.facts(found.services[0]) == found.facts(ip_address("10.96.0.1")) == PeerFacts(closed=True)
    assert found.facts(Name("x.org.")).names == {"x.org."}
    assert found.facts(Node("host")).host
    outside = ip_address("203.0.113.7")
    assert found.facts(outside).names == {"a.example.com."}
    assert found.facts(outside, web, 5).names == {"a.example.com.", "b.example.com."}
    assert found.facts(outside, web, 66).names == {"a.example.com."}
    assert not found.facts(outside).inside
    assert found.owner(outside) is None


def test_who_the_cluster_dns_is() -> None:
    pod = {"name": "core", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    service = {"name": "kube-dns", "namespace": "kube-system", "selector": {"k8s-app": "kube-dns"}}
    assert [str(one) for one in scenario().cluster_dns] == ["kube-system/kube-dns"]
    assert [str(one) for one in scenario(endpoints=[pod]).cluster_dns] == ["kube-system/core"]
    both = scenario(endpoints=[pod], services=[service])
    assert [str(one) for one in both.cluster_dns] == ["svc/kube-system/kube-dns"]
    pod = {"name": "kube-dns", "namespace": "kube-system"}
    named = scenario(endpoints=[pod], queries=[{"from": "kube-dns", "dns": "a.b"}])
    assert (named.cluster_dns, named.stand_in) == (named.endpoints, None)
    assert named.queries[0].target is named.endpoints[0]


@pytest.mark.parametrize(
    ("at", "address"),
    [
        (0, "203.0.113.1"),  # his own that is to come, the next one
        (10, "203.0.113.1"),
        (19, "203.0.113.1"),
        (20, "203.0.113.2"),  # the latest answer is where he goes
        (99, "203.0.113.2"),
    ],
)
def test_a_name_leads_where_the_latest_answer_said(at: int, address: str) -> None:
    lookups = [
        {"from": "web", "name": "a.example.com", "ip": f"203.0.113.{number}", "at": 10 * number}
        for number in (1, 2)
    ]
    lookups += [{"from": "job", "name": "a.example.com", "ip": "203.0.113.9", "at": 15}]
    found = scenario(
        endpoints=[{"name": "web"}, {"name": "job"}, {"name": "new"}],
        lookups=lookups,
        queries=[{"from": who, "to": "a.example.com:1", "at": at} for who in ("web", "new")],
    )
    own, others = ask(found)
    assert [side.peer for side in own.sides] == [address]
    assert len(others.sides) == 1


def test_who_asked_nothing_goes_where_others_went() -> None:
    lookups = [{"from": "web", "name": "a.example.com", "ips": ["203.0.113.1", "203.0.113.2"]}]
    ends = [{"name": "web"}, {"name": "new"}]
    (answer,) = ask(
        scenario(endpoints=ends, lookups=lookups, queries=[{"from": "new", "to": "a.example.com:1"}])
    )
    assert [side.peer for side in answer.sides] == ["203.0.113.1", "203.0.113.2"]


def test_an_answer_may_name_what_is_in_the_cluster() -> None:
    """Rebinding: the address is a pod's or a Service's, so the name opens nothing."""
    found = scenario(
        endpoints=[{"name": "web", "labels": {"app": "web"}}, {"name": "db", "ips": ["10.0.0.9"]}],
        services=[{"name": "s", "ips": ["10.96.0.1"], "ports": [{"port": 1}], "endpoints": ["db"]}],
        policies=[
            policy(
                "p",
                endpointSelector={"matchLabels": {"app": "web"}},
                egress=[CLUSTER_DNS, {"toFQDNs": [{"matchPattern": "*.example.com"}]}],
            )
        ],
        lookups=[
            {"from": "web", "name": "a.example.com", "ip": "10.0.0.9"},
            {"from": "web", "name": "b.example.com", "ip": "10.96.0.1"},
        ],
        queries=[
            {"from": "web", "to": to}
            for to in ("a.example.com:1", "10.0.0.9:1", "b.example.com:1", "10.96.0.1:1", "svc/s:1")
        ],
    )
    assert [answer.verdict for answer in ask(found)] == ["deny"] * 5


def test_a_dns_service_without_endpoints_answers_nobody() -> None:
    service = {"name": "kube-dns", "namespace": "kube-system", "ports": [{"port": 53, "protocol": "UDP"}]}
    found = scenario(
        **WEB,
        services=[service],
        policies=[policy("p", egress=[{"toEntities": ["all"]}])],
        lookups=[{"from": "web", "name": "a.example.com", "ip": "203.0.113.1"}],
        queries=[{"from": "web", "to": "b.example.com:1"}, {"from": "web", "dns": "a.example.com"}],
    )
    first, second = ask(found)
    assert (first.verdict, first.reason) == ("deny", "SERVICE_BACKEND_NOT_FOUND")
    assert "does not reach the DNS server (SERVICE_BACKEND_NOT_FOUND)" in first.notes[0]
    assert second.reason == "SERVICE_BACKEND_NOT_FOUND"


def test_addresses_that_no_answer_opens() -> None:
    for text, never in (
        ("0.1.2.3", True),
        ("127.9.9.9", True),
        ("169.254.1.1", True),
        ("224.0.0.1", True),
        ("255.255.255.255", True),
        ("169.253.1.1", False),
        ("223.255.255.255", False),
        ("10.0.0.1", False),
        ("::", True),
        ("::1", True),
        ("::2", False),
        ("fe80::1", True),
        ("ff02::1", True),
        ("::ffff:10.0.0.1", True),
        ("fc00::1", False),
        ("2001:db8::1", False),
    ):
        assert never_granted(ip_address(text)) is never, text


def test_an_external_s_name_is_a_target() -> None:
    rule = {"toFQDNs": [{"matchName": "a.example.com"}], "toPorts": [{"ports": [{"port": "443"}]}]}
    found = scenario(
        **WEB,
        policies=[policy("p", egress=[rule, {"toCIDR": ["203.0.113.1/32"]}])],
        externals=[
            {"ip": "203.0.113.1", "names": ["A.example.com", "b.example.com"]},
            {"ip": "203.0.113.2", "names": ["b.example.com"]},
        ],
        queries=[{"from": "web", "to": f"{name}:443"} for name in ("a.example.com", "b.example.com")],
    )
    assert [answer.verdict for answer in ask(found)] == ["allow", "deny"], "every address must be allowed"


def test_when_a_query_is_asked() -> None:
    lookups = [{"from": "web", "name": "a.b", "ip": "203.0.113.1", "at": at} for at in (5, 9)]
    own = [{"name": "a.b", "ip": "203.0.113.2", "at": 20}]
    base = {"from": "web", "to": "host:1"}
    queries = [base, base | {"at": 3}, base | {"lookups": own}]
    found = scenario(**WEB, lookups=lookups, queries=queries)
    assert [found.now(query) for query in found.queries] == [9, 3, 20]
    found = scenario(**WEB, lookups=lookups, queries=queries, at=7)
    assert [found.now(query) for query in found.queries] == [7, 3, 20]
    assert scenario(**WEB).now(query_of(found.endpoints[0], found.endpoints[0], 1)) == 0


@pytest.mark.parametrize(
    ("expect", "differ"),
    [
        (None, []),
        ("allow", []),
        ("deny", ["expected deny, got allow"]),
        ("refused", ["expected refused, got allow"]),
        ({"verdict": "allow", "reason": "allowed"}, []),
        ({"rules": [{"kind": "NetworkPolicy"}]}, ["rules: expected [NetworkPolicy], got [p spec.egress[0]]"]),
        ({"rules": []}, ["rules: expected [], got [p spec.egress[0]]"]),
        ({"rules": [{"rule": "spec.egress[0]"}]}, []),
        (
            {"rules": [{"rule": "spec.egress[1]", "policy": "p"}]},
            ["rules: expected [p spec.egress[1]], got [p spec.egress[0]]"],
        ),
        (
            {"rules": [{"rule": "spec.egress[0]"}] * 2},
            ["rules: expected [spec.egress[0], spec.egress[0]], got [p spec.egress[0]]"],
        ),
        (
            {"egress": "deny", "ingress": "deny", "verdict": "allow"},
            ["egress: expected deny, got allow", "ingress: expected deny, got null"],
        ),
    ],
)
def test_differences(expect: Any, differ: list[str]) -> None:
    found = scenario(
        **WEB,
        policies=[policy("p", egress=[{"toCIDR": ["203.0.113.0/24"]}])],
        queries=[{"from": "web", "to": "203.0.113.1:1", "expect": expect}],
    )
    assert differences(found.queries[0], ask(found)[0]) == differ


def test_a_refusal_is_a_denial_too() -> None:
    dns = {**CLUSTER_DNS, "toPorts": [{"ports": [{"port": "53"}], "rules": {"dns": [{"matchName": "a.b"}]}}]}
    queries = [{"from": "web", "dns": "c.d", "expect": expect} for expect in ("refused", "deny", "allow")]
    found = scenario(**WEB, policies=[policy("p", egress=[dns])], queries=queries)
    assert [differences(query, found.answer(query)) for query in found.queries] == [
        [],
        [],
        ["expected allow, got refused"],
    ]


# --- whatever is asked ---------------------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def shaped(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a schema's shape, with words that mean something here; now and then something else."""
    words = [
        "a",
        "b",
        "pod/a",
        "svc/s",
        "host",
        "a.b",
        "x.a.b:443",
        "10.0.0.1",
        "203.0.113.7:53/UDP",
        "::1",
        "TCP",
    ]
    kind = schema.get("type")
    value: st.SearchStrategy[Any] = ANYTHING
    if "enum" in schema:
        value = st.sampled_from(schema["enum"])
    elif kind == "string":
        value = st.sampled_from(words) | st.text(max_size=5)
    elif kind in ("integer", "number"):
        value = st.integers(0, 100) | st.integers() | st.floats()
    elif kind == "boolean":
        value = st.booleans()
    elif kind == "array":
        value = st.lists(shaped(schema["items"]), max_size=3)
    elif kind == "object" and "properties" in schema:
        members = {key: shaped(member) for key, member in schema["properties"].items()}
        if "expect" in members:
            members["expect"] = st.sampled_from(["allow", "deny", "refused"]) | shaped(EXPECT) | ANYTHING
        required = {key: members[key] for key in schema.get("required", ())}
        value = st.fixed_dictionaries(
            required, optional={k: v for k, v in members.items() if k not in required}
        )
    elif kind == "object":
        value = st.dictionaries(st.sampled_from(words) | st.text(max_size=5), st.text(max_size=3), max_size=2)
    return value


CASE_POLICIES = [
    p for path in sorted(CASES.glob("*.yaml")) for p in yaml.safe_load(path.read_text())["policies"]
]


@settings(max_examples=150, deadline=None)
@given(shaped(SCENARIO) | ANYTHING, st.lists(st.sampled_from(CASE_POLICIES), max_size=3))
def test_any_document_has_answers_or_problems(document: Any, policies: list[Any]) -> None:
    if isinstance(document, dict) and isinstance(document.get("endpoints"), list):
        document = {**document, "endpoints": [{"name": "a"}, {"name": "b"}, *document["endpoints"]]}
    found, problems = parse_scenario(document, policies)
    assert (found is None) == bool(problems)
    if found is not None:
        for query in found.queries:
            answer = found.answer(query)
            json.dumps(answer.to_dict())
            assert isinstance(str(query), str)
            differences(query, answer)


def broken(value: Any, draw: Any) -> Any:
    """A document in which one thing is something else."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: broken(value[key], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], broken(value[index], draw), *value[index + 1 :]]
    return draw(ANYTHING)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_broken_case_has_answers_or_problems(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(CASES.glob("*.yaml"))))
    document = broken(yaml.safe_load(path.read_text()), data.draw)
    found, problems = parse_scenario(document)
    assert (found is None) == bool(problems)
    for problem in problems:
        assert problem.message
    if found is not None:
        for query in found.queries:
            differences(query, found.answer(query))


def test_of_policies_with_one_name_the_last_accepted_one_is_in_force() -> None:
    """As when they are applied in order."""
    first = policy("web", egress=[{"toEntities": ["world"]}])
    last = policy("web", egress=[{"toCIDR": ["203.0.113.0/24"]}])
    other = {**policy("web", egress=[{}]), "metadata": {"name": "web", "namespace": "else"}}
    found = scenario(
        policies=[first, policy("web", egres=[]), last, other, policy("web", egress=7)],
        endpoints=[{"name": "web"}],
        queries=[{"from": "web", "to": f"{to}:443"} for to in ("8.8.8.8", "203.0.113.7")],
    )
    assert [one.verdict for one in ask(found)] == ["deny", "allow"]
    assert [result.replaced_by for result in found.results] == [2, None, None, None, None]


def test_a_block_that_lets_a_pod_without_addresses_in_is_told() -> None:
    rule = {"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}
    block = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "block"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [rule]},
    }

    def notes(**more: Any) -> list[tuple[str, int]]:
        found = scenario(
            policies=[block],
            endpoints=[{"name": "web", "labels": {"app": "web"}}, {"name": "other", **more}],
            queries=[{"from": "other", "to": "web:80"}],
        )
        return [
            (answer.verdict, sum("has no `ips` here" in note for note in answer.notes))
            for answer in ask(found)
        ]

    assert notes() == [("allow", 1)]
    assert notes(ips=["10.0.0.7"]) == [("deny", 0)]


@pytest.mark.parametrize("to", ["127.0.0.1", "127.9.9.9", "[::1]", "10.0.0.1"])
def test_what_does_not_leave_a_pod_is_not_judged(to: str) -> None:
    found = scenario(
        policies=[policy("none", ingress=[{}], egress=[{}])],
        endpoints=[{"name": "web", "ips": ["10.0.0.1"]}, {"name": "other", "ips": ["10.0.0.2"]}],
        queries=[{"from": each, "to": f"{to}:80"} for each in ("web", "203.0.113.7")]
        + [{"from": "web", "to": "10.0.0.2:80"}, {"from": "web", "to": "web:80"}],
    )
    answers = ask(found)
    assert (answers[0].verdict, answers[0].reason) == ("allow", "no_policy")
    assert any("itself" in note for note in answers[0].notes)
    assert [answer.verdict for answer in answers[2:]] == ["deny", "deny"], "by name it is another pod alike"
