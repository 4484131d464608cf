"""The programs, packet by packet: guard, policy, connections, fragments, services, DNS."""

from __future__ import annotations

import contextlib
import os
import random
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from bpf_lab import (
    ANY,
    RESOLVER4,
    RESOLVER6,
    TCP,
    UDP,
    WORLD4,
    WORLD6,
    Lab,
    Pod,
    a,
    allow,
    deny,
    egress,
    eventually,
    names,
    tables,
)
from packets import (
    ACK,
    ARP,
    FIN,
    L4,
    OTHER_MAC,
    PASS,
    REDIRECT,
    RST,
    SHOT,
    SYN,
    Bench,
    checksums_are_right,
    from_pod,
    icmp4,
    icmp6,
    ip,
    tcp,
    to_pod,
    udp,
    with_checksums,
)

from namewall.model.flow import Dropped, DropReason, Flow, Learned, MatchType, Refused
from namewall.model.net import Address, Direction
from namewall.policy.lookup import cidr_classes, lookup
from namewall.policy.map_state import (
    ALLOW_ALL,
    CidrPeer,
    FqdnPeer,
    IdentityPeer,
    MapState,
    PolicyEntry,
    PolicyKey,
    RuleOrigin,
)
from namewall.state.tables import IpcacheRow, KnownName, NodeTables, ServiceBackend, VipKey

INGRESS = Direction.INGRESS


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    shared_lab.datapath.read_events()
    yield shared_lab
    shared_lab.apply(NodeTables())


def own(pod: Pod, other: str) -> Address:
    return a(pod.ipv6 if ":" in other else pod.ipv4)


def out(pod: Pod, other: str, l4: object, **more: object) -> bytes:
    return ip(own(pod, other), a(other), l4, **more)  # type: ignore[arg-type]


def back(pod: Pod, other: str, l4: object, **more: object) -> bytes:
    return ip(a(other), own(pod, other), l4, **more)  # type: ignore[arg-type]


def reasons(bench: Bench) -> list[DropReason]:
    return [event.reason for event in bench.events() if isinstance(event, Dropped)]


# Without a row, and the guard.


def test_nothing_passes_without_a_row(lab: Lab, pod: Pod, bench: Bench) -> None:
    assert not bench.sends(pod, out(pod, WORLD4[0], tcp(1, 443)))
    assert not bench.gets(pod, back(pod, WORLD4[0], tcp(1, 443)))


@pytest.mark.parametrize("other", [WORLD4[0], WORLD6[0]])
def test_only_own_addresses_and_mac_leave_even_without_policy(
    lab: Lab, pod: Pod, bench: Bench, other: str
) -> None:
    lab.apply(tables(ALLOW_ALL, pod.row()))
    packet = out(pod, other, tcp(1, 443))
    assert bench.sends(pod, packet)
    assert bench.run("from_endpoint", pod, from_pod(pod, packet, mac=OTHER_MAC))[0] == SHOT
    assert reasons(bench) == [DropReason.INVALID_SOURCE_MAC]
    stranger = a("10.99.200.77") if "." in other else a("2001:db8:99::7777")
    assert not bench.sends(pod, ip(stranger, a(other), tcp(1, 443)))
    assert reasons(bench) == [DropReason.INVALID_SOURCE_IP]


def arp(mac: bytes, sender: str, target: str, operation: int = 1) -> bytes:
    return struct.pack(
        "!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, mac, a(sender).packed, bytes(6), a(target).packed
    )


def test_arp_is_for_own_addresses_and_the_gateway(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(ALLOW_ALL, pod.row()))

    def passes(packet: bytes) -> bool:
        return bench.run("from_endpoint", pod, from_pod(pod, packet, kind=ARP))[0] == PASS

    assert passes(arp(pod.mac, pod.ipv4, "169.254.1.1"))
    assert passes(arp(pod.mac, "0.0.0.0", pod.ipv4))
    assert not passes(arp(pod.mac, "169.254.1.1", "169.254.1.1", 2))
    assert not passes(arp(OTHER_MAC, pod.ipv4, "169.254.1.1"))
    assert not passes(arp(pod.mac, pod.ipv4, "10.99.200.77"))
    assert (
        bench.run("to_endpoint", pod, to_pod(pod, arp(OTHER_MAC, "1.2.3.4", pod.ipv4), kind=ARP))[0] == PASS
    )


def neighbour(kind: int, target: str) -> bytes:
    return struct.pack("!BBHI", kind, 0, 0, 0) + a(target).packed


def test_neighbour_discovery_is_for_own_addresses_and_the_gateway(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(ALLOW_ALL, pod.row()))
    from packets import L4

    def passes(source: str, kind: int, target: str, hops: int = 255) -> bool:
        return bench.sends(pod, ip(a(source), a("ff02::1"), L4(58, neighbour(kind, target)), hops=hops))

    assert passes(pod.ipv6, 135, "fe80::1")
    assert passes("::", 135, pod.ipv6)
    assert passes(pod.ipv6, 136, pod.ipv6)
    assert passes("fe80::1234", 136, "fe80::1234")
    assert not passes(pod.ipv6, 136, "fe80::1")
    assert not passes("fe80::1", 136, "fe80::1")
    assert not passes(pod.ipv6, 136, "2001:db8:99::7777")
    assert not passes(pod.ipv6, 135, "fe80::1", hops=64)
    for kind in (133, 134, 137):
        assert not passes(pod.ipv6, kind, "fe80::1"), kind
    assert not bench.gets(pod, ip(a("fe80::1"), a(pod.ipv6), L4(58, neighbour(134, "::")), hops=255))
    assert bench.gets(pod, ip(a("fe80::1"), a(pod.ipv6), L4(58, neighbour(135, pod.ipv6)), hops=255))


def test_no_vlan_dhcp_server_or_mapped_address(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(ALLOW_ALL, pod.row()))
    packet = out(pod, WORLD4[0], tcp(1, 443))
    assert bench.run("from_endpoint", pod, from_pod(pod, b"\0\7\x08\0" + packet, kind=0x8100))[0] == SHOT
    assert not bench.sends(pod, out(pod, WORLD4[0], udp(67, 68)))
    assert not bench.sends(pod, out(pod, WORLD6[0], udp(547, 546)))
    assert not bench.sends(pod, ip(a(pod.ipv6), a("::ffff:203.0.113.1"), tcp(1, 443)))
    assert reasons(bench) == [
        DropReason.VLAN_FILTERED,
        DropReason.DHCP_SERVER,
        DropReason.DHCP_SERVER,
        DropReason.MAPPED_ADDRESS,
    ]


