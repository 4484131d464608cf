"""All policies of one workload on one canvas: lanes, peers, ports, names, who turned on default deny, who wins."""

from __future__ import annotations

from typing import Any

import pytest

from namewall.review.answers import ANSWERS
from namewall.review.wrong import Wrong

SUBJECT = {"namespace": "default", "labels": {"app": "web"}}


def policy(name: str, spec: str, kind: str = "CiliumNetworkPolicy", more: str = "") -> dict[str, str]:
    version = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "cilium.io/v2"
    body = "".join(f"  {line}\n" for line in spec.strip().splitlines())
    text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}{more}}}\nspec:\n{body}"
    return {"name": f"{name}.yaml", "text": text}


def union(*files: dict[str, str], subject: Any = None) -> dict[str, Any]:
    return ANSWERS["union"]({"files": list(files), "subject": SUBJECT if subject is None else subject})


def edges(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {edge["peer"]["text"]: edge for edge in found["edges"]}


EGRESS = """
endpointSelector: {matchLabels: {app: web}}
egress:
  - toFQDNs: [{matchName: kubernetes.io}, {matchPattern: "*.example.com"}]
    toPorts: [{ports: [{port: "443", protocol: TCP}, {port: "8000", endPort: 8010, protocol: TCP}]}]
  - toEndpoints:
      - matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}
    toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*.io"}, {matchName: a.b}]}}]
  - toCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.128/25]}]
  - toEndpoints: [{matchLabels: {app: db}}]
  - toEntities: [host, world]
  - toServices: [{k8sService: {serviceName: api, namespace: shop}}]
  - icmps: [{fields: [{type: 8, family: IPv4}]}]
    toEntities: [cluster]
"""


def test_each_peer_has_its_lane_kind_and_ports() -> None:
    found = edges(union(policy("out", EGRESS)))
    rows = {text: (e["lane"], e["peer"]["kind"], e["ports"], e["dns"]) for text, e in found.items()}
    https = ["443/TCP", "8000-8010/TCP"]
    assert rows == {
        "kubernetes.io": ("outside", "name", https, None),
        "*.example.com": ("outside", "name", https, None),
        "k8s:io.kubernetes.pod.namespace=kube-system, k8s-app=kube-dns": (
            "cluster",
            "pods",
            ["53/ANY"],
            ["*.io", "a.b"],
        ),
        "203.0.113.0/24 except 203.0.113.128/25": ("outside", "cidr", [], None),
        "app=db": ("namespace", "pods", [], None),
        "host": ("cluster", "entity", [], None),
        "world": ("outside", "entity", [], None),
        "shop/api": ("cluster", "service", [], None),
        "cluster": ("cluster", "entity", ["type 8 of ICMP"], None),
    }
    assert found["app=db"]["peer"]["namespace"] == "default"
    assert all(edge["action"] == "allow" and edge["direction"] == "egress" for edge in found.values())


def test_default_deny_names_who_turned_it_on() -> None:
    found = union(policy("out", EGRESS), policy("deny", "endpointSelector: {}\negress: [{}]"))
    assert found["ingress"] == {"enforced": False, "by": []}
    assert found["egress"]["enforced"]
    assert {row["policy"] for row in found["egress"]["by"]} == {"out", "deny"}
    line = next(row for row in found["egress"]["by"] if row["policy"] == "deny")
    assert (line["file"], line["line"], line["rule"]) == ("deny.yaml", 6, "spec.egress[0]")


def test_default_deny_may_be_off() -> None:
    spec = "endpointSelector: {}\nenableDefaultDeny: {egress: false}\negressDeny: [{toEntities: [host]}]"
    assert union(policy("a", spec))["egress"] == {"enforced": False, "by": []}


def test_rules_that_say_the_same_are_one_edge_of_two_rules() -> None:
    spec = "endpointSelector: {}\negress: [{toFQDNs: [{matchName: a.example.com}]}]"
    found = union(policy("one", spec), policy("two", spec))
    (edge,) = found["edges"]
    assert [row["policy"] for row in edge["rules"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("allow", "deny", "over"),
    [
        ("toCIDR: [203.0.113.9/32]", "toCIDR: [203.0.113.0/24]", True),
        ("toCIDR: [203.0.113.9/32]", "toCIDR: [198.51.100.0/24]", False),
        ("toFQDNs: [{matchName: a.io}]", "toCIDR: [198.51.100.0/24]", True),
        ("toFQDNs: [{matchName: a.io}]", "toEndpoints: [{matchLabels: {app: db}}]", False),
        ("toFQDNs: [{matchName: a.io}]", "toEntities: [world]", True),
        ("toEndpoints: [{matchLabels: {app: db}}]", "toEndpoints: [{matchLabels: {app: db}}]", True),
        ("toEndpoints: [{matchLabels: {app: db}}]", "toEndpoints: [{matchLabels: {app: x}}]", False),
        ("toEndpoints: [{matchLabels: {app: db}}]", "toEndpoints: [{matchLabels: {role: x}}]", True),
        ("toEndpoints: [{matchLabels: {app: db}}]", "toEntities: [world]", False),
        ("toEndpoints: [{matchLabels: {app: db}}]", "toEntities: [all]", True),
        ("toEntities: [host]", "toEntities: [remote-node]", False),
    ],
)
def test_a_deny_that_wins_over_all_or_part_is_named(allow: str, deny: str, over: bool) -> None:
    spec = f"endpointSelector: {{}}\negress: [{{{allow}}}]\negressDeny: [{{{deny}}}]"
    (edge,) = (e for e in union(policy("a", spec))["edges"] if e["action"] == "allow")
    assert bool(edge["overruledBy"]) is over


def test_ports_tell_denies_apart() -> None:
    port = 'toPorts: [{ports: [{port: "%s", protocol: TCP}]}]'
    spec = f"endpointSelector: {{}}\negress: [{{toEntities: [world], {port % 443}}}]\n"
    spec += f"egressDeny: [{{toEntities: [world], {port % 80}}}]"
    assert not any(edge["overruledBy"] for edge in union(policy("a", spec))["edges"])


def test_network_policies_and_audit_stand_beside() -> None:
    netpol = policy(
        "np",
        "podSelector: {}\ningress: [{from: [{podSelector: {matchLabels: {app: a}}}, {ipBlock: {cidr: 10.0.0.0/8}}],"
        " ports: [{port: 80}]}]",
        "NetworkPolicy",
    )
    tried = policy(
        "t",
        "endpointSelector: {}\ningress: [{}]\ningressDeny: [{fromEntities: [all]}]",
        more=", annotations: {namewall.io/mode: audit}",
    )
    found = union(netpol, tried)
    assert [row["policy"] for row in found["ingress"]["by"]] == ["np"]
    kinds = {edge["peer"]["kind"]: edge for edge in found["edges"]}
    assert kinds["pods"]["ports"] == ["80/TCP"]
    assert kinds["pods"]["overruledBy"] == []
    assert kinds["entity"]["audit"] is True
    assert kinds["cidr"]["lane"] == "outside"


def test_others_are_not_drawn() -> None:
    other = policy("o", "endpointSelector: {matchLabels: {app: other}}\negress: [{}]")
    assert union(other) == {
        "ingress": {"enforced": False, "by": []},
        "egress": {"enforced": False, "by": []},
        "edges": [],
    }


@pytest.mark.parametrize(
    "subject", [3, {}, {"labels": 3}, {"labels": {"a": 1}}, {"namespace": 3, "labels": {}}]
)
def test_a_subject_of_another_shape_is_refused(subject: Any) -> None:
    if subject == {}:
        union(subject=subject)
        return
    with pytest.raises(Wrong) as caught:
        union(subject=subject)
    assert str(caught.value.path).startswith("subject")


BEYOND = """
endpointSelector: {matchLabels: {app: web}}
ingress:
  - fromEndpoints: [{matchLabels: {app: a}}]
    toPorts:
      - {ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET}]}}
      - {ports: [{port: "81", protocol: TCP}]}
  - fromEndpoints: [{matchLabels: {app: b}}]
    authentication: {mode: required}
  - toPorts: [{ports: [{port: "82", protocol: TCP}], serverNames: [a.io]}]
egress:
  - toGroups: [{aws: {region: x}}]
"""


def test_what_no_edge_shows_is_named_at_its_edges() -> None:
    found = union(policy("beyond", BEYOND))
    rows = [
        (edge["peer"]["text"], edge["ports"], [(each["path"], each["what"]) for each in edge["kept"]])
        for edge in found["edges"]
    ]
    assert rows == [
        ("app=a", ["81/TCP"], []),
        ("app=a", ["80/TCP"], [("spec.ingress[0].toPorts[0].rules.http", "HTTP rules")]),
        ("app=b", [], [("spec.ingress[1].authentication.mode", "mutual authentication")]),
        ("everybody", ["82/TCP"], [("spec.ingress[2].toPorts[0].serverNames", "TLS server names")]),
        ("{aws: {region: x}}", [], [("spec.egress[0].toGroups", "cloud provider groups")]),
    ]
    (kept,) = found["edges"][1]["kept"]
    assert (kept["rule"]["file"], kept["rule"]["line"]) == ("beyond.yaml", 7)


def test_the_same_ports_with_and_without_more_are_two_edges() -> None:
    plain = BEYOND.replace(", rules: {http: [{method: GET}]}", "")
    found = union(policy("plain", plain), policy("beyond", BEYOND))
    assert [bool(edge["kept"]) for edge in found["edges"] if edge["ports"] == ["80/TCP"]] == [True]
    assert ["80/TCP", "81/TCP"] in [edge["ports"] for edge in found["edges"]]
