"""What the operator sees of the page: flows, tables, metrics and Events, also after the agent's death."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lab import cluster, netns
from lab.cluster import Lab
from lab.host import Process
from lab.kubectl import NAMEWALL
from lab.names import page_world
from lab.page import Outcome, prepare
from lab.play import Reader
from lab.scene import PAGE

pytestmark = pytest.mark.root

# The backend may ask for names of *.io and no others, and reach kubernetes.io and the frontend's nothing.
POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: backend-names}
spec:
  endpointSelector: {matchLabels: {app: backend}}
  egress:
    - toEndpoints:
        - matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, "k8s:k8s-app": kube-dns}
      toPorts:
        - ports: [{port: "53", protocol: ANY}]
          rules: {dns: [{matchPattern: "*.io"}, {matchPattern: "**.cluster.local"}]}
    - toFQDNs: [{matchName: kubernetes.io}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: frontend-egress}
spec:
  endpointSelector: {matchLabels: {app: frontend}}
  egress:
    - toEndpoints:
        - matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, "k8s:k8s-app": kube-dns}
      toPorts: [{ports: [{port: "53", protocol: ANY}]}]
    - toEndpoints: [{matchLabels: {app: backend}}]
      toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
"""
# Would keep the frontend from the backend.
TRIED = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: tried
  annotations: {namewall.io/mode: audit}
spec:
  endpointSelector: {matchLabels: {app: frontend}}
  egressDeny:
    - toEndpoints: [{matchLabels: {app: backend}}]
"""
TABLES = ("policy", "grants", "ct", "ipcache", "services", "sizes")
STAMP = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.\d{3}"


class Node:
    """The lab, and its verbs as a reader types them."""

    def __init__(self, lab: Lab, reader: Reader) -> None:
        self.lab, self.reader = lab, reader

    def type(self, line: str) -> Outcome:
        return self.reader.type(line, terminal=False)

    def json(self, line: str) -> Any:
        outcome = self.type(line)
        assert outcome.code == 0, outcome.errors
        return json.loads(outcome.output)

    def flows(self, filters: str = "") -> list[dict[str, Any]]:
        outcome = self.type(f"namewall observe --all -o json {filters}")
        assert outcome.code == 0, outcome.errors
        return [line["flow"] for line in map(json.loads, outcome.output.splitlines()) if "flow" in line]

    def curl(self, app: str, url: str, patience: int = 2) -> int:
        return self.type(
            f"kubectl exec $(kubectl get pods -l app={app} -o name) -- "
            f"curl -sk -o /dev/null --connect-timeout {patience} {url}"
        ).code

    @contextmanager
    def applied(self, name: str, egress: list[dict[str, Any]]) -> Iterator[None]:
        """A policy of these rules for the pods that have none otherwise."""
        spec = {"endpointSelector": {"matchLabels": {"app": "not-frontend"}}, "egress": egress}
        policy = {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": name},
            "spec": spec,
        }
        (self.reader.directory / f"{name}.json").write_text(json.dumps(policy))
        assert self.type(f"kubectl apply -f {name}.json").code == 0
        try:
            yield
        finally:
            self.type(f"kubectl delete -f {name}.json")

    def agent(self) -> Process:
        found = next(p for p in self.lab.status()["processes"] if p["name"] == "agent")
        return Process.of(found["pid"])


def eventually(what: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def node(program: Path) -> Iterator[Node]:
    """The page's pods, policies by name, and five requests: allowed, denied, refused, in and kept out."""
    with cluster.lab(page_world(netns.free_slot())) as lab:
        reader = Reader(lab, program)
        reader.write(PAGE)
        for step in prepare():
            _, difference = reader.take(step)
            assert difference is None, difference
        (reader.directory / "names.yaml").write_text(POLICY)
        here = Node(lab, reader)
        assert here.type("kubectl apply -f names.yaml").code == 0
        assert (
            here.type("kubectl wait --for=condition=Programmed cnp/backend-names cnp/frontend-egress").code
            == 0
        )
        assert here.curl("backend", "https://kubernetes.io") == 0
        assert here.curl("backend", "https://cilium.io") == 28
        assert here.curl("backend", "https://registry.example.com") == 6
        assert here.curl("frontend", "http://backend:8080") == 0
        assert here.curl("not-frontend", "http://backend:8080", 1) == 28
        assert eventually(lambda: here.flows("--verdict DROPPED --to-pod backend"))
        yield here


