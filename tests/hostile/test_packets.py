"""Packets that lie: about who sent them, what they belong to, what they are."""

from __future__ import annotations

import socket
import time

import pytest
from arena import Arena, Pod, mark, payload, udp
from questions import ask
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR, IPOption_RR, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6ND_NA,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, GRE, Ether
from scapy.packet import Packet, Raw

pytestmark = [pytest.mark.root, pytest.mark.long]


@pytest.fixture
def mallory(arena: Arena) -> Pod:
    """She has looked kubernetes.io up, so that its addresses are open to her."""
    pod = arena.pods["mallory"]
    ask(pod, arena.service("kube-system", "kube-dns")[0], "kubernetes.io")
    ask(pod, arena.service("kube-system", "kube-dns")[0], "kubernetes.io", "AAAA")
    return pod


def comes_through(arena: Arena, pod: Pod, word: bytes, *packets: Packet) -> list[str]:
    """Where the mark is seen once the packets are sent."""
    with arena.watched("alice", "server", "eve") as watchers:
        pod.send(*packets)
    return [watcher.place.name for watcher in watchers if watcher.saw(word)]


def test_what_is_allowed_comes_through(arena: Arena, mallory: Pod) -> None:
    """The control: the watchers see what there is to see, over both families."""
    for version in (4, 6):
        word = mark()
        allowed = mallory.packet(arena.addresses("kubernetes.io", version)[0], udp(word, 9))
        assert comes_through(arena, mallory, word, allowed) == ["world"]


@pytest.mark.parametrize("version", [4, 6])
def test_a_forged_source_goes_nowhere(arena: Arena, mallory: Pod, version: int) -> None:
    alice, word = arena.pods["alice"], mark()
    to = arena.addresses("kubernetes.io", version)[0]
    sources = {4: [alice.v4, "198.51.100.250", "10.99.99.99", "127.0.0.1", "0.0.0.0", "169.254.1.1"]}
    sources[6] = [alice.v6, "2001:db8:ffff::1", "::1", "fe80::1", "::ffff:10.0.0.1"]
    packets = [mallory.packet(to, udp(word, 9), source=source) for source in sources[version]]
    assert comes_through(arena, mallory, word, *packets) == []


def test_a_forged_mac_goes_nowhere(arena: Arena, mallory: Pod) -> None:
    alice, word = arena.pods["alice"], mark()
    honest = mallory.packet(arena.addresses("kubernetes.io")[0], udp(word, 9))
    packets = []
    for source in (alice.mac, "02:00:00:00:00:99", "ff:ff:ff:ff:ff:ff", mallory.gateway_mac):
        packet = honest.copy()
        packet[Ether].src = source
        packets.append(packet)
    assert comes_through(arena, mallory, word, *packets) == []


def test_claims_about_others_addresses_are_not_heard(arena: Arena, mallory: Pod) -> None:
    alice = arena.pods["alice"]
    before = arena.host.run("ip", "neigh")
    ether = Ether(src=mallory.mac, dst="ff:ff:ff:ff:ff:ff")
    claims: list[Packet] = [
        ether / ARP(op=op, hwsrc=mallory.mac, psrc=address, hwdst=mallory.gateway_mac, pdst=address)
        for op in (1, 2)
        for address in (alice.v4, "169.254.1.1", arena.addresses("cilium.io")[0])
    ]
    claims += [
        Ether(src=mallory.mac, dst=mallory.gateway_mac)
        / IPv6(src=mallory.v6, dst="ff02::1", hlim=255)
        / ICMPv6ND_NA(tgt=address, R=1, S=1, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=mallory.mac)
        for address in (alice.v6, "fe80::1", arena.addresses("cilium.io", 6)[0])
    ]
    mallory.send(*claims)
    time.sleep(0.3)
    after = arena.host.run("ip", "neigh")
    for address in (alice.v4, alice.v6, "169.254.1.1", arena.addresses("cilium.io")[0]):
        lines = [line for line in after.splitlines() if line.startswith(f"{address} ")]
        assert not any(mallory.mac in line for line in lines), f"{lines}; before:\n{before}"


