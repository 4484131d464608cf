"""A lab a test can stand in: its own instance, ranges and world, gone after the tests that share it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import cluster, kubectl, netns
from lab.cluster import Lab
from lab.host import environment
from lab.names import page_world
from lab.page import prepare
from lab.play import Reader
from lab.scene import PAGE

OWN_HOST = "NAMEWALL_TEST_OWN_HOST"
"""Set inside the namespaces that a test marked `own_host` runs in."""

# As a fresh machine has it: its own links, routes, sysctls of the network, nft tables and bpffs, an empty /run and
# /var/lib; the cgroups stay the machine's. /sys is mounted anew, since it shows the links of who mounted it.
_FRESH_HOST = """
set -e
# copies of mounts of other instances, which would vanish in the middle of a test
awk '$5 ~ "^/(tmp|run)/" {print $5}' /proc/self/mountinfo | sort -r | xargs -r umount -l
mount -t tmpfs tmpfs /run
mkdir /run/keep
mount --rbind /sys/fs/cgroup /run/keep
mount -t sysfs sysfs /sys
mount --rbind /run/keep /sys/fs/cgroup
umount -l /run/keep
rmdir /run/keep
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /var/lib
ip link set lo up
exec "$@"
"""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "own_host: runs in network and mount namespaces of its own, as on a fresh host"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that compares the whole host before and after cannot share it: it runs again in a host of its own."""
    if not pyfuncitem.get_closest_marker("own_host") or os.environ.get(OWN_HOST):
        return None
    again = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", pyfuncitem.nodeid]
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", _FRESH_HOST, "sh", *again],
        capture_output=True,
        text=True,
        check=False,
        cwd=pyfuncitem.config.rootpath,
        env={**environment(), OWN_HOST: "1"},
    )
    if done.returncode != 0:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `root` skip with the reason where they cannot run; the others run everywhere."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(
                pytest.mark.skip(reason="needs root: makes network namespaces and loads BPF programs")
            )


@pytest.fixture(scope="session")
def program() -> Path:
    """The real kubectl that scripts/setup fetched."""
    found = kubectl.fetched()
    assert found is not None, f"{kubectl.FETCHED} is missing; scripts/setup fetches it"
    assert found.too_old is None, found.too_old
    return found.path


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab that is up, with the page's world and nothing applied."""
    with cluster.lab(page_world(netns.free_slot())) as here:
        yield here


@pytest.fixture(scope="module")
def reader(lab: Lab, program: Path) -> Reader:
    """Types lines in that lab; the page's files are written."""
    reader = Reader(lab, program)
    reader.write(PAGE)
    return reader


@pytest.fixture(scope="module")
def prepared(reader: Reader) -> Reader:
    """As `reader`, the page's workloads and ingress policies applied, the pods' names known."""
    for step in prepare():
        _, difference = reader.take(step)
        assert difference is None, f"{step.line}: {difference}"
    return reader
