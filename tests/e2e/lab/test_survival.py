"""Killing Namewall does not touch what it set up: pods, DNS, links and policy live on, and the next `up` adopts them.

Two pods ask without pause, started before anything dies and never restarted; each line they log is one request.
Nothing may be wrong in any phase: no allowed request fails, no denied one succeeds.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import cluster, netns
from lab.cluster import Lab
from lab.host import Process
from lab.names import page_world
from lab.play import Reader
from lab.scene import PAGE

pytestmark = pytest.mark.root

LEAST_TTL = 3  # seconds; with the page world's TTL of 5 an answer is worth no more than 5 s, not a minute
ALLOWED, TURNING, LATE, DENIED = "kubernetes.io", "registry.example.com", "ebpf.io", "cilium.io"

POLICY = f"""
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: survivors}}
spec:
  endpointSelector: {{matchLabels: {{app: asker}}}}
  egress:
    - toEndpoints:
        - matchLabels: {{"k8s:io.kubernetes.pod.namespace": kube-system, "k8s:k8s-app": kube-dns}}
      toPorts:
        - ports: [{{port: "53", protocol: ANY}}]
          rules: {{dns: [{{matchPattern: "*"}}]}}
    - toFQDNs:
        - matchName: {ALLOWED}
        - matchName: {TURNING}
        - matchName: {LATE}
"""

# The loops ask by name each time. The name nobody asked for before waits for a file, since `kubectl exec` needs
# the API server. A denied request may take 1 s to give up.
POD = """
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: asker}}}}
spec:
  runtimeClassName: host
  terminationGracePeriodSeconds: 1
  containers:
    - name: asker
      command: [sh, -c]
      args:
        - |
          while true; do
            names="{names}"; [ -e /tmp/late ] && names="$names {late}"
            for name in $names; do
              curl -sk --connect-timeout {patience} -o /dev/null -w "$(date +%s.%N) $name %{{http_code}}\\n" https://$name
            done
            sleep 0.05
          done
"""
ASKERS = {
    "asker-allowed": POD.format(name="asker-allowed", names=f"{ALLOWED} {TURNING}", late=LATE, patience=3),
    "asker-denied": POD.format(name="asker-denied", names=DENIED, late="", patience=1),
}


@dataclass(frozen=True, slots=True)
class Request:
    at: float
    name: str
    status: str

    @property
    def wrong(self) -> bool:
        return (self.status == "200") == (self.name == DENIED)


class Askers:
    """The two pods' requests, read from where the runtime keeps their output, which needs no daemon."""

    def __init__(self, lab: Lab, reader: Reader) -> None:
        self.lab, self._reader = lab, reader
        self.pids = {
            pod["name"]: pod["containers"][0]["pid"] for pod in lab.status()["pods"] if pod["name"] in ASKERS
        }
        assert set(self.pids) == set(ASKERS)

    def log(self) -> list[Request]:
        """All requests so far. Needs the API server."""
        found = []
        for pod in ASKERS:
            outcome = self._reader.type(f"kubectl logs {pod}", terminal=False)
            assert outcome.code == 0, outcome.errors
            for line in outcome.output.splitlines():
                at, name, status = line.split()
                found.append(Request(float(at), name, status))
        return sorted(found, key=lambda request: request.at)

    def ask_for_the_late_name(self) -> None:
        Path(f"/proc/{self.pids['asker-allowed']}/root/tmp/late").touch()


@pytest.fixture(scope="module")
def askers(program: Path) -> Iterator[Askers]:
    with cluster.lab(page_world(netns.free_slot()), more=("--min-ttl", str(LEAST_TTL))) as lab:
        reader = Reader(lab, program)
        reader.write(PAGE)
        (reader.directory / "survivors.yaml").write_text(POLICY)
        (reader.directory / "askers.yaml").write_text("".join(ASKERS.values()))
        for line in (
            "kubectl apply -f survivors.yaml",
            "kubectl apply -f askers.yaml",
            "kubectl wait --for=condition=Ready pod -l '!pod-template-hash' --timeout=60s",
        ):
            outcome = reader.type(line, terminal=False)
            assert outcome.code == 0, f"{line}: {outcome.output}{outcome.errors}\n{lab.logs()}"
        yield Askers(lab, reader)


def _kill(lab: Lab, *names: str) -> None:
    for process in lab.status()["processes"]:
        if process["name"] in names:
            victim = Process.of(process["pid"])
            os.kill(victim.pid, signal.SIGKILL)
            while victim.alive:
                time.sleep(0.01)


def test_requests_go_on_through_kill_and_restart_with_none_wrong(askers: Askers) -> None:
    lab = askers.lab
    phases: list[tuple[str, float]] = []

    def phase(name: str, seconds: float) -> None:
        phases.append((name, time.time()))
        time.sleep(seconds)

    phase("all runs", 2.5)
    _kill(lab, "agent")
    phase("without the agent", 6.5)  # longer than any answer lives
    _kill(lab, "apiserver", "monitor")
    assert all(process["pid"] is None for process in lab.status()["processes"])
    askers.ask_for_the_late_name()
    phase("without anything", 6.5)
    phases.append(("while it comes up again", time.time()))
    lab.up()
    phase("after the restart", 3)
    end = time.time()

    log = askers.log()
    report = []
    for (name, begin), (_, until) in zip(phases, [*phases[1:], ("", end)], strict=True):
        here = [request for request in log if begin <= request.at < until]
        wrong = [request for request in here if request.wrong]
        counts = {n: sum(r.name == n for r in here) for n in (ALLOWED, TURNING, LATE, DENIED)}
        report.append(f"{name}: {counts}, {len(wrong)} wrong: {wrong[:5]}")
        if name != "while it comes up again":
            assert counts[ALLOWED] > 2, report
            assert counts[DENIED] > 0, report
    print("\n".join(report))
    assert [request for request in log if request.wrong] == [], "\n".join(report)
    late = [request for request in log if request.name == LATE]
    assert late, "the name nobody had asked for was never asked"
    assert late[0].at < phases[3][1], "it was first asked while nothing of Namewall ran"


def test_the_pods_are_the_same_processes_as_before(askers: Askers) -> None:
    now = {pod["name"]: pod["containers"][0] for pod in askers.lab.status()["pods"] if pod["name"] in ASKERS}
    assert {name: container["pid"] for name, container in now.items()} == askers.pids
    assert all(container["restarts"] == 0 for container in now.values())


def test_a_policy_applied_after_the_restart_is_enforced(askers: Askers) -> None:
    """The adopted endpoints are not frozen: the new agent still changes what they may reach."""
    reader = askers._reader
    began = time.time()
    outcome = reader.type("kubectl delete cnp survivors", terminal=False)
    assert outcome.code == 0, outcome.errors
    deadline = time.monotonic() + 10
    while not any(r.name == DENIED and r.status == "200" and r.at > began for r in askers.log()):
        assert time.monotonic() < deadline, "the denied name stays closed although no policy is left"
        time.sleep(0.2)