def test_no_router_advertisement_is_believed(arena: Arena, mallory: Pod) -> None:
    routes = arena.host.run("ip", "-6", "route")
    advertisement = (
        Ether(src=mallory.mac, dst="33:33:00:00:00:01")
        / IPv6(src="fe80::bad", dst="ff02::1", hlim=255)
        / ICMPv6ND_RA(routerlifetime=1800)
        / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64, L=1, A=1)
    )
    mallory.send(*[advertisement] * 3)
    time.sleep(0.3)
    assert arena.host.run("ip", "-6", "route") == routes
    assert "2001:db8:bad:" not in arena.host.run("ip", "-6", "addr")


@pytest.mark.parametrize("version", [4, 6])
def test_a_packet_in_the_middle_of_nothing(arena: Arena, mallory: Pod, version: int) -> None:
    """TCP without a handshake, and answers to what nobody asked."""
    word = mark()
    to = arena.addresses("cilium.io", version)[0]
    packets = [
        mallory.packet(to, TCP(sport=41000 + number, dport=443, flags=flags, seq=7, ack=9) / Raw(word))
        for number, flags in enumerate(("A", "PA", "SA", "F", "R", "FPU", "", "SFRPAU"))
    ]
    packets += [mallory.packet(to, UDP(sport=53, dport=40000) / Raw(word))]
    echo = ICMPv6EchoReply(data=word) if version == 6 else ICMP(type=0) / Raw(word)
    packets += [mallory.packet(to, echo)]
    assert comes_through(arena, mallory, word, *packets) == []


def test_an_accomplice_outside_opens_nothing(arena: Arena, mallory: Pod) -> None:
    """Ingress is open to mallory, so her replies pass; what she begins in its shadow does not."""
    friend = arena.addresses("cilium.io")[0]
    with arena.world.listen(friend, 7777, socket.SOCK_DGRAM) as outside:
        outside.sendto(b"hello", (mallory.v4, 5555))
        time.sleep(0.1)
        reply, other, fresh = mark(), mark(), mark()
        assert comes_through(
            arena, mallory, reply, mallory.packet(friend, UDP(sport=5555, dport=7777) / Raw(reply))
        ) == ["world"], "a reply passes, or the test shows nothing"
    for word, sport, dport in ((other, 5555, 7778), (fresh, 5556, 7777)):
        assert comes_through(arena, mallory, word, mallory.packet(friend, udp(word, dport, sport))) == []
    to = arena.addresses("cilium.io")[1]
    word = mark()
    assert comes_through(arena, mallory, word, mallory.packet(to, udp(word, 7777, 5555))) == []


@pytest.mark.parametrize("version", [4, 6])
def test_an_icmp_error_about_nothing(arena: Arena, mallory: Pod, version: int) -> None:
    alice, word = arena.pods["alice"], mark()
    outside, own = arena.addresses("cilium.io", version)[0], mallory.v4 if version == 4 else mallory.v6
    theirs = alice.v4 if version == 4 else alice.v6
    inner = IP if version == 4 else IPv6
    packets = []
    for source, destination in ((outside, own), (theirs, own), (outside, theirs), (own, outside)):
        for to in (outside, theirs):
            about = inner(src=source, dst=destination) / UDP(sport=443, dport=40000) / Raw(word)
            error = ICMP(type=3, code=3) if version == 4 else ICMPv6DestUnreach(code=4)
            packets.append(mallory.packet(to, error / about))
    assert comes_through(arena, mallory, word, *packets) == []