# Policy.


def test_a_flow_event_names_the_entry(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(egress(allow(IdentityPeer(9), TCP, 443)), pod.row()))
    assert bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 443)))
    assert bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 443, ACK)))
    assert not bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 80)))
    flow, dropped = bench.events()
    assert isinstance(flow, Flow)
    assert (flow.endpoint, flow.local_port, flow.remote_port, flow.identity) == (pod.number, 1000, 443, 9)
    assert (flow.match, flow.peer, flow.l4_bits) == (MatchType.L3_L4, 9, 24)
    assert isinstance(dropped, Dropped)
    assert (dropped.reason, dropped.match) == (DropReason.POLICY_DENIED, MatchType.NONE)


def test_drops_like_the_last_are_counted_not_told(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(egress(), pod.row()))
    before = lab.datapath.drops().get(DropReason.POLICY_DENIED, 0)
    for _ in range(5):
        assert not bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 443)))
    assert reasons(bench) == [DropReason.POLICY_DENIED]
    assert lab.datapath.drops()[DropReason.POLICY_DENIED] == before + 5


PREFIXES = [
    ip_network(text)
    for text in ("203.0.113.0/24", "203.0.113.4/30", "203.0.113.5/32", "10.99.0.0/16", "2001:db8:2::/64")
]
ADDRESSES = [
    "203.0.113.5",
    "203.0.113.6",
    "203.0.113.99",
    "10.99.200.50",
    "10.99.201.1",
    "2001:db8:2::9",
    "192.0.2.9",
]
FORMS = ["a.example.", "b.example.", "*.example."]
PEERS = [
    ANY,
    *(IdentityPeer(number) for number in (1, 9, 10, 15, 300, 301)),
    *(CidrPeer(prefix, pods) for prefix in PREFIXES for pods in (False, True)),
    *(FqdnPeer(form) for form in FORMS),
]
L4S = [(0, 0, 0), (6, 0, 0), (6, 443, 16), (6, 440, 13), (6, 0, 1), (17, 5000, 16), (17, 0, 0)]
IDENTITIES = {
    ip_network("10.99.0.0/16"): IpcacheRow(15, inside=True),
    ip_network("10.99.200.50/32"): IpcacheRow(300, inside=True),
    ip_network("10.99.201.1/32"): IpcacheRow(301, inside=True),
    ip_network("0.0.0.0/0"): IpcacheRow(9, inside=False),
    ip_network("::/0"): IpcacheRow(10, inside=False),
}


def covered(state: dict[PolicyKey, PolicyEntry]) -> MapState:
    """As `compile` gives it: without allows that a deny of the same peer covers."""
    from namewall.policy.compile import covering

    kept = {
        key: entry
        for key, entry in state.items()
        if entry.deny or not any(wide in state and state[wide].deny for wide in covering(key))
    }
    return MapState(enforce_ingress=True, enforce_egress=True, entries=kept)


def test_the_kernel_decides_as_lookup_does(lab: Lab, pod: Pod, bench: Bench) -> None:
    """Random policies of every kind of peer, denies among them, both directions: policy/lookup.py is the oracle."""
    rng = random.Random(2)
    learned = {"203.0.113.6": "a.example.", "2001:db8:2::9": "b.example.", "203.0.113.99": "c.example."}
    far = lab_time() + 1000
    known = frozenset(KnownName(pod.row().scope, name, a(address), far) for address, name in learned.items())
    compared = 0
    port = 1024
    for _ in range(40):
        entries: dict[PolicyKey, PolicyEntry] = {}
        for _ in range(rng.randint(0, 12)):
            protocol, number, bits = rng.choice(L4S)
            direction = rng.choice(list(Direction))
            peer = rng.choice(PEERS)
            if isinstance(peer, FqdnPeer):
                direction = Direction.EGRESS
            entry = PolicyEntry(deny=rng.random() < 0.25 and not isinstance(peer, FqdnPeer))
            entries[PolicyKey(direction, peer, protocol, number, bits)] = entry
        state = covered(entries)
        lab.apply(
            tables(state, pod.row(), ipcache=IDENTITIES, prefixes=frozenset(PREFIXES), known_names=known)
        )
        for address in ADDRESSES:
            row = next(
                IDENTITIES[p] for p in sorted(IDENTITIES, key=lambda p: -p.prefixlen) if a(address) in p
            )
            granted = [
                form
                for form in FORMS
                if address in learned
                and not row.inside
                and (form == learned[address] or form == "*.example.")
            ]
            for direction in Direction:
                for l4, destination in ((TCP, 443), (TCP, 80), (UDP, 5000), (UDP, 6000)):
                    port += 1
                    expected = lookup(
                        state,
                        direction,
                        row.identity,
                        cidr_classes(a(address), PREFIXES, row.inside),
                        granted if direction is Direction.EGRESS else (),
                        l4,
                        destination,
                    )
                    layer = tcp(port, destination) if l4 == TCP else udp(port, destination)
                    if direction is Direction.EGRESS:
                        passed = bench.sends(pod, out(pod, address, layer))
                    else:
                        passed = bench.gets(pod, back(pod, address, layer))
                    assert passed == (expected.verdict == "allow"), (
                        state,
                        address,
                        direction,
                        l4,
                        destination,
                    )
                    if not passed:
                        told = reasons(bench)
                        assert not told or told[-1].name == expected.reason
                    compared += 1
        bench.events()
    assert compared == 40 * len(ADDRESSES) * 8


def lab_time() -> float:
    import time

    return time.clock_gettime(time.CLOCK_BOOTTIME)


def test_only_what_the_host_itself_sends_is_the_host(lab: Lab, pod: Pod, bench: Bench) -> None:
    state = MapState(True, False, dict([allow(IdentityPeer(1), direction=INGRESS)]))
    lab.apply(tables(state, pod.row()))
    packet = back(pod, "198.51.100.1", tcp(1, 80))
    assert not bench.gets(pod, packet)
    assert bench.gets(pod, packet, local=True)


# Connections.


