"""Validation: what is refused, where, and in which words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from namewall.model.net import Protocol
from namewall.policy.parse import enforceable, parse
from namewall.policy.rules import Policy, PortMatch, in_force, replaced
from namewall.policy.selectors import FqdnSelector, LabelSelector, ServiceSelector
from tests.unit.policy.build import bad, ccnp, cnp, egress, good, netpol, pod

LAB = cnp(
    {
        "endpointSelector": {"matchLabels": {"app": "backend"}},
        "egress": [
            {
                "toEndpoints": [
                    {
                        "matchLabels": {
                            "k8s:io.kubernetes.pod.namespace": "kube-system",
                            "k8s:k8s-app": "kube-dns",
                        }
                    }
                ],
                "toPorts": [
                    {"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": [{"matchPattern": "*"}]}}
                ],
            },
            {"toFQDNs": [{"matchName": "kubernetes.io"}]},
        ],
    },
    name="backend-egress-allow-fqdn",
)


def test_the_lab_s_policy_is_read() -> None:
    policy = good(LAB)
    dns, names = policy.rules
    assert isinstance(dns.peers[0], LabelSelector)
    assert {port.protocol.name: port.dns for port in dns.ports} == {"TCP": "any", "UDP": "any", "SCTP": "any"}
    assert names.peers == (FqdnSelector("kubernetes.io."),)
    assert names.origin.rule == "spec.egress[1]"
    assert enforceable(policy) == []


def test_all_problems_are_reported_at_once_with_their_paths() -> None:
    problems = bad(
        egress(
            {"toFQDNs": [{"matchName": "a.com"}, {"matchPattern": "a b"}]},
            {"toCIDR": ["1.2.3.4"], "toEntities": ["world"], "typo": 1},
            {"toPorts": [{"ports": [{"port": "080"}]}]},
        )
    )
    assert [(p.path, p.stage) for p in problems] == [
        ("spec.egress[0].toFQDNs[1].matchPattern", "schema"),
        ("spec.egress[1].toCIDR[0]", "schema"),
        ("spec.egress[1].typo", "schema"),
        ("spec.egress[1]", "agent"),
        ("spec.egress[2].toPorts[0].ports[0].port", "agent"),
    ]
    assert [p.path for p in problems if p.unknown_field] == ["spec.egress[1].typo"]


@pytest.mark.parametrize(
    ("obj", "path", "text"),
    [
        (cnp(), "spec", "Invalid CiliumNetworkPolicy spec(s): empty policy"),
        ({**cnp({}), "metadata": {}}, "metadata.name", "CiliumNetworkPolicy must have name"),
        ({**cnp({}), "metadata": {"name": 123}}, "metadata.name", 'must be of type string: "integer"'),
        (
            {**cnp({}), "metadata": {"name": "a", "namespace": 1}},
            "metadata.namespace",
            "must be of type string",
        ),
        (egress({}, labels=[{"key": "", "value": "x"}]), "spec.labels[0].key", "does not contain label key"),
        (
            egress({"toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}], "serverNames": []}]}),
            "spec.egress[0].toPorts[0].serverNames",
            "at least 1 items",
        ),
        (cnp({"nodeSelector": {}, "ingress": [{}]}), "spec.nodeSelector", "rule cannot have NodeSelector"),
        (egress(ingress=[], egress=[]), "spec", "rule must have at least one of Ingress"),
        (egress({"toNodes": [{}]}), "spec.egress[0].toNodes", "enable-node-selector-labels"),
        (
            egress({"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["2001:db8::/64"]}]}),
            "spec.egress[0].toCIDRSet[0].except[0]",
            "allow CIDR prefix 10.0.0.0/8 does not contain exclude CIDR prefix 2001:db8::/64",
        ),
        (egress(log={"value": "x" * 33}), "spec.log.value", "Too long"),
        (egress(log={"value": "a\nb"}), "spec.log.value", "should match"),
        (
            egress(
                {
                    "toPorts": [
                        {"ports": [{"port": "53", "endPort": 54}], "rules": {"dns": [{"matchName": "a"}]}}
                    ]
                }
            ),
            "spec.egress[0].toPorts[0].ports[0].endPort",
            "DNS rules do not support port ranges",
        ),
        (
            cnp(
                {
                    "endpointSelector": {},
                    "ingress": [
                        {"toPorts": [{"ports": [{"port": "53"}], "rules": {"dns": [{"matchName": "a"}]}}]}
                    ],
                }
            ),
            "spec.ingress[0].toPorts[0].rules.dns",
            "L7 protocol DNS is not supported on ingress yet",
        ),
        (
            netpol({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0"}}]}]}),
            "spec.egress[0].to[0].ipBlock.cidr",
            '"10.0.0.0": not a valid CIDR',
        ),
        *(
            (
                netpol(
                    {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}, other: {}}]}]}
                ),
                "spec.egress[0].to[0]",
                "may not specify both ipBlock and another peer",
            )
            for other in ("podSelector", "namespaceSelector")
        ),
        *(
            (
                netpol(
                    {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": cidr, "except": [text]}}]}]}
                ),
                "spec.egress[0].to[0].ipBlock.except[0]",
                f'"{text}": {wrong}',
            )
            for cidr, text, wrong in (
                ("10.0.0.0/8", "nothing", "not a valid CIDR"),
                ("10.0.0.0/8", "10.0.0.0/8", "must be a strict subset"),
                ("10.0.0.0/8", "11.0.0.0/16", "must be a strict subset"),
            )
        ),
        (
            netpol({"podSelector": {}, "ingress": [{"ports": [{"port": 80, "endPort": 79}]}]}),
            "spec.ingress[0].ports[0].endPort",
            "must be greater than or equal",
        ),
        (
            netpol({"podSelector": {}, "ingress": [{"from": [{}]}]}),
            "spec.ingress[0].from[0]",
            "must specify a peer",
        ),
        (
            netpol({"podSelector": {}, "ingress": [{"ports": [{"port": "HTTP"}]}]}),
            "spec.ingress[0].ports[0].port",
            "lower-case",
        ),
        (
            netpol({"podSelector": {}, "policyTypes": ["Ingress", "Egress", "Egress"]}),
            "spec.policyTypes",
            "more than two",
        ),
        ({"kind": "Pod"}, "kind", "is no policy"),
        ({**cnp({}), "apiVersion": "cilium.io/v1"}, "apiVersion", "use cilium.io/v2"),
        ([], "", "must be an object"),
    ],
)
def test_refused(obj: Any, path: str, text: str) -> None:
    assert any(p.path == path and text in p.message for p in bad(obj)), list(map(str, bad(obj)))


def test_node_selectors_are_for_clusterwide_policies_and_not_enforceable() -> None:
    policy = good(ccnp({"nodeSelector": {}, "ingress": [{}]}))
    assert policy.rules == ()
    assert [p.path for p in enforceable(policy)] == ["spec.nodeSelector"]


@pytest.mark.parametrize(
    ("port", "path", "text"),
    [
        ({"port": 0}, "port", "must be between 1 and 65535"),
        ({"port": 65536}, "port", "must be between 1 and 65535"),
        ({"port": "http", "endPort": 90}, "endPort", "without a numeric port"),
        ({"endPort": 90}, "endPort", "without a numeric port"),
        ({"port": 80, "endPort": 65536}, "endPort", "must be between 1 and 65535"),
        ({"port": "80"}, "port", "must be a lower-case IANA service name"),
    ],
)
def test_ports_of_a_network_policy_that_are_refused(port: dict[str, Any], path: str, text: str) -> None:
    (problem,) = bad(netpol({"podSelector": {}, "ingress": [{"ports": [port]}]}))
    assert problem.path == f"spec.ingress[0].ports[0].{path}"
    assert text in problem.message


@pytest.mark.parametrize(
    ("port", "read"),
    [
        ({"port": 1}, PortMatch(Protocol.TCP, 1, 1)),
        ({"port": 65535, "protocol": "UDP"}, PortMatch(Protocol.UDP, 65535, 65535)),
        ({"port": 80, "endPort": 65535}, PortMatch(Protocol.TCP, 80, 65535)),
        ({"port": 80, "endPort": 80}, PortMatch(Protocol.TCP, 80, 80)),
        ({"port": "http"}, PortMatch(Protocol.TCP, 0, 0, "http")),
        ({}, PortMatch(Protocol.TCP, 0, 65535)),
    ],
)
def test_ports_of_a_network_policy_that_are_taken(port: dict[str, Any], read: PortMatch) -> None:
    assert good(netpol({"podSelector": {}, "ingress": [{"ports": [port]}]})).rules[0].ports == (read,)


def test_namespaces_of_a_network_policy_s_peers_are_namespaces_of_pods() -> None:
    """A condition that no label fulfils too reaches nobody outside of them, this cluster's or not."""
    unlike = {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["x"]}]}
    item = {"from": [{"namespaceSelector": unlike}]}
    (peer,) = good(netpol({"podSelector": {}, "ingress": [item]})).rules[0].peers
    assert isinstance(peer, LabelSelector)
    assert peer.matches(pod("any", {"env": "y"}))
    assert not peer.matches(pod("any", {"env": "x"}))
    assert not peer.matches(frozenset({"k8s:io.cilium.k8s.policy.cluster=default"}))
    assert not peer.matches(frozenset({"k8s:io.kubernetes.pod.namespace=any"}))


