"""The cluster DNS over real sockets, with upstreams that misbehave in every way that upstreams do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from namewall.clusterdns import forward, server
from namewall.clusterdns.records import KEY, Endpoint, Records, Service, to_json
from namewall.clusterdns.reload import Document
from namewall.clusterdns.server import Server
from namewall.model.cluster import Resolver

Message = dns.message.Message
Behaviour = Callable[[Message, bool], Message | bytes | None]


def addresses(query: Message, *texts: str, ttl: int = 77) -> Message:
    response = dns.message.make_response(query, recursion_available=True)
    question = query.question[0]
    if question.rdtype == dns.rdatatype.A:
        response.answer.append(dns.rrset.from_text(question.name, ttl, "IN", "A", *texts))
    return response


def one_address(query: Message, tcp: bool) -> Message:
    return addresses(query, "203.0.113.7")


@dataclass
class Upstream:
    """A resolver on loopback, UDP and TCP on one port. `behaviour` gives the answer, None for silence."""

    behaviour: Behaviour = one_address
    seen: list[tuple[int, int, bool]] = field(default_factory=list)
    """Of each question: id, source port, whether by TCP."""
    port: int = 0

    async def __aenter__(self) -> Upstream:
        loop = asyncio.get_running_loop()
        upstream = self

        class Protocol(asyncio.DatagramProtocol):
            transport: asyncio.DatagramTransport

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = transport  # type: ignore[assignment]

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                for answer in upstream._answers(data, addr[1], False):
                    self.transport.sendto(answer, addr)

        self._udp, _ = await loop.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
        self.port = self._udp.get_extra_info("sockname")[1]
        self._writers: list[asyncio.StreamWriter] = []
        try:
            self._tcp = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        except OSError:
            # The port the system chose for UDP is somebody's for TCP.
            self._udp.close()
            return await self.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._tcp.close()
        for writer in self._writers:
            writer.close()
        await asyncio.sleep(0.01)

    @property
    def resolver(self) -> Resolver:
        return Resolver(ip_address("127.0.0.1"), self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                peer = writer.get_extra_info("peername")
                for answer in self._answers(await reader.readexactly(length), peer[1], True):
                    writer.write(struct.pack("!H", len(answer)) + answer)
        writer.close()

    def _answers(self, data: bytes, port: int, tcp: bool) -> Iterator[bytes]:
        query = dns.message.from_wire(data)
        self.seen.append((query.id, port, tcp))
        answer = self.behaviour(query, tcp)
        if answer is not None:
            yield answer if isinstance(answer, bytes) else answer.to_wire()


@dataclass
class Client:
    port: int
    server: Server

    async def udp(self, name: str, rdtype: str = "A", **options: Any) -> Message:
        query = dns.message.make_query(name, rdtype, **options)
        return await dns.asyncquery.udp(query, "127.0.0.1", port=self.port, timeout=6)

    async def tcp(self, name: str, rdtype: str = "A") -> Message:
        return await dns.asyncquery.tcp(
            dns.message.make_query(name, rdtype), "127.0.0.1", port=self.port, timeout=6
        )


RECORDS = Records(
    ranges=(ip_network("10.220.0.0/16"),),
    services=(
        Service("default", "web", (ip_address("10.220.0.7"),)),
        Service(
            "default",
            "many",
            endpoints=tuple(Endpoint(ip_address("10.219.0.0") + number) for number in range(1, 301)),
        ),
        Service("default", "shop", external_name="shop.example.com"),
        Service("default", "alias", external_name="web.default.svc.cluster.local"),
        Service("default", "loop", external_name="pool.default.svc.cluster.local"),
        Service("default", "pool", external_name="loop.default.svc.cluster.local"),
    ),
)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    running = Server()
    running.load(to_json(RECORDS).encode())
    port = await running.listen("127.0.0.1", 0)
    yield Client(port, running)
    await running.close()


def forward_to(client: Client, *upstreams: Upstream) -> None:
    client.server._forwarder.upstreams = tuple(upstream.resolver for upstream in upstreams)


def values(message: Message) -> list[str]:
    return [rdata.to_text() for rrset in message.answer for rdata in rrset]


async def test_names_of_the_cluster_by_udp_and_tcp(client: Client) -> None:
    for answer in (
        await client.udp("web.default.svc.cluster.local"),
        await client.tcp("web.default.svc.cluster.local"),
    ):
        assert values(answer) == ["10.220.0.7"]
        assert answer.flags & dns.flags.AA
        assert answer.flags & dns.flags.RA
    answer = await client.udp("kubernetes.io.default.svc.cluster.local", use_edns=0)
    assert (answer.rcode(), answer.edns) == (dns.rcode.NXDOMAIN, 0)


async def test_other_names_pass_through_as_upstream_has_them(client: Client) -> None:
    async with Upstream() as upstream:
        forward_to(client, upstream)
        answer = await client.udp("Kubernetes.IO", use_edns=0, payload=1232)
        assert values(answer) == ["203.0.113.7"]
        assert answer.answer[0].ttl == 77
        assert answer.question[0].name.to_text() == "Kubernetes.IO."
        assert answer.edns == 0
        assert not answer.flags & dns.flags.AA


async def test_ids_and_source_ports_are_drawn_anew_each_time(client: Client) -> None:
    async with Upstream() as upstream:
        forward_to(client, upstream)
        for _ in range(20):
            await client.udp("kubernetes.io", id=1)
        assert len({seen[0] for seen in upstream.seen}) > 15
        assert len({seen[1] for seen in upstream.seen}) > 15


async def test_a_question_by_tcp_is_asked_by_tcp(client: Client) -> None:
    async with Upstream() as upstream:
        forward_to(client, upstream)
        assert values(await client.tcp("kubernetes.io")) == ["203.0.113.7"]
        assert [seen[2] for seen in upstream.seen] == [True]


async def test_questions_of_one_connection_do_not_wait_for_one_another(client: Client) -> None:
    async with Upstream(lambda query, tcp: None) as upstream:
        forward_to(client, upstream)
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        for name in ("silent.example", "web.default.svc.cluster.local"):
            wire = dns.message.make_query(name, "A").to_wire()
            writer.write(struct.pack("!H", len(wire)) + wire)
        async with asyncio.timeout(1):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            assert values(dns.message.from_wire(await reader.readexactly(length))) == ["10.220.0.7"]
        writer.close()


async def test_many_addresses_are_cut_for_udp_and_whole_by_tcp(client: Client) -> None:
    no_edns: dict[str, Any] = {}
    for options in (no_edns, {"use_edns": 0, "payload": 4096}):
        answer = await client.udp("many.default.svc.cluster.local", **options)
        assert answer.flags & dns.flags.TC
    assert len(values(await client.tcp("many.default.svc.cluster.local"))) == 300


def truncating(query: Message, tcp: bool) -> Message:
    if tcp:
        return addresses(query, *(f"203.0.113.{number}" for number in range(1, 61)))
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC
    return response


async def test_a_truncated_answer_is_fetched_by_tcp_where_the_client_has_room(client: Client) -> None:
    async with Upstream(truncating) as upstream:
        forward_to(client, upstream)
        whole = await client.udp("kubernetes.io", use_edns=0, payload=4096)
        assert len(values(whole)) == 60
        assert not whole.flags & dns.flags.TC
        cut = await client.udp("kubernetes.io")
        assert values(cut) == []
        assert cut.flags & dns.flags.TC


async def test_an_answer_larger_than_the_client_takes_is_cut(client: Client) -> None:
    async with Upstream(lambda query, tcp: truncating(query, True)) as upstream:
        forward_to(client, upstream)
        answer = await client.udp("kubernetes.io")
        assert answer.flags & dns.flags.TC
        assert answer.question[0].name.to_text() == "kubernetes.io."


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
async def test_a_server_that_cannot_is_followed_by_the_next(client: Client, rcode: dns.rcode.Rcode) -> None:
    def failing(query: Message, tcp: bool) -> Message:
        response = dns.message.make_response(query)
        response.set_rcode(rcode)
        return response

    async with Upstream(failing) as bad, Upstream() as good:
        forward_to(client, bad, good)
        assert values(await client.udp("kubernetes.io")) == ["203.0.113.7"]
        forward_to(client, bad)
        assert (await client.udp("kubernetes.io")).rcode() == rcode


async def test_nxdomain_of_the_first_server_stands(client: Client) -> None:
    def missing(query: Message, tcp: bool) -> Message:
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    async with Upstream(missing) as first, Upstream() as second:
        forward_to(client, first, second)
        assert (await client.udp("nowhere.example")).rcode() == dns.rcode.NXDOMAIN
        assert second.seen == []


async def test_a_silent_server_costs_one_wait_and_is_asked_last_for_a_while(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "ATTEMPT", 0.2)
    async with Upstream(lambda query, tcp: None) as silent, Upstream() as good:
        forward_to(client, silent, good)
        for _ in range(5):
            assert values(await client.udp("kubernetes.io")) == ["203.0.113.7"]
        assert len(silent.seen) == 1


async def test_a_lost_packet_is_sent_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "ATTEMPT", 0.2)
    asked = []

    def second_time(query: Message, tcp: bool) -> Message | None:
        asked.append(query)
        return one_address(query, tcp) if len(asked) > 1 else None

    async with Upstream(second_time) as upstream:
        forward_to(client, upstream)
        assert values(await client.udp("kubernetes.io")) == ["203.0.113.7"]


@pytest.mark.parametrize("how", ["silent", "nobody", "none"])
async def test_dead_upstreams_are_servfail_in_time(
    client: Client, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(forward, "ATTEMPT", 0.2)
    monkeypatch.setattr(forward, "TOTAL", 0.5)
    async with Upstream(lambda query, tcp: None) as upstream:
        if how == "silent":
            forward_to(client, upstream)
        elif how == "nobody":
            client.server._forwarder.upstreams = (Resolver(ip_address("127.0.0.1"), 1),)
        for ask in (client.udp, client.tcp):
            before = time.monotonic()
            assert (await ask("kubernetes.io")).rcode() == dns.rcode.SERVFAIL
            assert time.monotonic() - before < 1.5
        # The cluster's own names do not suffer.
        assert values(await client.udp("web.default.svc.cluster.local")) == ["10.220.0.7"]


async def test_forged_answers_are_passed_over(client: Client) -> None:
    def forging(query: Message, tcp: bool) -> bytes:
        good = one_address(query, tcp).to_wire()
        return struct.pack("!H", query.id ^ 1) + good[2:]

    async with Upstream(forging) as upstream:
        upstream_answers = upstream._answers

        def both(data: bytes, port: int, tcp: bool) -> Iterator[bytes]:
            yield from upstream_answers(data, port, tcp)
            yield b"crumbs"
            other = dns.message.make_query("cilium.io", "A", id=int.from_bytes(data[:2], "big"))
            yield addresses(other, "203.0.113.66").to_wire()
            yield addresses(dns.message.from_wire(data), "203.0.113.8").to_wire()

        upstream._answers = both  # type: ignore[method-assign]
        forward_to(client, upstream)
        assert values(await client.udp("kubernetes.io")) == ["203.0.113.8"]


async def test_external_names_are_answered_with_what_they_stand_for(client: Client) -> None:
    async with Upstream() as upstream:
        forward_to(client, upstream)
        for ask in (client.udp, client.tcp):
            answer = await ask("shop.default.svc.cluster.local")
            assert values(answer) == ["shop.example.com.", "203.0.113.7"]
            answer = await ask("alias.default.svc.cluster.local")
            assert values(answer) == ["web.default.svc.cluster.local.", "10.220.0.7"]
    assert (await client.udp("loop.default.svc.cluster.local")).rcode() == dns.rcode.SERVFAIL


async def test_one_clients_flood_leaves_room_for_others(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.server, "_waiting", server.Bounds(most=20, most_of_one=5))
    async with Upstream(
        lambda query, tcp: None if "flood" in str(query.question[0].name) else one_address(query, tcp)
    ) as upstream:
        forward_to(client, upstream)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
            flood.bind(("127.0.0.2", 0))
            for number in range(50):
                flood.sendto(
                    dns.message.make_query(f"flood{number}.example", "A").to_wire(),
                    ("127.0.0.1", client.port),
                )
            await asyncio.sleep(0.2)
            flood.setblocking(False)
            refused = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    assert dns.message.from_wire(flood.recv(512)).rcode() == dns.rcode.SERVFAIL
                    refused += 1
        assert refused == 45
        assert values(await client.udp("kubernetes.io")) == ["203.0.113.7"]


async def test_idle_and_excess_connections_are_closed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "IDLE", 0.2)
    monkeypatch.setattr(client.server, "_connections", server.Bounds(most=10, most_of_one=2))
    pairs = [await asyncio.open_connection("127.0.0.1", client.port) for _ in range(3)]
    async with asyncio.timeout(0.15):
        assert await pairs[2][0].read() == b""
    async with asyncio.timeout(1):
        assert await pairs[0][0].read() == b""
    for _, writer in pairs:
        writer.close()
    assert values(await client.tcp("web.default.svc.cluster.local")) == ["10.220.0.7"]


async def test_garbage_by_tcp_and_udp_harms_nobody(client: Client) -> None:
    for octets in (b"", b"\0", b"\0\0", b"\0\5hello", b"\xff\xff" + b"x" * 100, b"GET / HTTP/1.1\r\n\r\n"):
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(octets)
        writer.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(octets, ("127.0.0.1", client.port))
    assert values(await client.udp("web.default.svc.cluster.local")) == ["10.220.0.7"]
    assert values(await client.tcp("web.default.svc.cluster.local")) == ["10.220.0.7"]


async def test_records_are_read_again_when_the_volume_switches(tmp_path: Path) -> None:
    """As the kubelet's atomic writer does it: files behind a link that is renamed over."""

    def switch(number: int, text: str) -> None:
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / KEY).write_text(text)
        (tmp_path / "..data_tmp").symlink_to(f"..{number}")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    (tmp_path / KEY).symlink_to(f"..data/{KEY}")
    running = Server()
    follow = asyncio.create_task(running.follow(Document(str(tmp_path))))
    port = await running.listen("127.0.0.1", 0)
    client = Client(port, running)

    async def until(name: str, rcode: dns.rcode.Rcode) -> None:
        async with asyncio.timeout(2):
            while (await client.udp(name)).rcode() != rcode:
                await asyncio.sleep(0.02)

    try:
        assert (await client.udp("web.default.svc.cluster.local")).rcode() == dns.rcode.SERVFAIL
        switch(0, to_json(RECORDS))
        await until("web.default.svc.cluster.local", dns.rcode.NOERROR)
        switch(1, "{ half a docu")
        await asyncio.sleep(0.5)
        assert values(await client.udp("web.default.svc.cluster.local")) == ["10.220.0.7"]
        switch(2, to_json(Records()))
        await until("web.default.svc.cluster.local", dns.rcode.NXDOMAIN)
    finally:
        follow.cancel()
        await running.close()