def test_replies_pass_and_strangers_do_not(lab: Lab, pod: Pod, bench: Bench) -> None:
    state = MapState(True, True, dict([allow(IdentityPeer(9), TCP, 443)]))
    lab.apply(tables(state, pod.row()))
    reply = back(pod, WORLD4[0], tcp(443, 1000, SYN | ACK))
    assert not bench.gets(pod, reply)
    assert bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 443)))
    assert bench.gets(pod, reply)
    assert not bench.gets(pod, back(pod, WORLD4[0], tcp(443, 1001, SYN | ACK)))
    assert not bench.gets(pod, back(pod, WORLD4[1], tcp(443, 1000, ACK)))


def test_a_closed_connection_is_soon_forgotten(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(egress(allow(IdentityPeer(9), TCP, 443)), pod.row()))
    assert bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 443)))
    assert bench.gets(pod, back(pod, WORLD4[0], tcp(443, 1000, SYN | ACK)))
    assert lab.datapath.connections()[0].expires - lab_time() > 7000
    assert bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 443, FIN | ACK)))
    assert lab.datapath.connections()[0].expires - lab_time() > 7000
    assert bench.gets(pod, back(pod, WORLD4[0], tcp(443, 1000, FIN | ACK)))
    assert lab.datapath.connections()[0].expires - lab_time() < 11
    assert bench.sends(pod, out(pod, WORLD4[0], tcp(1001, 443)))
    assert bench.gets(pod, back(pod, WORLD4[0], tcp(443, 1001, RST)))
    assert all(connection.expires - lab_time() < 11 for connection in lab.datapath.connections())


def test_a_policy_edit_reaches_established_connections(lab: Lab, pod: Pod, bench: Bench) -> None:
    row = pod.row()
    lab.apply(tables(egress(allow(IdentityPeer(9))), row))
    assert bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 443)))
    assert bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 80)))
    lab.apply(tables(egress(allow(IdentityPeer(9), TCP, 443)), row))
    assert bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 443, ACK)))
    assert not bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 80, ACK)))
    lab.apply(tables(MapState(True, True, dict([allow(IdentityPeer(300))])), row))
    assert not bench.gets(pod, back(pod, WORLD4[0], tcp(443, 1000, ACK)))


def test_echo_replies_pass_and_other_types_are_judged(lab: Lab, pod: Pod, bench: Bench) -> None:
    state = MapState(True, True, dict([allow(IdentityPeer(9), 1, 8), allow(IdentityPeer(10), 58, 128)]))
    lab.apply(tables(state, pod.row()))
    for other, request, reply in ((WORLD4[0], icmp4(8), icmp4(0)), (WORLD6[0], icmp6(128), icmp6(129))):
        assert not bench.gets(pod, back(pod, other, reply))
        assert bench.sends(pod, out(pod, other, request))
        assert bench.gets(pod, back(pod, other, reply))
        assert not bench.gets(pod, back(pod, other, request))
    assert not bench.sends(pod, out(pod, WORLD4[0], icmp4(13)))


def test_a_prefix_of_all_ipv6_is_no_prefix_of_ipv4(lab: Lab, pod: Pod, bench: Bench) -> None:
    everything = ip_network("::/0")
    rows = pod.row()
    state = egress(allow(CidrPeer(everything), TCP, 443))
    lab.apply(tables(state, rows, prefixes=frozenset({everything})))
    assert bench.sends(pod, out(pod, WORLD6[0], tcp(1, 443)))
    assert not bench.sends(pod, out(pod, WORLD4[0], tcp(1, 443)))
    both = {everything, ip_network("0.0.0.0/0")}
    wide = egress(*(allow(CidrPeer(prefix), TCP, 443) for prefix in both))
    lab.apply(tables(wide, rows, prefixes=frozenset(both)))
    assert bench.sends(pod, out(pod, WORLD4[0], tcp(2, 443)))
    lab.apply(tables(state, rows, prefixes=frozenset({everything})))
    assert not bench.sends(pod, out(pod, WORLD4[0], tcp(2, 443, ACK)))


@pytest.mark.parametrize("allowed", [8, 13, 3, 17])
def test_an_icmp_type_opens_no_other(lab: Lab, pod: Pod, bench: Bench, allowed: int) -> None:
    lab.apply(tables(egress(allow(protocol=1, port=allowed)), pod.row()))
    assert bench.sends(pod, out(pod, WORLD4[0], icmp4(allowed)))
    for other in {0, 3, 4, 5, 8, 11, 12, 13, 14, 15, 17, 18, 40} - {allowed}:
        assert not bench.sends(pod, out(pod, WORLD4[0], icmp4(other))), other


def test_echo_and_timestamp_are_answered(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(MapState(True, True, dict([allow(protocol=1)])), pod.row()))
    for asks, answers in ((8, 0), (13, 14)):
        assert not bench.gets(pod, back(pod, WORLD4[0], icmp4(answers, 9)))
        assert bench.sends(pod, out(pod, WORLD4[0], icmp4(asks, 9)))
        assert not bench.gets(pod, back(pod, WORLD4[0], icmp4(answers, 10)))
        assert bench.gets(pod, back(pod, WORLD4[0], icmp4(answers, 9)))
        assert not bench.gets(pod, back(pod, WORLD4[0], icmp4(asks, 9)))


def test_an_icmp_error_about_nothing_passes_where_its_type_may(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(MapState(True, True, dict([allow(protocol=1, port=3)])), pod.row()))
    assert bench.sends(pod, out(pod, WORLD4[0], icmp4(3)))
    assert not bench.sends(pod, out(pod, WORLD4[0], icmp4(11)))
    assert not bench.gets(pod, back(pod, WORLD4[0], icmp4(3))), "that is no answer to the one sent"


@pytest.mark.parametrize("other", [WORLD4[0], WORLD6[0]])
def test_icmp_errors_pass_for_known_connections_only(lab: Lab, pod: Pod, bench: Bench, other: str) -> None:
    lab.apply(tables(MapState(True, True, dict([allow(ANY, TCP, 443)])), pod.row()))
    router = "203.0.113.200" if "." in other else "2001:db8:2::200"
    kind = icmp4 if "." in other else icmp6
    number = 3 if "." in other else 1

    def error(inner: bytes) -> bytes:
        return back(pod, router, kind(number, 0, inner))

    assert not bench.gets(pod, error(out(pod, other, tcp(1000, 443))))
    assert reasons(bench) == [DropReason.ICMP_ERROR_UNRELATED]
    assert bench.sends(pod, out(pod, other, tcp(1000, 443)))
    assert bench.gets(pod, error(out(pod, other, tcp(1000, 443))))
    assert not bench.gets(pod, error(out(pod, other, tcp(1001, 443))))
    assert not bench.gets(pod, error(back(pod, other, tcp(1000, 443))))
    assert not bench.gets(pod, error(b""))