def test_labels_of_a_network_policy_have_no_source() -> None:
    wrong = {"matchLabels": {"k8s:app": "x"}}
    spec = {
        "podSelector": wrong,
        "ingress": [{"from": [{"podSelector": wrong}, {"namespaceSelector": wrong}]}],
    }
    at = "spec.ingress[0].from"
    assert {problem.path for problem in bad(netpol(spec))} == {
        f"{where}.matchLabels.k8s:app"
        for where in ("spec.podSelector", f"{at}[0].podSelector", f"{at}[1].namespaceSelector")
    }


HTTP = {"port": "80", "protocol": "TCP"}


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"toPorts": [{"ports": [HTTP], "rules": {"http": [{}]}}]}, "toPorts[0].rules.http"),
        ({"toPorts": [{"ports": [{"port": "443"}], "serverNames": ["a.com"]}]}, "toPorts[0].serverNames"),
        ({"authentication": {"mode": "required"}, "toEntities": ["all"]}, "authentication.mode"),
        ({"toGroups": [{"aws": {"region": "x"}}]}, "toGroups"),
        ({"toPorts": [{"ports": [{"port": "0", "protocol": "VRRP"}]}]}, "toPorts[0].ports[0].protocol"),
    ],
)
def test_what_cannot_be_enforced_is_told_and_allows_nothing(item: dict[str, Any], path: str) -> None:
    policy = good(egress(item))
    assert [p.path for p in enforceable(policy)] == [f"spec.egress[0].{path}"]
    (rule,) = policy.rules
    assert rule.peers == () or rule.ports == ()
    assert rule.default_deny


