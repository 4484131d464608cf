"""What the pod manager decides: addresses, back-off, status."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from namewall.agent.pod_addresses import Addresses, NoAddress, next_addresses
from namewall.agent.pod_backoff import Backoff, restarts
from namewall.agent.pod_resolv import cluster_first
from namewall.agent.pod_status import ContainerFacts, pod_status, qos_class
from namewall.runtime.base import ContainerState

RANGES = (ip_network("10.1.0.0/29"), ip_network("fd00::/120"))
ADDRESSES = (ip_address("10.1.0.2"), ip_address("fd00::2"))


def test_addresses_go_round_and_skip_what_is_in_use() -> None:
    given, offsets = next_addresses(RANGES, (), ())
    assert ([str(a) for a in given], offsets) == (["10.1.0.2", "fd00::2"], (2, 2))
    given, offsets = next_addresses(RANGES, (2, 2), {ip_address("10.1.0.3")})
    assert ([str(a) for a in given], offsets) == (["10.1.0.4", "fd00::3"], (4, 3))
    given, _ = next_addresses(RANGES[:1], (6,), ())
    assert str(given[0]) == "10.1.0.2", "10.1.0.7 is the broadcast"
    with pytest.raises(NoAddress, match=r"every address of 10\.1\.0\.0/29 is in use"):
        next_addresses(RANGES, (), {ip_address(f"10.1.0.{n}") for n in range(8)})


def test_a_freed_address_does_not_come_back_at_once_nor_after_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "last.json")
    first = Addresses(RANGES, path).allocate(())
    second = Addresses(RANGES, path).allocate(())
    assert second[0] == first[0] + 1
    other = Addresses((ip_network("10.9.0.0/24"),), path).allocate(())
    assert str(other[0]) == "10.9.0.2", "another range begins anew"


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 1, False),
    ],
)
def test_restart_policy(policy: str, code: int, again: bool) -> None:
    assert restarts(policy, code) is again


def test_back_off_doubles_up_to_five_minutes_and_is_forgiven() -> None:
    backoff = Backoff()
    waits = [backoff.next(0, 1, now=1) for _ in range(8)]
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert backoff.next(0, 1, now=100) == 201, "what has passed since the end counts"
    assert backoff.next(0, 600, now=600) == 0
    assert backoff.next(0, 1, now=1) == 10


def pod(*names: str, policy: str = "Always", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "d", "uid": "u"},
        "spec": {"restartPolicy": policy, "containers": [{"name": name} for name in names or ("main",)]},
        "status": status,
    }


def running(attempt: int = 0) -> ContainerState:
    return ContainerState("main", f"id-{attempt}", 42, 10.0, attempt=attempt)


def ended(code: int, attempt: int = 0) -> ContainerState:
    reason = "Error" if code else "Completed"
    return ContainerState("main", f"id-{attempt}", None, 10.0, code, 20.0, reason, attempt=attempt)


def status(obj: dict[str, Any], **facts: ContainerFacts) -> dict[str, Any]:
    return pod_status(obj, facts, ADDRESSES, (), now=1000)


def conditions(made: dict[str, Any]) -> dict[str, str]:
    return {entry["type"]: entry["status"] for entry in made["conditions"]}


def test_phases() -> None:
    crash = ContainerFacts(ended(1), waiting=("CrashLoopBackOff", "back-off"))
    for policy, facts, phase in (
        ("Always", ContainerFacts(), "Pending"),
        ("Always", ContainerFacts(running()), "Running"),
        ("Always", ContainerFacts(ended(0)), "Running"),
        ("Always", crash, "Running"),
        ("OnFailure", ContainerFacts(ended(1)), "Running"),
        ("OnFailure", ContainerFacts(ended(0)), "Succeeded"),
        ("Never", ContainerFacts(ended(0)), "Succeeded"),
        ("Never", ContainerFacts(ended(1)), "Failed"),
    ):
        assert status(pod(policy=policy), main=facts)["phase"] == phase, (policy, facts)
    two = pod("a", "b", policy="Never")
    assert status(two, a=ContainerFacts(ended(1)), b=ContainerFacts(running()))["phase"] == "Running"
    assert status(two, a=ContainerFacts(ended(0)), b=ContainerFacts(ended(1)))["phase"] == "Failed"
    assert status(pod(phase="Failed"), main=ContainerFacts(running()))["phase"] == "Failed", "for good"


def test_ready_when_all_containers_run() -> None:
    made = status(pod("a", "b"), a=ContainerFacts(running()), b=ContainerFacts(running()))
    assert conditions(made)["Ready"] == conditions(made)["ContainersReady"] == "True"
    made = status(pod("a", "b"), a=ContainerFacts(running()))
    ready = next(entry for entry in made["conditions"] if entry["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [b]"


def test_conditions_of_others_and_old_times_are_kept() -> None:
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"}
    made = status(pod(conditions=[scheduled, ready], startTime="x"), main=ContainerFacts(running()))
    assert scheduled in made["conditions"]
    assert ready in made["conditions"]
    assert made["startTime"] == "x"
    made = status(pod(conditions=[ready]), main=ContainerFacts(ended(1)))
    assert (
        next(e for e in made["conditions"] if e["type"] == "Ready")["lastTransitionTime"]
        == "1970-01-01T00:16:40Z"
    )


def test_the_same_facts_give_the_same_status_again() -> None:
    obj = pod()
    facts = ContainerFacts(running(2), ended(1, 1))
    obj["status"] = status(obj, main=facts)
    assert pod_status(obj, {"main": facts}, ADDRESSES, (), now=9999) == obj["status"]


def test_container_states() -> None:
    main = status(pod(), main=ContainerFacts(running(1), ended(3, 0)))["containerStatuses"][0]
    assert main["state"] == {"running": {"startedAt": "1970-01-01T00:00:10Z"}}
    assert main["lastState"]["terminated"]["exitCode"] == 3
    assert (main["restartCount"], main["containerID"]) == (1, "host://id-1")
    waiting = ContainerFacts(ended(3, 1), ended(2, 0), ("CrashLoopBackOff", "back-off 10s"))
    main = status(pod(), main=waiting)["containerStatuses"][0]
    assert main["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    assert main["lastState"]["terminated"]["exitCode"] == 3
    main = status(pod(), main=ContainerFacts(ended(0)))["containerStatuses"][0]
    assert main["state"]["terminated"]["exitCode"] == 0, "zero is not left out"


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
    ],
)
def test_quality_of_service(resources: dict[str, Any], quality: str) -> None:
    assert qos_class([{"resources": resources}]) == quality


def test_resolv_conf() -> None:
    text = cluster_first("shop", "cluster.local", (ip_address("10.2.0.10"), ip_address("fd02::a")))
    assert text == (
        "search shop.svc.cluster.local svc.cluster.local cluster.local\n"
        "nameserver 10.2.0.10\nnameserver fd02::a\noptions ndots:5\n"
    )
