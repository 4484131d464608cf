"""What belongs to the node: its ports, its API server, its marks; and floods."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import struct
import threading
import time
from urllib.parse import urlsplit

import pytest
import yaml
from arena import Arena, mark
from questions import ask, found
from scapy.compat import raw
from scapy.layers.inet import TCP, UDP
from scapy.packet import Raw

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(600)]

FLOOD = int(os.environ.get("FLOOD", "1000000"))
"""Packets of the flood, half of them flows and half questions."""


def node_addresses(arena: Arena) -> list[str]:
    lines = arena.host.run("ip", "-o", "addr").splitlines()
    return [line.split()[3].split("/")[0] for line in lines if " lo " not in line and "fe80" not in line]


def test_the_node_s_ports_are_closed(arena: Arena) -> None:
    mallory = arena.pods["mallory"]
    with (
        arena.host.listen("::", 8766) as both,
        arena.host.listen("0.0.0.0", 8767, socket.SOCK_DGRAM) as datagrams,
    ):
        for address in (*node_addresses(arena), "169.254.1.1", "127.0.0.1", "::ffff:127.0.0.1"):
            if not address.startswith(("127.", "::ffff:127.")):
                assert not mallory.reaches(address, 8766, patience=0.3), address
            with (
                mallory.make_socket(
                    socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM
                ) as out,
                contextlib.suppress(OSError),
            ):
                out.sendto(b"x", (address, 8767))
        datagrams.settimeout(0.3)
        with pytest.raises(TimeoutError):
            datagrams.recv(10)
        both.settimeout(0.1)
        with pytest.raises(TimeoutError):
            both.accept()


def test_the_api_server_is_out_of_reach(arena: Arena) -> None:
    port = urlsplit(yaml.safe_load(arena.lab.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]).port
    assert port is not None
    services = json.loads(arena.kubectl("get services -A -o json"))["items"]
    vips = [
        (vip, each["port"])
        for s in services
        for vip in s["spec"]["clusterIPs"]
        for each in s["spec"]["ports"]
    ]
    ways = [*((address, port) for address in node_addresses(arena)), ("169.254.1.1", port)]
    ways += [(vip, number) for vip, number in vips if number != 53]
    ways += [(vip, port) for vip, _ in vips]
    for name in ("mallory", "eve"):
        for address, number in ways:
            assert not arena.pods[name].reaches(address, number, patience=0.2), (
                f"{name} reached {address}:{number}"
            )


@pytest.mark.parametrize("word", [1, 0x4E57, 0x0F00, 0x0200, 0x0A00, 0xFFFFFFFF, 0x80000000])
def test_a_mark_from_inside_opens_nothing(arena: Arena, word: int) -> None:
    for name in ("cilium.io", "ebpf.io"):
        for version in (4, 6):
            address = arena.addresses(name, version)[0]
            assert not arena.pods["mallory"].reaches(address, 443, mark=word, patience=0.2)


def test_a_pod_with_a_listener_is_closed_to_whom_policy_does_not_let_in(arena: Arena) -> None:
    mallory = arena.pods["mallory"]
    for address in (arena.pods["server"].v4, arena.pods["server"].v6, *arena.service("default", "server")):
        assert not mallory.reaches(address, 8080, patience=0.3)


def test_a_flood_is_its_maker_s_own_trouble(arena: Arena) -> None:
    """A million packets with random ports, addresses and ids from one workload. Meanwhile another's idle connection,
    whose grant has ended, lives, its questions are all answered, and it still opens new connections."""
    mallory, alice = arena.pods["mallory"], arena.pods["alice"]
    vip = arena.service("kube-system", "kube-dns")[0]
    address = found(ask(alice, vip, "ebpf.io"))[0]
    idle = alice.make_socket(socket.AF_INET, socket.SOCK_STREAM)
    idle.settimeout(3)
    idle.connect((address, 443))
    time.sleep(12.5)  # its grant (TTL 10) has ended, and the sweep has been there
    target = found(ask(mallory, vip, "kubernetes.io"))[0]
    stop, lost, asked = threading.Event(), [], 0

    def question() -> None:
        nonlocal asked
        while not stop.is_set():
            asked += 1
            if not found(ask(alice, vip, random.choice(("ebpf.io", "cilium.io")), patience=3.0)):
                lost.append(asked)
            time.sleep(0.02)

    asking = threading.Thread(target=question)
    asking.start()
    try:
        sent = flood(arena, target, vip)
        opened = alice.reaches(next(iter(found(ask(alice, vip, "cilium.io"))), "0.0.0.0"), 443, patience=3)
    finally:
        stop.set()
        asking.join()
    print(f"{sent} packets of a flood, {asked} questions of another, {len(lost)} of them lost")
    assert lost == []
    assert opened, "alice opens a connection in the middle of it"
    assert asked > FLOOD // 50_000
    word = mark()
    with arena.watched() as (outside,):
        idle.sendall(word)
    idle.close()
    assert outside.saw(word), "the idle connection was forgotten"


def flood(arena: Arena, target: str, vip: str) -> int:
    """As fast as one thread can, the same packet with other numbers in it."""
    mallory = arena.pods["mallory"]
    syn = bytearray(raw(mallory.packet(target, TCP(sport=1, dport=443))))
    query = b"\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0akubernetes\x02io\x00\x00\x01\x00\x01"
    question = bytearray(raw(mallory.packet(vip, UDP(sport=1, dport=53, chksum=0) / Raw(query))))
    sent = 0
    with mallory.make_socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((mallory.interface, 0))
        for number in range(FLOOD // 2):
            struct.pack_into("!HH", syn, 34, number & 0xFFFF, (number >> 16) * 7919 & 0xFFFF)
            struct.pack_into("!H", question, 34, random.getrandbits(16))
            struct.pack_into("!H", question, 42, number & 0xFFFF)
            for frame in (syn, question):
                with contextlib.suppress(OSError):
                    out.send(frame)
                    sent += 1
    return sent