def test_labels_log_and_description_are_kept() -> None:
    labels = [{"key": "team", "value": "x"}, {"source": "k8s", "key": "debug"}]
    (rule,) = good(egress({}, labels=labels, log={"value": "seen"}, description="why")).rules
    assert rule.labels == ("unspec:team=x", "k8s:debug")
    assert (rule.log, rule.description) == ("seen", "why")


@pytest.mark.parametrize(
    ("item", "chosen"),
    [
        ({"k8sService": {"serviceName": "db"}}, ServiceSelector("", name="db")),
        ({"k8sService": {"serviceName": "db", "namespace": "data"}}, ServiceSelector("data", name="db")),
    ],
)
def test_a_service_without_a_namespace_is_any_one_s(item: dict[str, Any], chosen: ServiceSelector) -> None:
    assert good(egress({"toServices": [item]})).rules[0].peers == (chosen,)


@pytest.mark.parametrize("labels", [{0: None}, {0: "x"}, {"of type cidr": 1}, {"": None}])
def test_labels_of_a_wrong_type_are_told_and_read_no_further(labels: dict[Any, Any]) -> None:
    assert bad(cnp({"endpointSelector": {"matchLabels": labels}, "egress": [{}]}))


@pytest.mark.parametrize(("kind", "ports"), [(-1, 0), (0, 1), (255, 1), (256, 0), ("255", 1)])
def test_types_of_icmp_are_a_byte(kind: Any, ports: int) -> None:
    assert len(good(egress({"icmps": [{"fields": [{"type": kind}]}]})).rules[0].ports) == ports


