"""A question about one flow: the explanation, a test that passes, the files with the patch, and what is no question."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from namewall.review.answers import ANSWERS
from namewall.review.wrong import Wrong

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "explain.json").read_text())
POLICY = """\
# of the backend
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: backend}
spec:
  endpointSelector: {matchLabels: {app: backend}}
  egress:
    - toEndpoints:
        - matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}
      toPorts:
        - ports: [{port: "53", protocol: ANY}]
          rules: {dns: [{matchPattern: "*.io"}]}  # these names
    - toFQDNs:
        - matchName: kubernetes.io  # docs
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
"""
BACKEND = {"subject": {"namespace": "default", "labels": {"app": "backend"}}}


def ask(files: list[dict[str, str]] | None = None, **asked: Any) -> dict[str, Any]:
    given = {"from": BACKEND, "port": 443, "protocol": "TCP", **asked}
    known = [{"name": "a.yaml", "text": POLICY}] if files is None else files
    found = ANSWERS["explain"]({"files": known, **given})
    own = {key: value for key, value in found.items() if key not in ("text", "test", "patchFiles")}
    jsonschema.validate(own, SCHEMA)
    return found


def run_test(tmp_path: Path, found: dict[str, Any], files: list[dict[str, str]]) -> None:
    """The very program says that the test holds."""
    for file in [*files, {"name": "it.test.yaml", "text": found["test"]}]:
        (tmp_path / file["name"]).write_text(file["text"])
    done = subprocess.run(
        [sys.executable, "-m", "namewall", "test", "it.test.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("to", "more", "verdict"),
    [
        ({"name": "kubernetes.io"}, {}, "allow"),
        ({"name": "cilium.io"}, {}, "deny"),
        ({"name": "example.com"}, {}, "deny"),
        ({"address": "203.0.113.7"}, {}, "deny"),
        ({"address": "2001:db8::7"}, {}, "deny"),
        ({"entity": "host"}, {}, "deny"),
        ({"entity": "world"}, {}, "deny"),
        ({"subject": {"namespace": "default", "labels": {"app": "db"}}}, {}, "deny"),
        ({"subject": {"namespace": "default", "labels": {"app": "backend"}}}, {}, "deny"),
        (
            {"subject": {"namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}, "name": "kube-dns"}},
            {"port": 53, "protocol": "UDP", "question": "cilium.io"},
            "allow",
        ),
        ({"address": "203.0.113.7"}, {"port": 8, "protocol": "ICMP"}, "deny"),
    ],
)
def test_a_question_its_answer_and_a_test_of_it(
    tmp_path: Path, to: dict[str, Any], more: dict[str, Any], verdict: str
) -> None:
    found = ask(to=to, **more)
    assert found["verdict"] == verdict
    assert found["text"].startswith(found["query"])
    run_test(tmp_path, found, [{"name": "a.yaml", "text": POLICY}])
    if verdict == "deny" and found["patch"]:
        assert found["patchFiles"] is not None
        assert "# docs" in found["patchFiles"][0]["text"]
        assert "# these names" in found["patchFiles"][0]["text"]
        assert ask(found["patchFiles"], to=to, **more)["verdict"] == "allow"
    if verdict == "allow":
        assert found["patchFiles"] is None


def test_without_files_a_workload_may_do_everything(tmp_path: Path) -> None:
    found = ask([], to={"name": "kubernetes.io"})
    assert (found["verdict"], found["reason"]) == ("allow", "no_policy")
    run_test(tmp_path, found, [])


def test_a_new_policy_is_a_document_at_the_end() -> None:
    closed = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: all}\n"
    closed += "spec: {endpointSelector: {matchLabels: {app: backend}}, egress: [{}]}  # closed\n"
    found = ask([{"name": "c.yaml", "text": closed}], to={"name": "kubernetes.io"})
    (file,) = found["patchFiles"]
    assert "# closed" in file["text"]
    assert ask(found["patchFiles"], to={"name": "kubernetes.io"})["verdict"] == "allow"


def test_rules_have_their_lines() -> None:
    found = ask(to={"name": "kubernetes.io"})
    assert [(row["file"], row["line"]) for row in found["rules"]] == [("a.yaml", 13)]


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"to": None}, "to"),
        ({"to": {}}, "to"),
        ({"to": {"name": 3}}, "to.name"),
        ({"to": {"entity": "cluster"}}, "to.entity"),
        ({"to": {"planet": "mars"}}, "to"),
        ({"to": {"address": "nowhere at all"}}, "to.address"),
        ({"to": {"address": "kubernetes.io"}}, "to.address"),
        ({"to": {"address": "300.1.1.1"}}, "to.address"),
        ({"to": {"name": "300.1.1.1"}}, "to"),
        ({"to": {"name": "*.x.io"}}, "to"),
        ({"to": {"name": "a..io"}}, "to"),
        ({"to": {"name": "a.io"}, "port": 70000}, "port"),
        ({"to": {"name": "a.io"}, "port": True}, "port"),
        ({"to": {"name": "a.io"}, "port": None}, "port"),
        ({"to": {"name": "a.io"}, "protocol": "TCPX"}, "protocol"),
        ({"to": {"name": "a.io"}, "question": 3}, "question"),
        ({"from": {"name": "a.io"}, "to": {"name": "a.io"}}, "from"),
        ({"from": {"subject": {"namespace": [1]}}, "to": {"name": "a.io"}}, "from.subject.namespace"),
        ({"from": {"subject": {"name": {}}}, "to": {"subject": {"name": [1]}}}, "to.subject.name"),
        ({"to": {"subject": {"namespace": "Bad NS"}}}, "to.subject.namespace"),
        ({"from": {"subject": 3}, "to": {"name": "a.io"}}, "from.subject"),
        ({"from": {"subject": {"labels": 3}}, "to": {"name": "a.io"}}, "endpoints[0].labels"),
    ],
)
def test_what_is_no_question_names_its_field(asked: dict[str, Any], path: str) -> None:
    with pytest.raises(Wrong) as caught:
        ask(**asked)
    assert caught.value.path == path, caught.value


def test_what_can_be_no_name_is_told_why() -> None:
    for name, why in (
        ("*.x.io", "`*.x.io` is a pattern and no name; ask about one name that it matches"),
        ("300.1.1.1", "`300.1.1.1` is no address, and no DNS name ends in a number"),
    ):
        with pytest.raises(Wrong, match=re.escape(why)):
            ask(to={"name": name})


def test_a_broken_file_beside_does_not_stop_the_answer() -> None:
    files = [{"name": "a.yaml", "text": POLICY}, {"name": "b.yaml", "text": "a: [\n"}]
    assert ask(files, to={"name": "kubernetes.io"})["verdict"] == "allow"
