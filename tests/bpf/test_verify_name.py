"""`namewall.io/verify-name: sni`: real ClientHellos, in packets, to addresses that were granted under a name."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Iterator
from dataclasses import replace

import dns.message
import dns.rrset
import pytest
from bpf_lab import RESOLVER4, RESOLVER6, TCP, UDP, Lab, Pod, a, allow, egress, names, tables
from packets import ACK, L4, SYN, Bench, ip, udp

from namewall.model.flow import Audited, Dropped, DropReason
from namewall.model.net import Address
from namewall.policy.map_state import FqdnPeer, IdentityPeer, MapState
from namewall.policy.rules import Verify
from namewall.state.tables import NodeTables

SHARED4, SHARED6 = "192.0.2.10", "2001:db8:5::10"
NOT_GRANTED, UNREADABLE = DropReason.TLS_NAME_NOT_GRANTED, DropReason.TLS_NAME_UNREADABLE


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    shared_lab.datapath.read_events()
    yield shared_lab
    shared_lab.apply(NodeTables())


def hello(name: str | None, alpn: int = 0) -> bytes:
    """What OpenSSL sends first; `alpn` makes it longer."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols([f"p{number:03}" for number in range(alpn)])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def extended(wire: bytes, kind: int, content: bytes) -> bytes:
    """The same hello with one extension more."""
    at = 43
    at += 1 + wire[at]
    at += 2 + int.from_bytes(wire[at : at + 2], "big")
    at += 1 + wire[at]
    more = struct.pack("!HH", kind, len(content)) + content
    total = int.from_bytes(wire[at : at + 2], "big") + len(more)
    body = wire[9:at] + struct.pack("!H", total) + wire[at + 2 :] + more
    return wire[:3] + struct.pack("!HB", len(body) + 4, 1) + len(body).to_bytes(3, "big") + body


class Client:
    """Connections of a pod to an address, packet by packet."""

    def __init__(self, bench: Bench, pod: Pod, remote: str) -> None:
        self._bench, self._pod, self._remote = bench, pod, a(remote)
        self._own: Address = a(pod.ipv6 if ":" in remote else pod.ipv4)
        self._port = 1024

    def open(self, data: bytes = b"") -> bool:
        self._port += 1
        return self.sends(data, SYN)

    def sends(self, data: bytes, flags: int = ACK) -> bool:
        return self._bench.sends(
            self._pod, ip(self._own, self._remote, self._segment(self._port, 443, data, flags))
        )

    def gets(self, data: bytes, flags: int = ACK) -> bool:
        return self._bench.gets(
            self._pod, ip(self._remote, self._own, self._segment(443, self._port, data, flags))
        )

    def _segment(self, source: int, destination: int, data: bytes, flags: int) -> L4:
        return L4(6, struct.pack("!HHIIBBHHH", source, destination, 1, 0, 0x50, flags, 1024, 0, 0) + data)


def learn(bench: Bench, pod: Pod, name: str, address: str) -> None:
    server = RESOLVER6 if ":" in address else RESOLVER4
    kind = "AAAA" if ":" in address else "A"
    query = dns.message.make_query(name, kind)
    own = a(pod.ipv6 if ":" in address else pod.ipv4)
    assert bench.sends(pod, ip(own, a(server), udp(4000, 53, query.to_wire())))
    response = dns.message.make_response(query)
    response.answer.append(dns.rrset.from_text(f"{name}.", 300, "IN", kind, address))
    assert bench.gets(pod, ip(a(server), own, udp(53, 4000, response.to_wire())))


