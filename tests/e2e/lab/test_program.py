"""A pod's packets really meet the BPF programs: their run counters rise, and without them the traffic is open."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.cluster import Lab
from lab.host import Process, run
from lab.page import Outcome, egress, reached, timed_out
from lab.play import Reader

pytestmark = pytest.mark.root

PROGRAMS = ("from_endpoint", "to_endpoint")
_STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")


@pytest.fixture(scope="module", autouse=True)
def _counters() -> Iterator[None]:
    """The kernel counts runs only while asked to."""
    before = _STATISTICS.read_text()
    _STATISTICS.write_text("1")
    yield
    _STATISTICS.write_text(before)


@pytest.fixture(scope="module")
def enforced(prepared: Reader) -> Reader:
    outcome = prepared.type("kubectl apply -f backend-egress-allow-fqdn.yaml", terminal=False)
    assert outcome.code == 0, outcome.errors
    return prepared


def _interface(lab: Lab, app: str) -> str:
    names = [pod["interface"] for pod in lab.status()["pods"] if pod["name"].startswith(f"{app}-")]
    assert len(names) == 1, names
    return str(names[0])


def _links(lab: Lab, interface: str) -> dict[str, Path]:
    """Program → where its link at the interface is pinned."""
    ifindex = Path(f"/sys/class/net/{interface}/ifindex").read_text().strip()
    found = {
        program: list(Path(lab.instance.pin_dir).glob(f"**/{ifindex}-{program}")) for program in PROGRAMS
    }
    if not any(found.values()) and _kernel() < (6, 6):
        pytest.skip("this kernel has no tcx links (6.6): the programs are clsact filters")
    assert all(found.values()), found
    return {program: paths[0] for program, paths in found.items()}


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(minor)


def _bpftool(*arguments: str) -> Any:
    return json.loads(run("bpftool", "-j", *arguments))


def _runs(lab: Lab, interface: str) -> dict[str, int]:
    counts = {}
    for program, path in _links(lab, interface).items():
        shown = _bpftool("prog", "show", "id", str(_bpftool("link", "show", "pinned", str(path))["prog_id"]))
        assert shown["name"].startswith(program[:15])
        counts[program] = int(shown.get("run_cnt", 0))
    return counts


def _curl(reader: Reader, name: str) -> Outcome:
    line = next(step.line for step in egress() if name in step.line and step.terminal)
    return reader.type(line)


def test_the_run_counters_of_both_programs_rise_with_a_request(lab: Lab, enforced: Reader) -> None:
    interface = _interface(lab, "backend")
    before = _runs(lab, interface)
    assert reached()(_curl(enforced, "kubernetes.io")) is None
    after = _runs(lab, interface)
    for program in PROGRAMS:
        # a handshake, a TLS exchange and two DNS lookups are more packets than ten
        assert after[program] - before[program] > 10, program


def test_without_the_links_the_traffic_is_open_and_up_closes_it_again(lab: Lab, enforced: Reader) -> None:
    interface = _interface(lab, "backend")
    assert timed_out(_curl(enforced, "cilium.io")) is None
    agent = next(
        Process.of(process["pid"]) for process in lab.status()["processes"] if process["name"] == "agent"
    )
    os.kill(agent.pid, signal.SIGKILL)  # it would attach them again
    while agent.alive:
        time.sleep(0.01)
    for path in _links(lab, interface).values():
        path.unlink()
    assert reached()(_curl(enforced, "cilium.io")) is None
    lab.up()
    assert timed_out(_curl(enforced, "cilium.io")) is None
    assert reached()(_curl(enforced, "kubernetes.io")) is None
