"""The editor of `namewall up`: the cluster as it is, a dropped flow turned into an applied rule, what would change."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import cluster, netns
from lab.cluster import Lab
from lab.names import page_world
from lab.page import prepare
from lab.play import Reader
from lab.scene import PAGE

pytestmark = pytest.mark.root

POLICY = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: names, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: backend}}
  egress:
    - toEndpoints:
        - matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, k8s-app: kube-dns}
      toPorts:
        - ports: [{port: "53", protocol: ANY}]
          rules: {dns: [{matchPattern: "*.io"}, {matchPattern: "**.cluster.local"}]}
    - toFQDNs: [{matchName: kubernetes.io}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
"""


class Editor:
    def __init__(self, lab: Lab, reader: Reader) -> None:
        self.lab, self.reader = lab, reader
        self.file = Path(lab.instance.run_dir) / "editor.json"
        self.address = json.loads(self.file.read_text())

    def ask(self, path: str, body: Any = None, *, token: bool = True) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {self.address['token']}"
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{self.address['port']}{path}", data, headers)
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def good(self, path: str, body: Any = None) -> Any:
        status, answer = self.ask(path, body)
        assert status == 200, answer
        return answer

    def flows(self, verdict: str) -> list[dict[str, Any]]:
        """Those of the backend that it sent."""
        wanted = {
            "namewall": True,
            "whitelist": [{"source_label": ["k8s:app=backend"], "verdict": [verdict]}],
        }
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.address['port']}/api/flows",
            json.dumps(wanted).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.address['token']}"},
        )
        with urllib.request.urlopen(asked, timeout=20) as answer:
            assert answer.headers["x-namewall-run"]
            return [row["flow"] for row in map(json.loads, answer) if "flow" in row]

    def curl(self, url: str) -> int:
        return self.reader.type(
            "kubectl exec $(kubectl get pods -l app=backend -o name) -- "
            f"curl -sk -o /dev/null --connect-timeout 2 {url}",
            terminal=False,
        ).code

    def stored(self) -> list[str]:
        return [row["name"] for row in self.good("/api/live")["policies"]]

    def process(self) -> int | None:
        rows = self.lab.status()["processes"]
        return next(row["pid"] for row in rows if row["name"] == "editor")


