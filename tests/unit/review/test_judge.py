"""What is said of files as they are typed, and the fixes: every one leaves a valid file in which its finding is gone,
and all comments."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from namewall.model.documents import read
from namewall.policy.lint.run import IDS
from namewall.review.answers import ANSWERS
from namewall.review.fixes import _FINDINGS
from namewall.review.wrong import Wrong
from namewall.review.yaml_writing import block_yaml

ROOT = Path(__file__).parents[3]
SECTIONS = re.split(r"^## ", (ROOT / "docs" / "lint.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
FIRST = {
    section.splitlines()[0]: re.findall(r"^```yaml\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)[0]
    for section in SECTIONS
}
HEAD = """\
# why this is there
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web}   # its name
spec:
  endpointSelector: {matchLabels: {app: web}}
"""


def judge(*texts: str) -> dict[str, Any]:
    files = [{"name": f"{number}.yaml", "text": text} for number, text in enumerate(texts)]
    return ANSWERS["judge"]({"files": files})


def whole(example: str) -> str:
    """An example of docs/lint.md as a file."""
    if "kind:" in example:
        return "# a comment\n" + example
    if example.startswith("endpointSelector"):
        return HEAD.replace("  endpointSelector: {matchLabels: {app: web}}\n", "") + indented(example)
    return HEAD + indented(example)


def indented(text: str) -> str:
    return "".join(f"  {line}\n" if line.strip() else "\n" for line in text.splitlines())


def found(judgement: dict[str, Any], rule: str) -> list[dict[str, Any]]:
    return [each for each in judgement["findings"] if each["rule"] == rule]


@pytest.mark.parametrize(
    ("text", "severities"),
    [
        (HEAD, ["warning"]),
        (HEAD + "  description: later\n", ["warning"]),
        (HEAD.replace("spec:\n ", "specs:\n -"), ["warning"]),
        (HEAD + "  egres: []\n", ["warning", "error"]),
        (HEAD + "  egress: [{toEntities: [nobody]}]\n", ["error"]),
    ],
)
def test_a_policy_that_is_begun_has_no_rules_yet(text: str, severities: list[str]) -> None:
    judgement = judge(text)
    assert sorted(each["severity"] for each in judgement["problems"]) == sorted(severities)
    for each in judgement["problems"]:
        assert each["message"].startswith("no rules yet: ") is (each["severity"] == "warning")
    assert not judgement["objects"][0]["accepted"]


def test_every_fix_is_of_a_rule() -> None:
    assert set(_FINDINGS) <= set(IDS)


@pytest.mark.parametrize(
    "rule",
    sorted(set(_FINDINGS) - {"selects-nothing", "inert-pattern", "shadowed", "empty-fqdns", "empty-rule"}),
)
def test_a_fix_takes_its_finding_away_and_leaves_the_rest(rule: str) -> None:
    text = whole(FIRST[rule])
    before = judge(text)
    assert before["problems"] == []
    finding = found(before, rule)[0]
    assert finding["fix"] is not None, "no fix"
    (file,) = finding["fix"]["files"]
    after = judge(file["text"])
    assert after["problems"] == []
    places = [(each["path"], each["policy"]) for each in found(after, rule)]
    assert (finding["path"], finding["policy"]) not in places
    for comment in re.findall(r"#.*", text):
        assert comment in file["text"]
    kept = set(text.splitlines()) & set(file["text"].splitlines())
    assert len(kept) >= len(text.splitlines()) - 3, file["text"]


@pytest.mark.parametrize(
    ("rule", "items"),
    [
        ("selects-nothing", "egress: [{toEntities: [none, cluster]}]"),
        (
            "selects-nothing",
            "egress:\n  - toEndpoints:\n    - matchLabels: {app: b}\n    - matchExpressions:\n"
            "      - {key: app, operator: In, values: [a]}\n      - {key: app, operator: DoesNotExist}\n",
        ),
        ("empty-rule", "egress: [{}, {toEntities: [cluster]}]"),
        ("shadowed", "egress:\n  - toCIDR: [203.0.113.9/32]  # one\n  - toCIDR: [203.0.113.0/24]\n"),
        (
            "shadowed",
            "egress:\n  - toCIDR: [198.51.100.1/32]\n  - toCIDR: [203.0.113.9/32]\n"
            "egressDeny:\n  - toCIDR: [203.0.113.0/24]\n",
        ),
        (
            "empty-fqdns",
            "egress:\n  - toFQDNs: []\n    toPorts: [{ports: [{port: '443'}]}]\n  - toEntities: [cluster]\n",
        ),
    ],
)
def test_what_says_nothing_is_taken_out(rule: str, items: str) -> None:
    text = HEAD + indented(items)
    finding = found(judge(text), rule)[0]
    (file,) = finding["fix"]["files"]
    after = judge(file["text"])
    assert after["problems"] == []
    assert not found(after, rule)
    if rule in ("shadowed", "selects-nothing"):
        same = ANSWERS["diff"]({"old": [{"name": "a", "text": text}], "new": [file]})
        assert same["changed"] is False


def test_what_a_policy_asks_of_its_own_pods_is_not_taken_out() -> None:
    """It would be for others than before."""
    terms = "[{key: app, operator: In, values: [a]}, {key: app, operator: NotIn, values: [a]}]"
    text = HEAD.replace(next(line for line in HEAD.splitlines() if "endpointSelector" in line), "").rstrip()
    text += f"\n  endpointSelector: {{matchExpressions: {terms}}}\n" + indented(
        "egress: [{toEntities: [cluster]}]"
    )
    (finding,) = found(judge(text), "selects-nothing")
    assert finding["fix"] is None


@pytest.mark.parametrize("rule", ["double-star", "namespace-overridden", "any-peer"])
def test_a_fix_that_does_not_say_so_changes_no_verdict(rule: str) -> None:
    text = whole(FIRST[rule])
    fix = found(judge(text), rule)[0]["fix"]
    assert "allows" not in fix["label"]
    old = [{"name": "a.yaml", "text": text}]
    assert ANSWERS["diff"]({"old": old, "new": fix["files"]})["changed"] is False


def test_only_the_namespace_that_is_overridden_is_taken_out() -> None:
    """The key without a source selects nobody, and goes on to."""
    both = "{io.kubernetes.pod.namespace: red, k8s:io.kubernetes.pod.namespace: red}"
    text = HEAD.replace("{app: web}", both) + "  egress: [{}]\n"
    assert both in text
    fix = found(judge(text), "namespace-overridden")[0]["fix"]
    assert "io.kubernetes.pod.namespace: red" in fix["files"][0]["text"]
    old = [{"name": "a.yaml", "text": text}]
    assert ANSWERS["diff"]({"old": old, "new": fix["files"]})["changed"] is False


def test_problems_have_line_column_path_and_who_says_so() -> None:
    text = HEAD + "  egress:\n    - toFQDNs:\n        - matchName: 'a b'\n"
    (problem,) = judge(text)["problems"]
    assert (problem["line"], problem["column"]) == (9, 11)
    assert problem["path"] == "spec.egress[0].toFQDNs[0].matchName"
    assert problem["source"] == "cilium"
    (problem,) = judge("kind: x\n  y: 3")["problems"]
    assert (problem["line"], problem["column"], problem["source"]) == (2, 4, "yaml")
    netpol = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: 3}\n"
    )
    assert judge(netpol)["problems"][0]["source"] == "kubernetes"


def test_objects_know_their_lines() -> None:
    text = HEAD + "  egress: [{}]\n\n---\n# the second\n" + HEAD.replace("web}", "two}") + "  ingress: [{}]\n"
    first, second = judge(text)["objects"]
    assert (first["line"], first["lastLine"], first["index"], first["name"]) == (2, 7, 0, "web")
    assert (second["line"], second["lastLine"], second["index"], second["name"]) == (12, 17, 1, "two")
    assert first["accepted"]
    assert first["enforceable"]
    assert not first["audit"]
    assert first["error"] is None


def test_audit_and_what_cannot_be_enforced_are_said() -> None:
    text = HEAD.replace("{name: web}", "{name: web, annotations: {namewall.io/mode: audit}}") + indented(
        "egress: [{toEntities: [cluster], toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{}]}}]}]"
    )
    (one,) = judge(text)["objects"]
    assert one["audit"]
    assert one["accepted"]
    assert not one["enforceable"]
    assert one["error"]


def test_other_objects_and_test_files_are_no_policies() -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n"
    test = (
        "---\npolicyFiles: [0.yaml]\nendpoints: [{name: web, labels: {app: web}}]\n"
        "tests: [{from: web, to: a.io:443, expect: deny}]\n"
    )
    said = judge(pod + HEAD + "  egress: [{}]\n", test)
    assert [each["name"] for each in said["objects"]] == ["web"]
    assert said["problems"] == []


def rating(*items: str) -> dict[str, Any]:
    return judge(*(HEAD + indented(each) for each in items))["rating"]


def test_the_rating_falls_with_width() -> None:
    dns = FIRST["fqdn-without-dns"] and (
        "egress:\n  - toEndpoints:\n"
        '      - matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, k8s-app: kube-dns}\n'
        '    toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchName: a.example.com.}]}}]\n'
        '  - toFQDNs: [{matchName: a.example.com}]\n    toPorts: [{ports: [{port: "443", protocol: TCP}]}]\n'
    )
    closed = rating("ingress: [{}]\n" + dns)
    half = rating(dns)
    world = rating("ingress: [{}]\negress: [{toEntities: [world]}]\n")
    everybody = rating("ingress: [{fromEntities: [all]}]\negress: [{toEntities: [all]}]\n")
    assert judge("")["rating"]["score"] == 0
    assert judge("kind: [\n")["rating"] is None  # who knows
    assert closed["score"] == 100
    assert closed["word"] == "strong"
    assert closed["reasons"] == []
    assert closed["score"] > world["score"] > everybody["score"]
    assert half["score"] == 50
    assert all(each["points"] < 0 and each["text"] for each in everybody["reasons"])


def test_a_policy_in_audit_closes_nothing() -> None:
    text = (
        HEAD.replace("{name: web}", "{name: web, annotations: {namewall.io/mode: audit}}")
        + "  egress: [{}]\n"
    )
    assert judge(text)["rating"]["word"] == "open"


def long_policy(rules: int) -> str:
    return (
        HEAD
        + "  egress:\n"
        + "".join(
            f"    - toFQDNs:\n        - matchName: n{n}.example.com  # {n}\n      toPorts:\n        - ports:\n"
            f"            - port: '{n % 60000 + 1}'\n              protocol: TCP\n"
            for n in range(rules)
        )
    )


def test_two_thousand_lines_are_judged_quickly() -> None:
    text = long_policy(332)
    judge(text)
    begun = time.perf_counter()
    said = judge(text)
    assert time.perf_counter() - begun < 1.0  # the aim of 0.2 s is bench-editor's to watch
    assert len(said["findings"]) > 300
    late = said["findings"][-1]
    assert late["fix"] is None
    assert late["fixable"]
    asked = {
        "files": [{"name": "0.yaml", "text": text}],
        "rule": late["rule"],
        "file": "0.yaml",
        "path": late["path"],
    }
    fixed = ANSWERS["fix"](asked)
    assert len(fixed["files"][0]["text"]) > len(text)
    with pytest.raises(Wrong):
        ANSWERS["fix"]({**asked, "path": "spec"})


@pytest.mark.parametrize("files", [None, 3, [3], [{"name": 3, "text": ""}], [{"name": "a"}]])
def test_a_body_of_another_shape_is_refused_with_its_field(files: Any) -> None:
    with pytest.raises(Wrong) as caught:
        ANSWERS["judge"]({"files": files})
    assert caught.value.path is not None
    assert caught.value.path.startswith("files")


def test_surrogates_and_null_bytes_are_problems_not_crashes() -> None:
    for text in ("\ud800", "a: \0", "\ufeff", "a: &a [*a]", "{" * 200, "? [a]\n: b"):
        judge(text)


def test_written_yaml_is_read_back() -> None:
    value = {
        "a b": ["x: y", "# no", "- no", "yes", "12", "a:b", "*", "", None, True, {"k": {}}],
        "n": {"l": [[]]},
    }
    (document,) = read(block_yaml(value).encode())
    assert document.value == value


def test_a_misspelt_namespace_of_the_cluster_dns_is_replaced() -> None:
    labels = "{k8s:k8s-app: kube-dns, io.kubernetes.pod.namespace: kubesystem}"
    text = HEAD + indented(f"egress: [{{toEndpoints: [{{matchLabels: {labels}}}]}}]")
    fix = found(judge(text), "dns-namespace")[0]["fix"]
    assert fix["files"][0]["text"] == text.replace("kubesystem", "kube-system")


def test_a_pattern_of_names_in_the_cluster_is_no_service() -> None:
    text = HEAD + indented("egress: [{toFQDNs: [{matchPattern: '*.shop.svc.cluster.local'}]}]")
    assert found(judge(text), "in-cluster-name")[0]["fixable"] is None


def test_a_pattern_of_a_public_suffix_has_no_fix_that_would_open_it() -> None:
    text = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n"
    text += "spec: {endpointSelector: {}, egress: [{toFQDNs: [{matchPattern: '*co.uk'}]}]}\n"
    found = ANSWERS["judge"]({"files": [{"name": "a.yaml", "text": text}]})["findings"]
    (finding,) = (each for each in found if each["rule"] == "unanchored-pattern")
    assert finding["fixable"] is None
