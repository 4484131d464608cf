"""A policy as another kind: the text, and what is said to be lost. That the meaning stays: tests/property."""

from __future__ import annotations

from typing import Any

import pytest

from namewall.model.documents import read
from namewall.policy.parse import API_VERSIONS, parse
from namewall.review.answers import ANSWERS
from namewall.review.wrong import Wrong

HEAD = {
    "CiliumNetworkPolicy": "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n",
    "CiliumClusterwideNetworkPolicy": "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n",
    "NetworkPolicy": "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n",
}
CNP, CCNP, NETPOL = API_VERSIONS


def convert(kind: str, spec: str, to: str, more: str = "") -> tuple[str, list[str], dict[str, Any]]:
    text = f"# head\n{HEAD[kind]}metadata: {{name: a{more}}}  # its name\nspec:\n"
    text += "".join(f"  {line}\n" for line in spec.strip().splitlines())
    found = ANSWERS["convert"]({"file": {"name": "a.yaml", "text": text}, "object": 0, "to": to})
    (document,) = read(found["text"].encode())
    assert parse(document.value)[1] == []
    assert document.value["kind"] == to
    return found["text"], [row["path"] for row in found["lost"]], document.value


def test_between_cilium_kinds_comments_stay() -> None:
    spec = "endpointSelector: {matchLabels: {app: web}}  # whom\negress:\n"
    spec += "  - toEndpoints:\n      - matchLabels: {app: db}  # db\n"
    text, lost, obj = convert(CNP, spec, CCNP, ", namespace: shop")
    assert lost == []
    assert all(comment in text for comment in ("# head", "# its name", "# whom", "# db"))
    assert obj["spec"]["endpointSelector"]["matchLabels"] == {
        "k8s:io.kubernetes.pod.namespace": "shop",
        "app": "web",
    }
    assert (
        obj["spec"]["egress"][0]["toEndpoints"][0]["matchLabels"]["k8s:io.kubernetes.pod.namespace"] == "shop"
    )
    assert "namespace" not in obj["metadata"]
    back = ANSWERS["convert"]({"file": {"name": "a", "text": text}, "object": 0, "to": CNP})
    assert back["lost"] == []
    (document,) = read(back["text"].encode())
    assert document.value["metadata"]["namespace"] == "shop"
    assert document.value["spec"]["endpointSelector"] == {"matchLabels": {"app": "web"}}


def test_what_is_lost_is_said_in_words() -> None:
    text = f"{HEAD[CNP]}metadata: {{name: a}}\nspec: {{description: x, endpointSelector: {{}}, ingress: [{{}}]}}\n"
    found = ANSWERS["convert"]({"file": {"name": "a.yaml", "text": text}, "object": 0, "to": NETPOL})
    assert found["lost"] == [{"path": "spec.description", "message": "a NetworkPolicy has no description"}]


def test_a_network_policy_becomes_ciliums() -> None:
    spec = """
podSelector: {matchLabels: {app: web}}
policyTypes: [Ingress, Egress]
ingress:
  - from:
      - podSelector: {matchLabels: {app: a}}
        namespaceSelector: {matchLabels: {team: x}}
    ports: [{port: 80}, {port: http, protocol: UDP}, {port: 8000, endPort: 8010}]
"""
    _, lost, obj = convert(NETPOL, spec, CNP)
    assert lost == []
    assert obj["spec"] == {
        "endpointSelector": {"matchLabels": {"app": "web"}},
        "ingress": [
            {
                "fromEndpoints": [
                    {"matchLabels": {"app": "a", "k8s:io.cilium.k8s.namespace.labels.team": "x"}}
                ],
                "toPorts": [
                    {
                        "ports": [
                            {"port": "80", "protocol": "TCP"},
                            {"port": "http", "protocol": "UDP"},
                            {"port": "8000", "protocol": "TCP", "endPort": 8010},
                        ]
                    }
                ],
            }
        ],
        "egress": [{}],
    }


