"""Daemons are known by pid and start time; a pid given to somebody else is never signalled."""

import json
import os
import subprocess
import sys
from pathlib import Path

from namewall.cli import processes
from namewall.model.instance import Instance


def record(instance: Instance, name: str, pid: int, started: int) -> None:
    folder = Path(instance.run_dir) / "daemons"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"pid": pid, "startTime": started}))


def test_a_process_of_another_start_time_is_not_ours(tmp_path: Path) -> None:
    instance = Instance(str(tmp_path))
    started = processes.start_time(os.getpid())
    assert started is not None
    record(instance, "agent", os.getpid(), started + 1)
    assert processes.running(instance, "agent") is None
    assert not processes.stop(instance, "agent")
    record(instance, "agent", os.getpid(), started)
    found = processes.running(instance, "agent")
    assert found is not None
    assert found.pid == os.getpid()


def test_stop_ends_it_and_forgets_it(tmp_path: Path) -> None:
    instance = Instance(str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        started = processes.start_time(child.pid)
        assert started is not None
        record(instance, "agent", child.pid, started)
        assert processes.stop(instance, "agent")
        assert processes.start_time(child.pid) is None
        assert processes.running(instance, "agent") is None
        child.returncode = 0  # `stop` has waited for it


def test_a_damaged_record_is_no_process(tmp_path: Path) -> None:
    instance = Instance(str(tmp_path))
    record(instance, "agent", 1, 1)
    (tmp_path / "run" / "daemons" / "agent.json").write_text("{")
    assert processes.running(instance, "agent") is None
