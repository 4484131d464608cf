"""Starting, ending, restarting and removing; what survives whose death; what is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from namewall.runtime import places, records
from namewall.runtime.pods import RuntimeFailure, StartError, pod_processes
from tests.e2e.runtime.harness import Lab


async def test_a_command_runs_and_its_exit_code_is_recorded(lab: Lab) -> None:
    sandbox, _ = await lab.run("sh", "-c", "echo to stdout; echo to stderr >&2; exit 7")
    state = await lab.wait(sandbox)
    assert (state.exit_code, state.reason, state.pid) == (7, "Error", None)
    assert state.started_at is not None
    assert state.finished_at is not None
    assert state.started_at <= state.finished_at
    assert lab.log(sandbox) == "to stdout\nto stderr\n"


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("kill -9 1", 0), ("exit 200", 200)])
async def test_exit_codes(lab: Lab, script: str, code: int) -> None:
    # Process 1 of a PID namespace is not killed by a signal from inside: `kill -9 1` does nothing.
    sandbox, _ = await lab.run("sh", "-c", script)
    state = await lab.wait(sandbox)
    assert state.exit_code == code
    assert state.reason == ("Error" if code else "Completed")


async def test_the_next_attempt_counts_up_and_the_log_before_is_kept(lab: Lab) -> None:
    sandbox, pod = await lab.run("sh", "-c", "echo one run; exit 1")
    for attempt in (1, 2):
        await lab.wait(sandbox)
        state = await lab.start(sandbox, pod)
        assert state.attempt == attempt
    await lab.wait(sandbox)
    previous = lab.runtime.previous_state(sandbox.uid, "main")
    assert previous is not None
    assert (previous.attempt, previous.exit_code) == (1, 1)
    assert lab.log(sandbox, 1) == lab.log(sandbox, 2) == "one run\n"
    assert [a.number for a in records.attempts(lab.instance.run_dir, sandbox.uid, "main")] == [1, 2]


async def test_a_command_that_is_not_there_is_128_with_runcs_words_and_an_empty_log(lab: Lab) -> None:
    sandbox, pod = await lab.sandbox(containers=[{"name": "main", "command": ["no-such-program"]}])
    with pytest.raises(StartError, match=r'"no-such-program": executable file not found in \$PATH'):
        await lab.start(sandbox, pod)
    state = lab.runtime.state(sandbox.uid, "main")
    assert state is not None
    assert (state.exit_code, state.reason, state.started_at) == (128, "StartError", None)
    assert lab.log(sandbox) == ""


async def test_stop_asks_first_and_kills_after_the_grace(lab: Lab) -> None:
    polite, _ = await lab.run("sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    stubborn, _ = await lab.run("sleep", "1000")
    while lab.log(polite) != "ready\n":
        await asyncio.sleep(0.01)
    await asyncio.gather(lab.runtime.stop(polite.uid, grace=10), lab.runtime.stop(stubborn.uid, grace=0.3))
    assert (await lab.wait(polite)).exit_code == 3
    assert (await lab.wait(stubborn)).exit_code == 137


async def test_containers_outlive_a_killed_monitor_and_the_next_one_knows_their_end(lab: Lab) -> None:
    sandbox, _ = await lab.run("sh", "-c", "trap 'exit 5' TERM; while :; do echo alive; sleep 0.05; done")
    before = lab.runtime.state(sandbox.uid, "main")
    assert before is not None
    lab.end_monitor(signal.SIGKILL)
    length = len(lab.log(sandbox))
    await asyncio.sleep(0.2)
    assert len(lab.log(sandbox)) > length, "it went on writing"
    assert (await lab.shell(sandbox, "echo $((6*7))")) == (0, "42\n"), "exec needs no monitor"
    lab.start_monitor()
    await lab.monitor_ready()
    assert lab.runtime.state(sandbox.uid, "main") == before
    assert lab.runtime.signal(sandbox.uid, "main", signal.SIGTERM)
    state = await lab.wait(sandbox)
    # Kernels before 6.15 cannot say how a process ended that is not one's child.
    assert (state.exit_code, state.reason) in ((5, "Error"), (137, "ContainerStatusUnknown"))


async def test_an_end_without_a_monitor_is_recorded_by_the_next(lab: Lab) -> None:
    sandbox, _ = await lab.run("sh", "-c", "sleep 0.3")
    lab.end_monitor(signal.SIGKILL)
    await asyncio.sleep(0.6)
    lab.start_monitor()
    await lab.monitor_ready()
    state = await lab.wait(sandbox)
    assert (state.exit_code, state.reason) == (137, "ContainerStatusUnknown")


async def test_an_end_without_a_monitor_is_seen_by_who_waits(lab: Lab) -> None:
    sandbox, _ = await lab.run("sh", "-c", "sleep 0.3; exit 4")
    lab.end_monitor(signal.SIGKILL)
    state = await lab.wait(sandbox)
    assert state.exit_code in (4, 137)


async def test_without_a_monitor_a_start_fails_and_can_be_tried_again(lab: Lab) -> None:
    sandbox, pod = await lab.sandbox(containers=[{"name": "main", "command": ["true"]}])
    lab.end_monitor()
    with pytest.raises(RuntimeFailure, match="the monitor does not answer"):
        await lab.start(sandbox, pod)
    assert lab.runtime.state(sandbox.uid, "main") is None
    lab.start_monitor()
    await lab.monitor_ready()
    assert (await lab.start(sandbox, pod)).attempt == 0
    assert (await lab.wait(sandbox)).exit_code == 0


async def command_of(pid: int) -> str:
    """What a process runs, once the runtime has given it over."""
    while (comm := Path(f"/proc/{pid}/comm").read_text().strip()).startswith("runc"):
        await asyncio.sleep(0.05)
    return comm


async def test_another_runtime_object_finds_what_is_there(lab: Lab) -> None:
    from namewall.runtime.pods import PodRuntime

    sandbox, _ = await lab.run("sleep", "1000")
    other = PodRuntime(lab.instance)
    assert list(other.list()) == [sandbox]
    state = other.state(sandbox.uid, "main")
    assert state is not None
    assert state.pid is not None
    rows = pod_processes(lab.instance)
    assert [row["containers"][0]["pid"] for row in rows] == [state.pid]
    assert await command_of(state.pid) == "sleep"


async def test_a_sandbox_without_its_link_is_broken(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    subprocess.run(["ip", "link", "del", sandbox.ifname], check=True)
    assert list(lab.runtime.list()) == []
    assert list(lab.runtime.broken()) == [sandbox.uid]
    await lab.runtime.remove(sandbox.uid)
    assert list(lab.runtime.uids()) == []


async def test_removal_leaves_nothing(lab: Lab) -> None:
    before = _world(lab)
    sandboxes = [(await lab.run("sh", "-c", "sleep 1000 & sleep 1000"))[0] for _ in range(3)]
    during = _world(lab)
    assert during["links"] != before["links"]
    assert during["cgroups"]
    for sandbox in sandboxes:
        await lab.runtime.remove(sandbox)
    after = _world(lab)
    assert after["mounts"] == [f"{places.layers(lab.instance.run_dir)}"], "the layers are the instance's"
    await lab.runtime.remove_all()
    assert _world(lab) == before
    assert not os.path.exists(places.pod(lab.instance.run_dir, sandboxes[0].uid))


async def test_numbers_and_links_are_not_used_again_at_once(lab: Lab) -> None:
    first, _ = await lab.sandbox(containers=[])
    await lab.runtime.remove(first)
    second, _ = await lab.sandbox(containers=[])
    assert second.id == first.id + 1
    assert len(second.ifname) <= 15


def _world(lab: Lab) -> dict[str, list[str]]:
    """What of the kernel's belongs to this instance."""
    prefix, name = lab.instance.link_prefix, lab.instance.name
    links = sorted(link for link in os.listdir("/sys/class/net") if link.startswith(prefix))
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    cgroups = sorted(str(path) for path in Path("/sys/fs/cgroup").rglob("*") if name in path.parts)
    processes = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if name in (folder / "cgroup").read_text():
                processes.append(folder.name)
        except OSError:
            continue
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    netns = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    return {
        "links": links,
        "mounts": sorted(mount for mount in mounts if mount.startswith(lab.instance.root)),
        "cgroups": cgroups,
        "processes": processes,
        "routes": [line for line in routes.splitlines() if prefix in line],
        "netns": [line for line in netns.splitlines() if name in line],
    }
