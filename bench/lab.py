"""`make bench-lab`: how quick and how small the lab is, each figure with its aim and a control beside it.

Prints a table and, as the last line, the same as JSON. Figures are medians of several runs on this machine.

    up             `namewall up --detach` to ready, from nothing
    enforced       from `kubectl apply` returning to the first refused connection; a prober in the pod opens one
                   every 2 ms. Before it returned counts as 0
    --help, get    start-up of the program. Control: `python -c pass`
    memory         sum of PSS of API server, agent, monitor and cluster DNS; how much a further pod adds
    maps           kernel memory of the BPF maps, as `namewall status` says
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from lab import cluster, kubectl, netns
from lab.cluster import Lab
from lab.names import World, page_world
from lab.play import Reader
from lab.scene import PAGE

FURTHER_PODS = 10

PROBER = """
import select, socket, sys, time
address, port, patience = sys.argv[1], int(sys.argv[2]), 0.25
end = time.monotonic() + 20
print("probing", flush=True)
begun = []
while (now := time.monotonic()) < end:
    probe = socket.socket()
    probe.setblocking(False)
    probe.connect_ex((address, port))
    begun.append((now, probe))
    if now - begun[0][0] > patience:
        at, oldest = begun.pop(0)
        _, writable, _ = select.select([], [oldest], [], 0)
        if not writable or oldest.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            print(at, flush=True)
            break
        oldest.close()
    time.sleep(0.002)
"""


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    unit: str
    aim: float | None = None
    control: float | None = None
    runs: int = 1

    def row(self) -> str:
        aim = f"< {self.aim:g}" if self.aim is not None else ""
        control = f"{self.control:.0f}" if self.control is not None else ""
        return f"{self.name:<44}{self.value:>9.1f} {self.unit:<4}{aim:>8}{control:>9}{self.runs:>6}"


def main() -> int:
    if os.geteuid() != 0:
        print("bench: needs root, since it makes network namespaces and loads BPF programs", file=sys.stderr)
        return 3
    program = kubectl.fetched()
    if program is None:
        print(f"bench: {kubectl.FETCHED} is missing; scripts/setup fetches it", file=sys.stderr)
        return 3
    world = page_world(netns.free_slot())
    figures = [_up(world)]
    with cluster.lab(world) as lab:
        reader = Reader(lab, program.path)
        reader.write(PAGE)
        _run(reader, "kubectl apply -f workloads.yaml")
        _run(reader, "kubectl wait --for=condition=Available deployment --all --timeout=60s")
        figures += [_enforced(lab, reader, world), *_start_up(lab), *_memory(lab, reader)]
    print(f"{'':<44}{'median':>9} {'':<4}{'aim':>8}{'control':>9}{'runs':>6}")
    for figure in figures:
        print(figure.row())
    print(json.dumps({"kernel": os.uname().release, "figures": [asdict(figure) for figure in figures]}))
    return 0


def _up(world: World, runs: int = 3) -> Figure:
    seconds = []
    for _ in range(runs):
        with cluster.lab(world, start=False) as lab:
            seconds.append(_timed(partial(lab.up, "--dns-upstream", world.upstream)))
    return Figure("up --detach to ready", 1000 * statistics.median(seconds), "ms", runs=runs)


def _enforced(lab: Lab, reader: Reader, world: World, runs: int = 9) -> Figure:
    """Control: how long `kubectl apply` itself takes."""
    denied = world.site(PAGE.denied)
    assert denied
    target = (str(next(a for a in denied.addresses if a.version == 4)), str(world.port))
    pod = next(pod for pod in lab.status()["pods"] if pod["name"].startswith("backend"))
    inside = ["nsenter", f"--net={pod['networkNamespace']}", sys.executable, "-c", PROBER, *target]
    delays, own = [], []
    for _ in range(runs):
        with subprocess.Popen(inside, stdout=subprocess.PIPE, text=True) as prober:
            assert prober.stdout
            assert prober.stdout.readline() == "probing\n"
            time.sleep(0.3)
            own.append(_timed(lambda: _run(reader, "kubectl apply -f backend-egress-allow-fqdn.yaml")))
            returned = time.monotonic()
            refused = prober.stdout.readline()
            if not refused:
                raise RuntimeError("the policy was not enforced within 20 s")
            delays.append(max(0.0, float(refused) - returned))
        _run(reader, f"kubectl delete cnp {PAGE.policy}")
        time.sleep(0.5)
    return Figure(
        "kubectl apply returning to enforced",
        1000 * statistics.median(delays),
        "ms",
        100,
        1000 * statistics.median(own),
        runs,
    )


def _start_up(lab: Lab, runs: int = 11) -> list[Figure]:
    python = _median(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), runs)
    return [
        Figure(
            f"namewall {' '.join(arguments)}",
            _median(partial(_succeed, lab, *arguments), runs),
            "ms",
            200,
            python,
            runs,
        )
        for arguments in (("--help",), ("get", "pods"))
    ]


def _memory(lab: Lab, reader: Reader) -> list[Figure]:
    before = _pss(lab)
    _run(reader, f"kubectl scale deployment frontend --replicas={1 + FURTHER_PODS}")
    _run(reader, "kubectl rollout status deployment frontend --timeout=120s")
    more = (_pss(lab) - before) / FURTHER_PODS
    datapath = lab.status()["datapath"] or {}
    return [
        Figure("memory of Namewall's processes (PSS)", before / 1e6, "MB", 150),
        Figure("memory a further pod adds", more / 1e6, "MB", 3, runs=FURTHER_PODS),
        Figure("kernel memory of the maps", datapath.get("mapBytes", 0) / 1e6, "MB", 40),
    ]


def _pss(lab: Lab) -> int:
    """Bytes of the daemons and of what runs in kube-system."""
    status = lab.status()
    pids = [process["pid"] for process in status["processes"]]
    pids += [
        c["pid"] for pod in status["pods"] if pod["namespace"] == "kube-system" for c in pod["containers"]
    ]
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def _succeed(lab: Lab, *arguments: str) -> None:
    done = lab.namewall(*arguments)
    if done.returncode != 0:
        raise RuntimeError(f"`namewall {' '.join(arguments)}` failed: {done.stderr.strip()}")


def _run(reader: Reader, line: str) -> None:
    outcome = reader.type(line, terminal=False)
    if outcome.code != 0:
        raise RuntimeError(f"`{line}` failed: {outcome.errors.strip()}")


def _timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def _median(call: Callable[[], object], runs: int) -> float:
    """Milliseconds; one run more warms the caches."""
    call()
    return 1000 * statistics.median(_timed(call) for _ in range(runs))


if __name__ == "__main__":
    sys.exit(main())