def test_an_allowed_request_is_forwarded_under_its_name_and_rule(node: Node) -> None:
    flow = node.flows("--from-pod backend --to-fqdn kubernetes.io --to-port 443")[0]
    assert flow["verdict"] == "FORWARDED"
    assert flow["destination_names"] == ["kubernetes.io"]
    assert flow["source"]["workloads"] == [{"name": "backend", "kind": "Deployment"}]
    assert "k8s:app=backend" in flow["source"]["labels"]
    assert flow["namewall"]["rules"] == [
        {
            "kind": "CiliumNetworkPolicy",
            "namespace": "default",
            "name": "backend-names",
            "rule": "spec.egress[1]",
        }
    ]
    assert flow["egress_allowed_by"][0]["name"] == "backend-names"
    assert flow["policy_match_type"] == 2
    assert flow["l4"]["TCP"]["flags"] == {"SYN": True}


def test_a_denied_request_is_dropped_under_its_name_and_says_who_selects_it(node: Node) -> None:
    flow = node.flows("--verdict DROPPED --to-fqdn 'cilium.*'")[0]
    assert (flow["drop_reason_desc"], flow["traffic_direction"]) == ("POLICY_DENIED", "EGRESS")
    assert [ref["name"] for ref in flow["namewall"]["selected_by"]] == ["backend-names"]
    flow = node.flows("--verdict DROPPED --from-pod not-frontend --to-pod backend")[0]
    assert (flow["drop_reason_desc"], flow["traffic_direction"]) == ("POLICY_DENIED", "INGRESS")
    assert flow["destination"]["pod_name"].startswith("backend-")


def test_a_refused_name_is_a_dropped_question(node: Node) -> None:
    flow = node.flows("--protocol dns --verdict DROPPED")[0]
    assert flow["l7"]["type"] == "REQUEST"
    assert flow["l7"]["dns"]["query"] == "registry.example.com."
    assert flow["drop_reason_desc"] == "DNS_REFUSED"
    answers = node.flows("--protocol dns --verdict FORWARDED --to-pod backend")
    answer = next(f for f in answers if f["l7"]["dns"]["query"] == "kubernetes.io.")
    assert answer["l7"]["dns"]["ips"]
    assert answer["source_service"] == {"name": "kube-dns", "namespace": "kube-system"}


def test_a_flow_to_a_service_shows_the_rule_for_its_target_port(node: Node) -> None:
    flows = node.flows("--from-pod frontend --to-service backend --type policy-verdict")
    assert flows[0]["namewall"]["rules"] == [
        {
            "kind": "CiliumNetworkPolicy",
            "namespace": "default",
            "name": "frontend-egress",
            "rule": "spec.egress[1]",
        }
    ]
    assert flows[0]["destination_service"] == {"name": "backend", "namespace": "default"}


def test_a_policy_in_audit_denies_nothing_and_says_what_it_would(node: Node) -> None:
    (node.reader.directory / "tried.yaml").write_text(TRIED)
    assert node.type("kubectl apply -f tried.yaml").code == 0
    try:
        assert node.type("kubectl wait --for=condition=Programmed cnp/tried").code == 0
        conditions = {
            c["type"]: c for c in node.json("kubectl get cnp tried -o json")["status"]["conditions"]
        }
        assert (conditions["Programmed"]["status"], conditions["Programmed"]["reason"]) == ("True", "Audit")
        assert node.curl("frontend", "http://backend:8080") == 0
        (flow,) = eventually(lambda: node.flows("--verdict AUDIT --from-pod frontend"))
        assert (flow["verdict"], flow["drop_reason_desc"]) == ("AUDIT", "POLICY_DENY")
        assert [ref["name"] for ref in flow["egress_denied_by"]] == ["tried"]
        line = node.type("namewall observe --all --verdict AUDIT").output
        assert "AUDITED" in line
        # Without the annotation it holds.
        assert node.type("kubectl annotate cnp tried namewall.io/mode-").code == 0
        assert eventually(lambda: "the kernel enforces" in node.type("kubectl get cnp tried -o yaml").output)
        assert eventually(lambda: node.curl("frontend", "http://backend:8080", 1) != 0)
    finally:
        node.type("kubectl delete cnp tried")
    assert eventually(lambda: node.curl("frontend", "http://backend:8080") == 0)


