"""Cyclonus through the programs: NetworkPolicy, with ipBlocks of pods' own addresses; each cell is two packets."""

from __future__ import annotations

import gzip
import itertools
import json

import pytest
from bpf_lab import Lab
from packets import Bench, ip, sctp_init, tcp, udp
from worlds import Workload, World, shared

from tests.conformance.test_cyclonus import PORTS, Cluster

PODS = 10
L4S = {"TCP": tcp, "UDP": udp, "SCTP": sctp_init}


@pytest.fixture(scope="module")
def world(shared_lab: Lab) -> World:
    return World(shared_lab, PODS)


def play(world: World, cluster: Cluster) -> None:
    workloads = [
        Workload("/".join(pod), cluster.labels(pod), PORTS, (cluster.address(pod),))
        for pod in sorted(cluster.pods)
    ]
    world.play(list(cluster.policies.values()), workloads, PORTS, {}, addressless=False)


def test_every_cell_that_is_not_loopback(world: World) -> None:
    data = json.loads(gzip.decompress(shared("cyclonus-cases.json.gz").read_bytes()))
    bench, ports = Bench(world.lab), itertools.cycle(range(20000, 60000))
    cells, wrong = 0, []
    for case in data["cases"]:
        cluster = Cluster(data)
        for step in case["Steps"]:
            for action in step["Actions"] or ():
                cluster.act(action)
            play(world, cluster)
            for row in step["Expected"]:
                if row["From"] == row["To"]:
                    continue
                cells += 1
                source, target = world.pods[row["From"]], world.pods[row["To"]]
                ends = [cluster.address(tuple(row[side].split("/"))) for side in ("From", "To")]
                packet = ip(*ends, L4S[row["Proto"]](next(ports), row["Port"]))
                egress = bench.sends(source, packet)
                ingress = bench.gets(target, packet)
                if (egress, ingress) != (row["Egress"] == "allowed", row["Ingress"] == "allowed"):
                    wrong.append((case["Index"], case["Description"], row, egress, ingress))
    assert not wrong, f"{len(wrong)} of {cells} differ, first: {wrong[:2]}"
    assert cells == 109_956
