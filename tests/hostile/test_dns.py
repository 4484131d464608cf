"""Answers that lie: from whom, to whom, about what. Nothing they name is opened, by any of them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from arena import Arena, Pod
from questions import ask, found
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

pytestmark = [pytest.mark.root, pytest.mark.long]

Lie = Callable[[dns.message.Message, str], list[bytes]]
"""A question and the address to be opened in; what the server sends."""


@contextlib.contextmanager
def server(arena: Arena, address: str, lie: Lie, target: str, port: int = 53) -> Iterator[None]:
    """A DNS server of the attacker's own, in the world."""
    with arena.world.listen(address, port, socket.SOCK_DGRAM) as serving:
        serving.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    packet, client = serving.recvfrom(4096)
                    for wire in lie(dns.message.from_wire(packet), target):
                        serving.sendto(wire, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def response(query: dns.message.Message, *lines: str) -> bytes:
    """Records as `owner ttl IN type data`, in this order, whatever it is."""
    answer = dns.message.make_response(query, recursion_available=True)
    for line in lines:
        owner, ttl, _, kind, data = line.split(maxsplit=4)
        answer.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, data))
    return answer.to_wire(max_size=4096)


def truth(query: dns.message.Message, target: str) -> list[bytes]:
    return [response(query, f"kubernetes.io. 1 IN A {target}")]


def off_the_chain(query: dns.message.Message, target: str) -> list[bytes]:
    return [response(query, f"cilium.io. 1 IN A {target}")]


def behind_a_stranger(query: dns.message.Message, target: str) -> list[bytes]:
    return [response(query, "other.example. 1 IN CNAME end.example.", f"end.example. 1 IN A {target}")]


def a_chain_that_misses(query: dns.message.Message, target: str) -> list[bytes]:
    return [response(query, "kubernetes.io. 1 IN CNAME a.example.", f"b.example. 1 IN A {target}")]


def a_loop(query: dns.message.Message, target: str) -> list[bytes]:
    chain = ("kubernetes.io. 1 IN CNAME a.example.", "a.example. 1 IN CNAME kubernetes.io.")
    return [response(query, *chain, f"cilium.io. 1 IN A {target}")]


def another_id(query: dns.message.Message, target: str) -> list[bytes]:
    wire = bytearray(truth(query, target)[0])
    wire[:2] = (query.id ^ 1).to_bytes(2, "big")
    return [bytes(wire)]


def another_question(query: dns.message.Message, target: str) -> list[bytes]:
    other = dns.message.make_query("cilium.io", "A")
    other.id = query.id
    return [response(other, f"cilium.io. 1 IN A {target}")]


def another_type(query: dns.message.Message, target: str) -> list[bytes]:
    other = dns.message.make_query("kubernetes.io", "AAAA")
    other.id = query.id
    return [response(other, f"kubernetes.io. 1 IN A {target}")]


def another_class(query: dns.message.Message, target: str) -> list[bytes]:
    wire = bytearray(truth(query, target)[0])
    at = wire.rindex(b"\x00\x01\x00\x01\x00\x00\x00\x01")
    wire[at + 3] = 3  # CHAOS
    return [bytes(wire)]


def an_error(query: dns.message.Message, target: str) -> list[bytes]:
    wire = bytearray(truth(query, target)[0])
    wire[3] = wire[3] & 0xF0 | 3
    return [bytes(wire)]


def additional(query: dns.message.Message, target: str) -> list[bytes]:
    answer = dns.message.make_response(query)
    answer.additional.append(dns.rrset.from_text("kubernetes.io.", 1, "IN", "A", target))
    answer.authority.append(dns.rrset.from_text("kubernetes.io.", 1, "IN", "A", target))
    return [answer.to_wire()]


def truncated_in_a_record(query: dns.message.Message, target: str) -> list[bytes]:
    query.use_edns(False)
    return [truth(query, target)[0][:-2]]


