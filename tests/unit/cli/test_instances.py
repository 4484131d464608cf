"""Other instances of the host are known by their daemons; `up` says in one line what it would share with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from namewall.cli.host_ranges import is_own_link
from namewall.cli.instances import others, shared_problem
from namewall.model.cluster import Cluster
from namewall.model.instance import Instance


def daemon(proc: Path, pid: int, root: str, *command: str) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "cmdline").write_bytes("\0".join((*command, "")).encode())
    (folder / "environ").write_bytes(f"PATH=/bin\0NAMEWALL_ROOT={root}\0".encode())


def stored(root: Path, cluster: Cluster) -> Instance:
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "cluster.json").write_text(json.dumps(cluster.to_dict()))
    return Instance(str(root))


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    python = "/opt/venv/bin/python"
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    stored(tmp_path / "a", Cluster("n"))
    folder = tmp_path / "proc"
    for pid, root, words in (
        (8, a, (python, "-m", "namewall", "agent")),
        (9, b, (python, "-m", "namewall.runtime.monitor", "/run")),
        (10, "/elsewhere", ("vi", "namewall", "agent")),
    ):
        daemon(folder, pid, root, *words)
    (folder / "self").mkdir()
    (folder / "11").mkdir()
    return folder


def test_the_other_instances_are_those_whose_daemons_run(proc: Path, tmp_path: Path) -> None:
    found = others(Instance(str(tmp_path / "c")), str(proc))
    assert found == [(Instance(str(tmp_path / "a")), Cluster("n"))], "b has stored no ranges"
    assert others(Instance(str(tmp_path / "a")), str(proc)) == []


def test_what_is_shared_is_one_line_that_says_what_to_give(proc: Path, tmp_path: Path) -> None:
    neighbours = others(Instance(str(tmp_path / "c")), str(proc))
    (line,) = shared_problem(Cluster("n"), neighbours, [], stored=False)
    assert line == (
        "10.219.0.0/16,fd4e:5741:1::/112 (--pod-cidr) and 10.220.0.0/16,fd4e:5741:2::/112 (--service-cidr) overlap"
        f" the ranges of the instance with NAMEWALL_ROOT={tmp_path}/a; give others, as"
        " --pod-cidr 10.221.0.0/16,fd4e:5741:3::/112 --service-cidr 10.222.0.0/16,fd4e:5741:4::/112"
    )
    (line,) = shared_problem(Cluster("n"), [(Instance(), Cluster("n"))], [], stored=True)
    assert " the ranges of the default instance; " in line
    assert "`namewall down` that one, or `namewall down --purge` this one, which erases its objects" in line
    assert shared_problem(Cluster("n"), [], [], stored=False) == []


def test_links_of_another_instance_are_not_ours() -> None:
    default, other = Instance(), Instance("/tmp/x")
    assert is_own_link("nw12", default.link_prefix)
    assert not is_own_link(f"{other.link_prefix}1", default.link_prefix)
    assert is_own_link(f"{other.link_prefix}1", other.link_prefix)
    assert not is_own_link("nw12", other.link_prefix)
    assert not is_own_link("eth0", other.link_prefix)