def eventually(what: Callable[[], Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def files(text: str) -> list[dict[str, str]]:
    return [{"name": "a.yaml", "text": text}]


@pytest.fixture(scope="module")
def editor(program: Path) -> Iterator[Editor]:
    with cluster.lab(page_world(netns.free_slot()), more=("--editor-port", str(free_port()))) as lab:
        reader = Reader(lab, program)
        reader.write(PAGE)
        for step in prepare():
            _, difference = reader.take(step)
            assert difference is None, difference
        yield Editor(lab, reader)


def test_its_address_is_printed_and_only_roots_to_read(editor: Editor) -> None:
    assert stat.S_IMODE(editor.file.stat().st_mode) == 0o600
    status = editor.lab.status()
    assert status["editor"] == editor.address["url"]
    assert (
        editor.address["url"] == f"http://127.0.0.1:{editor.address['port']}/#token={editor.address['token']}"
    )
    assert editor.address["url"] in editor.lab.namewall("status").stdout
    assert len(editor.address["token"]) >= 43


def test_live_needs_the_token(editor: Editor) -> None:
    for path, body in (
        ("/api/live", None),
        ("/api/flows", {}),
        ("/api/allow", {}),
        ("/api/what-if", {}),
        ("/api/apply", {}),
    ):
        status, answer = editor.ask(path, body, token=False)
        assert status == 401, (path, answer)
        assert "token" in answer["error"]


def test_the_cluster_is_shown_as_it_is(editor: Editor) -> None:
    live = editor.good("/api/live")
    assert live["problem"] is None
    (backend,) = (row for row in live["endpoints"] if row["labels"].get("app") == "backend")
    assert backend["namespace"] == "default"
    assert backend["addresses"]
    assert backend["workload"] == {"kind": "Deployment", "name": "backend"}
    assert (backend["ingressEnforced"], backend["egressEnforced"]) == (True, False)
    assert eventually(lambda: editor.good("/api/live")["endpoints"][0]["identity"])
    assert {"name": "default", "labels": {"kubernetes.io/metadata.name": "default"}} in live["namespaces"]
    (service,) = (row for row in live["services"] if row["name"] == "backend")
    assert service["ports"][0]["port"] == 8080
    deny = next(row for row in live["policies"] if row["name"] == "backend-ingress-deny")
    assert deny["text"].startswith("apiVersion: ")
    assert not any(word in deny["text"] for word in ("managedFields", "last-applied", "uid", "status:"))
    assert editor.good("/api/judge", {"files": files(deny["text"])})["problems"] == []


def test_a_dropped_flow_becomes_an_applied_rule(editor: Editor) -> None:
    dry = editor.good("/api/apply", {"files": files(POLICY), "dryRun": True})["results"]
    assert [(row["operation"], row["error"]) for row in dry] == [("created", None)]
    assert "names" not in editor.stored()
    done = editor.good("/api/apply", {"files": files(POLICY), "dryRun": False})["results"]
    assert [(row["kind"], row["operation"]) for row in done] == [("CiliumNetworkPolicy", "created")]
    assert editor.reader.type("kubectl wait --for=condition=Programmed cnp/names", terminal=False).code == 0
    assert editor.curl("https://kubernetes.io") == 0
    assert editor.curl("https://cilium.io") == 28
    flow = eventually(lambda: [f for f in editor.flows("DROPPED") if f["traffic_direction"] == "EGRESS"])[-1]
    allowed = editor.good("/api/allow", {"flow": flow})
    assert allowed["allowed"] is False
    assert allowed["noPatch"] is None
    (file,) = allowed["files"]
    assert file["name"] == "default/names.cnp.yaml"
    assert "cilium.io" in file["text"]
    assert "+" in allowed["diff"]
    assert editor.curl("https://cilium.io") == 28, "nothing is applied by asking"
    done = editor.good("/api/apply", {"files": allowed["files"], "dryRun": False})["results"]
    assert [row["operation"] for row in done] == ["configured"]
    assert eventually(lambda: editor.curl("https://cilium.io") == 0)
    again = editor.good("/api/apply", {"files": allowed["files"], "dryRun": False})["results"]
    assert [row["operation"] for row in again] == ["unchanged"]


def test_a_question_is_asked_in_the_cluster(editor: Editor) -> None:
    backend, frontend, stranger = (
        next(row for row in editor.good("/api/live")["endpoints"] if row["labels"].get("app") == app)
        for app in ("backend", "frontend", "not-frontend")
    )
    ends = {"from": {"subject": frontend}, "to": {"subject": backend}, "port": 8080, "protocol": "TCP"}
    assert editor.good("/api/ask", {"files": [], **ends})["verdict"] == "allow"
    kept_out = editor.good("/api/ask", {"files": [], **ends, "from": {"subject": stranger}})
    assert kept_out["verdict"] == "deny"
    assert kept_out["nearest"]["policy"] == "backend-allow-ingress-frontend"
    closed = POLICY.replace("{name: names,", "{name: closed,").replace("app: backend", "app: frontend")
    found = editor.good("/api/ask", {"files": files(closed), **ends})
    assert found["verdict"] == "deny"
    assert [file["name"] for file in found["patchFiles"]] == ["a.yaml"]
    assert editor.good("/api/ask", {"files": found["patchFiles"], **ends})["verdict"] == "allow"
    status, answer = editor.ask("/api/ask", {"files": [], "from": {"name": "a.io"}, "to": {}})
    assert status == 400, answer


def test_what_would_change_names_the_flows(editor: Editor) -> None:
    found = editor.good("/api/what-if", {"files": files(POLICY.replace("kubernetes.io", "example.io"))})
    assert found["seen"] > 5
    names = {name for row in found["changed"] for name in row["flow"].get("destination_names", ())}
    assert "kubernetes.io" in names
    assert {(row["was"], row["now"]) for row in found["changed"]} == {("allow", "deny")}
    assert all(row["rules"] for row in found["changed"])
    same = editor.good("/api/what-if", {"files": []})
    assert same["changed"] == []


def test_what_changed_meanwhile_is_a_conflict(editor: Editor) -> None:
    row = next(row for row in editor.good("/api/live")["policies"] if row["name"] == "names")
    versions = {"CiliumNetworkPolicy/default/names": "1"}
    status, answer = editor.ask("/api/apply", {"files": files(POLICY), "dryRun": False, "versions": versions})
    assert status == 409
    assert "changed since" in answer["error"]
    assert answer["results"][0]["error"]
    versions["CiliumNetworkPolicy/default/names"] = row["resourceVersion"]
    assert editor.good("/api/apply", {"files": files(POLICY), "dryRun": True, "versions": versions})


def test_what_the_server_refuses_is_said_and_nothing_of_it_stored(editor: Editor) -> None:
    bad = POLICY.replace("{name: names, namespace", "{name: other, namespace") + "---\n"
    bad += POLICY.replace("{name: names, namespace", "{name: bad, namespace").replace("kubernetes.io", "a b")
    results = editor.good("/api/apply", {"files": files(bad), "dryRun": False})["results"]
    assert results[0]["error"] is None
    assert "matchName" in results[1]["error"]
    assert not {"other", "bad"} & set(editor.stored())
    status, answer = editor.ask(
        "/api/apply", {"files": files("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n")}
    )
    assert status == 400, answer


def test_a_flow_that_is_none_is_refused(editor: Editor) -> None:
    for flow in (
        None,
        3,
        {},
        {"l4": {"TCP": {}}},
        {"IP": {"source": "x"}, "l4": {"TCP": {"destination_port": 1}}},
    ):
        status, answer = editor.ask("/api/allow", {"flow": flow})
        assert status == 400, answer
    assert editor.ask("/api/flows", {"nothing": 1})[0] == 400


def test_flows_go_on_while_the_editor_dies_and_comes_back_with_its_token(editor: Editor) -> None:
    pid = editor.process()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: editor.process() is None)
    assert editor.lab.namewall("status").returncode == 3
    assert editor.curl("https://kubernetes.io") == 0
    editor.lab.up()
    assert json.loads(editor.file.read_text()) == editor.address
    assert eventually(lambda: editor.process())
    assert eventually(lambda: _answers(editor))
    text = (Path(editor.lab.instance.run_dir) / "daemons" / "editor.log").read_text()
    assert "Traceback" not in text, text


def _answers(editor: Editor) -> bool:
    try:
        return editor.ask("/api/session")[0] == 200
    except OSError:
        return False


def test_a_port_that_is_taken_is_named(editor: Editor) -> None:
    with cluster.lab(start=False) as other:
        done = other.namewall("up", "--detach", "--editor-port", str(editor.address["port"]))
        assert done.returncode == 3
        assert "--editor-port" in done.stderr
