"""What is misspelt is put right, one fix after the other, until the policy is the one that was meant."""

from __future__ import annotations

from typing import Any

import pytest

from namewall.model.documents import read
from namewall.review.answers import ANSWERS

CILIUM = """\
# why this is there
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web}   # its name
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
    - toFQDNs:
        - matchName: kubernetes.io  # the name
      toPorts:
        - ports:
            - {port: "443", protocol: TCP}
    - toEndpoints:
        - matchExpressions: [{key: tier, operator: NotIn, values: [old]}]
    - toCIDR: [203.0.113.7/32]
    - toEntities: [cluster]
  ingressDeny:
    - fromEntities: [world]
      icmps: [{fields: [{family: IPv6, type: 128}]}]
"""
KUBERNETES = """\
# why this is there
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector: {matchLabels: {team: a}}
          podSelector: {}
      ports:
        - port: 80
          protocol: UDP
"""


def judged(text: str) -> dict[str, Any]:
    return ANSWERS["judge"]({"files": [{"name": "a.yaml", "text": text}]})


def put_right(text: str) -> str:
    """After every fix that a problem has, the first one first."""
    for _ in range(20):
        fix = next((one["fix"] for one in judged(text)["problems"] if one["fix"]), None)
        if fix is None:
            return text
        (file,) = fix["files"]
        text = file["text"]
    raise AssertionError("fixes without end")


def value(text: str) -> Any:
    (document,) = read(text.encode())
    return document.value


SLIPS = [
    ("toFQDNs:", "toFQDN:"),
    ("toFQDNs:", "to_fqdns:"),
    ("matchName:", "matchname:"),
    ("matchName:", "match-name:"),
    ("endpointSelector:", "endpointselector:"),
    ("endpointSelector:", "podSelector:"),
    ("toPorts:", "toPort:"),
    ("ports:\n", "port:\n"),
    ("port: ", "prot: "),
    ("protocol:", "protocl:"),
    ("protocol:", "prot:"),
    ("egress:", "egres:"),
    ("ingressDeny:", "ingressDenies:"),
    ("fromEntities:", "fromEntity:"),
    ("fromEntities:", "toEntities:"),
    ("matchExpressions:", "matchExpression:"),
    ("operator:", "operater:"),
    ("icmps:", "icmp:"),
    ("fields:", "field:"),
    ("metadata:", "metdata:"),
    ("{name:", "{nmae:"),
    ("kind:", "Kind:"),
    ("apiVersion:", "apiversion:"),
    ("CiliumNetworkPolicy", "CiliumNetworkpolicy"),
    ("kind: CiliumNetworkPolicy", "kind: NetworkPolicy"),
    ("apiVersion: cilium.io/v2", "apiVersion: v2"),
    ("protocol: TCP", "protocol: tcp"),
    ("protocol: TCP", "protocol: TPC"),
    ("operator: NotIn", "operator: notin"),
    ("family: IPv6", "family: ipv6"),
    ('port: "443"', "port: 443"),
    ("toCIDR: [203.0.113.7/32]", "toCIDR: [203.0.113.7]"),
    ("toCIDR: [203.0.113.7/32]", "toCIDR: 203.0.113.7"),
    ("toEntities: [cluster]", "toEntities: cluster"),
]


@pytest.mark.parametrize(("right", "wrong"), SLIPS, ids=[wrong.strip() for _, wrong in SLIPS])
def test_a_slip_in_ciliums_kind_is_put_right(right: str, wrong: str) -> None:
    text = CILIUM.replace(right, wrong, 1)
    assert judged(text)["problems"]
    after = put_right(text)
    assert judged(after)["problems"] == []
    assert value(after) == value(CILIUM)
    assert "# why this is there" in after
    assert "# its name" in after


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("podSelector: {}\n  policy", "podselector: {}\n  policy"),
        ("podSelector: {}\n  policy", "endpointSelector: {}\n  policy"),
        ("namespaceSelector:", "namespaceselector:"),
        ("from:", "form:"),
        ("policyTypes:", "policyType:"),
        ("[Ingress]", "[ingress]"),
        ("port: 80", 'port: "80"'),
        ("protocol: UDP", "protocol: udp"),
        ("networking.k8s.io/v1", "networking.k8s.io/v1beta1"),
        ("networking.k8s.io/v1", "v1"),
    ],
)
def test_a_slip_in_kubernetes_kind_is_put_right(right: str, wrong: str) -> None:
    text = KUBERNETES.replace(right, wrong, 1)
    assert judged(text)["problems"]
    after = put_right(text)
    assert judged(after)["problems"] == []
    assert value(after) == value(KUBERNETES)