def test_other_protocols_need_no_policy_at_all_to_pass(lab: Lab, pod: Pod, bench: Bench) -> None:
    from packets import L4

    for protocol in (4, 41, 47, 50):
        packet = out(pod, WORLD4[0], L4(protocol, bytes(20)))
        lab.apply(tables(ALLOW_ALL, pod.row()))
        assert bench.sends(pod, packet)
        lab.apply(tables(egress(allow()), pod.row()))
        assert not bench.sends(pod, packet)


def test_fragments_follow_their_first(lab: Lab, pod: Pod, bench: Bench) -> None:
    from packets import L4

    lab.apply(tables(egress(allow(IdentityPeer(9), UDP, 5000)), pod.row()))
    more, rest = 0x2000, 0x0003
    first = out(pod, WORLD4[0], udp(1, 5000, bytes(16)), fragment=more)
    later = out(pod, WORLD4[0], L4(17, bytes(16)), fragment=rest)
    assert not bench.sends(pod, later)
    assert bench.sends(pod, first)
    assert bench.sends(pod, later)
    assert not bench.sends(pod, out(pod, WORLD4[0], L4(17, bytes(16)), fragment=rest, number=8))
    assert not bench.sends(pod, out(pod, WORLD4[0], udp(1, 6000, bytes(16)), fragment=more, number=9))
    assert not bench.sends(pod, out(pod, WORLD4[0], L4(17, bytes(16)), fragment=rest, number=9))


def test_options_and_extension_headers(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(egress(allow(ANY, TCP, 443)), pod.row()))
    assert not bench.sends(pod, out(pod, WORLD4[0], tcp(1, 443), options=bytes([7, 4, 4, 0])))
    hop = bytes([60, 0, 1, 4, 0, 0, 0, 0])  # hop-by-hop, destination options next
    last = bytes([6, 0, 1, 4, 0, 0, 0, 0])
    assert bench.sends(pod, out(pod, WORLD6[0], tcp(1, 443), extensions=hop + last, first=0))
    assert not bench.sends(pod, out(pod, WORLD6[0], tcp(1, 80), extensions=hop + last, first=0))
    routing = bytes([6, 0, 0, 1, 0, 0, 0, 0])
    assert not bench.sends(pod, out(pod, WORLD6[0], tcp(1, 443), extensions=routing, first=43))
    many = bytes([0, 0, 1, 4, 0, 0, 0, 0]) * 9
    assert not bench.sends(pod, out(pod, WORLD6[0], tcp(1, 443), extensions=many, first=0))


def test_short_and_lying_packets_drop(lab: Lab, pod: Pod, bench: Bench) -> None:
    from packets import L4

    lab.apply(tables(egress(allow()), pod.row()))
    assert not bench.sends(pod, out(pod, WORLD4[0], L4(6, bytes(6))))
    whole = out(pod, WORLD4[0], tcp(1, 443))
    assert not bench.sends(pod, whole[:2] + (200).to_bytes(2, "big") + whole[4:])
    assert not bench.sends(pod, bytes([0x44]) + whole[1:])
    rng = random.Random(4)
    for _ in range(300):
        bench.run("from_endpoint", pod, from_pod(pod, bytes(rng.choices(range(256), k=60)), kind=0x0800))
        bench.run("to_endpoint", pod, to_pod(pod, bytes(rng.choices(range(256), k=80)), kind=0x86DD))


# Services.


def vip_tables(pod: Pod, state: MapState, backends: tuple[ServiceBackend, ...]) -> object:
    vip = VipKey(a("10.98.0.10"), 53, UDP)
    ipcache = {
        ip_network("10.98.0.0/16"): IpcacheRow(15, inside=True),
        ip_network("10.99.0.0/16"): IpcacheRow(15, inside=True),
        ip_network("10.99.200.50/32"): IpcacheRow(300, inside=True),
        ip_network("10.99.200.51/32"): IpcacheRow(301, inside=True),
    }
    return tables(
        state, pod.row(), ipcache=ipcache, services={vip: backends, replace(vip, protocol=TCP): backends}
    )


def test_a_service_needs_every_backend(lab: Lab, pod: Pod, bench: Bench) -> None:
    one, two = ServiceBackend(a("10.99.200.50"), 5353), ServiceBackend(a("10.99.200.51"), 5353)
    state = egress(allow(IdentityPeer(300), TCP, 5353))
    packet = out(pod, "10.98.0.10", tcp(1, 53))
    lab.apply(vip_tables(pod, state, (one,)))  # type: ignore[arg-type]
    assert bench.sends(pod, packet)
    lab.apply(vip_tables(pod, state, (one, two)))  # type: ignore[arg-type]
    assert not bench.sends(pod, out(pod, "10.98.0.10", tcp(2, 53)))
    lab.apply(vip_tables(pod, state, (replace(one, port=53),)))  # type: ignore[arg-type]
    assert not bench.sends(pod, out(pod, "10.98.0.10", tcp(3, 53)))
    assert not bench.sends(pod, out(pod, "10.98.0.10", tcp(4, 5353)))


