"""What `up` does to the host, `down` undoes: compared before and after, not listed by hand."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lab import cluster, netns, page
from lab.host import environment, run
from lab.names import page_world
from lab.play import Reader
from lab.scene import PAGE

pytestmark = pytest.mark.root

# What the kernel counts or draws by itself, and what belongs to links that come and go with others' tests
_VOLATILE = (
    "fs.",
    "kernel.random.",
    "kernel.ns_last_pid",
    "kernel.pty.nr",
    "net.netfilter.nf_conntrack_count",
    "kernel.sched",
    "vm.",
)


def _sysctls() -> dict[str, str]:
    text = subprocess.run(
        ["sysctl", "-a"], capture_output=True, text=True, check=False, env=environment()
    ).stdout
    pairs = (line.partition(" = ")[::2] for line in text.splitlines())
    return {key: value for key, value in pairs if not key.startswith(_VOLATILE)}


def _host() -> dict[str, object]:
    """Everything `up` could leave behind, by name, so that a difference reads as a sentence."""
    return {
        "ip netns": run("ip", "netns"),
        "ip link": [link["ifname"] for link in json.loads(run("ip", "-j", "link"))],
        "ip address": run("ip", "-br", "address"),
        "ip rule": run("ip", "rule") + run("ip", "-6", "rule"),
        "ip route": run("ip", "route", "show", "table", "all"),
        "ip -6 route": sorted(run("ip", "-6", "route", "show", "table", "all").splitlines()),
        "ip neigh proxy": run("ip", "neigh", "show", "proxy") + run("ip", "-6", "neigh", "show", "proxy"),
        "nft": run("nft", "list", "ruleset"),
        "mounts": sorted(
            line.split(" ", 3)[3] for line in Path("/proc/self/mountinfo").read_text().splitlines()
        ),
        "bpffs": sorted(str(path) for path in Path("/sys/fs/bpf").glob("**/*")),
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob("**/namewall*")),
        "/run": sorted(os.listdir("/run")),
        "/var/lib": sorted(os.listdir("/var/lib")),
    }


def _processes(root: Path) -> list[str]:
    """Every process that has the lab's root in its environment, command line or mounts."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        if directory.name == str(os.getpid()):
            continue
        try:
            texts = [(directory / file).read_bytes() for file in ("environ", "cmdline", "mountinfo")]
        except OSError:
            continue
        if any(str(root).encode() in text for text in texts[:2]):
            found.append(f"{directory.name} {texts[1].decode(errors='replace')}")
    return found


def _default_routes() -> list[dict[str, object]]:
    routes: list[dict[str, object]] = json.loads(run("ip", "-j", "-6", "route", "show", "default"))
    return [{key: route.get(key) for key in ("gateway", "dev", "metric")} for route in routes]


def test_down_leaves_the_host_as_it_was_before_up(program: Path) -> None:
    world = page_world(netns.free_slot())
    before, settings, routes = _host(), _sysctls(), _default_routes()
    with cluster.lab(world) as lab:
        root = lab.root
        reader = Reader(lab, program)
        reader.write(PAGE)
        for step in [*page.prepare(), *page.egress()[3:5]]:  # pods run and a policy is enforced
            outcome, difference = reader.take(step)
            assert difference is None, f"{step.line}: {difference}: {outcome}"
        assert _host() != before
        assert _processes(root)
        assert _default_routes() == routes, "the host's IPv6 default route went when forwarding came on"
        _routers_are_still_heard(settings)
    assert _processes(root) == []
    assert not root.exists()
    after = _host()
    for what, was in before.items():
        assert after[what] == was, what
    now = _sysctls()
    assert {key: now.get(key) for key in settings} == settings


def _routers_are_still_heard(settings: dict[str, str]) -> None:
    """Forwarding makes Linux ignore router advertisements unless accept_ra is 2: default routes would
    expire."""
    now = _sysctls()
    for key, value in settings.items():
        if key.startswith("net.ipv6.conf.") and key.endswith(".accept_ra") and value == "1":
            link = key.split(".")[3]
            if link not in ("all", "default", "lo") and now.get(f"net.ipv6.conf.{link}.forwarding") == "1":
                assert now.get(key) == "2", f"{key} is {now.get(key)} with forwarding on"


def test_a_failed_up_leaves_the_host_as_it_was() -> None:
    before, settings = _host(), _sysctls()
    with cluster.lab(start=False) as lab:
        done = lab.namewall("up", "--detach", "--pod-cidr", "127.0.0.0/16", "--service-cidr", "10.255.0.0/24")
        assert done.returncode == 3, done.stderr
    assert (_host(), _sysctls()) == (before, settings)
