"""The rolling update, played against every order in which pods may become ready: the bounds hold at each step."""

from __future__ import annotations

import random

import pytest

from namewall.apiserver.controllers.rollout import SetState, limits, plan, resolve


def test_percentages_round_surge_up_and_unavailable_down() -> None:
    assert resolve("25%", 3, up=True) == 1
    assert resolve("25%", 3, up=False) == 0
    assert resolve(2, 3, up=False) == 2
    both_zero = {
        "spec": {"replicas": 1, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "25%"}}}
    }
    assert limits(both_zero) == (0, 1)


@pytest.mark.parametrize("seed", range(150))
def test_a_rollout_keeps_its_bounds_and_ends(seed: int) -> None:
    chance = random.Random(seed)
    wanted = chance.randint(1, 7)
    surge, unavailable = chance.randint(0, 3), chance.randint(0, 3)
    if not surge and not unavailable:
        unavailable = 1
    replicas = {"new": 0, "old": wanted}
    ready = {"new": 0, "old": wanted}
    for _ in range(200):
        states = {name: SetState(name, replicas[name], ready[name], replicas[name]) for name in replicas}
        for name, number in plan(wanted, surge, unavailable, states["new"], [states["old"]]).items():
            replicas[name] = number
            ready[name] = min(ready[name], number)
        assert sum(replicas.values()) <= wanted + surge
        assert sum(ready.values()) >= wanted - unavailable
        if replicas["new"] > ready["new"] and chance.random() < 0.6:
            ready["new"] += 1
        if replicas == {"new": wanted, "old": 0}:
            return
    raise AssertionError(f"did not end: {replicas}, {ready}")


def test_a_new_template_that_never_gets_ready_stops_at_the_bound() -> None:
    new, old = SetState("new", 0, 0, 0), SetState("old", 4, 4, 4)
    assert plan(4, 1, 0, new, [old]) == {"new": 1}
    assert plan(4, 1, 0, SetState("new", 1, 0, 1), [old]) == {}
    assert plan(4, 1, 0, SetState("new", 1, 1, 1), [old]) == {"old": 3}


def test_sick_old_pods_go_first() -> None:
    old = [SetState("older", 2, 0, 2), SetState("old", 2, 2, 2)]
    changes = plan(4, 1, 2, SetState("new", 1, 0, 1), old)
    assert changes == {"older": 0}


def test_recreate_waits_until_the_last_old_pod_is_gone() -> None:
    new = SetState("new", 0, 0, 0)
    assert plan(2, 0, 0, new, [SetState("old", 2, 2, 2)], recreate=True) == {"old": 0}
    assert plan(2, 0, 0, new, [SetState("old", 0, 0, 1)], recreate=True) == {}
    assert plan(2, 0, 0, new, [SetState("old", 0, 0, 0)], recreate=True) == {"new": 2}


def test_scaling_without_a_rollout() -> None:
    assert plan(5, 1, 1, SetState("new", 2, 2, 2), []) == {"new": 5}
    assert plan(1, 1, 1, SetState("new", 2, 2, 2), []) == {"new": 1}
    assert plan(2, 1, 1, SetState("new", 2, 2, 2), []) == {}
