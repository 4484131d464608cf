"""Pods as a user of the API sees them: phases, restarts, deletion, adoption."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from namewall.kube.resources import CONFIG_MAPS
from namewall.runtime import records
from tests.e2e.runtime.harness import Lab
from tests.e2e.runtime.node import Node, is_ready, phase, status


@pytest.fixture
async def node(lab: Lab) -> AsyncIterator[Node]:
    node = Node(lab)
    node.start_server()
    try:
        await node.ready()
        node.start_agent()
        yield node
        await node.stop_agent()
    finally:
        if node.server is not None:
            node.stop_server()


async def test_a_pod_runs_and_says_so(node: Node) -> None:
    await node.create("web", "sleep", "1000")
    pod = await node.until("web", is_ready)
    assert phase(pod) == "Running"
    assert pod["status"]["podIP"].startswith("10.203.7.")
    assert [entry["ip"] for entry in pod["status"]["podIPs"]][1].startswith("fd4e:7e57:7::")
    assert pod["status"]["qosClass"] == "BestEffort"
    conditions = {entry["type"]: entry["status"] for entry in pod["status"]["conditions"]}
    wanted = ("PodScheduled", "Initialized", "PodReadyToStartContainers", "ContainersReady", "Ready")
    assert conditions == dict.fromkeys(wanted, "True")
    main = status(pod)
    assert "running" in main["state"]
    assert (main["restartCount"], main["ready"], main["started"]) == (0, True, True)
    assert main["containerID"].startswith("host://")
    await asyncio.sleep(0.1)
    reasons = [reason for reason, _ in await node.events("web")]
    assert sorted(reasons) == ["Created", "Scheduled", "Started"]
    assert node.endpoints.told == [("ensure", "web", False)], "programmed while the link was down"


async def test_ends_of_pods_that_are_not_restarted(node: Node) -> None:
    await node.create("good", "true", restartPolicy="Never")
    await node.create("bad", "sh", "-c", "exit 9", restartPolicy="Never")
    good = await node.until("good", lambda pod: phase(pod) == "Succeeded")
    bad = await node.until("bad", lambda pod: phase(pod) == "Failed")
    assert status(good)["state"]["terminated"]["reason"] == "Completed"
    ended = status(bad)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (9, "Error")
    assert not is_ready(good)
    await node.delete("good")
    await node.until_gone("good")
    await node.delete("bad")
    await node.until_gone("bad")
    async with asyncio.timeout(5):
        while list(node.lab.runtime.uids()):
            await asyncio.sleep(0.02)


async def test_restarts_back_off(node: Node) -> None:
    await node.create("crash", "sh", "-c", "echo going; exit 3")
    waiting = await node.until(
        "crash", lambda pod: status(pod)["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
    )
    main = status(waiting)
    assert main["restartCount"] == 1, "the first restart is at once"
    assert main["lastState"]["terminated"]["exitCode"] == 3
    assert main["state"]["waiting"]["message"].startswith(
        "back-off 10s restarting failed container=main pod=crash_"
    )
    assert phase(waiting) == "Running"
    await asyncio.sleep(0.1)
    assert "BackOff" in [reason for reason, _ in await node.events("crash")]


async def test_on_failure_ends_with_success(node: Node) -> None:
    # /tmp is the container's own and new each time; what tells the runs apart is the log of the run before.
    await node.create("twice", "sh", "-c", "exit 1", restartPolicy="OnFailure")
    pod = await node.until("twice", lambda pod: status(pod).get("restartCount", 0) >= 1)
    assert phase(pod) == "Running"
    await node.create("once", "true", restartPolicy="OnFailure")
    assert status(await node.until("once", lambda pod: phase(pod) == "Succeeded"))["restartCount"] == 0


async def test_a_command_that_is_not_there(node: Node) -> None:
    await node.create("typo", "crul", restartPolicy="Never")
    pod = await node.until("typo", lambda pod: phase(pod) == "Failed")
    ended = status(pod)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert 'exec: "crul": executable file not found in $PATH' in ended["message"]
    await asyncio.sleep(0.1)
    assert "Failed" in [reason for reason, _ in await node.events("typo")]


async def test_deletion_lets_the_command_end_by_itself(node: Node) -> None:
    script = "trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done"
    pod = await node.create("polite", "sh", "-c", script)
    await node.until("polite", is_ready)
    await asyncio.sleep(0.1)
    await node.delete("polite")
    await node.until_gone("polite", 5)
    assert not os.path.exists(f"{node.lab.instance.run_dir}/pods/{pod['metadata']['uid']}")
    assert [what for what, name, _ in node.endpoints.told] == ["ensure", "forget"]
    assert ("Killing", "Stopping container main") in await node.events("polite")


async def test_deletion_kills_after_the_grace_and_a_second_one_hurries(node: Node) -> None:
    await node.create("stubborn", "sleep", "1000")
    await node.until("stubborn", is_ready)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await node.delete("stubborn", 1)
    await node.until_gone("stubborn")
    assert 0.9 < loop.time() - begun < 4
    await node.create("slow", "sleep", "1000")
    await node.until("slow", is_ready)
    await node.delete("slow", 60)
    await asyncio.sleep(0.3)
    begun = loop.time()
    await node.delete("slow", 0)
    async with asyncio.timeout(5):
        while list(node.lab.runtime.uids()):
            await asyncio.sleep(0.02)
    assert loop.time() - begun < 4


async def test_another_runtime_class_stays_pending_with_a_reason(node: Node) -> None:
    # Bound by hand: the scheduler would not give it to this node.
    await node.create("image", "nginx", runtimeClassName=None, container={"image": "nginx"}, nodeName="node")
    await asyncio.sleep(0.5)
    pod = await node.get("image")
    assert pod is not None
    assert phase(pod) == "Pending"
    messages = [
        message for reason, message in await node.events("image") if reason == "FailedCreatePodSandBox"
    ]
    assert messages
    assert "runtimeClassName: host" in messages[0]
    await node.delete("image")
    await node.until_gone("image", 5)


async def test_a_new_agent_takes_pods_up_untouched(node: Node) -> None:
    await node.create("stays", "sleep", "1000")
    await node.create("goes", "sleep", "1000")
    before = await node.until("stays", is_ready)
    await node.until("goes", is_ready)
    uid = before["metadata"]["uid"]
    running = node.lab.runtime.state(uid, "main")
    await node.stop_agent()
    await node.delete("goes", 0)
    node.start_agent()
    await node.until_gone("goes")
    async with asyncio.timeout(10):
        while len(node.lab.runtime.uids()) > 1:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    after = await node.get("stays")
    assert after is not None
    assert after["status"] == before["status"]
    assert list(node.lab.runtime.uids()) == [uid]
    assert node.lab.runtime.state(uid, "main") == running
    assert running is not None
    assert records.start_time(running.pid or 0) is not None, "and the process lives"


async def test_an_end_while_the_agent_was_away_is_handled(node: Node) -> None:
    await node.create("short", "sleep", "0.6", restartPolicy="Never")
    await node.until("short", is_ready)
    await node.stop_agent()
    await asyncio.sleep(0.8)
    node.start_agent()
    pod = await node.until("short", lambda pod: phase(pod) == "Succeeded")
    assert status(pod)["state"]["terminated"]["exitCode"] == 0


async def test_a_lost_sandbox_is_made_again(node: Node) -> None:
    pod = await node.create("phoenix", "sleep", "1000")
    before = await node.until("phoenix", is_ready)
    await node.stop_agent()
    await node.lab.runtime.remove(pod["metadata"]["uid"])
    node.start_agent()
    after = await node.until("phoenix", lambda pod: status(pod)["restartCount"] == 1 and is_ready(pod))
    assert after["status"]["podIP"] != before["status"]["podIP"]


async def test_restarts_go_on_while_the_server_is_away(node: Node) -> None:
    pod = await node.create("busy", "sh", "-c", "sleep 0.5; exit 1")
    await node.until("busy", is_ready)
    node.stop_server()
    await asyncio.sleep(1.0)
    state = node.lab.runtime.state(pod["metadata"]["uid"], "main")
    assert state is not None
    assert state.attempt == 1
    node.start_server()
    await node.ready()
    await node.until("busy", lambda pod: status(pod)["restartCount"] == 1)


async def test_config_maps_as_files_and_variables(node: Node) -> None:
    volume = {"name": "settings", "configMap": {"name": "settings"}}
    container: dict[str, Any] = {
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/made/up/path"}],
        "env": [{"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}}],
    }
    script = "echo $COLOR; while :; do cat /etc/made/up/path/color; echo; sleep 0.1; done"
    pod = await node.create("reader", "sh", "-c", script, container=container, volumes=[volume])
    waiting = await node.until("reader", lambda pod: "reason" in status(pod)["state"].get("waiting", {}))
    await node.until(
        "reader", lambda pod: status(pod)["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    )
    assert phase(waiting) == "Pending"
    config_map = {"metadata": {"name": "settings"}, "data": {"color": "blue"}}
    async with node.client() as client:
        await client.create(CONFIG_MAPS, "default", {"apiVersion": "v1", "kind": "ConfigMap", **config_map})
        await node.until("reader", is_ready, 5)
        await client.patch(CONFIG_MAPS, "default", "settings", {"data": {"color": "green"}})
    path = f"{node.lab.instance.run_dir}/pods/{pod['metadata']['uid']}/containers/main/0/log"
    async with asyncio.timeout(5):
        while True:
            with open(path) as file:
                lines = file.read().split()
            if "green" in lines:
                break
            await asyncio.sleep(0.05)
    assert lines[:2] == ["blue", "blue"]
    assert set(lines) == {"blue", "green"}


async def test_without_a_monitor_pods_wait_and_then_start(node: Node) -> None:
    node.lab.end_monitor()
    await node.create("patient", "sleep", "1000")
    pod = await node.until(
        "patient", lambda pod: status(pod)["state"].get("waiting", {}).get("reason") == "CreateContainerError"
    )
    assert "namewall up" in status(pod)["state"]["waiting"]["message"]
    node.lab.start_monitor()
    await node.until("patient", is_ready)
    assert status(await node.until("patient", is_ready))["restartCount"] == 0