def test_compact_lines_look_like_hubbles(node: Node) -> None:
    lines = node.type("namewall observe --all").output.splitlines()
    pod = r"default/backend-[\w-]+"
    wanted = (
        rf"{STAMP}: {pod}:\d+ \(ID:\d+\) -> kubernetes\.io:443 \(world\) "
        r"policy-verdict:L3-L4 EGRESS ALLOWED \(TCP Flags: SYN\)",
        rf"{STAMP}: {pod}:\d+ \(ID:\d+\) -> cilium\.io:443 \(world\) "
        r"policy-verdict:none EGRESS DENIED \(TCP Flags: SYN\)",
        rf"{STAMP}: default/not-frontend-[\w-]+:\d+ \(ID:\d+\) -> {pod}:8080 \(ID:\d+\) "
        r"policy-verdict:none INGRESS DENIED \(TCP Flags: SYN\)",
        rf"{STAMP}: {pod} \(ID:\d+\) -> kube-system/kube-dns:53 \(ID:\d+\) "
        r"dns-request kernel DROPPED \(DNS Query registry\.example\.com\. A+\)",
    )
    for pattern in wanted:
        assert any(re.fullmatch(pattern, line) for line in lines), (pattern, lines)


def test_outputs_and_limits(node: Node) -> None:
    assert len(node.type("namewall observe --last 3").output.splitlines()) == 3
    assert node.type("namewall observe --first 1 -o dict").output.startswith("  TIMESTAMP: ")
    table = node.type("namewall observe --verdict DROPPED -o table").output.splitlines()
    assert table[0].split() == ["TIMESTAMP", "SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY"]
    line = json.loads(node.type("namewall observe --last 1 -o jsonpb").output)
    assert set(line) == {"flow", "node_name", "time"}
    assert "namewall" not in line["flow"]
    assert node.flows("--since 1h --until 30m") == []
    everything = node.flows()
    assert len(node.flows("--not --verdict DROPPED")) == len(
        [f for f in everything if f["verdict"] != "DROPPED"]
    )
    line = node.type(
        "namewall observe --verdict DROPPED --to-fqdn cilium.io --print-policy-names --last 1"
    ).output
    assert line.endswith("(TCP Flags: SYN; by default deny of default/backend-names)\n")
    outcome = node.type("namewall observe --verdict PERHAPS")
    assert (outcome.code, outcome.output) == (2, "")
    assert "`PERHAPS` is no verdict" in outcome.errors


def test_the_verbs_list_what_is_there(node: Node) -> None:
    endpoints = {row["pod"].split("-")[0]: row for row in node.json("namewall endpoint list -o json")}
    backend = endpoints["backend"]
    assert (backend["enforcement"], backend["dnsReachable"], backend["state"]) == ("both", True, "ready")
    assert node.json(f"namewall endpoint get {backend['id']} -o json")["labels"] == backend["labels"]
    assert "k8s:app=backend" in node.type(f"namewall endpoint get default/{backend['pod']}").output
    assert node.type("namewall endpoint get nobody/here").code == 1
    policies = {row["name"]: row for row in node.json("namewall policy get -o json")}
    assert policies["backend-names"]["enforced"]
    assert policies["backend-names"]["endpoints"] == [f"default/{backend['pod']}"]
    assert "matchName: kubernetes.io" in node.type("namewall policy get backend-names").output
    assert node.type("namewall policy get nothing").code == 1
    names = node.json("namewall fqdn cache list -o json")
    known = next(row for row in names if row["fqdn"] == "kubernetes.io." and row["endpoint"] == backend["id"])
    assert (known["selectors"], known["pod"]) == (["fqdn:kubernetes.io."], f"default/{backend['pod']}")
    assert 0 < known["secondsLeft"] <= 90
    assert {row["fqdn"] for row in node.json("namewall fqdn cache list -p '*.io' -o json")} == {
        "kubernetes.io.",
        "cilium.io.",
    }


