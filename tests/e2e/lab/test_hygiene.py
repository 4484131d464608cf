"""What `up` does to the host, `down` undoes: compared before and after, not listed by hand.

Each test has a host of its own (conftest.py): network and mount namespaces, so that nobody else's doings show.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import cluster, page
from lab.cluster import Lab
from lab.host import environment, run
from lab.kubectl import NAMEWALL
from lab.names import page_world
from lab.play import Reader
from lab.scene import PAGE

pytestmark = [pytest.mark.root, pytest.mark.own_host]

# What the kernel counts by itself
_VOLATILE = ("fs.", "vm.", "kernel.random.", "kernel.ns_last_pid", "kernel.pty.nr", "kernel.sched")
_COUNTED = "net.netfilter.nf_conntrack_count"

ADVERTISE = """
import socket
router = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
# RFC 4861 section 4.2: type 134, hop limit 64, no flags, lifetime 1,800 s; the kernel fills in the checksum
router.sendto(bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8), ("ff02::1%port", 0))
"""


def _sysctls() -> dict[str, str]:
    text = subprocess.run(
        ["sysctl", "-a"], capture_output=True, text=True, check=False, env=environment()
    ).stdout
    pairs = (line.partition(" = ")[::2] for line in text.splitlines())
    return {key: value for key, value in pairs if not key.startswith(_VOLATILE) and key != _COUNTED}


def _host() -> dict[str, object]:
    """Everything `up` could leave behind, by name, so that a difference reads as a sentence."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "ip netns": run("ip", "netns"),
        "ip link": [link["ifname"] for link in json.loads(run("ip", "-j", "link"))],
        "ip address": run("ip", "-br", "address"),
        "ip rule": run("ip", "rule") + run("ip", "-6", "rule"),
        "ip route": run("ip", "-4", "route", "show", "table", "all"),
        "ip -6 route": sorted(line.split(" expires ")[0] for line in _routes6("table", "all")),
        "ip neigh proxy": run("ip", "neigh", "show", "proxy") + run("ip", "-6", "neigh", "show", "proxy"),
        "nft": run("nft", "list", "ruleset"),
        "mounts": sorted(line.split(" ", 3)[3] for line in mounts),
        "bpffs": sorted(str(path) for path in Path("/sys/fs/bpf").glob("**/*")),
        "/run": sorted(os.listdir("/run")),
        "/var/lib": sorted(os.listdir("/var/lib")),
    }


def _routes6(*which: str) -> list[str]:
    return run("ip", "-6", "route", "show", *which).splitlines()


def _cgroups(tag: str) -> list[str]:
    """Of one instance: the cgroups are not the test's own."""
    return sorted(str(path) for path in Path("/sys/fs/cgroup").glob(f"**/*namewall*{tag}*"))


def _processes(root: Path) -> list[str]:
    """Every process that has the lab's root in its environment or command line."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            texts = [(directory / file).read_bytes() for file in ("environ", "cmdline")]
        except OSError:
            continue
        if any(str(root).encode() in text for text in texts) and directory.name != str(os.getpid()):
            found.append(f"{directory.name} {texts[1].decode(errors='replace')}")
    return found


@pytest.fixture
def uplink() -> Iterator[None]:
    """The host's link to a router that advertises itself, as most uplinks with IPv6 are."""
    if not os.environ.get("NAMEWALL_TEST_OWN_HOST"):
        yield
        return
    run("ip", "netns", "add", "router")
    run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "port", "netns", "router")
    # without duplicate address detection, which would change the addresses during the first seconds
    run("ip", "netns", "exec", "router", "sysctl", "-qw", "net.ipv6.conf.port.accept_dad=0")
    run("sysctl", "-qw", "net.ipv6.conf.uplink.accept_dad=0")
    run("ip", "-n", "router", "link", "set", "port", "up")
    run("ip", "link", "set", "uplink", "up")
    _advertised()
    yield
    run("ip", "link", "del", "uplink")
    run("ip", "netns", "del", "router")