def test_a_service_without_backends_drops_for_everyone(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(vip_tables(pod, ALLOW_ALL, ()))  # type: ignore[arg-type]
    assert not bench.sends(pod, out(pod, "10.98.0.10", tcp(1, 53)))
    assert reasons(bench) == [DropReason.SERVICE_BACKEND_NOT_FOUND]


def test_a_service_with_too_many_kinds_of_backend_drops(lab: Lab, pod: Pod, bench: Bench) -> None:
    backends = tuple(ServiceBackend(a("10.99.200.50"), 1000 + i) for i in range(17))
    lab.apply(vip_tables(pod, egress(allow()), backends))  # type: ignore[arg-type]
    assert not bench.sends(pod, out(pod, "10.98.0.10", tcp(1, 53)))
    assert reasons(bench) == [DropReason.TOO_MANY_BACKENDS]


def test_questions_at_a_service_obey_all_backends(lab: Lab, pod: Pod, bench: Bench) -> None:
    one, two = ServiceBackend(a("10.99.200.50"), 5353), ServiceBackend(a("10.99.200.51"), 5353)
    state = egress(
        allow(IdentityPeer(300), UDP, 5353, dns=frozenset({"a.example.", "b.example."})),
        allow(IdentityPeer(301), UDP, 5353, dns=frozenset({"b.example.", "c.example."})),
    )
    lab.apply(vip_tables(pod, state, (one, two)))  # type: ignore[arg-type]

    def asks(name: str) -> int:
        return bench.run("from_endpoint", pod, from_pod(pod, question(pod, name, server="10.98.0.10")))[0]

    assert [asks(f"{letter}.example") for letter in "abc"] == [REDIRECT, PASS, REDIRECT]


# DNS.


def question(
    pod: Pod,
    name: str,
    kind: str = "A",
    server: str = RESOLVER4,
    number: int = 77,
    port: int = 4000,
    edns: bool = False,
) -> bytes:
    query = dns.message.make_query(name, kind, use_edns=0 if edns else False)
    query.id = number
    return with_checksums(out(pod, server, udp(port, 53, query.to_wire())))


def reply(
    pod: Pod,
    query: bytes,
    *records: str,
    server: str = RESOLVER4,
    port: int = 4000,
    number: int | None = None,
) -> bytes:
    start = 28 if "." in server else 48
    response = dns.message.make_response(dns.message.from_wire(query[start:]))
    if number is not None:
        response.id = number
    for record in records:
        owner, ttl, klass, kind, data = record.split(" ", 4)
        response.answer.append(dns.rrset.from_text(owner, int(ttl), klass, kind, data))
    return back(pod, server, udp(53, port, response.to_wire(max_size=4000)))


def learned(bench: Bench) -> list[tuple[str, tuple[str, ...], int]]:
    return [
        (event.name, tuple(map(str, event.addresses)), event.ttl)
        for event in bench.events()
        if isinstance(event, Learned)
    ]


def test_a_question_met_before_is_judged_as_if_it_was_not(lab: Lab, pod: Pod, bench: Bench) -> None:
    """What bpf/recall.h remembers is of one endpoint, policy, server, port, name; nothing else profits."""
    other = lab.pod(pod.number + 1)
    mine = egress(
        allow(CidrPeer(ip_network(f"{RESOLVER4}/32")), UDP, 53, dns=frozenset({"a.example."})),
    )
    both = {1: mine, 2: names("b.example.")}
    lab.apply(tables(mine, pod.row(), other.row(policy=2), policies=both))

    def asks(name: str, pod: Pod = pod, **more: str) -> int:
        return bench.run("from_endpoint", pod, from_pod(pod, question(pod, name, **more)))[0]  # type: ignore[arg-type]

    for _ in range(3):
        assert asks("a.example") == asks("A.exAMPLE") == asks("a.example", kind="AAAA") == PASS
        assert asks("b.example") == asks("aa.example") == asks("a.example.a.example") == REDIRECT
        assert asks("a.example", server="198.51.100.99") == SHOT
        assert asks("a.example", pod=other) == REDIRECT
        assert asks("b.example", pod=other) == PASS
    bench.events()
    lab.apply(tables(mine, pod.row(), other.row(policy=2), policies={1: names("b.example."), 2: mine}))
    for _ in range(3):
        assert asks("a.example") == asks("b.example", pod=other) == REDIRECT
        assert asks("b.example") == asks("a.example", pod=other) == PASS
    assert {event.name for event in bench.events() if isinstance(event, Refused)} == {
        "a.example.",
        "b.example.",
    }
    asked = question(pod, "b.example")
    assert bench.sends(pod, asked)
    assert bench.gets(pod, reply(pod, asked, "b.example. 100 IN A 203.0.113.1"))
    assert learned(bench) == [("b.example.", ("203.0.113.1",), 100)]


def test_an_answer_is_told_when_it_says_something_new(lab: Lab, pod: Pod, bench: Bench) -> None:
    """A repeated one is not; another address, a deadline that moved on, and an edited policy are."""

    def told(*records: str) -> list[tuple[str, tuple[str, ...], int]]:
        asked = question(pod, "a.example")
        assert bench.sends(pod, asked)
        assert bench.gets(pod, reply(pod, asked, *records))
        return learned(bench)

    one, two = "a.example. 100 IN A 203.0.113.1", "a.example. 100 IN A 203.0.113.2"
    lab.apply(tables(names("a.example."), pod.row()))
    assert len(told(one)) == 1
    assert told(one) == []
    assert told(two) == [("a.example.", ("203.0.113.2",), 100)]
    assert len(told(one, two)) == 1
    assert told(two, one) == []
    assert told(two.replace(" 100 ", " 120 "), one.replace(" 100 ", " 120 ")) == []
    assert len(told(two.replace(" 100 ", " 140 "), one.replace(" 100 ", " 140 "))) == 1
    assert {str(grant.address) for grant in lab.datapath.grants()} == {"203.0.113.1", "203.0.113.2"}
    lab.apply(tables(names("a.example.", "b.example."), pod.row()))
    assert len(told(two.replace(" 100 ", " 140 "), one.replace(" 100 ", " 140 "))) == 1


@contextlib.contextmanager
def one_cpu() -> Iterator[None]:
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_of_them)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


def test_a_flood_of_flows_is_told_up_to_a_ration(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(egress(allow()), pod.row()))
    begun = time.monotonic()
    with one_cpu():  # each has a ration of its own
        for port in range(1500):
            assert bench.sends(pod, out(pod, WORLD4[0], tcp(1000 + port, 443)))
    seconds = 1 + int(time.monotonic() - begun)
    assert 1000 <= len(bench.events()) <= 1000 * seconds


def test_a_refusal_is_a_whole_answer(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(names("a.example."), pod.row()))
    for server in (RESOLVER4, RESOLVER6):
        for edns in (False, True):
            for name in ("x.example", "xy.example", "xyz.long-name-of-something.example"):
                packet = question(pod, name, server=server, edns=edns)
                action, after = bench.run("from_endpoint", pod, from_pod(pod, packet))
                assert action == REDIRECT
                assert after[:12] == pod.mac + pod.gateway_mac
                assert checksums_are_right(after[14:])
                start = 14 + (28 if "." in server else 48)
                answer = dns.message.from_wire(after[start:])
                asked = dns.message.from_wire(packet[start - 14 :])
                assert asked.is_response(answer)
                assert answer.rcode() == dns.rcode.REFUSED
                assert answer.id == 77
                assert [str(q.name) for q in answer.question] == [f"{name}."]
                assert [o.code for o in answer.options] == ([15] if edns else [])
                if edns:
                    assert answer.options[0].to_wire()[:2] == b"\0\x0f"
    assert {event.name for event in bench.events() if isinstance(event, Refused)} == {
        "x.example.",
        "xy.example.",
        "xyz.long-name-of-something.example.",
    }


