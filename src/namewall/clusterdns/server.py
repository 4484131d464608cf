"""The cluster DNS server: sockets, bounds, the order of things; what to answer `query` and `zone` decide.

Names of the cluster are answered at once, in the loop. Anything else waits for upstream, within bounds: so
many questions at a time, and so many of one client, so that one workload's flood costs that workload its
answers. Beyond them the answer is SERVFAIL at once. Datagrams are taken by turns of their clients (`intake`).
TCP connections are bounded alike and end when idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
from dns.rdatatype import CNAME

from namewall.clusterdns.forward import Forwarder, NoAnswer
from namewall.clusterdns.intake import Intake
from namewall.clusterdns.query import OWN_LIMIT, Query, is_truncated, parse
from namewall.clusterdns.records import from_json
from namewall.clusterdns.reload import INTERVAL, Document
from namewall.clusterdns.zone import Answer, Unknown, Zone
from namewall.model.cluster import Resolver

log = logging.getLogger("namewall.clusterdns")

MOST, MOST_OF_ONE = 768, 128
"""Questions waiting for upstream: all, and those of one client address. Each holds a socket."""
MOST_CONNECTIONS, MOST_CONNECTIONS_OF_ONE = 192, 32
PIPELINE = 16
"""Questions of one TCP connection that are answered at the same time."""
IDLE = 10.0
"""Seconds a TCP connection may be silent, or refuse to take its answers."""
ALIASES = 8
"""External names in a row that are followed."""
LARGEST = 65535


class Bounds:
    """Counts what is held, by client and in all."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._held: Counter[str] = Counter()
        self._all = 0

    @contextlib.contextmanager
    def hold(self, client: str) -> Iterator[bool]:
        """Whether there was room."""
        room = self._all < self._most and self._held[client] < self._most_of_one
        if not room:
            if not self._held[client]:
                del self._held[client]
            yield False
            return
        self._all += 1
        self._held[client] += 1
        try:
            yield True
        finally:
            self._all -= 1
            self._held[client] -= 1
            if not self._held[client]:
                del self._held[client]