@pytest.mark.parametrize(
    ("spec", "to", "lost"),
    [
        ("egress: [{toFQDNs: [{matchName: a.io}]}]", NETPOL, ["spec.egress[0].toFQDNs[0]"]),
        ("egress: [{toCIDR: [203.0.113.0/24]}]", NETPOL, ["spec.egress[0].toCIDR[0]"]),
        ("egress: [{toEntities: [world]}]", NETPOL, ["spec.egress[0].toEntities[0]"]),
        ("egress: [{toEntities: [all]}]", NETPOL, []),
        ("egressDeny: [{toEntities: [all]}]", NETPOL, ["spec.egressDeny[0]"]),
        ("ingress: [{icmps: [{fields: [{type: 8}]}]}]", NETPOL, ["spec.ingress[0].icmps[0]"]),
        (
            'egress: [{toEndpoints: [{}], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: a.io}]}}]}]',
            NETPOL,
            ["spec.egress[0].toPorts[0].rules.dns"],
        ),
        (
            "enableDefaultDeny: {egress: false}\negress: [{toEndpoints: [{}]}]",
            NETPOL,
            ["spec.enableDefaultDeny.egress"],
        ),
        (
            "ingress: [{fromEndpoints: [{matchLabels: {reserved:host: ''}}]}]",
            NETPOL,
            ["spec.ingress[0].fromEndpoints[0].matchLabels"],
        ),
        ("description: x\ningress: [{}]", NETPOL, ["spec.description"]),
    ],
)
def test_what_a_network_policy_cannot_say_is_listed(spec: str, to: str, lost: list[str]) -> None:
    _, found, _ = convert(CNP, f"endpointSelector: {{matchLabels: {{app: web}}}}\n{spec}", to)
    assert found == lost


def test_one_label_under_two_sources_is_two_conditions() -> None:
    spec = """
endpointSelector: {matchLabels: {app: dns, "k8s:app": db}}
ingress:
  - fromEndpoints:
      - matchLabels: {role: x, "k8s:role": x}
      - matchLabels: {io.kubernetes.pod.namespace: a, "k8s:io.kubernetes.pod.namespace": b}
"""
    _, lost, obj = convert(CNP, spec, NETPOL)
    assert lost == []
    assert obj["spec"]["podSelector"] == {
        "matchLabels": {"app": "dns"},
        "matchExpressions": [{"key": "app", "operator": "In", "values": ["db"]}],
    }
    same, other = obj["spec"]["ingress"][0]["from"]
    assert same == {"podSelector": {"matchLabels": {"role": "x"}}}
    assert other["namespaceSelector"]["matchExpressions"] == [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["b"]}
    ]


def test_peers_by_labels_of_their_namespace_are_pods_in_a_clusterwide_policy() -> None:
    team = '{key: "k8s:io.cilium.k8s.namespace.labels.team", operator: NotIn, values: [b]}'
    other = "{key: io.cilium.k8s.policy.cluster, operator: DoesNotExist}"
    spec = "endpointSelector: {{}}\ningress: [{{fromEndpoints: [{{matchExpressions: [{}]}}]}}]"
    assert convert(CNP, spec.format(team), CCNP)[1] == []
    assert convert(CNP, spec.format(f"{team}, {other}"), CCNP)[1] == ["spec"]
    spec = spec.replace(
        "endpointSelector: {{}}",
        'endpointSelector: {{matchLabels: {{"k8s:io.kubernetes.pod.namespace": a}}}}',
    )
    _, lost, obj = convert(CCNP, spec.format(f"{team}, {other}"), CNP)
    assert lost == []
    (peer,) = obj["spec"]["ingress"][0]["fromEndpoints"]
    assert peer["matchExpressions"][-1]["operator"] == "Exists"


def test_a_subject_of_another_namespace_stays_nobody() -> None:
    spec = "endpointSelector: {matchLabels: {io.kubernetes.pod.namespace: shop}}\ningress: [{}]"
    _, lost, _ = convert(CNP, spec, NETPOL)
    assert lost == ["spec.endpointSelector"]
    _, lost, obj = convert(CNP, spec, CCNP)
    assert lost == []
    assert obj["spec"]["endpointSelector"]["matchLabels"] == {
        "io.kubernetes.pod.namespace": "shop",
        "k8s:io.kubernetes.pod.namespace": "default",
    }


def test_a_rule_that_cannot_be_said_allows_nothing() -> None:
    spec = "endpointSelector: {}\negress: [{toFQDNs: [{matchName: a.io}]}, {toEndpoints: []}]"
    _, _, obj = convert(CNP, spec, NETPOL)
    assert obj["spec"] == {"podSelector": {}, "policyTypes": ["Egress"]}


def test_an_ip_block_means_pods_too() -> None:
    _, lost, obj = convert(
        NETPOL, "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]", CCNP
    )
    assert lost == ["spec.ingress[0].from[0].ipBlock"]
    assert obj["spec"]["ingress"] == [{"fromCIDRSet": [{"cidr": "10.0.0.0/8"}]}]