def test_upper_case_is_lower_case(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(names("a.example."), pod.row()))
    asked = question(pod, "A.eXample")
    assert bench.sends(pod, asked)
    assert bench.gets(pod, reply(pod, asked, "a.EXAMPLE. 300 IN A 203.0.113.1"))
    assert learned(bench) == [("a.example.", ("203.0.113.1",), 300)]


def test_an_answer_is_for_its_question_only(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(names("a.example.", "b.example."), pod.row()))
    asked, other = question(pod, "a.example"), question(pod, "b.example")
    answer = reply(pod, asked, "a.example. 300 IN A 203.0.113.1")
    assert not bench.gets(pod, answer)
    assert reasons(bench) == [DropReason.DNS_UNSOLICITED]
    assert bench.sends(pod, asked)
    assert not bench.gets(pod, reply(pod, asked, "a.example. 300 IN A 203.0.113.1", number=78))
    assert not bench.gets(pod, reply(pod, asked, "a.example. 300 IN A 203.0.113.1", port=4001))
    assert not bench.gets(pod, reply(pod, other, "b.example. 300 IN A 203.0.113.1"))
    assert not bench.gets(pod, reply(pod, question(pod, "a.example", "AAAA")))
    wrong = ip(a("198.51.100.99"), a(pod.ipv4), udp(53, 4000, answer[28:]))
    assert not bench.gets(pod, wrong)
    assert learned(bench) == []
    assert bench.gets(pod, answer)
    assert learned(bench) == [("a.example.", ("203.0.113.1",), 300)]
    assert not bench.gets(pod, answer)
    # Sent twice, answered twice.
    assert bench.sends(pod, asked)
    assert bench.sends(pod, asked)
    assert bench.gets(pod, answer)
    assert bench.gets(pod, answer)
    assert not bench.gets(pod, answer)


@pytest.mark.parametrize(
    ("records", "expected", "ttl"),
    [
        (["a.example. 300 IN A 203.0.113.1", "a.example. 200 IN A 203.0.113.2"], 2, 200),
        (["a.example. 300 IN CNAME c.example.", "c.example. 100 IN A 203.0.113.1"], 1, 100),
        (["a.example. 90 IN CNAME c.example.", "c.example. 100 IN A 203.0.113.1"], 1, 90),
        (["a.example. 5 IN A 203.0.113.1"], 1, 60),
        (["c.example. 300 IN A 203.0.113.1"], 0, 0),
        (["a.example. 300 IN A 203.0.113.1", "c.example. 3 IN A 203.0.113.2"], 1, 300),
        (["x.example. 300 IN CNAME c.example.", "c.example. 100 IN A 203.0.113.1"], 0, 0),
        # In any order: what matters is where the chain leads.
        (
            [
                "d.example. 300 IN A 203.0.113.1",
                "c.example. 300 IN CNAME d.example.",
                "a.example. 300 IN CNAME c.example.",
            ],
            1,
            300,
        ),
        # A loop leads nowhere and ends.
        (["a.example. 300 IN CNAME c.example.", "c.example. 300 IN CNAME a.example."], 0, 0),
        (
            [
                'a.example. 300 IN HTTPS 1 . alpn="h2" ipv4hint="203.0.113.1,203.0.113.2" ipv6hint="2001:db8:2::1"'
            ],
            3,
            300,
        ),
        (["a.example. 300 IN SVCB 0 c.example."], 0, 0),
        (["a.example. 300 IN TXT hello"], 0, 0),
    ],
)
def test_what_an_answer_teaches(
    lab: Lab, pod: Pod, bench: Bench, records: list[str], expected: int, ttl: int
) -> None:
    lab.apply(tables(names("a.example."), pod.row()))
    asked = question(pod, "a.example")
    assert bench.sends(pod, asked)
    assert bench.gets(pod, reply(pod, asked, *records))
    told = learned(bench)
    assert sum(len(addresses) for _, addresses, _ in told) == expected
    assert len(lab.datapath.grants()) == expected
    if expected:
        assert told[0][0] == "a.example."
        assert told[0][2] == ttl


def test_what_no_answer_opens(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(names("a.example."), pod.row()))
    never4 = [
        "0.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "10.99.200.9",
        "198.51.100.1",
    ]
    never6 = ["::", "::1", "fe80::1", "febf::1", "ff02::1", "::ffff:203.0.113.1", "2001:db8:99::9999"]
    may4 = [
        "10.1.2.3",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "192.0.2.1",
        "126.0.0.1",
        "169.253.0.1",
        "223.255.255.255",
    ]
    may6 = ["fc00::1", "fec0::1", "2001:db8::1", "::2"]
    for kind, addresses in (("A", never4 + may4), ("AAAA", never6 + may6)):
        asked = question(pod, "a.example", kind)
        assert bench.sends(pod, asked)
        assert bench.gets(pod, reply(pod, asked, *(f"a.example. 300 IN {kind} {text}" for text in addresses)))
    assert {grant.address for grant in lab.datapath.grants()} == set(map(a, may4 + may6))


def test_two_hundred_addresses_in_one_answer(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(names("a.example."), pod.row()))
    asked = question(pod, "a.example")
    assert bench.sends(pod, asked)
    addresses = [f"192.0.2.{n}" for n in range(200)]
    assert bench.gets(pod, reply(pod, asked, *(f"a.example. 300 IN A {text}" for text in addresses)))
    assert len(learned(bench)[0][1]) == 200
    assert all(bench.sends(pod, out(pod, text, tcp(9, 443))) for text in addresses)
    assert not bench.sends(pod, out(pod, "192.0.2.201", tcp(9, 443)))


def test_a_hundred_names_behind_one_address(lab: Lab, pod: Pod, bench: Bench) -> None:
    forms = [f"n{i}.example." for i in range(100)]
    state = egress(
        allow(protocol=UDP, port=53, dns="any"),
        *(allow(FqdnPeer(form), TCP, 1000 + i) for i, form in enumerate(forms)),
    )
    lab.apply(tables(state, pod.row()))
    for form in forms:
        asked = question(pod, form)
        assert bench.sends(pod, asked)
        assert bench.gets(pod, reply(pod, asked, f"{form} 300 IN A 203.0.113.1"))
    assert all(bench.sends(pod, out(pod, "203.0.113.1", tcp(9, 1000 + i))) for i in range(100))
    assert not bench.sends(pod, out(pod, "203.0.113.1", tcp(9, 1100)))
    assert len(lab.datapath.grants()) == 100