class Server:
    """`upstreams` hold until a records document names its own."""

    def __init__(self, domain: str = "cluster.local", upstreams: Sequence[Resolver] = ()) -> None:
        self._zone: Zone | Unknown = Unknown(domain)
        self._forwarder = Forwarder(upstreams)
        self._own_upstreams = tuple(upstreams)
        self._turn = 0
        self._waiting = Bounds(MOST, MOST_OF_ONE)
        self._connections = Bounds(MOST_CONNECTIONS, MOST_CONNECTIONS_OF_ONE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closers: list[Callable[[], None]] = []

    def load(self, octets: bytes) -> None:
        """Takes a records document; a bad one changes nothing. Raises ValueError."""
        records = from_json(octets)
        self._zone = Zone(records)
        self._forwarder.upstreams = records.upstreams or self._own_upstreams

    async def follow(self, document: Document) -> None:
        """Loads the document whenever it changes, until cancelled."""
        while True:
            if (octets := document.changed()) is not None:
                try:
                    self.load(octets)
                    log.info("records loaded: %d octets", len(octets))
                except ValueError as error:
                    log.warning("the records document is not usable, the one before stays: %s", error)
            await asyncio.sleep(INTERVAL)

    async def listen(self, host: str, port: int) -> int:
        """Serves UDP and TCP there; host "" is every address, v4 and v6. The port: for 0 a free one."""
        udp, tcp = _both(host, port)
        port = udp.getsockname()[1]
        intake = Intake(udp, self.datagram)
        server = await asyncio.start_server(self._connection, sock=tcp, limit=LARGEST, backlog=128)
        self._closers += [intake.close, server.close]
        return port

    async def close(self) -> None:
        for close in self._closers:
            close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Transports close in the loop's next turn.
        await asyncio.sleep(0)

    def datagram(self, wire: bytes, client: str, send: Callable[[bytes], None]) -> None:
        """Answers a question that came by UDP, now or later."""
        query = parse(wire)
        if isinstance(query, Query):
            now = self._at_once(query, min(query.limit, OWN_LIMIT))
            if now is None:
                self._start(self._later(query, client, send))
            else:
                send(now)
        elif query is not None:
            send(query)

    async def _later(self, query: Query, client: str, send: Callable[[bytes], None]) -> None:
        answer = await self._forwarded(query, client, tcp=False)
        send(answer if len(answer) <= query.limit else query.truncated())

    def _at_once(self, query: Query, limit: int) -> bytes | None:
        """The answer where nobody need be asked."""
        try:
            self._turn += 1
            answer = self._zone.answer(query.name, query.rdtype, self._turn)
            if answer is None or answer.chase is not None:
                return None
            return _write(query, answer, limit)
        except Exception:
            log.exception("no answer to %s could be made", query.name)
            return query.fail(dns.rcode.SERVFAIL)

    async def _forwarded(self, query: Query, client: str, *, tcp: bool) -> bytes:
        with self._waiting.hold(client) as room:
            if not room:
                return query.fail(dns.rcode.SERVFAIL)
            try:
                answer = self._zone.answer(query.name, query.rdtype, self._turn)
                if answer is None:
                    return await self._forwarder.ask(query, tcp=tcp)
                await self._chase(query, answer)
                return _write(query, answer, LARGEST if tcp else min(query.limit, OWN_LIMIT))
            except NoAnswer:
                return query.fail(dns.rcode.SERVFAIL)
            except Exception:
                log.exception("no answer to %s could be made", query.name)
                return query.fail(dns.rcode.SERVFAIL)

    async def _chase(self, query: Query, answer: Answer) -> None:
        """Adds what the alias stands for, from our zone or from upstream. Raises NoAnswer."""
        for _ in range(ALIASES):
            target = answer.chase
            if target is None:
                return
            there = self._zone.answer(target, query.rdtype, self._turn)
            if there is None:
                await self._chase_upstream(target, query, answer)
                return
            answer.answer += there.answer
            answer.rcode, answer.authority, answer.chase = there.rcode, there.authority, there.chase
        raise NoAnswer

    async def _chase_upstream(self, target: dns.name.Name, query: Query, answer: Answer) -> None:
        message = dns.message.make_query(target, query.rdtype, use_edns=0, payload=OWN_LIMIT)
        asked = parse(message.to_wire())
        assert isinstance(asked, Query)
        octets = await self._forwarder.ask(asked, tcp=False)
        if is_truncated(octets):
            raise NoAnswer
        try:
            found = dns.message.from_wire(octets, one_rr_per_rrset=False)
        except Exception:
            raise NoAnswer from None
        answer.answer += found.answer
        answer.rcode, answer.chase = found.rcode(), None
        if not any(rrset.rdtype != CNAME for rrset in found.answer):
            answer.authority = found.authority

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        peer = writer.get_extra_info("peername")
        client = str(peer[0]) if peer else ""
        places = asyncio.Semaphore(PIPELINE)

        async def serve(wire: bytes) -> None:
            try:
                answer = await self._stream_answer(wire, client)
                if answer is not None:
                    writer.write(len(answer).to_bytes(2, "big") + answer)
            finally:
                places.release()

        with (
            self._connections.hold(client) as room,
            contextlib.suppress(OSError, asyncio.IncompleteReadError),
        ):
            try:
                async with asyncio.TaskGroup() as tasks:
                    while room:
                        try:
                            async with asyncio.timeout(IDLE):
                                length = int.from_bytes(await reader.readexactly(2), "big")
                                wire = await reader.readexactly(length)
                                await writer.drain()
                                await places.acquire()
                        except (TimeoutError, OSError, asyncio.IncompleteReadError):
                            break
                        tasks.create_task(serve(wire))
                async with asyncio.timeout(IDLE):
                    await writer.drain()
            except TimeoutError:
                writer.transport.abort()
            finally:
                writer.close()

    async def _stream_answer(self, wire: bytes, client: str) -> bytes | None:
        query = parse(wire)
        if not isinstance(query, Query):
            return query
        now = self._at_once(query, LARGEST)
        return now if now is not None else await self._forwarded(query, client, tcp=True)

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _write(query: Query, answer: Answer, limit: int) -> bytes:
    response = dns.message.make_response(query.message, recursion_available=True, our_payload=OWN_LIMIT)
    response.flags |= dns.flags.AA
    response.set_rcode(dns.rcode.Rcode(answer.rcode))
    response.answer, response.authority, response.additional = (
        answer.answer,
        answer.authority,
        answer.additional,
    )
    try:
        return response.to_wire(max_size=limit)
    except dns.exception.TooBig:
        # What is additional is dispensable; what is asked for is not: then the client has to come by TCP.
        response.additional = []
        with contextlib.suppress(dns.exception.TooBig):
            return response.to_wire(max_size=limit)
        return query.truncated()


def _both(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP on one port. One that the system chose for UDP may be taken for TCP: then another."""
    for tries_left in reversed(range(1 if port else 20)):
        udp = _bound(host, port, socket.SOCK_DGRAM)
        try:
            return udp, _bound(host, udp.getsockname()[1], socket.SOCK_STREAM)
        except OSError:
            udp.close()
            if not tries_left:
                raise
    raise AssertionError


def _bound(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET if host and ":" not in host else socket.AF_INET6
    try:
        bound = socket.socket(family, kind)
    except OSError:
        # A host without IPv6 at all.
        if host:
            raise
        host, family = "0.0.0.0", socket.AF_INET
        bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if not host else 1)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:  # as much as the host allows: what comes while others have the processor waits here
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        bound.bind((host or "::", port))
        if kind == socket.SOCK_STREAM:
            bound.listen(128)
    except OSError:
        bound.close()
        raise
    return bound
