"""The world, running: reached from the host, and gone without trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.message
import dns.query
import pytest

from lab import netns, world
from lab.host import run
from lab.names import World, page_world, random_world
from namewall.model.instance import Instance

pytestmark = pytest.mark.root


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    here = Instance(str(tmp_path_factory.mktemp("nw")))
    yield here
    world.stop(here)


@pytest.fixture
def outside(instance: Instance) -> Iterator[World]:
    with world.running(page_world(netns.free_slot()), instance) as running:
        yield running


def _network_state() -> list[str]:
    return [
        *run("ip", "netns").splitlines(),
        *run("ip", "-br", "address").splitlines(),
        *run("ip", "route", "show", "table", "all").splitlines(),
        *run("ip", "-6", "route", "show", "table", "all").splitlines(),
    ]


def _head(name: str, address: object, *options: str) -> list[str]:
    where = f"[{address}]" if ":" in str(address) else str(address)
    command = [
        "curl",
        "-skI",
        *options,
        "--connect-timeout",
        "5",
        "--resolve",
        f"{name}:443:{where}",
        f"https://{name}",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


def test_every_address_serves_its_own_name_over_http2(outside: World) -> None:
    for site in outside.sites[:2]:
        for address in site.addresses:
            lines = _head(site.name, address)
            assert lines[0].strip() == "HTTP/2 200"
            assert f"x-served-by: {site.name}" in lines


def test_a_client_without_http2_is_served_too(outside: World) -> None:
    assert _head("cilium.io", outside.sites[1].addresses[0], "--http1.1")[0].startswith("HTTP/1.1 200")


@pytest.mark.parametrize("ask", [dns.query.udp, dns.query.tcp])
def test_names_are_answered_on_every_resolver_address(
    outside: World, ask: Callable[..., dns.message.Message]
) -> None:
    site = outside.site("kubernetes.io")
    assert site
    for resolver in outside.resolvers:
        answer = ask(dns.message.make_query(site.name, "A"), str(resolver), timeout=3)
        got = {item.address for rrset in answer.answer for item in rrset}
        assert got == {str(address) for address in site.at(4, 0)}


@pytest.mark.own_host
def test_stop_leaves_the_host_as_it_was(instance: Instance) -> None:
    before = _network_state()
    world.start(random_world(11, netns.free_slot()), instance)
    assert _network_state() != before
    world.stop(instance)
    assert _network_state() == before
    assert not Path(instance.root, "world").exists()
    world.stop(instance)  # again does nothing


@pytest.mark.own_host
def test_stop_also_clears_up_after_servers_that_were_killed(instance: Instance) -> None:
    before = _network_state()
    process = world.start(page_world(netns.free_slot()), instance)
    os.kill(process.pid, signal.SIGKILL)
    world.stop(instance)
    assert _network_state() == before


@pytest.mark.own_host
def test_a_second_world_in_the_same_slot_is_refused_and_the_first_not_touched(
    outside: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Instance(str(tmp_path_factory.mktemp("nw")))
    before = _network_state()
    with pytest.raises(RuntimeError, match=r"the host already has a route to .*; choose another slot"):
        world.start(page_world(outside.slot), other)
    assert _network_state() == before
    assert _head("cilium.io", outside.sites[1].addresses[0])[0].strip() == "HTTP/2 200"


def test_a_free_slot_is_one_the_host_does_not_route(outside: World) -> None:
    assert netns.free_slot() != outside.slot


@pytest.mark.own_host
def test_a_world_whose_servers_cannot_start_says_why_and_leaves_nothing(instance: Instance) -> None:
    before = _network_state()
    broken = World(page_world(netns.free_slot()).sites, netns.free_slot(), port=70000)
    with pytest.raises(RuntimeError, match=r"the world's servers did not start: .*"):
        world.start(broken, instance)
    assert _network_state() == before


def test_worlds_of_one_ip_version_have_no_address_of_the_other(instance: Instance) -> None:
    with world.running(page_world(netns.free_slot(), (6,)), instance) as outside:
        assert _head("kubernetes.io", outside.sites[0].addresses[0])[0].strip() == "HTTP/2 200"
        answer = dns.query.udp(dns.message.make_query("kubernetes.io", "A"), outside.upstream, timeout=3)
        assert answer.answer == []
        assert socket.inet_pton(socket.AF_INET6, outside.upstream)