def _advertised() -> list[str]:
    """The host's IPv6 default routes once the router was heard; [] if it is not within 5 s."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        subprocess.run(
            ["ip", "netns", "exec", "router", "python3", "-c", ADVERTISE], check=False, env=environment()
        )
        if routes := _routes6("default", "dev", "uplink"):
            return [" ".join(route.split()[:3]) for route in routes]
        time.sleep(0.1)
    return []


def _busy(lab: Lab, program: Path) -> None:
    """Pods run, Services have backends, a policy is enforced and a name was learned."""
    reader = Reader(lab, program)
    reader.write(PAGE)
    for step in [*page.prepare(), *page.egress()[1:6]]:
        outcome, difference = reader.take(step)
        assert difference is None, f"{step.line}: {difference}: {outcome}\n{lab.logs()}"


@pytest.mark.usefixtures("uplink")
def test_down_leaves_the_host_as_it_was_before_up(program: Path) -> None:
    before, settings = _host(), _sysctls()
    with cluster.lab(page_world()) as lab:
        root, tag = lab.root, lab.instance.tag
        _busy(lab, program)
        assert _host() != before
        assert _processes(root)
        assert _cgroups(tag)
    assert _processes(root) == []
    assert _cgroups(tag) == []
    assert not root.exists()
    after = _host()
    for what, was in before.items():
        assert after[what] == was, what
    now = _sysctls()
    assert {key: now.get(key) for key in settings} == settings


@pytest.mark.usefixtures("uplink")
def test_the_host_s_ipv6_default_route_survives_forwarding() -> None:
    """Forwarding makes Linux forget advertised routers, and deaf to them, unless accept_ra is 2."""
    heard = _advertised()
    assert heard
    with cluster.lab(page_world()):
        assert Path("/proc/sys/net/ipv6/conf/all/forwarding").read_text().strip() == "1"
        assert [" ".join(route.split()[:3]) for route in _routes6("default", "dev", "uplink")] == heard
        run("ip", "-6", "route", "del", "default", "dev", "uplink")
        assert _advertised() == heard, "the router is not heard any more"
    assert [" ".join(route.split()[:3]) for route in _routes6("default", "dev", "uplink")] == heard


@pytest.mark.usefixtures("uplink")
def test_the_default_instance_lives_beside_another_and_leaves_nothing_either() -> None:
    before, settings = _host(), _sysctls()

    def namewall(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = environment()
        env.pop("NAMEWALL_ROOT", None)
        return subprocess.run([NAMEWALL, *arguments], capture_output=True, text=True, check=False, env=env)

    up = namewall("up", "--detach", "--listen", "127.0.0.1:0")
    try:
        assert up.returncode == 0, up.stderr
        status = json.loads(namewall("status", "-o", "json").stdout)
        with cluster.lab(page_world()):
            assert json.loads(namewall("status", "-o", "json").stdout)["pods"] == status["pods"]
        after = json.loads(namewall("status", "-o", "json").stdout)
        assert (after["pods"], after["processes"]) == (status["pods"], status["processes"])
        links = [link["ifname"] for link in json.loads(run("ip", "-j", "link"))]
        assert all(pod["interface"] in links for pod in status["pods"])
    finally:
        down = namewall("down", "--purge")
    assert down.returncode == 0, down.stderr
    left = _host()
    for what, was in before.items():
        assert left[what] == was, what
    now = _sysctls()
    assert {key: now.get(key) for key in settings} == settings


def test_a_failed_up_leaves_the_host_as_it_was() -> None:
    before, settings = _host(), _sysctls()
    with cluster.lab(start=False) as lab:
        done = lab.namewall("up", "--detach", "--pod-cidr", "127.0.0.0/16", "--service-cidr", "10.255.0.0/24")
        assert done.returncode == 3, done.stderr
    assert (_host(), _sysctls()) == (before, settings)