def a_question_of_its_own(query: dns.message.Message, target: str) -> list[bytes]:
    wire = bytearray(truth(query, target)[0])
    wire[2] &= 0x7F
    return [bytes(wire)]


LIES = [
    off_the_chain,
    behind_a_stranger,
    a_chain_that_misses,
    a_loop,
    another_id,
    another_question,
    another_type,
    another_class,
    an_error,
    additional,
    truncated_in_a_record,
    a_question_of_its_own,
]


@pytest.fixture
def den(arena: Arena) -> str:
    """Where the attacker's server listens: an address of the world that is no site's."""
    address = "203.0.113.30"
    arena.world.run("ip", "addr", "replace", f"{address}/32", "dev", "uplink")
    return address


def test_the_control_a_true_answer_opens(arena: Arena, den: str) -> None:
    eve, target = arena.pods["eve"], arena.addresses("ebpf.io")[0]
    assert not eve.reaches(target, 443)
    with server(arena, den, truth, target):
        assert found(ask(eve, den, "kubernetes.io")) == [target]
    assert eve.reaches(target, 443), (
        "eve's policy lets a server of hers teach: if not, this file shows nothing"
    )


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_lie_opens_nothing(arena: Arena, den: str, lie: Lie) -> None:
    eve, target = arena.pods["eve"], arena.addresses("cilium.io")[0]
    with server(arena, den, lie, target):
        for _ in range(3):
            with contextlib.suppress(dns.exception.DNSException):
                ask(eve, den, "kubernetes.io", patience=0.15)
    assert not eve.reaches(target, 443)


def test_no_answer_opens_what_is_inside(arena: Arena, den: str) -> None:
    """Rebinding: pods, Services, the node, loopback, metadata, what is reserved."""
    eve, server_pod = arena.pods["eve"], arena.pods["server"]
    node = [line.split()[3].split("/")[0] for line in arena.host.run("ip", "-4", "-o", "addr").splitlines()]
    targets = [
        *(
            (server_pod.v4, 8080),
            (arena.pods["alice"].v4, 8080),
            (arena.service("default", "server")[0], 8080),
        ),
        *((address, 8765) for address in node),
        *((address, 8765) for address in ("169.254.1.1", "169.254.169.254", "127.0.0.1", "0.0.0.0")),
        *((address, 8765) for address in ("224.0.0.1", "240.0.0.1", "255.255.255.255")),
    ]
    with arena.host.listen("0.0.0.0", 8765):
        for target, port in targets:
            with server(arena, den, truth, target):
                ask(eve, den, "kubernetes.io", patience=0.5)
            if not target.startswith(("127.", "0.")):  # her own loopback
                assert not eve.reaches(target, port, patience=0.3), target


