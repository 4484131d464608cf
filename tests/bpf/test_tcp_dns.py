"""DNS over TCP: led to the proxy by the programs, judged and learned from there, with real connections."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from bpf_lab import (
    RESOLVER4,
    RESOLVER6,
    TCP,
    WORLD4,
    WORLD6,
    Lab,
    Pod,
    a,
    allow,
    egress,
    eventually,
    inside,
    names,
    tables,
)

from namewall.agent.dns_proxy import DnsProxy, Limits
from namewall.datapath import libbpf, transparent
from namewall.model.flow import Dropped, DropReason, Learned, Refused
from namewall.model.net import Direction
from namewall.policy.map_state import FqdnPeer, IdentityPeer, MapState
from namewall.state.tables import DnsSettings, IpcacheRow, NodeTables

RESOLVERS = pytest.mark.parametrize(
    ("resolver", "kind", "world"), [(RESOLVER4, "A", WORLD4), (RESOLVER6, "AAAA", WORLD6)]
)


class Agent:
    """The part of the agent that is a proxy, in a thread inside the node; it can die."""

    def __init__(self, lab: Lab, limits: Limits | None = None) -> None:
        self._lab = lab
        self.proxy = DnsProxy(lab.instance, lab.datapath, lambda scope, address: [], limits)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        started = threading.Event()
        self._started = started
        self._thread.start()
        assert started.wait(60)

    def _run(self) -> None:
        async def work() -> None:
            await self.proxy.start((4, 6))
            self._stop = asyncio.Event()
            self._started.set()
            await self._stop.wait()
            self.proxy.close()

        asyncio.set_event_loop(self._loop)
        with inside(self._lab.node):
            self._loop.run_until_complete(work())
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(asyncio.sleep(0.05))
            self._loop.close()

    def apply(self, wanted: NodeTables) -> None:
        self._lab.apply(wanted)
        self.proxy.take(wanted)

    def die(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)


@pytest.fixture(scope="module", params=["tcx", pytest.param("clsact", marks=pytest.mark.long)])
def attached(request: pytest.FixtureRequest, shared_lab: Lab) -> Iterator[Lab]:
    """Loaded once, programs attached one way and the other. (`make test` has the other on 6.1, which knows no tcx.)"""

    def none(*_: object) -> int:
        raise OSError(errno.EINVAL, "no tcx")

    with pytest.MonkeyPatch.context() as patch:
        if request.param == "clsact":
            patch.setattr(libbpf, "create_tcx_link", none)
        yield shared_lab


@pytest.fixture
def lab(attached: Lab) -> Iterator[Lab]:
    server = attached.server
    server.zone.clear()
    server.asked.clear()
    server.clients.clear()
    for number, name in enumerate(("kubernetes.io.", "cilium.io.", "www.kubernetes.io.")):
        server.zone[name, "A"] = [WORLD4[number]]
        server.zone[name, "AAAA"] = [WORLD6[number]]
    attached.datapath.read_events()
    yield attached
    server.rewrite = None
    attached.apply(NodeTables())


@pytest.fixture
def agent(lab: Lab) -> Iterator[Agent]:
    agent = Agent(lab)
    yield agent
    agent.die()
    with inside(lab.node):
        transparent.unroute(lab.instance)


def ruled(*forms: str, ask: object = None) -> MapState:
    """As `names`, with the same rules for TCP."""
    state = names(*forms, ask=ask)  # type: ignore[arg-type]
    asked = ask if ask is not None else frozenset(forms)
    return egress(*state.entries.items(), allow(protocol=TCP, port=53, dns=asked))  # type: ignore[arg-type]


def connect(pod: Pod, server: str, timeout: float = 2.0, port: int = 53) -> socket.socket:
    client = pod.socket(server, socket.SOCK_STREAM)
    client.settimeout(timeout)
    client.connect((server, port))
    return client


def send(client: socket.socket, *messages: dns.message.Message) -> None:
    wires = [message.to_wire() for message in messages]
    client.sendall(b"".join(len(wire).to_bytes(2, "big") + wire for wire in wires))


def receive(client: socket.socket) -> dns.message.Message:
    def exactly(count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = client.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    return dns.message.from_wire(exactly(int.from_bytes(exactly(2), "big")))


def ask(pod: Pod, name: str, kind: str = "A", server: str = RESOLVER4, port: int = 53) -> dns.message.Message:
    with connect(pod, server, port=port) as client:
        send(client, dns.message.make_query(name, kind, use_edns=0))
        return receive(client)


def told(lab: Lab, kind: type) -> list[str]:
    return [event.name for event in lab.datapath.read_events() if isinstance(event, kind)]


@RESOLVERS
def test_over_tcp_a_name_is_learned_or_refused(
    lab: Lab, pod: Pod, agent: Agent, resolver: str, kind: str, world: list[str]
) -> None:
    agent.apply(tables(ruled("kubernetes.io."), pod.row()))
    assert not pod.connects(world[0])
    answer = ask(pod, "Kubernetes.IO", kind, resolver)
    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.flags & dns.flags.QR
    assert pod.connects(world[0])
    assert not pod.connects(world[0], port=80)
    refused = ask(pod, "cilium.io", kind, resolver)
    assert refused.rcode() == dns.rcode.REFUSED
    assert [int(option.otype) for option in refused.options] == [15]
    assert not pod.connects(world[1])
    events = lab.datapath.read_events()
    learned = [event for event in events if isinstance(event, Learned)]
    assert [(event.name, event.addresses, event.ttl) for event in learned] == [
        ("kubernetes.io.", (a(world[0]),), 60)
    ]
    assert learned[0].granted
    assert [event.name for event in events if isinstance(event, Refused)] == ["cilium.io."]
    assert lab.server.asked == ["kubernetes.io."]


def test_without_the_agent_it_fails_closed_and_udp_goes_on(lab: Lab, pod: Pod, agent: Agent) -> None:
    wanted = tables(ruled("kubernetes.io."), pod.row())
    agent.apply(wanted)
    client = connect(pod, RESOLVER4)
    with client:
        assert eventually(lambda: bool(agent.proxy.open))
        agent.die()
        with contextlib.suppress(OSError):
            send(client, dns.message.make_query("kubernetes.io", "A"))
        with pytest.raises((OSError, EOFError)):
            receive(client)
    assert not pod.connects(RESOLVER4, 53)
    drops = [event for event in lab.datapath.read_events() if isinstance(event, Dropped)]
    assert DropReason.SOCKET_LOOKUP_FAILED in {event.reason for event in drops}
    assert lab.server.clients == []
    assert pod.ask("kubernetes.io") is not None
    assert pod.connects(WORLD4[0])
    again = Agent(lab)
    again.apply(wanted)
    try:
        assert ask(pod, "kubernetes.io").rcode() == dns.rcode.NOERROR
    finally:
        again.die()


def test_somebody_elses_socket_at_the_proxys_port_is_not_it(lab: Lab, pod: Pod, agent: Agent) -> None:
    agent.apply(tables(ruled("kubernetes.io."), pod.row()))
    port = lab.datapath._config.ports[0]
    agent.die()
    with inside(lab.node), socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        assert not pod.connects(RESOLVER4, 53)


def test_questions_in_a_row_on_one_connection(lab: Lab, pod: Pod, agent: Agent) -> None:
    """Pipelined, some refused, and answers may come in another order."""
    agent.apply(tables(ruled("kubernetes.io.", "www.kubernetes.io."), pod.row()))
    queries = [
        dns.message.make_query(name, kind)
        for name in ("kubernetes.io", "cilium.io", "www.kubernetes.io")
        for kind in ("A", "AAAA")
    ]
    for number, query in enumerate(queries):
        query.id = number
    with connect(pod, RESOLVER4) as client:
        send(client, *queries)
        answers = {answer.id: answer for answer in (receive(client) for _ in queries)}
        assert [answers[number].rcode() for number in range(6)] == [0, 0, 5, 5, 0, 0]
        # What it had is granted: nothing was passed on before.
        assert all(pod.connects(address) for address in (WORLD4[0], WORLD6[0], WORLD4[2], WORLD6[2]))
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert eventually(lambda: not agent.proxy.open)


def test_the_client_may_stop_sending_before_the_answers_came(lab: Lab, pod: Pod, agent: Agent) -> None:
    agent.apply(tables(ruled("kubernetes.io."), pod.row()))

    def late(response: dns.message.Message) -> list[bytes]:
        time.sleep(0.3)
        return [response.to_wire()]

    lab.server.rewrite = late
    with connect(pod, RESOLVER4) as client:
        send(client, dns.message.make_query("kubernetes.io", "A"))
        client.shutdown(socket.SHUT_WR)
        assert receive(client).rcode() == dns.rcode.NOERROR


def test_a_truncated_answer_leads_there(lab: Lab, pod: Pod, agent: Agent) -> None:
    """1,200 octets do not fit into what the question offers: TC, then TCP, and all of it is granted."""
    agent.apply(tables(ruled("many.example."), pod.row()))
    addresses = [f"203.0.113.{n}" for n in range(1, 121)]
    lab.server.zone["many.example.", "A"] = addresses

    def cut(response: dns.message.Message) -> list[bytes]:
        by_udp = not lab.server.clients
        short = dns.message.make_response(dns.message.make_query("many.example", "A", id=response.id))
        short.flags |= dns.flags.TC
        return [(short if by_udp else response).to_wire(max_size=65535)]

    lab.server.rewrite = cut
    query = dns.message.make_query("many.example", "A", use_edns=0, payload=4096)
    with inside(pod.namespace):
        answer, by_tcp = dns.query.udp_with_fallback(query, RESOLVER4, timeout=2)
    assert by_tcp
    assert len(answer.answer[0]) == 120
    assert {grant.address for grant in lab.datapath.grants()} == set(map(a, addresses))


def test_answers_nobody_asked_for_end_in_the_proxy(lab: Lab, pod: Pod, agent: Agent) -> None:
    agent.apply(tables(ruled("kubernetes.io.", "cilium.io."), pod.row()))

    def forge(response: dns.message.Message) -> list[bytes]:
        other = dns.message.make_response(dns.message.make_query("cilium.io", "A", id=response.id))
        other.answer.append(dns.rrset.from_text("cilium.io.", 300, "IN", "A", WORLD4[1]))
        return [other.to_wire(), response.to_wire(), response.to_wire()]

    lab.server.rewrite = forge
    with connect(pod, RESOLVER4) as client:
        query = dns.message.make_query("kubernetes.io", "A")
        send(client, query)
        assert query.is_response(receive(client))
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            receive(client)
    assert not pod.connects(WORLD4[1])
    assert told(lab, Learned) == ["kubernetes.io."]


@pytest.mark.parametrize(
    "octets",
    [
        b"\0\1x",
        b"\0\x20" + bytes(32),
        struct.pack("!H6H", 12, 1, 0x2800, 0, 0, 0, 0),
        b"GET / HTTP/1.1\r\nHost: kubernetes.io\r\n\r\n" * 600,
    ],
)
def test_what_is_no_question_ends_the_connection(lab: Lab, pod: Pod, agent: Agent, octets: bytes) -> None:
    agent.apply(tables(ruled("kubernetes.io."), pod.row()))
    with connect(pod, RESOLVER4) as client, contextlib.suppress(ConnectionError):
        client.sendall(octets)
        assert client.recv(1) == b""
    assert lab.server.clients == []


def test_the_next_message_is_judged_by_the_edited_policy(lab: Lab, pod: Pod, agent: Agent) -> None:
    agent.apply(tables(ruled("kubernetes.io.", "cilium.io."), pod.row()))
    query = dns.message.make_query("cilium.io", "A")
    with connect(pod, RESOLVER4) as client:
        send(client, query)
        assert receive(client).rcode() == dns.rcode.NOERROR
        agent.apply(tables(ruled("kubernetes.io."), pod.row()))
        send(client, query)
        assert receive(client).rcode() == dns.rcode.REFUSED
        agent.apply(tables(egress(allow(FqdnPeer("kubernetes.io."), TCP, 443)), pod.row()))
        send(client, query)
        with pytest.raises((OSError, EOFError)):
            receive(client)


def test_one_workload_has_so_many_connections(lab: Lab, pod: Pod) -> None:
    other = lab.pod(pod.number + 1)
    agent = Agent(lab, Limits(connections=3, idle=0.5))
    try:
        agent.apply(tables(ruled("kubernetes.io."), pod.row(), other.row()))
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(connect(pod, RESOLVER4))
            assert eventually(lambda: agent.proxy.open[pod.number] == 3)
            with pytest.raises((OSError, EOFError)):
                ask(pod, "kubernetes.io")
            assert ask(other, "kubernetes.io").rcode() == dns.rcode.NOERROR
            # Idle ones end by themselves.
            assert eventually(lambda: not agent.proxy.open, 3)
        assert ask(pod, "kubernetes.io").rcode() == dns.rcode.NOERROR
    finally:
        agent.die()


def test_with_every_name_allowed_it_is_learned_from_but_needs_no_agent(
    lab: Lab, pod: Pod, agent: Agent
) -> None:
    """`matchPattern: "*"` is what most policies have."""
    agent.apply(tables(ruled("kubernetes.io.", ask="any"), pod.row()))
    assert ask(pod, "kubernetes.io").rcode() == dns.rcode.NOERROR
    assert pod.connects(WORLD4[0])
    assert lab.server.clients == ["198.51.100.1"]
    agent.die()
    assert ask(pod, "cilium.io").rcode() == dns.rcode.NOERROR
    assert lab.server.clients[1:] == [pod.ipv4]


def test_a_trusted_resolver_teaches_without_dns_rules(lab: Lab, pod: Pod, agent: Agent) -> None:
    plain = egress(allow(protocol=TCP, port=53), allow(FqdnPeer("kubernetes.io."), TCP, 443))
    agent.apply(tables(plain, pod.row()))
    assert ask(pod, "kubernetes.io").rcode() == dns.rcode.NOERROR
    assert not pod.connects(WORLD4[0])
    agent.apply(tables(plain, pod.row(), trusted_resolvers=frozenset({a(RESOLVER4)})))
    assert ask(pod, "kubernetes.io").rcode() == dns.rcode.NOERROR
    assert pod.connects(WORLD4[0])
    assert lab.server.clients == [pod.ipv4, "198.51.100.1"]


def test_a_server_that_does_not_let_the_workload_in_gets_nothing(lab: Lab, pod: Pod, agent: Agent) -> None:
    """The proxy comes as the node, whom no pod keeps out, so the server's own policy is asked before."""
    server = lab.pod(pod.number + 1)
    here, lab.server._namespace = lab.server._namespace, server.namespace
    lab.server.serve_dns_stream(server.ipv4)
    lab.server._namespace = here
    row = server.row(policy=2)
    host = allow(IdentityPeer(1), direction=Direction.INGRESS)
    closed = MapState(True, False, dict([host]))
    opened = MapState(
        True,
        False,
        dict([host, allow(IdentityPeer(pod.row().identity), TCP, 53, direction=Direction.INGRESS)]),
    )
    wanted = tables(ruled("kubernetes.io."), pod.row(), row)
    ipcache = {
        **wanted.ipcache,
        ip_network(pod.ipv4): IpcacheRow(pod.row().identity, inside=True),
        ip_network(server.ipv4): IpcacheRow(row.identity, inside=True),
    }
    for state, works in ((closed, False), (opened, True), (closed, False)):
        agent.apply(replace(wanted, ipcache=ipcache, policies={**wanted.policies, 2: state}))
        if works:
            assert ask(pod, "kubernetes.io", server=server.ipv4).rcode() == dns.rcode.NOERROR
        else:
            with pytest.raises((OSError, EOFError)):
                ask(pod, "kubernetes.io", server=server.ipv4)


