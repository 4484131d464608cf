"""The promise of design.md at its word: 500 questions a second and steady connections from three workloads, through
`kill -9` of everything, a minute of absence, a restart, an upgrade of the programs and one of the maps' layout.

    make test-survival            ABSENCE=300 for more than a minute

No UDP answer may be lost, nothing wrongly allowed, nothing wrongly denied, in any phase; names asked for the first
time while nothing of Namewall runs are among them. DNS over TCP needs the agent: it fails closed without it, which
is counted on its own line and judged only while there is one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lab import cluster, netns
from lab.cluster import Lab
from lab.host import Process
from lab.names import Site, World, page_world
from lab.play import Reader
from lab.scene import PAGE

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(1800)]

REPOSITORY = Path(__file__).resolve().parents[2]
WORKLOADS = 3
RATE = 170  # questions a second of each workload
ALLOWED, DENIED = "kubernetes.io", "cilium.io"
FRESH = tuple(f"n{number}.fresh.example.org" for number in range(16))

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
          rules: {{dns: [{{matchName: {ALLOWED}}}, {{matchPattern: "*.fresh.example.org"}}]}}
    - toFQDNs: [{{matchName: {ALLOWED}}}, {{matchPattern: "*.fresh.example.org"}}]
"""

POD = """
---
apiVersion: v1
kind: Pod
metadata: {{name: asker-{number}, labels: {{app: asker}}}}
spec:
  runtimeClassName: host
  terminationGracePeriodSeconds: 1
  volumes: [{{name: program, configMap: {{name: asker}}}}]
  containers:
    - name: asker
      command: [/usr/bin/python3, /program/asker.py, {arguments}]
      volumeMounts: [{{name: program, mountPath: /program}}]
"""


def survivors_world() -> World:
    """The page's world and names to be asked for late, each with an address of its own."""
    world = page_world(netns.free_slot(), families=(4,))
    taken = {address for site in world.sites for address in site.addresses} | {*world.host, *world.resolvers}
    free = [address for n in world.networks for address in n.hosts() if address not in taken]
    assert len(free) >= len(FRESH)
    sites = (
        Site(name, (ip_address(str(address)),), ttl=1) for name, address in zip(FRESH, free, strict=False)
    )
    return replace(world, sites=(*world.sites, *sites))


@dataclass
class Phase:
    name: str
    begin: float
    agent: bool
    """Whether the agent lived through all of it, so that TCP/53 must have worked."""
    count: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def row(self) -> str:
        kinds = ("udp", "fresh", "refused", "connect", "denied", "steady", "tcp53")
        counts = "".join(f"{self.count[kind]:>9}" for kind in kinds)
        closed = sum("tcp53" in each for each in self.wrong)
        return f"{self.name:<32}{counts}{len(self.wrong) - closed:>8}{closed:>14}"


HEAD = (
    f"{'phase':<32}"
    + "".join(f"{kind:>9}" for kind in ("udp", "fresh", "refused", "connect", "denied", "steady"))
) + f"{'tcp53':>9}{'wrong':>8}{'tcp53 closed':>14}"


@pytest.fixture
def lab(program: Path) -> Iterator[tuple[Lab, Reader]]:
    world = survivors_world()
    with cluster.lab(world, more=("--min-ttl", "3")) as here:
        reader = Reader(here, program)
        reader.write(PAGE)
        closed = next(site.addresses[0] for site in world.sites if site.name == DENIED)
        shutil.copy(Path(__file__).with_name("asker.py"), reader.directory / "asker.py")
        pods = []
        for number in range(WORKLOADS):
            # every workload meets the late names at its own times, some while nothing runs
            words = [str(RATE), ALLOWED, DENIED, str(closed), str(5 + 2 * number), *FRESH]
            pods.append(POD.format(number=number, arguments=json.dumps(words)[1:-1]))
        (reader.directory / "survivors.yaml").write_text(POLICY)
        (reader.directory / "askers.yaml").write_text("".join(pods))
        for line in (
            "kubectl apply -f survivors.yaml",
            "kubectl create configmap asker --from-file=asker.py",
            "kubectl apply -f askers.yaml",
            "kubectl wait --for=condition=Ready pod -l app=asker --timeout=60s",
        ):
            outcome = reader.type(line, terminal=False)
            assert outcome.code == 0, f"{line}: {outcome.output}{outcome.errors}\n{here.logs()}"
        yield here, reader


def kill(lab: Lab, *names: str) -> None:
    for process in lab.status()["processes"]:
        if process["name"] in names and process["pid"]:
            victim = Process.of(process["pid"])
            os.kill(victim.pid, signal.SIGKILL)
            while victim.alive:
                time.sleep(0.01)