def test_an_answer_for_another_port_socket_or_pod_opens_nothing(arena: Arena, den: str) -> None:
    """All ids, from the wrong server, while a question is on its way; and answers to nobody."""
    eve, target = arena.pods["eve"], arena.addresses("cilium.io")[0]
    with (
        arena.world.listen(den, 53, socket.SOCK_DGRAM),
        eve.make_socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        query = dns.message.make_query("kubernetes.io", "A", id=4711, use_edns=-1)
        client.bind((eve.v4, 45454))
        client.sendto(query.to_wire(), (den, 53))
        wire = bytearray(truth(query, target)[0])
        with arena.world.listen(arena.addresses("ebpf.io")[0], 53, socket.SOCK_DGRAM) as wrong:
            for number in range(65536):
                wire[:2] = number.to_bytes(2, "big")
                wrong.sendto(wire, (eve.v4, 45454))
                if number % 256 == 0:
                    time.sleep(0.002)
        wire[:2] = query.id.to_bytes(2, "big")
        with arena.world.listen(den, 5353, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.sendto(wire, (eve.v4, 45454))
        client.settimeout(0.2)
        heard = []
        with contextlib.suppress(TimeoutError):
            while True:
                heard.append(client.recvfrom(4096)[1][1])
    assert set(heard) <= {5353}, "ingress is open, but what comes from a DNS port must have been asked for"
    assert not eve.reaches(target, 443)


def test_another_pod_cannot_answer_for_the_dns_server(arena: Arena) -> None:
    mallory, alice = arena.pods["mallory"], arena.pods["alice"]
    vip, target = arena.service("kube-system", "kube-dns")[0], arena.addresses("cilium.io")[0]
    assert not mallory.reaches(target, 443)
    query = dns.message.make_query("kubernetes.io", "A", id=99, use_edns=-1)
    lie = truth(query, target)[0]
    backend = arena.service_backend("kube-system", "kube-dns")
    for source in (vip, backend):
        packet = IP(src=source, dst=mallory.v4) / UDP(sport=53, dport=45455) / Raw(lie)
        with mallory.make_socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind((mallory.v4, 45455))
            client.sendto(query.to_wire(), (vip, 53))
            alice.send(*[alice.ether / packet] * 20)
    mallory.send(*[mallory.ether / packet] * 20)  # nor she for herself
    assert not mallory.reaches(target, 443)
    assert not alice.reaches(arena.addresses("registry.example.com")[0], 443)


def test_a_server_no_policy_trusts_teaches_nothing(arena: Arena, den: str) -> None:
    """Oscar may send what he likes to port 53 of the world; only the cluster's DNS would teach him."""
    oscar, target = arena.pods["oscar"], arena.addresses("cilium.io")[0]
    with server(arena, den, truth, target):
        assert found(ask(oscar, den, "kubernetes.io")) == [target]
    assert not oscar.reaches(target, 443)


def test_one_s_lookup_opens_nothing_for_another(arena: Arena) -> None:
    alice, mallory = arena.pods["alice"], arena.pods["mallory"]
    vip = arena.service("kube-system", "kube-dns")[0]
    target = found(ask(alice, vip, "ebpf.io"))[0]
    assert alice.reaches(target, 443)
    assert not mallory.reaches(target, 443)


def test_a_refused_name_is_refused_whatever_its_letters(arena: Arena) -> None:
    mallory = arena.pods["mallory"]
    for vip in arena.service("kube-system", "kube-dns"):
        for name in (
            "cilium.io",
            "CiLiUm.Io",
            "kubernetes.io.evil.example",
            "xkubernetes.io",
            "kubernetes.iox",
            ".",
        ):
            answer = ask(mallory, vip, name)
            assert answer is not None, name
            assert answer.rcode() in (dns.rcode.REFUSED, dns.rcode.NXDOMAIN), name
            assert not found(answer)


@pytest.mark.parametrize("port", [53, 5353, 5355, 853, 443])
def test_names_leave_by_no_other_port(arena: Arena, den: str, port: int) -> None:
    """A question at a server of the world, on the usual and unusual ports: silence."""
    mallory = arena.pods["mallory"]
    with server(arena, den, truth, den, port):
        assert ask(mallory, den, "secret.example", port=port, patience=0.3) is None
    assert not mallory.reaches(den, port, patience=0.3)


def test_dns_by_tcp_says_no_more_than_by_udp(arena: Arena) -> None:
    mallory: Pod = arena.pods["mallory"]
    query = dns.message.make_query("secret.example", "A").to_wire()
    for vip in arena.service("kube-system", "kube-dns"):
        family = socket.AF_INET6 if ":" in vip else socket.AF_INET
        with mallory.make_socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(1)
            try:
                client.connect((vip, 53))
                client.sendall(len(query).to_bytes(2, "big") + query)
                data = client.recv(4096)
            except OSError:
                continue  # closed is as good
            answer = dns.message.from_wire(data[2:])
            assert answer.rcode() in (dns.rcode.REFUSED, dns.rcode.NXDOMAIN)
            assert not answer.flags & dns.flags.AA, "the cluster's DNS was asked"