def test_the_way_there_is_gone_after_down(lab: Lab, agent: Agent) -> None:
    def there(version: int) -> tuple[bool, bool]:
        rule = transparent._ip(version, "rule", "show", *transparent._rule(lab.instance))
        routes = transparent._ip(version, "route", "show", "table", "all").split()
        return bool(rule), str(lab.instance.route_table) in routes

    with inside(lab.node):
        assert [there(4), there(6)] == [(True, True), (True, True)]
        transparent.unroute(lab.instance)
        transparent.unroute(lab.instance)
        assert [there(4), there(6)] == [(False, False), (False, False)]


def test_on_another_port_where_a_rule_stands(lab: Lab, pod: Pod, agent: Agent) -> None:
    rules = allow(protocol=TCP, port=5300, dns=frozenset({"kubernetes.io."}))
    agent.apply(tables(egress(rules, allow(FqdnPeer("kubernetes.io."), TCP, 443)), pod.row()))
    if not any(one.getsockname()[1] == 5300 for one in lab.server._sockets):
        lab.server.serve_dns_stream(RESOLVER4, 5300)
    assert ask(pod, "kubernetes.io", port=5300).rcode() == dns.rcode.NOERROR
    assert ask(pod, "cilium.io", port=5300).rcode() == dns.rcode.REFUSED
    assert pod.connects(WORLD4[0])
    assert not pod.connects(RESOLVER4, 53)