def test_an_empty_list_of_l7_rules_restricts_nothing() -> None:
    assert enforceable(good(egress({"toPorts": [{"ports": [{"port": "80"}], "rules": {"http": []}}]}))) == []


DEEP: Any = None
for _ in range(500):
    DEEP = [DEEP] if isinstance(DEEP, dict) else {"a": DEEP}


@pytest.mark.parametrize(
    "text",
    [
        "a" * 50000 + "!",
        "a." * 30000 + "!",
        "a-" * 30000,
        "*" * 60000,
        "0" * 60000,
        "(" * 60000,
        "\0",
        "ü" * 9,
    ],
)
def test_hostile_strings_take_linear_time(text: str) -> None:
    begin = time.monotonic()
    for item in (
        {"toFQDNs": [{"matchName": text}, {"matchPattern": text}]},
        {"toPorts": [{"ports": [{"port": text}], "rules": {"http": [{"path": text, "method": text}]}}]},
        {
            "toEndpoints": [
                {"matchLabels": {text: text}, "matchExpressions": [{"key": text, "operator": text}]}
            ]
        },
        {"toCIDR": [text], "icmps": [{"fields": [{"type": text}]}]},
        {"toCIDRSet": [{"cidrGroupRef": text}]},
        DEEP,
    ):
        assert parse(egress(item))[0] is None
    assert time.monotonic() - begin < 1


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
BASES = [
    LAB,
    cnp(
        {
            "endpointSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
            "ingressDeny": [{"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]}],
            "egress": [
                {"toServices": [{"k8sServiceSelector": {"selector": {"matchLabels": {"a": "b"}}}}]},
                {"icmps": [{"fields": [{"type": 8, "family": "IPv4"}]}]},
                {"toPorts": [{"ports": [{"port": "80", "endPort": 90, "protocol": "TCP"}]}]},
            ],
            "enableDefaultDeny": {"egress": False},
            "labels": [{"key": "a"}],
        }
    ),
    netpol(
        {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
                    "ports": [{"port": 1}],
                }
            ],
        }
    ),
]


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        found += places(child, (*at, key))
    return found


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_mutated_objects_are_read_or_refused_with_paths(data: st.DataObject) -> None:
    obj = json.loads(json.dumps(data.draw(st.sampled_from(BASES))))
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from(places(obj)))
        parent = obj
        for key in way:
            parent = parent[key]
        parent[last] = data.draw(anything)
    policy, problems = parse(obj)
    assert (policy is None) == bool(problems)
    assert all(problem.message for problem in problems)


@pytest.mark.parametrize("value", ["a", True, [5], {"a": 1}, [{"matchName": "a b"}]])
@pytest.mark.parametrize(
    ("item", "at"),
    [
        (lambda value: {"toFQDNs": value}, "toFQDNs"),
        (lambda value: {"toPorts": [{"ports": [{"port": "1"}], "rules": value}]}, "toPorts[0].rules"),
    ],
    ids=["toFQDNs", "rules"],
)
def test_what_only_an_allow_may_say_is_unknown_in_a_deny_and_not_read(
    item: Callable[[Any], Any], at: str, value: Any
) -> None:
    spec = {"endpointSelector": {}, "egressDeny": [item(value)]}
    obj = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "p"},
        "spec": spec,
    }
    policy, problems = parse(obj)
    assert policy is None
    assert [problem.path for problem in problems] == [f"spec.egressDeny[0].{at}"]