class Drops:
    """Counted, since only the first of a kind is told of each second."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._before = lab.datapath.drops()

    def expect(self, reason: DropReason, count: int) -> None:
        now = self._lab.datapath.drops()
        new = {each: now[each] - self._before.get(each, 0) for each in now}
        assert {each: number for each, number in new.items() if number} == {reason: count}
        self._before = now


def reasons(bench: Bench) -> list[DropReason]:
    return [event.reason for event in bench.events() if isinstance(event, Dropped)]


@pytest.fixture(params=[SHARED4, SHARED6])
def client(request: pytest.FixtureRequest, lab: Lab, pod: Pod, bench: Bench) -> Client:
    """At an address shared by a.example, which it learned, and others."""
    state = names("a.example.", "*.b.example.", ask="any")
    lab.apply(tables(state, replace(pod.row(), verify=Verify.ENFORCE)))
    learn(bench, pod, "a.example", request.param)
    bench.events()
    return Client(bench, pod, request.param)


def test_the_name_that_was_granted_passes(client: Client, bench: Bench) -> None:
    for name, more in (("a.example", 0), ("A.eXample", 0), ("a.example", 40)):
        assert client.open()
        assert client.gets(b"", SYN | ACK)
        assert client.sends(b"")
        assert client.sends(hello(name, more))
        assert client.sends(hello(name, more))  # again, as TCP does
        assert client.gets(b"\x16\x03\x03 server hello")
        assert client.sends(b"whatever follows")
    assert reasons(bench) == []


def test_another_name_at_the_same_address_drops(lab: Lab, client: Client, bench: Bench) -> None:
    """One that policy names elsewhere, one it does not know, and the same before and after an allowed one."""
    drops = Drops(lab)
    for name in ("x.b.example", "evil.example", "aa.example", "a.example.evil.example"):
        assert client.open()
        assert not client.sends(hello(name))
        assert not client.sends(hello(name))
        drops.expect(NOT_GRANTED, 2)
    assert reasons(bench)[:1] == [NOT_GRANTED]
    assert client.open()
    assert client.sends(hello("a.example"))
    # Until the server has answered, the first may never have reached it.
    assert not client.sends(hello("evil.example"))
    assert not client.sends(b"GET / HTTP/1.1")


def test_what_is_no_whole_hello_drops(lab: Lab, client: Client) -> None:
    drops = Drops(lab)
    good = hello("a.example")
    bad = [
        b"x",
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        hello(None),
        good[:-1],
        good + b"x",
        good[:60],
        good[:5] + b"\x02" + good[6:],
        b"\x17" + good[1:],
        extended(good, 0, b"\0\x0e\0\0\x0bb.a.example"),
        extended(good, 0xFE0D, b"\0" * 40),
        good + good,
    ]
    for data in bad:
        assert client.open(), data
        assert not client.sends(data), data
        drops.expect(UNREADABLE, 1)
    assert client.sends(good), "the next packet of the same connection may do"
    assert client.open()
    assert client.sends(extended(good, 0x4A4A, b"grease"))


def test_a_server_that_speaks_first_opens_nothing(client: Client) -> None:
    assert client.open()
    assert client.gets(b"220 welcome")
    assert not client.sends(b"EHLO there")


def test_data_with_the_first_packet_is_looked_at(client: Client) -> None:
    assert not client.open(b"early")
    assert not client.open(hello("evil.example"))
    assert client.open(hello("a.example"))


def test_only_flows_that_a_name_opened(lab: Lab, pod: Pod, bench: Bench) -> None:
    """What a CIDR or an entity allows besides, other ports, and who has no such policy: as before."""
    names_too = [
        allow(protocol=UDP, port=53, dns="any"),
        allow(FqdnPeer("a.example."), TCP, 443),
        allow(FqdnPeer("a.example."), TCP, 8443),
    ]
    for state, verify in (
        (egress(*names_too, allow(IdentityPeer(9), TCP, 443)), Verify.ENFORCE),
        (egress(*names_too), Verify.OFF),
        (MapState(False, False, {}), Verify.ENFORCE),
    ):
        lab.apply(tables(state, replace(pod.row(), verify=verify)))
        learn(bench, pod, "a.example", SHARED4)
        client = Client(bench, pod, SHARED4)
        assert client.open()
        assert client.sends(b"no hello")
    lab.apply(tables(egress(*names_too), replace(pod.row(), verify=Verify.ENFORCE)))
    learn(bench, pod, "a.example", SHARED4)
    segment = L4(6, struct.pack("!HHIIBBHHH", 9000, 8443, 1, 0, 0x50, SYN, 1024, 0, 0) + b"no hello")
    assert bench.sends(pod, ip(a(pod.ipv4), a(SHARED4), segment))


def test_a_name_that_policy_took_away(lab: Lab, pod: Pod, bench: Bench, client: Client) -> None:
    assert client.open()
    lab.apply(tables(names("z.example.", ask="any"), replace(pod.row(), verify=Verify.ENFORCE)))
    assert not client.sends(hello("a.example"))


def test_in_audit_everything_passes_and_is_told_of(lab: Lab, pod: Pod, bench: Bench, client: Client) -> None:
    state = names("a.example.", "*.b.example.", ask="any")
    lab.apply(tables(state, replace(pod.row(), verify=Verify.AUDIT)))
    drops = lab.datapath.drops()
    for data, reason in (
        (hello("x.b.example"), NOT_GRANTED),
        (b"GET / HTTP/1.1", UNREADABLE),
        (hello("a.example"), None),
    ):
        bench.events()
        assert client.open()
        assert client.sends(data)
        assert client.gets(b"an answer")
        assert client.sends(b"whatever follows")
        told = [(event.reason, event.dropped) for event in bench.events() if isinstance(event, Audited)]
        assert told == ([(reason, None)] if reason else [])
    assert client.open(b"early")
    assert lab.datapath.drops() == drops
