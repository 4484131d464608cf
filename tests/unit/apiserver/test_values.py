from __future__ import annotations

import pytest

from namewall.apiserver import values
from namewall.apiserver.columns import pod_status
from namewall.apiserver.registry import RESOURCES


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 120, "3h2m"),
        (47 * 3600, "47h"),
        (49 * 3600, "2d1h"),
        (9 * 86400, "9d"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_ages_read_as_kubectls(seconds: float, text: str) -> None:
    assert values.human_duration(seconds) == text


def test_a_condition_moves_its_transition_time_only_when_it_flips() -> None:
    status: dict[str, object] = {}
    assert values.set_condition(status, {"type": "Valid", "status": "True", "message": "a"}, 10)
    assert not values.set_condition(status, {"type": "Valid", "status": "True", "message": "a"}, 20)
    assert values.set_condition(status, {"type": "Valid", "status": "True", "message": "b"}, 30)
    assert status["conditions"] == [
        {"type": "Valid", "status": "True", "message": "b", "lastTransitionTime": "1970-01-01T00:00:10Z"}
    ]


def _pod(phase: str, state: dict[str, object], **metadata: str) -> dict[str, object]:
    statuses = [{"name": "c", "ready": False, "restartCount": 0, "state": state}]
    return {"metadata": {"name": "p", **metadata}, "status": {"phase": phase, "containerStatuses": statuses}}


@pytest.mark.parametrize(
    ("pod", "text"),
    [
        (_pod("Pending", {"waiting": {"reason": "ContainerCreating"}}), "ContainerCreating"),
        (_pod("Running", {"waiting": {"reason": "CrashLoopBackOff"}}), "CrashLoopBackOff"),
        (_pod("Failed", {"terminated": {"exitCode": 3, "reason": "Error"}}), "Error"),
        (_pod("Failed", {"terminated": {"exitCode": 3}}), "ExitCode:3"),
        (_pod("Failed", {"terminated": {"exitCode": 137, "signal": 9}}), "Signal:9"),
        (_pod("Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed"}}), "Completed"),
        (_pod("Running", {"running": {}}, deletionTimestamp="2026-01-01T00:00:00Z"), "Terminating"),
    ],
)
def test_the_status_column_of_pods(pod: dict[str, object], text: str) -> None:
    assert pod_status(pod) == text


def test_every_column_can_show_an_empty_object() -> None:
    for resource in RESOURCES:
        for column in resource.columns:
            column.cell({"metadata": {"name": "x"}}, 0.0)