async def test_the_documents_upstreams_win_while_it_names_some() -> None:
    async with Upstream() as own, Upstream(lambda query, tcp: addresses(query, "203.0.113.9")) as other:
        running = Server(upstreams=[own.resolver])
        client = Client(await running.listen("127.0.0.1", 0), running)
        assert values(await client.udp("kubernetes.io")) == ["203.0.113.7"]
        running.load(to_json(Records(upstreams=(other.resolver,))).encode())
        assert values(await client.udp("kubernetes.io")) == ["203.0.113.9"]
        running.load(to_json(Records()).encode())
        assert values(await client.udp("kubernetes.io")) == ["203.0.113.7"]
        await running.close()


@contextlib.contextmanager
def program(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """`namewall cluster-dns` as a process, and the ports it says it listens on."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "namewall", "cluster-dns", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr is not None
    ports = []
    try:
        for line in process.stderr:
            if line.startswith("listening on"):
                ports.append(int(line.split()[-1]))
            if len(ports) == arguments.count("--listen"):
                break
        yield process, ports
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.skipif(shutil.which("dig") is None, reason="needs dig (package dnsutils)")
def test_the_program_serves_dig_on_two_ports_both_families_and_ends_when_told(tmp_path: Path) -> None:
    (tmp_path / KEY).write_text(to_json(RECORDS))
    with program("--listen", "0", "--listen", "127.0.0.1:0", "--records", str(tmp_path)) as (process, ports):
        for host, port, more in (
            ("127.0.0.1", ports[0], []),
            ("::1", ports[0], ["+tcp"]),
            ("127.0.0.1", ports[1], ["+tcp", "+noedns"]),
        ):
            command = [
                "dig",
                f"@{host}",
                "-p",
                str(port),
                "+short",
                "+time=2",
                *more,
                "web.default.svc.cluster.local",
            ]
            assert (
                subprocess.run(command, capture_output=True, text=True, check=True).stdout == "10.220.0.7\n"
            )
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


def test_a_port_that_is_taken_is_one_sentence_and_exit_code_3() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with program("--listen", f"127.0.0.1:{port}") as (process, _):
            assert process.wait(timeout=10) == 3


RESOLVE = """
import json, socket, sys, time
found = {}
for name in sys.argv[1:]:
    before = time.monotonic()
    try:
        found[name] = sorted({info[4][0] for info in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})
    except socket.gaierror as error:
        found[name] = error.args[0]
    assert time.monotonic() - before < 2, name
print(json.dumps(found))
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a resolv.conf and port 53 of its own")
def test_the_c_librarys_resolver_with_search_list_and_ndots(tmp_path: Path) -> None:
    """A pod's own view: getaddrinfo, its resolv.conf, port 53, in network and mount namespaces of its own."""
    upstream = Records(domain="upstream.invalid", services=RECORDS.services)
    world = {"version": 1, **json.loads(to_json(upstream)), "domain": "example"}
    (tmp_path / "upstream.json").write_text(json.dumps(world))
    records = Records(RECORDS.domain, (Resolver(ip_address("127.0.0.2")),), RECORDS.ranges, RECORDS.services)
    (tmp_path / KEY).write_text(to_json(records))
    (tmp_path / "resolv.conf").write_text(
        "search default.svc.cluster.local svc.cluster.local cluster.local\n"
        "nameserver 127.0.0.1\n"
        "options ndots:5\n"
    )
    names = {
        "web": ["10.220.0.7"],
        "web.default": ["10.220.0.7"],
        "web.default.svc.cluster.local": ["10.220.0.7"],
        "alias": ["10.220.0.7"],
        # Four lookups: three NXDOMAIN of the search list at once, then upstream.
        "web.default.svc.example": ["10.220.0.7"],
        "nowhere.example": socket.EAI_NONAME,
    }
    script = f"""
        set -e
        ip link set lo up
        mount --bind {tmp_path}/resolv.conf /etc/resolv.conf
        serve() {{ exec {sys.executable} -m namewall cluster-dns --listen $1:53 --records $2 2>/dev/null; }}
        serve 127.0.0.1 {tmp_path} & one=$!
        serve 127.0.0.2 {tmp_path}/upstream.json & two=$!
        trap 'kill $one $two; wait' EXIT
        for server in 127.0.0.1 127.0.0.2; do
            for try in $(seq 100); do
                (: > /dev/tcp/$server/53) 2>/dev/null && break
                sleep 0.05
            done
        done
        {sys.executable} - {" ".join(names)} <<'END'
{RESOLVE}
END
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    run = subprocess.run(
        ["unshare", "-n", "-m", "bash", "-c", script], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == names
