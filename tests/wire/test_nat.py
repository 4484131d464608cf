"""The nft table in namespaces: real sockets, v4 and v6, UDP and TCP."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from namewall.datapath.nat import HAIRPIN_SOURCES, Nat, NatTables, forward_obstacles
from namewall.datapath.nat_conntrack import forget_stale
from namewall.model.instance import Instance
from namewall.model.net import Protocol
from namewall.state.tables import ServiceBackend, VipKey

Net = Any
"""tests/wire/conftest.py has it."""

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft (package nftables)"),
]

PODS = {4: "10.77.1.", 6: "2001:db8:77:1::"}
VIPS = {4: "10.78.0.10", 6: "2001:db8:78::10"}
OUTSIDE = {4: "203.0.113.2", 6: "2001:db8:99::2"}
HOST_OUT = {4: "203.0.113.1", 6: "2001:db8:99::1"}
RANGES: dict[str, Any] = {
    "pod_ranges": (ip_network("10.77.1.0/24"), ip_network("2001:db8:77:1::/64")),
    "service_ranges": (ip_network("10.78.0.0/16"), ip_network("2001:db8:78::/64")),
    "nodes": (ip_address("203.0.113.1"), ip_address("2001:db8:99::1")),
}


@pytest.fixture
def nat(net: Net) -> Iterator[Nat]:
    nat = Nat(Instance("/tmp/nw-nat-test"))
    with net.inside(net.host):
        yield nat
        nat.remove()


def key(version: int, port: int, protocol: Protocol) -> VipKey:
    return VipKey(ip_address(VIPS[version]), port, int(protocol))


def pod(version: int, number: int) -> str:
    return f"{PODS[version]}{number}"


def backend(version: int, number: int, port: int) -> ServiceBackend:
    return ServiceBackend(ip_address(pod(version, number)), port)


def serving(
    version: int, protocol: Protocol, *backends: int, port: int = 53, target: int = 5353
) -> NatTables:
    there = tuple(backend(version, number, target) for number in backends)
    return NatTables({key(version, port, protocol): there}, **RANGES)


def wildcard(version: int) -> str:
    return "0.0.0.0" if version == 4 else "::"


@pytest.mark.parametrize("version", [4, 6])
def test_udp_is_spread_over_the_backends_and_keeps_its_source(net: Net, nat: Nat, version: int) -> None:
    nat.apply(serving(version, Protocol.UDP, 2, 3))
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(net.udp(net.pods[i], pod(version, i + 1), 5353, 0.02)) for i in (1, 2)]
        seen = [0, 0]
        for _ in range(40):
            client = stack.enter_context(net.udp(net.pods[0], wildcard(version)))
            client.sendto(b"?", (VIPS[version], 53))
            for index, server in enumerate(servers):
                with contextlib.suppress(TimeoutError):
                    _, source = server.recvfrom(10)
                    assert source[:2] == (pod(version, 1), client.getsockname()[1])
                    server.sendto(b"!", source)
                    seen[index] += 1
            answer, source = client.recvfrom(10)
            assert (answer, source[:2]) == (b"!", (VIPS[version], 53))
    assert min(seen) > 5
    assert sum(seen) == 40


@pytest.mark.parametrize("version", [4, 6])
def test_tcp_is_spread_over_the_backends_and_keeps_its_source(net: Net, nat: Nat, version: int) -> None:
    nat.apply(serving(version, Protocol.TCP, 2, 3, port=80, target=8080))
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(net.listener(net.pods[i], pod(version, i + 1), 8080)) for i in (1, 2)]
        seen = [0, 0]
        for server in servers:
            server.settimeout(0.02)
        for _ in range(40):
            stack.enter_context(net.connect(net.pods[0], VIPS[version], 80))
            for index, server in enumerate(servers):
                with contextlib.suppress(TimeoutError):
                    accepted, source = server.accept()
                    accepted.close()
                    assert source[0] == pod(version, 1)
                    seen[index] += 1
    assert min(seen) > 5
    assert sum(seen) == 40


def test_a_sticky_service_leads_one_client_to_one_backend(net: Net, nat: Nat) -> None:
    tables = serving(4, Protocol.TCP, 2, 3, port=80, target=8080)
    nat.apply(NatTables(tables.services, frozenset(tables.services), **RANGES))
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(net.listener(net.pods[i], pod(4, i + 1), 8080)) for i in (1, 2)]
        for server in servers:
            server.settimeout(0.02)
        for _ in range(10):
            stack.enter_context(net.connect(net.pods[0], VIPS[4], 80))
        reached = 0
        for server in servers:
            with contextlib.suppress(TimeoutError):
                server.accept()[0].close()
                reached += 1
    assert reached == 1


@pytest.mark.parametrize("version", [4, 6])
def test_the_host_reaches_services_too(net: Net, nat: Nat, version: int) -> None:
    nat.apply(serving(version, Protocol.TCP, 2, port=80, target=8080))
    with net.listener(net.pods[1], pod(version, 2), 8080), net.connect(net.host, VIPS[version], 80) as client:
        assert client.getpeername()[:2] == (VIPS[version], 80)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("where", ["pod", "host"])
def test_a_service_without_backends_is_silent_and_nothing_leaks_out(
    net: Net, nat: Nat, version: int, where: str
) -> None:
    nat.apply(serving(version, Protocol.UDP))
    namespace = net.pods[0] if where == "pod" else net.host
    # Outside would answer for the VIP, if the packet got there.
    net.ip("-n", net.outside, "addr", "add", VIPS[version], "dev", "lo")
    try:
        with net.udp(net.outside, wildcard(version), 53, 0.3) as leak:
            for port in (53, 54):
                with net.udp(namespace, wildcard(version)) as client, contextlib.suppress(PermissionError):
                    # The host's own send says EPERM for a dropped packet; a pod's just goes away.
                    client.sendto(b"?", (VIPS[version], port))
            with pytest.raises(TimeoutError):
                leak.recv(10)
        with pytest.raises((TimeoutError, PermissionError)):
            net.connect(namespace, VIPS[version], 80, timeout=0.3)
    finally:
        net.ip("-n", net.outside, "addr", "del", VIPS[version], "dev", "lo")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.TCP])
def test_a_pod_reaches_itself_through_its_own_service(
    net: Net, nat: Nat, version: int, protocol: Protocol
) -> None:
    nat.apply(serving(version, protocol, 1, port=80, target=8080))
    if protocol == Protocol.TCP:
        with (
            net.listener(net.pods[0], wildcard(version), 8080) as server,
            net.connect(net.pods[0], VIPS[version], 80) as client,
        ):
            accepted, source = server.accept()
            with accepted:
                accepted.sendall(b"!")
                assert client.recv(1) == b"!"
    else:
        with (
            net.udp(net.pods[0], wildcard(version), 8080) as server,
            net.udp(net.pods[0], wildcard(version)) as client,
        ):
            client.sendto(b"?", (VIPS[version], 80))
            _, source = server.recvfrom(1)
            server.sendto(b"!", source)
            assert client.recv(1) == b"!"
    assert ip_address(source[0]) in HAIRPIN_SOURCES


@pytest.mark.parametrize("version", [4, 6])
def test_masquerade_only_towards_the_outside(net: Net, nat: Nat, version: int) -> None:
    nat.apply(serving(version, Protocol.UDP, 2))
    for namespace, address, source in (
        (net.outside, OUTSIDE[version], HOST_OUT[version]),
        (net.host, HOST_OUT[version], pod(version, 1)),
        (net.pods[1], pod(version, 2), pod(version, 1)),
    ):
        with net.udp(namespace, address, 7777) as server, net.udp(net.pods[0], wildcard(version)) as client:
            client.sendto(b"?", (address, 7777))
            _, seen = server.recvfrom(1)
            assert seen[0] == source, address
            server.sendto(b"!", seen)
            assert client.recv(1) == b"!"


@pytest.mark.parametrize("version", [4, 6])
def test_a_udp_client_that_keeps_its_port_leaves_a_backend_that_is_gone(
    net: Net, nat: Nat, version: int
) -> None:
    nat.apply(serving(version, Protocol.UDP, 2))
    with (
        net.udp(net.pods[1], pod(version, 2), 5353, 0.3) as old,
        net.udp(net.pods[2], pod(version, 3), 5353, 0.3) as new,
        net.udp(net.pods[0], wildcard(version)) as client,
    ):
        client.sendto(b"1", (VIPS[version], 53))
        assert old.recv(1) == b"1"
        nat.apply(serving(version, Protocol.UDP, 3))
        client.sendto(b"2", (VIPS[version], 53))
        assert new.recv(1) == b"2"
        # A Service that is gone ends its clients' connections too; the VIP is closed from then on.
        nat.apply(NatTables(**RANGES))
        client.sendto(b"3", (VIPS[version], 53))
        with pytest.raises(TimeoutError):
            new.recv(1)


def test_connections_to_backends_that_stay_are_left_alone(net: Net, nat: Nat) -> None:
    tables = serving(4, Protocol.UDP, 2)
    nat.apply(tables)
    with net.udp(net.pods[1], pod(4, 2), 5353) as server, net.udp(net.pods[0], "0.0.0.0") as client:
        client.sendto(b"1", (VIPS[4], 53))
        server.recv(1)
        assert forget_stale(tables.services) == 0
        assert forget_stale(dict.fromkeys(tables.services, ())) == 1
        assert forget_stale(dict.fromkeys(tables.services, ())) == 0


def test_tcp_connections_outlive_a_new_table(net: Net, nat: Nat) -> None:
    nat.apply(serving(4, Protocol.TCP, 2, port=80, target=8080))
    with (
        net.listener(net.pods[1], pod(4, 2), 8080) as server,
        net.connect(net.pods[0], VIPS[4], 80) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            nat.apply(serving(4, Protocol.TCP, 3, port=80, target=8080))
            client.sendall(b"still")
            assert accepted.recv(5) == b"still"


def listing() -> str:
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout


def test_the_table_is_written_only_when_different_and_comes_back_after_a_flush(nat: Nat) -> None:
    tables = serving(4, Protocol.UDP, 2)
    assert nat.apply(tables)
    before = listing()
    assert not nat.apply(tables)
    # A new agent finds what the one before left.
    assert not Nat(Instance("/tmp/nw-nat-test")).apply(tables)
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    assert nat.apply(tables)
    assert listing() == before


def test_other_tables_are_as_they_were_also_those_of_a_second_instance(nat: Nat) -> None:
    subprocess.run(
        ["nft", "-f", "-"],
        input="table ip other { chain c { ip daddr 1.2.3.4 drop; }; }",
        text=True,
        check=True,
    )
    second = Nat(Instance("/tmp/nw-nat-test-2"))
    try:
        before = listing()
        nat.apply(serving(4, Protocol.UDP, 2))
        between = listing()
        second.apply(serving(6, Protocol.UDP, 2))
        second.remove()
        assert listing() == between
        nat.remove()
        nat.remove()
        assert listing() == before
    finally:
        second.remove()
        subprocess.run(["nft", "delete", "table", "ip", "other"], check=True)


def test_chains_that_drop_forwarded_packets_are_named(nat: Nat) -> None:
    assert forward_obstacles() == []
    text = "table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }"
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)
    try:
        (obstacle,) = forward_obstacles()
        assert "chain `FORWARD` of nft table `ip filter`" in obstacle
    finally:
        subprocess.run(["nft", "delete", "table", "ip", "filter"], check=True)


def test_a_thousand_services_are_written_at_once_and_found_in_constant_time(net: Net, nat: Nat) -> None:
    services = {
        VipKey(ip_address("10.78.1.0") + number, 80, int(Protocol.TCP)): tuple(
            backend(4, 2 + index, 8080 + number) for index in range(2)
        )
        for number in range(1000)
    }
    nat.apply(NatTables(services, **RANGES))
    last = next(reversed(services))
    with (
        net.listener(net.pods[1], wildcard(4), services[last][0].port),
        net.listener(net.pods[2], wildcard(4), services[last][0].port),
        net.connect(net.pods[0], str(last.address), 80) as client,
    ):
        assert isinstance(client, socket.socket)