def test_a_tunnel_is_no_way_out(arena: Arena, mallory: Pod) -> None:
    """IPIP, 6in4, GRE, and VXLAN and Geneve by UDP, to what is denied; IP protocols nobody knows to what is not."""
    word = mark()
    denied, allowed = arena.addresses("cilium.io")[0], arena.addresses("kubernetes.io")[0]
    inside = IP(src=mallory.v4, dst=denied) / udp(word, 9)
    inside6 = IPv6(src=mallory.v6, dst=arena.addresses("cilium.io", 6)[0]) / udp(word, 9)
    node = arena.host.run("ip", "-4", "-o", "addr", "show", "dev", arena.world_link).split()[3].split("/")[0]
    packets = []
    for to in (denied, allowed, node, "169.254.1.1", arena.pods["server"].v4):
        packets += [
            mallory.packet(to, inside),
            mallory.packet(to, inside6),
            mallory.packet(to, GRE() / inside),
            mallory.packet(to, payload(word), proto=253),
        ]
        if to != allowed:
            packets += [
                mallory.packet(to, UDP(sport=9, dport=port) / Raw(word)) for port in (4789, 6081, 8472)
            ]
    assert comes_through(arena, mallory, word, *packets) == []


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_hide_nothing(arena: Arena, mallory: Pod, version: int) -> None:
    """A later fragment before the first, one without a first, a first too short for its ports, an overlap."""
    word = mark()
    denied, allowed = (arena.addresses(name, version)[0] for name in ("cilium.io", "kubernetes.io"))
    packets: list[Packet] = []
    if version == 4:
        whole = mallory.packet(denied, UDP(sport=9, dport=9) / Raw(b"x" * 80 + word), id=77)
        first, *later = fragment(whole, fragsize=40)  # type: ignore[no-untyped-call]
        packets = [*later, first, *reversed(later)]
        tiny = mallory.packet(denied, Raw(b"\x00\x35"), id=78, flags="MF", proto=17)
        packets += [tiny, mallory.packet(denied, Raw(word), id=78, frag=1, proto=17)]
        # what an allowed first fragment opens is for its own destination only
        opened = mallory.packet(allowed, UDP(sport=9, dport=9, len=200) / Raw(b"y" * 56), id=79, flags="MF")
        packets += [opened, mallory.packet(denied, Raw(word), id=79, frag=8, proto=17)]
    else:
        for number, offset, more in ((1, 10, 0), (2, 0, 1), (2, 1, 0), (3, 181, 0)):
            head = IPv6ExtHdrFragment(id=number, offset=offset, m=more, nh=17)
            packets.append(mallory.packet(denied, head / Raw((b"" if offset else bytes(8)) + word)))
    assert comes_through(arena, mallory, word, *packets) == []


def test_options_and_routing_headers_go_nowhere(arena: Arena, mallory: Pod) -> None:
    word = mark()
    allowed, denied = arena.addresses("kubernetes.io")[0], arena.addresses("cilium.io")[0]
    six = [arena.addresses(name, 6)[0] for name in ("kubernetes.io", "cilium.io")]
    packets = [
        mallory.packet(allowed, udp(word, 9), options=[IPOption_LSRR(routers=[denied])]),
        mallory.packet(allowed, udp(word, 9), options=[IPOption_RR(routers=["0.0.0.0"] * 3)]),
        mallory.packet(six[0], IPv6ExtHdrRouting(addresses=[six[1]], segleft=1) / udp(word, 9)),
        mallory.packet("::ffff:" + denied, udp(word, 9)),
        mallory.packet("64:ff9b::" + denied, udp(word, 9)),
    ]
    assert comes_through(arena, mallory, word, *packets) == []


def test_multicast_and_broadcast_reach_nobody(arena: Arena, mallory: Pod) -> None:
    """mDNS, LLMNR, SSDP, DNS by broadcast, DHCP."""
    word = mark()
    packets: list[Packet] = []
    for to, port in (("224.0.0.251", 5353), ("224.0.0.252", 5355), ("239.255.255.250", 1900)):
        packets.append(mallory.packet(to, udp(word, port)))
    for to in ("255.255.255.255", "198.51.100.255"):
        packets += [mallory.packet(to, udp(word, port)) for port in (53, 67, 5353)]
    for to, port in (("ff02::fb", 5353), ("ff02::1:3", 5355), ("ff02::1", 53), ("ff05::2", 9)):
        packets.append(mallory.packet(to, udp(word, port)))
    for packet in list(packets):
        for destination in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb", arena.pods["alice"].mac):
            copy = packet.copy()
            copy[Ether].dst = destination
            packets.append(copy)
    assert comes_through(arena, mallory, word, *packets) == []


def test_vlan_tags_go_nowhere(arena: Arena, mallory: Pod) -> None:
    from scapy.layers.l2 import Dot1AD, Dot1Q

    word = mark()
    inner = IP(src=mallory.v4, dst=arena.addresses("kubernetes.io")[0]) / udp(word, 9)
    packets = [
        mallory.ether / tag / inner for tag in (Dot1Q(vlan=1), Dot1Q(vlan=0), Dot1AD(vlan=2) / Dot1Q(vlan=3))
    ]
    assert comes_through(arena, mallory, word, *packets) == []