def test_what_began_without_rules_is_cut_when_there_are_some(lab: Lab, pod: Pod, agent: Agent) -> None:
    agent.apply(tables(egress(allow(protocol=TCP, port=53)), pod.row()))
    query = dns.message.make_query("cilium.io", "A")
    with connect(pod, RESOLVER4) as client:
        send(client, query)
        assert receive(client).rcode() == dns.rcode.NOERROR
        agent.apply(tables(ruled("kubernetes.io."), pod.row()))
        send(client, query)
        with pytest.raises((ConnectionError, EOFError)):
            receive(client)
    assert lab.server.asked == ["cilium.io."]


def test_settings_count_here_too(lab: Lab, pod: Pod, agent: Agent) -> None:
    row = replace(pod.row(), search=("cluster.local.",), strict=True, min_ttl=100)
    state = ruled("kubernetes.io.", ask=frozenset({"kubernetes.io.#A,AAAA", "in.cluster.local.#A"}))
    settings = DnsSettings(grace=7, longest_label=20)
    agent.apply(tables(state, row, dns=settings))
    lab.server.zone["kubernetes.io.", "A"] = [WORLD4[0], "10.1.2.3", "127.0.0.1"]
    assert ask(pod, "kubernetes.io").rcode() == dns.rcode.NOERROR
    (told,) = [event for event in lab.datapath.read_events() if isinstance(event, Learned)]
    assert (told.addresses, told.ttl, told.granted) == ((a(WORLD4[0]),), 107, True)
    assert ask(pod, "kubernetes.io", "TXT").rcode() == dns.rcode.REFUSED
    assert ask(pod, "in.cluster.local", "TXT").rcode() == dns.rcode.REFUSED
    assert ask(pod, "kubernetes.io.cluster.local").rcode() == dns.rcode.NXDOMAIN
    assert ask(pod, f"{'x' * 21}.example").rcode() == dns.rcode.REFUSED


