"""The routed veth: closed before it is opened, then IPv4 and IPv6 to the host and between pods."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from namewall.runtime import host, network, places
from namewall.runtime.base import Sandbox
from tests.e2e.runtime.harness import SOURCES, Lab


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


async def ping(lab: Lab, sandbox: Sandbox, address: object, seconds: int = 1) -> bool:
    code, _ = await lab.shell(sandbox, f"ping -c 1 -W {seconds} {address}")
    return code == 0


async def test_closed_until_opened(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000", is_open=False)
    _, carrier = await lab.shell(sandbox, "cat /sys/class/net/eth0/carrier")
    assert carrier == "0\n"
    four, six = sandbox.addresses
    assert str(four) not in ip("route")
    assert str(six) not in ip("-6", "route")
    pinging = subprocess.run(["ping", "-c", "1", "-W", "1", str(four)], capture_output=True, check=False)
    assert pinging.returncode != 0
    await lab.runtime.open(sandbox)
    await lab.runtime.open(sandbox)
    for address in sandbox.addresses:
        subprocess.run(["ping", "-c", "1", "-W", "2", str(address)], capture_output=True, check=True)


async def test_the_pods_side(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    _, out = await lab.shell(
        sandbox, "ip -o addr show dev eth0; ip route; ip -6 route; ip neigh; ip -o link show lo"
    )
    four, six = sandbox.addresses
    assert f"inet {four}/32" in out
    assert f"inet6 {six}/128 scope global" in out
    assert "tentative" not in out
    assert "fe80::/64" not in out, "no link-local address of its own"
    assert f"default via 169.254.1.1 dev eth0 src {four}" in out
    assert f"default via fe80::1 dev eth0 src {six}" in out
    gateway = sandbox.gateway_mac.hex(":")
    assert f"169.254.1.1 dev eth0 lladdr {gateway} PERMANENT" in out
    assert f"fe80::1 dev eth0 lladdr {gateway} PERMANENT" in out
    assert "LOOPBACK,UP" in out
    assert Path(f"/sys/class/net/{sandbox.ifname}/address").read_text().strip() == gateway
    _, mac = await lab.shell(sandbox, "cat /sys/class/net/eth0/address")
    assert mac.strip() == sandbox.mac.hex(":")


async def test_between_pods_both_families(lab: Lab) -> None:
    host.prepare_host(lab.instance)
    try:
        first, _ = await lab.run("sleep", "1000")
        second, _ = await lab.run("sleep", "1000", name="second")
        assert await ping(lab, first, second.addresses[0])
        assert await ping(lab, first, second.addresses[1])
    finally:
        host.restore_host(lab.instance)


async def test_the_gateway_answers(lab: Lab) -> None:
    """Also to who asks: neighbour entries of the pod's own kernel are not the only way."""
    sandbox, _ = await lab.run("sleep", "1000")
    netns = f"{places.pod(lab.instance.run_dir, sandbox.uid)}/net"

    def flush() -> None:
        ip("neigh", "del", "fe80::1", "dev", "eth0")
        ip("neigh", "del", "169.254.1.1", "dev", "eth0")

    network.inside(netns, flush)
    assert await ping(lab, sandbox, "fe80::1%eth0")
    _, out = await lab.shell(sandbox, "ip neigh")
    assert f"fe80::1 dev eth0 lladdr {sandbox.gateway_mac.hex(':')} router" in out
    if "default" in ip("route"):
        await ping(lab, sandbox, "203.0.113.77")
        _, out = await lab.shell(sandbox, "ip neigh")
        assert f"169.254.1.1 dev eth0 lladdr {sandbox.gateway_mac.hex(':')}" in out