def _tables(node: Node) -> None:
    """What the verbs that read the pins say of the page."""
    rows = node.json("namewall bpf policy list -o json")
    allow = next(row for row in rows if row["peer"].endswith("fqdn:kubernetes.io."))
    assert (allow["direction"], allow["protocol"], allow["port"], allow["action"]) == (
        "EGRESS",
        "TCP",
        "443",
        "allow",
    )
    dns = next(row for row in rows if row["action"] == "dns" and row["protocol"] == "UDP")
    assert dns["dnsNames"] == ["**.cluster.local.", "*.io."]
    grants = node.json("namewall bpf grants list -o json")
    assert {name for row in grants for name in row["names"]} >= {"kubernetes.io"}
    assert all(row["pod"].startswith("default/backend-") for row in grants)
    connections = node.json("namewall bpf ct list -o json")
    assert any(row["pod"].startswith("default/") for row in connections)
    pods = {row["pod"] for row in node.json("namewall bpf ipcache list -o json") if row["pod"]}
    assert len(pods) == 4
    sizes = {row["table"]: row for row in node.json("namewall bpf sizes list -o json")}
    assert sizes["endpoints"]["used"] == 4
    assert "SELECTORS" in node.type("namewall bpf grants list").output
    assert "fqdn:kubernetes.io." in node.type("namewall bpf policy list -o yaml").output


def test_the_kernels_tables_have_names(node: Node) -> None:
    _tables(node)


def test_an_allow_beside_dns_rules_is_shown_as_aside(node: Node) -> None:
    one = {"port": "53", "protocol": "UDP"}
    judged = {"ports": [one], "rules": {"dns": [{"matchName": "a.test"}]}}
    egress = [
        {"toCIDR": ["198.51.100.52/32"], "toPorts": [judged]},
        {"toCIDR": ["198.51.100.53/32"], "toPorts": [{"ports": [one | {"endPort": 54}]}]},
    ]
    with node.applied("aside", egress):
        assert node.type("kubectl wait --for=condition=Programmed cnp/aside").code == 0
        rows = node.json("namewall bpf policy list -o json")
        found = {
            (row["peer"], row["port"]): (row["action"], row["aside"])
            for row in rows
            if row["peer"].startswith("cidr:198.51.100.")
        }
        assert found == {
            ("cidr:198.51.100.52/32", "53"): ("dns", False),
            ("cidr:198.51.100.53/32", "53"): ("allow", True),
            ("cidr:198.51.100.53/32", "54"): ("allow", False),
        }
        assert "allow aside" in node.type("namewall bpf policy list").output


def test_status_says_how_full_the_tables_are_and_who_is_enforced(node: Node) -> None:
    document = node.json("namewall status --verbose -o json")
    agent = document["agent"]
    assert agent["errors"] == []
    assert agent["flows"]["kept"] > 0
    assert {row["enforcement"] for row in agent["endpoints"]} == {"both", "egress", "none"}
    assert {c["type"]: c["status"] for c in agent["conditions"]} == {
        "DNSReachable": "True",
        "Programmed": "True",
    }
    assert all(0 <= row["pressure"] <= 100 for row in document["tables"])
    text = node.type("namewall status --verbose").output
    for word in ("reconciled", "events lost", "DNSREACHABLE", "PRESSURE", "POLICY_DENIED EGRESS"):
        assert word in text


def test_names_without_dns_are_told_as_unreachable(node: Node) -> None:
    def told() -> Any:
        conditions = node.json("namewall status -v -o json")["agent"]["conditions"]
        return next((c for c in conditions if c["type"] == "DNSReachable" and c["status"] == "False"), None)

    with node.applied("no-dns", [{"toFQDNs": [{"matchName": "kubernetes.io"}]}]):
        condition = eventually(told)
        assert condition is not None
        assert "default/not-frontend-" in condition["message"]