def other_version(where: Path, change: Callable[[Path], None]) -> Path:
    """The sources with a change, its object compiled: what an upgrade installs."""
    for part in ("src", "bpf", "scripts"):
        shutil.copytree(
            REPOSITORY / part, where / part, ignore=shutil.ignore_patterns("__pycache__", "*.bpf.o")
        )
    change(where)
    subprocess.run([sys.executable, "scripts/build_bpf.py"], cwd=where, check=True, capture_output=True)
    return where


def other_program(where: Path) -> None:
    """Programs that differ in what they count only, so that their digest does."""
    path = where / "bpf/endpoint.bpf.c"
    text = path.read_text()
    changed = text.replace(
        "char LICENSE[]", 'const volatile int upgraded SEC(".rodata") = 1;\nchar LICENSE[]'
    )
    assert changed != text
    path.write_text(changed)


def other_layout(where: Path) -> None:
    """A higher schema number, so that no map of before may be used."""
    for file, pattern in (
        ("bpf/types.h", r"(#define SCHEMA )(\d+)"),
        ("src/namewall/datapath/layout.py", r"(?m)^(SCHEMA(?:: \w+)? = )(\d+)"),
    ):
        path = where / file
        text, found = re.subn(pattern, lambda m: f"{m[1]}{int(m[2]) + 1}", path.read_text())
        assert found == 1, file
        path.write_text(text)


def up(lab: Lab, version: Path) -> None:
    environment = {**lab.environment, "PYTHONPATH": str(version / "src")}
    done = subprocess.run(
        [sys.executable, "-m", "namewall", "up", "--detach"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=version,
    )
    assert done.returncode == 0, done.stderr + lab.logs()


def test_survival(lab: tuple[Lab, Reader], tmp_path: Path) -> None:
    here, reader = lab
    absence = float(os.environ.get("ABSENCE", "60"))
    newer = other_version(tmp_path / "newer", other_program)
    newest = other_version(tmp_path / "newest", other_layout)
    phases: list[Phase] = []

    def phase(name: str, seconds: float, agent: bool = True) -> None:
        phases.append(Phase(name, time.time(), agent))
        time.sleep(seconds)

    phase("all runs", 8)
    phase("the agent is killed", 0, agent=False)
    kill(here, "agent")
    time.sleep(3)
    kill(here, "apiserver", "monitor")
    phase(f"nothing runs, for {absence:.0f} s", absence, agent=False)
    phase("it comes up again", 0, agent=False)
    up(here, REPOSITORY)
    phase("after the restart", 6)
    phase("new programs are put in place", 0, agent=False)
    kill(here, "agent")
    up(here, newer)
    phase("after new programs", 6)
    phase("maps of a new layout are made", 0, agent=False)
    kill(here, "agent")
    up(here, newest)
    phase("after the new layout", 6)
    end = time.time() - 2.5  # what was asked last may still be on its way

    for number in range(WORKLOADS):
        outcome = reader.type(f"kubectl logs asker-{number}", terminal=False)
        assert outcome.code == 0, outcome.errors
        for line in outcome.output.splitlines():
            _sort(json.loads(line), phases, end)
    print("\n".join(["", HEAD, *(each.row() for each in phases)]))
    wrong = [f"{each.name}: {what}" for each in phases for what in each.wrong if "tcp53" not in what]
    assert wrong == [], "\n".join(wrong[:20])
    quiet = [each.name for each in phases if each.begin < end - 6 and not each.count["udp"]]
    assert not quiet, f"no questions at all in: {quiet}"
    absent = next(each for each in phases if each.name.startswith("nothing runs"))
    assert absent.count["fresh"] > 0, "no name was asked for the first time while nothing ran"
    assert absent.count["udp"] > 0.8 * WORKLOADS * RATE * 0.9 * absence
    asked = sum(sum(each.count.values()) for each in phases)
    print(f"{asked} requests, 0 wrong")


def _sort(line: dict[str, Any], phases: list[Phase], end: float) -> None:
    """A line's counts belong to the phase it was written in, a wrong one to the phase it names."""
    if line["at"] < end and line["at"] >= phases[0].begin:
        _at(phases, line["at"]).count.update(line["count"])
    for what in line["wrong"]:
        at = float(what.split()[0])
        if phases[0].begin <= at < end:
            _at(phases, at).wrong.append(what)


def _at(phases: list[Phase], at: float) -> Phase:
    return [phase for phase in phases if phase.begin <= at][-1]