def test_grants_belong_to_who_asked(lab: Lab, pod: Pod, bench: Bench) -> None:
    other = lab.pod(pod.number + 1)
    lab.apply(tables(names("a.example."), pod.row(), other.row()))
    asked = question(pod, "a.example")
    assert bench.sends(pod, asked)
    assert bench.gets(pod, reply(pod, asked, "a.example. 300 IN A 203.0.113.1"))
    assert bench.sends(pod, out(pod, "203.0.113.1", tcp(9, 443)))
    assert not bench.sends(other, out(other, "203.0.113.1", tcp(9, 443)))


def test_who_teaches(lab: Lab, pod: Pod, bench: Bench) -> None:
    """Rules for DNS do; without them only a trusted resolver does, whoever is enforced."""
    plain = egress(allow(protocol=UDP, port=53), allow(FqdnPeer("a.example."), TCP, 443))

    def teaches(server: str, **more: object) -> bool:
        asked = question(pod, "a.example", server=server)
        assert bench.sends(pod, asked)
        assert bench.gets(pod, reply(pod, asked, "a.example. 300 IN A 203.0.113.1", server=server))
        return bool(learned(bench))

    for state in (plain, ALLOW_ALL):
        lab.apply(tables(state, pod.row()))
        assert not teaches(RESOLVER4)
        lab.apply(tables(state, pod.row(), trusted_resolvers=frozenset({a(RESOLVER4)})))
        assert teaches(RESOLVER4)
        assert not teaches("198.51.100.54")


def test_what_is_no_question_drops_under_dns_rules(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(names("a.example."), pod.row()))
    whole = question(pod, "a.example")
    wire = whole[28:]
    two = wire[:4] + b"\0\2" + wire[6:] + wire[12:]
    bad = [
        b"",
        b"x",
        wire[:-1],
        wire + b"x",
        two,
        wire[:12] + b"\xc0\x0c\0\1\0\1",
        wire[:12] + b"\x40" + bytes(70),
    ]
    bad += [wire[:2] + b"\x28\0" + wire[4:]]  # an UPDATE
    for payload in bad:
        assert not bench.sends(pod, out(pod, RESOLVER4, udp(4000, 53, payload))), payload
    assert set(reasons(bench)) == {DropReason.DNS_MALFORMED}
    frame = from_pod(pod, whole)
    assert bench.run("from_endpoint", pod, frame, segment=40)[0] == SHOT
    assert not bench.sends(pod, out(pod, RESOLVER4, udp(4000, 53, wire), fragment=0x2000))
    assert bench.sends(pod, whole)


def test_dns_rules_on_another_port(lab: Lab, pod: Pod, bench: Bench) -> None:
    lab.apply(tables(egress(allow(protocol=UDP, port=5300, dns=frozenset({"a.example."}))), pod.row()))
    good, bad = (question(pod, name)[28:] for name in ("a.example", "b.example"))
    assert bench.sends(pod, out(pod, RESOLVER4, udp(4000, 5300, good)))
    assert (
        bench.run(
            "from_endpoint", pod, from_pod(pod, with_checksums(out(pod, RESOLVER4, udp(1, 5300, bad))))
        )[0]
        == REDIRECT
    )
    assert not bench.sends(pod, question(pod, "a.example"))


def test_tcp_under_dns_rules_needs_the_proxy_unless_every_name_passes(
    lab: Lab, pod: Pod, bench: Bench
) -> None:
    def passes(rules: object) -> bool:
        lab.apply(tables(egress(allow(protocol=TCP, port=53, dns=rules)), pod.row()))  # type: ignore[arg-type]
        return bench.sends(pod, out(pod, RESOLVER4, tcp(random.randint(1024, 60000), 53)))

    assert not passes(frozenset({"a.example."}))
    assert reasons(bench) == [DropReason.SOCKET_LOOKUP_FAILED]
    assert passes("any")


def test_a_server_that_policy_denies_gets_no_question(lab: Lab, pod: Pod, bench: Bench) -> None:
    state = egress(allow(protocol=UDP, port=53, dns="any"), deny(CidrPeer(ip_network("198.51.100.53/32"))))
    lab.apply(tables(state, pod.row()))
    assert not bench.sends(pod, question(pod, "a.example"))
    assert reasons(bench) == [DropReason.POLICY_DENY]


def test_hostile_answers_open_nothing_that_dnspython_does_not_read(lab: Lab, pod: Pod, bench: Bench) -> None:
    """Answers with octets changed: what is learned is in the message as dnspython reads it, or nothing is."""
    rng = random.Random(11)
    lab.apply(tables(names("a.example."), pod.row()))
    records = [
        "a.example. 300 IN CNAME c.example.",
        "c.example. 100 IN A 203.0.113.1",
        "c.example. 100 IN A 203.0.113.2",
    ]
    opened = 0
    for number in range(600):
        asked = question(pod, "a.example", number=number)
        assert bench.sends(pod, asked)
        good = reply(pod, asked, *records)
        wire = bytearray(good[28:])
        for _ in range(rng.randint(1, 3)):
            wire[rng.randrange(12, len(wire))] = rng.choice(
                [0, 1, 5, 12, 63, 64, 0xC0, 0xFF, rng.randrange(256)]
            )
        bench.gets(pod, back(pod, RESOLVER4, udp(53, 4000, bytes(wire))))
        for _, addresses, _ in learned(bench):
            opened += 1
            message = dns.message.from_wire(bytes(wire), ignore_trailing=True, continue_on_error=True)
            chain, wanted = {str(message.question[0].name).lower()}, set()
            for _ in range(4):
                for rrset in message.answer:
                    if rrset.rdclass == 1 and str(rrset.name).lower() in chain and rrset.rdtype == 5:
                        chain |= {str(record.target).lower() for record in rrset}
            for rrset in message.answer:
                if rrset.rdclass == 1 and str(rrset.name).lower() in chain and rrset.rdtype in (1, 28):
                    wanted |= {record.address for record in rrset}
            assert set(addresses) <= wanted, bytes(wire)
    assert opened > 30  # what says nothing new is not told