def test_metrics_are_valid_and_count(node: Node) -> None:
    text = node.type("kubectl get --raw /metrics").output
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for line in text.splitlines():
        if line.startswith("# TYPE ") and line.endswith(" counter"):
            assert line.split()[2].endswith("_total"), line
    named = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]
    assert len(named) == len(set(named))

    def value(name: str, **labels: str) -> float:
        return sum(
            sample.value
            for sample in families[name].samples
            if all(sample.labels.get(key) == wanted for key, wanted in labels.items())
        )

    assert value("namewall_agent_up") == 1
    assert value("apiserver_request", verb="GET", resource="pods") >= 1
    assert value("cilium_drop_count", reason="POLICY_DENIED", direction="EGRESS") >= 1
    assert value("cilium_drop_count", reason="POLICY_DENIED", direction="INGRESS") >= 1
    assert value("cilium_forward_count", direction="EGRESS") > 10
    assert value("cilium_forward_count", direction="INGRESS") > 10
    assert value("hubble_drop", reason="DNS_REFUSED") >= 1
    assert value("hubble_flows_processed", verdict="FORWARDED", type="PolicyVerdict") >= 2
    assert value("hubble_dns_queries", rcode="Policy denied") >= 1
    assert value("hubble_dns_responses", rcode="No Error") >= 1
    assert value("hubble_policy_verdicts", direction="egress", match="L3-L4", action="forwarded") >= 1
    assert value("cilium_policy") == 4
    assert value("cilium_endpoint_state", endpoint_state="ready") == 4
    assert value("cilium_policy_endpoint_enforcement_status", enforcement="both") == 1
    assert value("cilium_fqdn_active_names") >= 2
    assert value("cilium_fqdn_selectors") == 1
    assert 0 < value("cilium_bpf_map_pressure", map_name="namewall_endpoints") < 1
    assert value("namewall_packets_dropped", reason="POLICY_DENIED") >= 2


def test_the_metrics_are_those_of_the_page(node: Node) -> None:
    """docs/observe.md names every metric, and no other."""
    text = node.type("kubectl get --raw /metrics").output
    ours = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    ours = {name for name in ours if not name.startswith(("apiserver_", "namewall_apiserver_"))}
    page = (Path(__file__).parents[3] / "docs" / "observe.md").read_text().partition("## Metrics")[2]
    named = set(re.findall(r"`((?:cilium|hubble|namewall)_\w+\*?)", page))
    families = {name.removesuffix("*") for name in named if name.endswith("*")}
    assert {name for name in ours - named if not name.startswith(tuple(families))} == set()
    assert {name for name in named - ours if not name.endswith("*")} == set()


def test_the_socket_answers_as_its_page_says(node: Node) -> None:
    def ask(path: str, *options: str) -> tuple[int, Any]:
        """The status and the answer."""
        line = (
            f"curl -s -w '\\n%{{http_code}}' --unix-socket $NAMEWALL_ROOT/run/agent.sock {' '.join(options)}"
        )
        body, _, status = node.type(f"{line} 'http://agent{path}'").output.rpartition("\n")
        return int(status), json.loads(body.splitlines()[0])

    for path in ("endpoints", "policies", "names", *(f"tables/{name}" for name in TABLES)):
        status, answer = ask(f"/v1/{path}")
        assert (status, bool(answer["items"])) == (200, True), path
    backend = next(row for row in ask("/v1/endpoints")[1]["items"] if row["pod"].startswith("backend"))
    assert ask(f"/v1/endpoints/default/{backend['pod']}") == (200, backend)
    assert ask("/v1/status")[1]["node"] == ask("/v1/flows?last=1")[1]["node_name"]
    assert ask("/v1/flows", '-d \'{"number": 1, "whitelist": [{"verdict": ["DROPPED"]}]}\'')[0] == 200
    for path, options, status, words in (
        ("/v2", (), 404, "there is no `/v2`; see /v1/status"),
        ("/v1/endpoints/nobody", (), 404, "no endpoint `nobody`"),
        ("/v1/status", ("-X POST",), 405, "use GET"),
        ("/v1/flows", ('-d \'{"number": "x"}\'',), 400, "number: `x` is no count"),
        ("/v1/flows", ("-d '[]'",), 400, "want a JSON object"),
        ("/v1/flows", ("-d '{'",), 400, ""),
    ):
        found = ask(path, *options)
        assert found[0] == status, path
        assert words in found[1]["error"]