async def test_a_source_that_is_not_its_own_is_dropped_even_without_programs(lab: Lab) -> None:
    """rp_filter; the datapath does the same earlier and for IPv6 too."""
    sandbox, _ = await lab.run("sleep", "1000")
    assert Path(f"/proc/sys/net/ipv4/conf/{sandbox.ifname}/rp_filter").read_text() == "1\n"
    for family, name, value in (("4", "forwarding", "1"), ("6", "forwarding", "1"), ("6", "accept_ra", "0")):
        assert Path(f"/proc/sys/net/ipv{family}/conf/{sandbox.ifname}/{name}").read_text() == f"{value}\n"


async def test_the_host_has_no_named_namespace_of_it(lab: Lab) -> None:
    sandbox, _ = await lab.run("sleep", "1000")
    mine = os.stat(f"{places.pod(lab.instance.run_dir, sandbox.uid)}/net")
    # Others on the machine may have some, and come and go.
    named = [os.stat(entry.path) for entry in os.scandir("/run/netns")] if os.path.isdir("/run/netns") else []
    assert (mine.st_dev, mine.st_ino) not in {(each.st_dev, each.st_ino) for each in named}


async def test_many_at_once(lab: Lab) -> None:
    sandboxes = await asyncio.gather(*(lab.run("sleep", "1000", name=f"pod{n}") for n in range(8)))
    assert len({sandbox.id for sandbox, _ in sandboxes}) == 8
    assert len({sandbox.ifindex for sandbox, _ in sandboxes}) == 8
    await asyncio.gather(*(lab.runtime.remove(sandbox) for sandbox, _ in sandboxes))
    assert not [name for name in os.listdir("/sys/class/net") if name.startswith(lab.instance.link_prefix)]


HOST_SCRIPT = """
import json, os, subprocess, sys
from namewall.runtime import host
from namewall.model.instance import Instance
record, first, second = sys.argv[1:]
host.RECORD = record
def run(line): subprocess.run(line.split(), check=True)
run("ip link set lo up")
run("ip link add up0 type veth peer name far0")
run("ip link set up0 up"); run("ip link set far0 up")
open("/proc/sys/net/ipv6/conf/up0/accept_ra", "w").write("1")
run("ip -6 addr add 2001:db8:77::2/64 dev up0 nodad")
# As learned from a router advertisement: what the kernel would drop when it begins to forward.
run("ip -6 route add default via fe80::99 dev up0 proto ra expires 1800")
def routes(): return subprocess.run(["ip", "-6", "route", "show", "default"], capture_output=True, text=True).stdout
before, route = host._values(), routes()
assert route, "the route is there"
one, two = Instance(first), Instance(second)
host.prepare_host(one)
during = host._values()
assert during["ipv4/ip_forward"] == during["ipv6/conf/all/forwarding"] == "1"
assert during["ipv6/conf/up0/accept_ra"] == "2"
assert routes().split("expires")[0] == route.split("expires")[0], routes()
host.prepare_host(one)
host.prepare_host(two)
run("ip link add late0 type veth peer name late1")
host.restore_host(one)
assert host._values()["ipv4/ip_forward"] == "1", "the other one still needs it"
host.restore_host(one)
host.restore_host(two)
after = {path: value for path, value in host._values().items() if "/late" not in path}
assert after == before, {p: (before.get(p), after.get(p)) for p in before if before.get(p) != after.get(p)}
assert routes().split("expires")[0] == route.split("expires")[0], routes()
assert not os.path.exists(record)
# A crash between the record and its use, and an instance that was erased without `down`.
host.prepare_host(one)
host.prepare_host(two)
os.rename(f"{record}/saved.json", f"{record}/before.json")
os.rmdir(two.run_dir)
host.restore_host(one)
assert {p: v for p, v in host._values().items() if "/late" not in p} == before
assert not os.path.exists(record)
print("done")
"""


async def test_host_settings_come_back(tmp_path: Path) -> None:
    roots = [tmp_path / name for name in ("one", "two")]
    for root in roots:
        (root / "run").mkdir(parents=True)
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", HOST_SCRIPT, str(tmp_path / "record"), *map(str, roots)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCES},
        check=False,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