def test_a_misspelt_annotation_of_ours_is_put_right() -> None:
    right = CILIUM.replace("{name: web}", "{name: web, annotations: {namewall.io/verify-name: sni}}")
    after = put_right(right.replace("verify-name", "verfy-name"))
    assert judged(after)["problems"] == []
    assert value(after) == value(right)


def test_a_name_that_is_a_number_is_put_in_quotes() -> None:
    after = put_right(CILIUM.replace("name: web}", "name: 123}"))
    assert value(after)["metadata"]["name"] == "123"
    (problem,) = judged(CILIUM.replace("name: web}", "name: yes}"))["problems"]
    assert problem["message"].endswith("YAML reads it as a boolean: write it in quotes")


def test_many_slips_are_put_right_one_after_the_other() -> None:
    text = CILIUM
    for right, wrong in (
        ("toFQDNs:", "toFQDN:"),
        ("matchName:", "matchname:"),
        ("toPorts:", "toPort:"),
        ("protocol: TCP", "protocl: tcp"),
        ("CiliumNetworkPolicy", "CiliumNetworkpolicy"),
        ("endpointSelector:", "endpointselector:"),
    ):
        text = text.replace(right, wrong, 1)
    assert value(put_right(text)) == value(CILIUM)


@pytest.mark.parametrize(
    "wrong",
    [
        "egress: [{toEntities: [cluster], toPorts: [{ports: [{port: '443', protocol: ICMP}]}]}]",  # IGMP is known
        "egress: [{toFQDN: [{matchName: a.io}], toFQDNs: [{matchName: b.io}]}]",  # which of them?
        "egress: [{toWhomever: []}]",
        "egress: [{toCIDR: [10.0.0.0/33]}]",
    ],
)
def test_where_it_is_not_clear_what_is_meant_there_is_no_fix(wrong: str) -> None:
    text = CILIUM[: CILIUM.index("  egress:")] + f"  {wrong}\n"
    problems = judged(text)["problems"]
    assert problems
    assert [one["fixable"] for one in problems] == [None] * len(problems)


def test_a_pattern_as_a_name_is_a_pattern() -> None:
    after = put_right(CILIUM.replace("matchName: kubernetes.io", 'matchName: "*.kubernetes.io"'))
    assert value(after)["spec"]["egress"][0]["toFQDNs"] == [{"matchPattern": "*.kubernetes.io"}]


def test_each_of_two_objects_has_its_own_fix() -> None:
    """Both have the same path: the number of the object says which is meant."""
    one, other = CILIUM.replace("toFQDNs:", "toFQDN:"), CILIUM.replace("toFQDNs:", "tofqdns:")
    text = f"{one}---\n{other}"
    for number, problem in enumerate(judged(text)["problems"]):
        assert problem["object"] == number
        body = {
            "files": [{"name": "a.yaml", "text": text}],
            "file": "a.yaml",
            "object": number,
            "path": problem["path"],
        }
        (file,) = ANSWERS["fix"](body)["files"]
        parts = [one, other]
        parts[number] = CILIUM
        assert file["text"] == "---\n".join(parts)


@pytest.mark.parametrize("text", [CILIUM, KUBERNETES], ids=["cilium", "kubernetes"])
@pytest.mark.parametrize(
    ("written", "meant"),
    [("nmaespace: shop", "namespace: shop"), ("lables: {team: a}", "labels: {team: a}")],
)
def test_a_field_of_metadata_that_kubectl_refuses(text: str, written: str, meant: str) -> None:
    wrong = text.replace("{name: web}", f"{{name: web, {written}}}")
    (problem,) = judged(wrong)["problems"]
    field = written.partition(":")[0]
    assert problem["message"] == f'unknown field "metadata.{field}"'
    assert problem["source"] == "kubernetes"
    assert put_right(wrong) == text.replace("{name: web}", f"{{name: web, {meant}}}")


def test_whatever_a_cluster_writes_into_metadata_is_known() -> None:
    fields = """\
metadata:
  name: web
  namespace: shop
  generateName: web-
  uid: 4c7e6fd5-1b1a-4a56-8f0f-3f8f5a5b6f7d
  resourceVersion: "7"
  generation: 2
  creationTimestamp: "2026-01-01T00:00:00Z"
  deletionTimestamp: null
  deletionGracePeriodSeconds: 0
  labels: {team: a}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: a, uid: b}]
  finalizers: [a.example/b]
  managedFields: [{manager: kubectl, operation: Update, fieldsType: FieldsV1, fieldsV1: {}}]
  selfLink: ""
"""
    assert judged(CILIUM.replace("metadata: {name: web}   # its name\n", fields))["problems"] == []


def test_a_number_that_must_be_text_is_shown_with_its_quotes() -> None:
    problems = judged(CILIUM.replace("{app: web}", "{version: 1}"))["problems"]
    assert [one["fixable"] for one in problems] == ['write `"1"`']