def test_clusterwide_without_a_namespace() -> None:
    _, lost, obj = convert(CCNP, "endpointSelector: {}\ningress: [{}]", CNP)
    assert lost == ["spec.endpointSelector"]
    assert obj["metadata"]["namespace"] == "default"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"object": 0, "to": "Pod"}, "to"),
        ({"object": 3, "to": CNP}, "object"),
        ({"object": -1, "to": CNP}, "object"),
        ({"object": True, "to": CNP}, "object"),
    ],
)
def test_what_cannot_be_converted_is_said(body: dict[str, Any], path: str) -> None:
    text = HEAD[CNP] + "metadata: {name: a}\nspec: {endpointSelector: {}, ingress: [{}]}\n"
    with pytest.raises(Wrong) as caught:
        ANSWERS["convert"]({"file": {"name": "a", "text": text}, **body})
    assert caught.value.path == path
    with pytest.raises(Wrong):
        ANSWERS["convert"](
            {"file": {"name": "a", "text": text.replace("[{}]", "3")}, "object": 0, "to": NETPOL}
        )


def test_a_policy_of_nodes_stays_clusterwide() -> None:
    with pytest.raises(Wrong) as caught:
        convert(CCNP, "nodeSelector: {}\ningress: [{}]", CNP)
    assert caught.value.path == "spec.nodeSelector"


def test_the_other_objects_of_a_file_stay() -> None:
    one = HEAD[CNP] + "metadata: {name: a}\nspec: {endpointSelector: {}, ingress: [{}]}\n"
    text = f"{one}---\n# two\n{one.replace('name: a', 'name: b')}"
    found = ANSWERS["convert"]({"file": {"name": "a", "text": text}, "object": 1, "to": NETPOL})
    assert found["text"].startswith(
        f"{one}---\n# two\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
    )


STORED = f"""\
{HEAD[CNP]}metadata:
  name: a
  namespace: shop
  uid: 8a1
  resourceVersion: "12"
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: "{{}}"
    team: x
spec: {{endpointSelector: {{}}, ingress: [{{}}]}}
status: {{}}
"""


@pytest.mark.parametrize("to", [CCNP, NETPOL])
def test_what_a_server_keeps_of_the_old_object_is_not_of_the_new_one(to: str) -> None:
    found = ANSWERS["convert"]({"file": {"name": "a.yaml", "text": STORED}, "object": 0, "to": to})
    (document,) = read(found["text"].encode())
    assert "status" not in document.value
    where = {} if to == CCNP else {"namespace": "shop"}
    assert document.value["metadata"] == {"name": "a", **where, "annotations": {"team": "x"}}


@pytest.mark.parametrize(
    ("selector", "namespace", "lost", "left"),
    [
        ("{matchLabels: {'k8s:io.kubernetes.pod.namespace': b}}", "b", [], {}),
        (
            "{matchLabels: {'k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name': b, app: x}}",
            "b",
            [],
            {"matchLabels": {"app": "x"}},
        ),
        (
            "{matchExpressions: [{key: 'k8s:io.kubernetes.pod.namespace', operator: In, values: [c, b]}]}",
            "b",
            ["a CiliumNetworkPolicy protects pods of one namespace, not b, c: `b` is taken"],
            {},
        ),
        (
            "{}",
            "default",
            ["a CiliumNetworkPolicy protects pods of one namespace, and this names none: `default` is taken"],
            {},
        ),
    ],
)
def test_the_namespace_of_a_clusterwide_policy(
    selector: str, namespace: str, lost: list[str], left: dict[str, Any]
) -> None:
    text = f"{HEAD[CCNP]}metadata: {{name: a}}\nspec: {{endpointSelector: {selector}, ingress: [{{}}]}}\n"
    found = ANSWERS["convert"]({"file": {"name": "a.yaml", "text": text}, "object": 0, "to": CNP})
    assert [row["message"] for row in found["lost"]] == lost
    (document,) = read(found["text"].encode())
    assert document.value["metadata"]["namespace"] == namespace
    assert document.value["spec"]["endpointSelector"] == left


def test_specs_of_other_namespaces_protect_nobody_else() -> None:
    spec = "{{endpointSelector: {{matchLabels: {{'k8s:io.kubernetes.pod.namespace': {}}}}}, ingress: [{{}}]}}"
    text = f"{HEAD[CCNP]}metadata: {{name: a}}\nspecs: [{spec.format('b')}, {spec.format('c')}]\n"
    found = ANSWERS["convert"]({"file": {"name": "a.yaml", "text": text}, "object": 0, "to": CNP})
    assert [row["path"] for row in found["lost"]] == ["specs[1].endpointSelector"]
    (document,) = read(found["text"].encode())
    mine, other = document.value["specs"]
    assert mine["endpointSelector"] == {}
    assert other["endpointSelector"] == {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "c"}}


def test_a_namespace_by_its_name_has_ciliums_own_label() -> None:
    spec = "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: b}}}]}]"
    _, lost, obj = convert(NETPOL, spec, CNP)
    assert lost == []
    assert obj["spec"]["ingress"] == [
        {"fromEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "b"}}]}
    ]
