"""A pod's status from what its containers do (pure). Source: Kubernetes' pkg/kubelet/kubelet_pods.go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from namewall.agent.pod_backoff import restarts
from namewall.model.net import Address
from namewall.runtime.base import ContainerState
from namewall.runtime.quantity import parse

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """`waiting` is (reason, message) where it cannot run now; `restarts_before` come from a lost sandbox."""

    state: ContainerState | None = None
    previous: ContainerState | None = None
    waiting: tuple[str, str] | None = None


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_status(
    pod: Object,
    containers: Mapping[str, ContainerFacts],
    addresses: Sequence[Address],
    host_addresses: Sequence[Address],
    now: float,
) -> Object:
    """The whole status. Conditions of others (PodScheduled) and times of what did not change are kept."""
    old = pod.get("status") or {}
    specs = pod["spec"].get("containers") or []
    before = {status["name"]: status for status in old.get("containerStatuses") or []}
    statuses = [
        _container_status(spec, containers.get(spec["name"], ContainerFacts()), before.get(spec["name"]))
        for spec in specs
    ]
    phase = _phase(pod, statuses)
    unready = [status["name"] for status in statuses if not status["ready"]]
    done = phase in ("Succeeded", "Failed")
    ready: Object = {"status": "False" if unready or done else "True"}
    if phase == "Succeeded":
        ready |= {"reason": "PodCompleted"}
    elif phase == "Failed":
        ready |= {"reason": "PodFailed"}
    elif unready:
        message = f"containers with unready status: [{' '.join(unready)}]"
        ready |= {"reason": "ContainersNotReady", "message": message}
    has_network = "True" if addresses and not done else "False"
    conditions = _conditions(
        old.get("conditions") or [],
        {
            "PodReadyToStartContainers": {"status": has_network},
            "Initialized": {"status": "True", **({"reason": "PodCompleted"} if phase == "Succeeded" else {})},
            "Ready": ready,
            "ContainersReady": ready,
        },
        now,
    )
    status: Object = {
        "phase": phase,
        "conditions": conditions,
        "startTime": old.get("startTime") or timestamp(now),
        "qosClass": old.get("qosClass") or qos_class(specs),
        "containerStatuses": statuses,
    }
    for one, many, found in (("hostIP", "hostIPs", host_addresses), ("podIP", "podIPs", addresses)):
        if found:
            status |= {one: str(found[0]), many: [{"ip": str(address)} for address in found]}
    return status


def waiting_status(pod: Object, reason: str, message: str, now: float) -> Object:
    """Of a pod that has no sandbox yet."""
    facts = {
        spec["name"]: ContainerFacts(waiting=(reason, message))
        for spec in pod["spec"].get("containers") or []
    }
    return pod_status(pod, facts, (), (), now)


def is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def restart_count(pod: Object, container: str) -> int | None:
    """As the stored status has it; None where the container never ran."""
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        if status["name"] == container and status.get("containerID"):
            return int(status.get("restartCount") or 0)
    return None


def qos_class(containers: Sequence[Object]) -> str:
    """Guaranteed: every container has limits for cpu and memory, and requests no less; BestEffort: none at
    all.
    """
    guaranteed, any_at_all = True, False
    for container in containers:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for name in ("cpu", "memory"):
            any_at_all |= name in limits or name in requests
            if name not in limits or parse(requests.get(name, limits[name])) != parse(limits[name]):
                guaranteed = False
    if not any_at_all:
        return "BestEffort"
    return "Guaranteed" if guaranteed and containers else "Burstable"


def _container_status(spec: Object, facts: ContainerFacts, before: Object | None) -> Object:
    state, previous = facts.state, facts.previous
    now: Object
    last: Object = {}
    if state is None or (state.started_at is None and state.exit_code is None):
        reason, message = facts.waiting or ("ContainerCreating", "")
        now = {"waiting": _without_empty(reason=reason, message=message)}
        if before is not None:
            # A sandbox that was lost with its records: what the server knows is all there is.
            ended = (before.get("state") or {}).get("terminated")
            last = {"terminated": ended} if ended else before.get("lastState") or {}
    elif state.exit_code is None:
        now = {"running": {"startedAt": timestamp(state.started_at or 0)}}
    elif facts.waiting is not None:
        now = {"waiting": _without_empty(reason=facts.waiting[0], message=facts.waiting[1])}
        last = {"terminated": _terminated(state)}
    else:
        now = {"terminated": _terminated(state)}
    if not last and previous is not None and previous.exit_code is not None:
        last = {"terminated": _terminated(previous)}
    running = "running" in now
    identifier = f"host://{state.id}" if state is not None else (before or {}).get("containerID", "")
    return {
        "name": spec["name"],
        "state": now,
        "lastState": last,
        "ready": running,
        "started": running,
        "restartCount": state.attempt if state is not None else (before or {}).get("restartCount", 0),
        "image": spec.get("image") or "",
        "imageID": "",
        **({"containerID": identifier} if identifier else {}),
    }


def _terminated(state: ContainerState) -> Object:
    assert state.exit_code is not None
    finished = state.finished_at or 0
    return _without_empty(
        exitCode=state.exit_code,
        reason=state.reason,
        message=state.message,
        startedAt=timestamp(state.started_at if state.started_at is not None else finished),
        finishedAt=timestamp(finished),
        containerID=f"host://{state.id}",
    )


def _phase(pod: Object, statuses: Sequence[Object]) -> str:
    if is_finished(pod):
        return str(pod["status"]["phase"])
    policy = pod["spec"].get("restartPolicy") or "Always"
    if any("waiting" in status["state"] and not status["lastState"] for status in statuses):
        return "Pending"
    ends = [status["state"].get("terminated") for status in statuses]
    codes = [end["exitCode"] for end in ends if end is not None]
    if len(codes) < len(statuses) or any(restarts(policy, code) for code in codes):
        being_deleted = pod["metadata"].get("deletionTimestamp") and len(codes) == len(statuses)
        if not being_deleted:
            return "Running"
    return "Failed" if any(codes) else "Succeeded"


def _conditions(old: Sequence[Object], wanted: Mapping[str, Object], now: float) -> list[Object]:
    known = {condition["type"]: condition for condition in old}
    fresh = []
    for kind, content in wanted.items():
        before = known.pop(kind, {})
        same = before.get("status") == content["status"] and before.get("lastTransitionTime")
        since = before["lastTransitionTime"] if same else timestamp(now)
        fresh.append({"type": kind, **content, "lastTransitionTime": since})
    return [*fresh, *known.values()]


def _without_empty(**fields: Any) -> Object:
    return {name: value for name, value in fields.items() if value not in ("", None)}