def test_a_policy_without_specs_is_empty_and_one_with_none_in_its_list_says_nothing() -> None:
    assert parse({**HEADLESS, "specs": []})[1] == []
    assert parse(HEADLESS)[0] is None


HEADLESS = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "p"}}


@pytest.mark.parametrize(
    ("rules", "refused"), [({"dns": [{"matchName": "a.io"}]}, False), ({"http": [{"method": "GET"}]}, True)]
)
def test_a_policy_of_nodes_may_judge_names_and_no_http(rules: dict[str, Any], refused: bool) -> None:
    item = {"toPorts": [{"ports": [{"port": "53", "protocol": "TCP"}], "rules": rules}]}
    obj = {
        **HEADLESS,
        "kind": "CiliumClusterwideNetworkPolicy",
        "spec": {"nodeSelector": {}, "egress": [item]},
    }
    assert bool(parse(obj)[1]) is refused


def _port(value: object) -> dict[str, Any]:
    return egress({"toPorts": [{"ports": [{"port": value}]}]})


def _ingress(port: object) -> dict[str, Any]:
    return netpol({"podSelector": {}, "ingress": [{"ports": [{"port": port}]}]})


def _block(cidr: str) -> dict[str, Any]:
    return netpol({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": cidr}}]}]})


@pytest.mark.parametrize(
    ("obj", "hint"),
    [
        (egress({"toFQDNs": [{"matchName": "*.a.com"}]}), "write matchPattern, where `*` may stand"),
        (egress({"toFQDNs": [{"matchName": "a b"}]}), ""),
        (egress({"toFQDNs": [{"matchName": "{{ .x }}*"}]}), "it looks like a Helm template: render it first"),
        (egress({"toCIDR": ["10.0.0.1"]}), "write 10.0.0.1/32"),
        (egress({"toCIDR": ["2001:db8::1"]}), "write 2001:db8::1/128"),
        (egress({"toCIDR": ["10.0.0"]}), ""),
        (egress({"toCIDRSet": [{"cidr": "10.0.0.1"}]}), "write 10.0.0.1/32"),
        (egress({"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.0.0.1"]}]}), "write 10.0.0.1/32"),
        (_block("10.0.0.1"), "write 10.0.0.1/32"),
        (_port(53), 'write "53" in quotes'),
        (_port(True), "YAML reads it as a boolean: write it in quotes"),
        (_port(5.3), "YAML reads it as a number: write it in quotes"),
        (_port([]), ""),
        (egress({"toPorts": [{"ports": [{"port": "1", "endPort": "2"}]}]}), "write 2 without quotes"),
        (_ingress("5432"), "write 5432 without quotes"),
        (_ingress("Http"), ""),
        (netpol({"podSelector": {"app": "x"}}), "put it under matchLabels"),
        (egress({"toEndpoints": [{"app": "x"}]}), "put it under matchLabels"),
        (egress({"toEndpoints": [{"app": {}}]}), ""),
    ],
)
def test_what_would_be_right_is_said_beside_the_usual_words(obj: dict[str, Any], hint: str) -> None:
    (problem,) = bad(obj)
    assert problem.hint.startswith(hint)
    assert bool(problem.hint) == bool(hint)
    assert problem.hint not in problem.message or not hint
    assert str(problem).endswith(problem.hint)


def test_a_misspelt_word_is_named_and_needs_no_other_hint() -> None:
    (problem,) = bad(egress({"toEndpoints": [{"matchLabel": "x"}]}))
    assert (problem.meant, problem.hint) == ("matchLabels", "")