def test_who_asks_too_much_waits(lab: Lab, pod: Pod) -> None:
    agent = Agent(lab, Limits(rate=20, burst=10))
    try:
        agent.apply(tables(ruled("kubernetes.io."), pod.row()))
        began = time.monotonic()
        with connect(pod, RESOLVER4, timeout=5) as client:
            send(client, *(dns.message.make_query("cilium.io", "A") for _ in range(20)))
            for _ in range(20):
                receive(client)
        assert 0.4 < time.monotonic() - began < 2
    finally:
        agent.die()


def test_what_a_policy_in_audit_would_refuse_passes_and_is_told(lab: Lab, pod: Pod, agent: Agent) -> None:
    both = ruled("kubernetes.io.", "cilium.io.")
    row = replace(pod.row(), audit=2)
    wanted = tables(both, row)
    agent.apply(replace(wanted, policies={1: both, 2: ruled("kubernetes.io.")}))
    for name in ("kubernetes.io", "cilium.io"):
        assert ask(pod, name).rcode() == dns.rcode.NOERROR
    refused = [event for event in lab.datapath.read_events() if isinstance(event, Refused)]
    assert [(event.name, event.audited) for event in refused] == [("cilium.io.", True)]


@pytest.mark.parametrize("world", [WORLD4[0], WORLD6[0]])
def test_the_mark_set_inside_a_pod_leads_nowhere(lab: Lab, pod: Pod, agent: Agent, world: str) -> None:
    """Else every address would be the node's own, and its ports open."""
    agent.apply(tables(MapState(False, False, {}), pod.row()))
    family = socket.AF_INET6 if ":" in world else socket.AF_INET
    with inside(lab.node), socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", 443))
        listener.listen()
        listener.settimeout(0.2)
        for mark in (lab.instance.proxy_mark, lab.instance.socket_mark):
            with pod.socket(world, socket.SOCK_STREAM) as client:
                client.settimeout(1)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
                client.connect((world, 443))
                client.sendall(b"who is there")
                assert client.recv(100) == b"who is there"
        with pytest.raises(TimeoutError):
            listener.accept()


def test_without_the_rule_nothing_goes_past_the_proxy_and_it_comes_back(
    lab: Lab, pod: Pod, agent: Agent
) -> None:
    """systemd-networkd removes rules that are not its own when it starts."""
    agent.apply(tables(ruled("kubernetes.io."), pod.row()))
    with inside(lab.node):
        transparent.unroute(lab.instance)
    for server in (RESOLVER4, RESOLVER6):
        assert not pod.connects(server, 53, timeout=0.5)
    assert lab.server.clients == []
    with inside(lab.node):
        lab.datapath.recheck()
    for server in (RESOLVER4, RESOLVER6):
        assert ask(pod, "kubernetes.io", server=server).rcode() == dns.rcode.NOERROR


def test_a_firewall_that_drops_what_comes_in_is_named(lab: Lab) -> None:
    with inside(lab.node):
        assert transparent.input_obstacles() == []
        chain = "{ type filter hook input priority 0; policy drop; }"
        subprocess.run(["nft", f"add table inet own; add chain inet own gate {chain}"], check=True)
        try:
            (sentence,) = transparent.input_obstacles()
        finally:
            subprocess.run(["nft", "delete table inet own"], check=True)
    assert sentence.startswith("chain `gate` of nft table `inet own` drops what comes in by default")