def test_an_event_leads_back_to_its_rules(lab: Lab, pod: Pod, bench: Bench) -> None:
    one, two = (RuleOrigin("CiliumNetworkPolicy", "default", name, "spec.egress[0]") for name in "pq")
    key = PolicyKey(Direction.EGRESS, IdentityPeer(9), TCP, 440, 13)
    entries = {
        key: PolicyEntry(origins=(one,)),
        key._replace(port=80, port_bits=16): PolicyEntry(origins=(two,)),
    }
    lab.apply(tables(MapState(False, True, entries), pod.row()))
    assert bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 443)))
    assert not bench.sends(pod, out(pod, WORLD4[0], tcp(1000, 9)))
    flow, dropped = bench.events()
    assert isinstance(flow, Flow)
    assert isinstance(dropped, Flow)
    assert lab.datapath.origins(flow) == (one,)
    assert lab.datapath.origins(dropped) == ()


def test_questions_at_another_port_of_a_service(lab: Lab, pod: Pod, bench: Bench) -> None:
    vip = VipKey(a("10.98.0.10"), 1053, UDP)
    state = egress(allow(IdentityPeer(300), UDP, 5353, dns=frozenset({"a.example."})))
    ipcache = {ip_network("10.99.200.50/32"): IpcacheRow(300, inside=True)}
    services = {vip: (ServiceBackend(a("10.99.200.50"), 5353),)}
    lab.apply(tables(state, pod.row(), ipcache=ipcache, services=services))
    good, bad = (question(pod, name)[28:] for name in ("a.example", "b.example"))
    assert bench.sends(pod, out(pod, "10.98.0.10", udp(4000, 1053, good)))
    refused = with_checksums(out(pod, "10.98.0.10", udp(4000, 1053, bad)))
    assert bench.run("from_endpoint", pod, from_pod(pod, refused))[0] == REDIRECT


def test_links_that_someone_removed_come_back(lab: Lab, pod: Pod, bench: Bench) -> None:
    wanted = tables(MapState(True, True, {}), pod.row())
    lab.apply(wanted)
    links = Path(lab.instance.pin_dir, "links")
    kept = sorted(path.name for path in links.iterdir())
    for path in links.glob(f"{pod.row().ifindex}-*_endpoint"):
        path.unlink()
    lab.apply(wanted)
    lab.datapath.recheck()

    def applied() -> bool:
        with contextlib.suppress(OSError):  # the kernel takes its time to let go of a link
            lab.apply(wanted)
            return True
        return False

    assert eventually(applied)
    assert sorted(path.name for path in links.iterdir()) == kept


@pytest.mark.parametrize("l4", [tcp, udp])
def test_what_an_edit_forbids_is_not_begun_again_by_the_peer(
    lab: Lab, pod: Pod, bench: Bench, l4: object
) -> None:
    """Ingress is open: the peer's packets on the old connection must not make ours answers to it."""
    make = (lambda *ends: tcp(*ends, flags=ACK)) if l4 is tcp else udp
    before = egress(allow(protocol=TCP, port=443), allow(protocol=UDP, port=443))
    lab.apply(tables(before, pod.row()))
    assert bench.sends(pod, out(pod, WORLD4[0], l4(5000, 443)))  # type: ignore[operator]
    assert bench.gets(pod, back(pod, WORLD4[0], make(443, 5000)))
    lab.apply(tables(egress(allow(protocol=TCP, port=80)), pod.row()))
    for _ in range(2):
        assert not bench.gets(pod, back(pod, WORLD4[0], make(443, 5000)))
        assert not bench.sends(pod, out(pod, WORLD4[0], make(5000, 443)))
    lab.apply(tables(before, pod.row()))
    assert bench.sends(pod, out(pod, WORLD4[0], make(5000, 443)))
    assert bench.gets(pod, back(pod, WORLD4[0], make(443, 5000)))


@pytest.mark.parametrize("kind", [135, 136, 130, 131, 132, 143])
@pytest.mark.parametrize("other", [WORLD4[0], WORLD6[0]])
def test_what_keeps_a_link_going_leaves_it_for_nowhere(
    lab: Lab, pod: Pod, bench: Bench, kind: int, other: str
) -> None:
    """Neighbour discovery and listener reports pass without policy: only on the link, only in IPv6."""
    lab.apply(tables(MapState(True, True, {}), pod.row()))
    target = a("fe80::1" if kind != 136 else pod.ipv6).packed
    message = L4(58, bytes((kind, 0, 0, 0)) + bytes(4) + target + b"secrets of the workload")
    assert not bench.sends(pod, out(pod, other, message, hops=255))
    assert not bench.gets(pod, back(pod, other, message, hops=254))
    assert not bench.gets(pod, back(pod, other, message, hops=1))
    if kind in (135, 136):
        assert bench.sends(pod, ip(a(pod.ipv6), a("fe80::1"), message, hops=255))
        assert bench.gets(pod, ip(a("fe80::1"), a(pod.ipv6), message, hops=255))
    else:
        assert bench.gets(pod, ip(a("fe80::1"), a("ff02::1"), message, hops=1))


@pytest.mark.parametrize(
    ("params", "taught"),
    [
        ("0004000400cb007101", ()),  # a length that leads beyond
        ("00040004cb007101", ("203.0.113.1",)),
        ("0004000a" + "cb007101cb007102" + "cb00", ()),
        ("00040000", ()),
        ("00060010" + a(WORLD6[0]).packed.hex() + "00040004cb007101", ()),
        ("00040004cb00710100040004cb007102", ()),
    ],
)
@pytest.mark.parametrize("priority", [0, 1])
def test_hints_of_malformed_service_records_teach_nothing(
    lab: Lab, pod: Pod, bench: Bench, params: str, taught: tuple[str, ...], priority: int
) -> None:
    lab.apply(tables(names("a.example."), pod.row()))
    asked = question(pod, "a.example", "HTTPS")
    assert bench.sends(pod, asked)
    wire = bytearray(asked[28:])
    data = struct.pack("!H", priority) + b"\0" + bytes.fromhex(params)
    wire[2:4], wire[6:8] = b"\x81\x80", b"\0\1"
    wire += b"\xc0\x0c" + struct.pack("!HHIH", 65, 1, 300, len(data)) + data
    passed = bench.gets(pod, back(pod, RESOLVER4, udp(53, 4000, bytes(wire))))
    learned_now = [address for _, addresses, _ in learned(bench) for address in addresses]
    assert learned_now == (list(taught) if priority else [])
    assert passed == (bool(taught) or not priority)