def test_null_and_absent_are_one() -> None:
    """An API server leaves out what is null and may not be (prunenulls.go); Go's types do not tell the two apart."""
    rule = {"ports": [{"port": 80, "protocol": None, "endPort": None}], "from": None}
    peer = {"podSelector": {"matchLabels": None, "matchExpressions": None}, "namespaceSelector": None}
    spec = {"podSelector": None, "policyTypes": None, "ingress": [rule, {"from": [peer]}], "egress": None}
    plain = {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}, {"from": [{"podSelector": {}}]}]}
    assert good(netpol(spec)) == good(netpol(plain))
    half = {"endpointSelector": {"matchLabels": None}, "ingress": [{"fromEndpoints": [{}], "toPorts": None}]}
    assert good(cnp(half | {"egress": None, "nodeSelector": None})) == good(
        cnp({"endpointSelector": {}, "ingress": [{"fromEndpoints": [{}]}]})
    )


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (
            cnp({"endpointSelector": {}, "egress": None}),
            {"spec": "spec.egress is null, which counts as left out"},
        ),
        (cnp({"endpointSelector": {}, "egress": [None]}), {"spec.egress[0]": ""}),
        (
            cnp({"endpointSelector": {"matchLabels": {"app": None}}, "egress": [{}]}),
            {"spec.endpointSelector.matchLabels.app": ""},
        ),
        (netpol({"podSelector": {"matchLabels": {"app": None}}}), {"spec.podSelector.matchLabels.app": ""}),
        (cnp({"endpointSelector": {}, "egress": [{}], "egres": None}), {"spec.egres": ""}),
        (netpol({"podSelector": {}, "egres": None}), {"spec.egres": ""}),
    ],
)
def test_a_null_is_refused_where_nothing_can_be_left_out(obj: dict[str, Any], said: dict[str, str]) -> None:
    """A label that is left out would make a selector everybody's; a field that nobody knows is no field."""
    assert {problem.path: problem.hint for problem in bad(obj)} == said


@pytest.mark.parametrize(
    ("key", "accepted"),
    [("a" * 53, True), ("a" * 54, False), ("x.y/" + "a" * 60, True), ("-a", True), ("a-", False)],
)
def test_a_key_of_a_cidr_group_s_labels_is_checked_with_its_source(key: str, accepted: bool) -> None:
    """As Cilium does: `cidrgroup.KEY`."""
    chosen = {"cidrGroupSelector": {"matchLabels": {key: "x"}}}
    policy, _ = parse(cnp({"endpointSelector": {}, "egress": [{"toCIDRSet": [chosen]}]}))
    assert (policy is not None) is accepted


def test_what_has_a_wrong_type_hides_no_other_mistake() -> None:
    """Nor is anything said of it twice, or for want of it."""
    ports = [{"port": 443}, {"port": "65536"}, {"port": "80", "endPort": "90"}, {"protocol": "TCP"}]
    rules: list[Any] = [
        {"toPorts": [{"ports": ports}]},
        {"toEntities": "all", "toCIDR": ["10.0.0.0/99"]},
        7,
        {"toFQDNs": [7, {"matchName": "a b"}], "icmps": [{"fields": [{"type": True}]}]},
    ]
    said = [problem.path for problem in bad(cnp({"endpointSelector": {"matchLabels": 7}, "egress": rules}))]
    assert sorted(said) == [
        "spec.egress[0].toPorts[0].ports[0].port",
        "spec.egress[0].toPorts[0].ports[1].port",
        "spec.egress[0].toPorts[0].ports[2].endPort",
        "spec.egress[0].toPorts[0].ports[3].port",
        "spec.egress[1].toCIDR[0]",
        "spec.egress[1].toEntities",
        "spec.egress[2]",
        "spec.egress[3].icmps[0].fields[0].type",
        "spec.egress[3].toFQDNs[0]",
        "spec.egress[3].toFQDNs[1].matchName",
        "spec.endpointSelector.matchLabels",
    ]


def test_of_one_name_the_last_accepted_policy_is_in_force() -> None:
    def one(name: str, kind: str = "CiliumNetworkPolicy") -> Policy:
        return replace(good(cnp({"endpointSelector": {}, "egress": [{}]})), name=name, kind=kind)

    policies = [one("a"), None, one("b"), one("a"), one("a", "NetworkPolicy"), one("a"), None]
    assert replaced(policies) == {0: 3, 3: 5}
    assert in_force(policies) == [policies[2], policies[4], policies[5]]