def test_describe_says_why_it_timed_out(node: Node) -> None:
    def described() -> str:
        text = node.type("kubectl describe pod -l app=backend").output
        return text if "registry.example.com" in text and "ingress from pod" in text else ""

    text = eventually(described)
    assert "PolicyDenied" in text
    assert "egress to cilium.io (" in text
    assert "no rule of CiliumNetworkPolicy default/backend-names allows it" in text
    rule = "cnp default/backend-names spec.egress"
    assert f"nearest is {rule}[1]: spec.egress[1].toFQDNs wants kubernetes.io, got cilium.io" in text
    assert "DNS question for `registry.example.com`" in text
    assert (
        f"nearest is {rule}[0]: spec.egress[0].toPorts[0].rules.dns wants *.io, **.cluster.local, got" in text
    )
    assert "ingress from pod default/not-frontend-" in text
    turned_away = node.type("kubectl describe pod -l app=not-frontend").output
    assert "port 8080/TCP was dropped by its ingress policy (Policy denied)" in turned_away
    events = node.json("kubectl get events -o json --field-selector reason=PolicyDenied")["items"]
    on_policy = [e for e in events if e["involvedObject"]["kind"] == "CiliumNetworkPolicy"]
    # (`tried` denied something itself, once it was enforced)
    assert {"backend-names"} <= {e["involvedObject"]["name"] for e in on_policy} <= {"backend-names", "tried"}
    told = [e["message"] for e in events if e["involvedObject"]["kind"] == "Pod"]
    assert len(told) == len(set(told))


@contextmanager
def following(node: Node, options: str) -> Iterator[tuple[Path, Path]]:
    """`observe -f` in the background: files with its output and its words."""
    out, err = node.reader.directory / "follow.out", node.reader.directory / "follow.err"
    with out.open("wb") as output, err.open("wb") as errors:
        process = subprocess.Popen(
            [NAMEWALL, "observe", "-f", *options.split()],
            stdout=output,
            stderr=errors,
            env=node.lab.environment,
        )
    try:
        eventually(lambda: node.json("namewall status -v -o json")["agent"]["flows"]["followers"])
        yield out, err
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def test_following_outlives_the_agent_and_tables_are_read_without_it(node: Node) -> None:
    """Last, since it kills the agent."""

    def denied(out: Path) -> int:
        return out.read_text().count("-> kubernetes.io:8443 (world) policy-verdict:none EGRESS DENIED")

    with following(node, "--to-port 8443") as (out, err):
        node.curl("backend", "https://kubernetes.io:8443", 1)
        assert eventually(lambda: denied(out) > 0)
        before = node.agent()
        os.kill(before.pid, signal.SIGKILL)
        assert eventually(lambda: "the agent went away" in err.read_text())
        _tables(node)
        rows = node.type("namewall endpoint list")
        assert "default/backend-" in rows.output
        assert "the agent does not answer" in rows.errors
        names = node.type("namewall fqdn cache list -o json")
        assert "kubernetes.io." in {row["fqdn"] for row in json.loads(names.output)}
        outcome = node.type("namewall policy get")
        assert (outcome.code, outcome.output) == (3, "")
        assert "namewall_agent_up 0" in node.type("kubectl get --raw /metrics").output
        assert node.type("namewall status --verbose").code == 3
        told = denied(out)
        node.curl("backend", "https://kubernetes.io:8443", 1)  # while it is dead: the kernel keeps the events
        node.lab.up()
        assert eventually(lambda: denied(out) > told), err.read_text()
        assert re.search(r"the agent is back after \d+\.\d s; no event was lost, and what", err.read_text())
        told = denied(out)
        node.curl("backend", "https://kubernetes.io:8443", 1)
        assert eventually(lambda: denied(out) > told)
