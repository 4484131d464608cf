"""DNS over TCP under policy: the programs lead it here, and every message is judged as questions over UDP are.

    workload ── TCP/53 ──→ from_endpoint ──→ listener (transparent) ──→ server, over a connection of the node's own

A refused question is answered here; an allowed one goes to the server it was sent to (for a Service, one of its
ready backends, which must let the workload in); what its answer teaches is granted before the answer is passed on.
Answers that nobody asked for end here. The connection's two ends stay apart, so pipelining and answers out of order
(RFC 7766) work as they do without us. One workload's connections, questions and octets are bounded, so that it can
slow down only itself. When the agent is dead there is no listener and these connections drop: UDP goes on.
"""

from __future__ import annotations

import asyncio
import logging
import random
import resource
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address

from namewall.agent.learned import boottime
from namewall.datapath import transparent
from namewall.datapath.base import Datapath, Lesson
from namewall.datapath.judge import Judge, Ruling
from namewall.fqdn.message import Question, Unreadable, read_answering, read_asking, read_taught, refusal
from namewall.model.errors import Cannot
from namewall.model.flow import Refused
from namewall.model.instance import Instance
from namewall.model.net import Address, Protocol
from namewall.state.tables import EndpointRow, NodeTables, ServiceBackend

log = logging.getLogger("namewall.agent")

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
NamesOf = Callable[[int, Address], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one endpoint where nothing else is said; times in seconds."""

    connections: int = 32
    outstanding: int = 64
    """Questions of one connection whose answers are due; more are not read until one has come."""
    rate: float = 500.0
    """Messages a second; more are read later."""
    burst: float = 1000.0
    idle: float = 20.0
    """RFC 7766 section 6.2.3: a few seconds; clients differ."""
    patience: float = 10.0
    """For connecting to a server, and for an end that does not take what it is sent."""
    buffer: int = 65536
    """Octets of one direction of one connection; a message may be as long."""


FILES_OF_ONE = 4
"""Of what the process may have open a connection takes two; the rest of the agent keeps as many."""


class Gone(Exception):
    """This connection has to end; the text is for the log."""


class DnsProxy:
    """`names_of` gives the names under which a scope learned an address."""

    def __init__(
        self, instance: Instance, datapath: Datapath, names_of: NamesOf, limits: Limits | None = None
    ) -> None:
        self._instance = instance
        self._datapath = datapath
        self._names_of = names_of
        self.limits = limits or Limits()
        self.judge = Judge(NodeTables())
        self.open: Counter[int] = Counter()
        """Connections by endpoint."""
        self._most = 0
        self.told: Callable[[], None] = lambda: None
        """Called when something was put among the datapath's events."""
        self._paces: dict[int, _Pace] = {}
        self._servers: list[asyncio.Server] = []

    def take(self, tables: NodeTables) -> None:
        """What was applied last; connections judge their next message by it."""
        self.judge = Judge(tables)
        self._paces = {number: pace for number, pace in self._paces.items() if number in tables.endpoints}

    async def start(self, versions: Iterable[int]) -> None:
        """Listen, and have the programs lead here. Where that cannot be, those connections drop, and it is said."""
        self._most = _raise_limit() // FILES_OF_ONE
        listeners = transparent.listen(self._instance, versions)
        for listener in listeners.values():
            self._servers.append(
                await asyncio.start_server(self._serve, sock=listener, limit=self.limits.buffer)
            )
        try:
            self._datapath.lead_to({version: each.getsockname()[1] for version, each in listeners.items()})
        except Cannot as error:
            log.error("no DNS over TCP under `rules.dns`: %s", error)

    def close(self) -> None:
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = ip_address(writer.get_extra_info("peername")[0])
        server, port = writer.get_extra_info("sockname")[:2]
        row = self.judge.endpoint(client)
        full = row is not None and self.open[row.id] >= self.limits.connections
        if row is None or full or self.open.total() >= self._most:
            writer.transport.abort()
            return
        self.open[row.id] += 1
        exchange = _Exchange(self, client, ip_address(server), port, (reader, writer))
        try:
            await exchange.run()
        except (Gone, OSError, EOFError, TimeoutError) as reason:
            log.debug("DNS over TCP of endpoint %d at %s: %s", row.id, server, reason)
        finally:
            exchange.end()
            self.open[row.id] -= 1
            if not self.open[row.id]:
                del self.open[row.id]

    def row(self, client: Address) -> EndpointRow:
        row = self.judge.endpoint(client)
        if row is None:
            raise Gone("the endpoint has gone")
        return row

    def names_of(self, row: EndpointRow, address: Address) -> Iterable[str]:
        return self._names_of(row.scope, address)

    def pace(self, row: EndpointRow) -> float:
        """Seconds to wait before the endpoint's next message is judged."""
        asked = self.judge.tables.dns.rate
        rate = min(asked, self.limits.rate) if asked else self.limits.rate
        pace = self._paces.setdefault(row.id, _Pace())
        return pace.take(boottime(), rate, self.limits.burst)

    def refused(
        self, row: EndpointRow, question: Question, server: Address, port: int, audited: bool = False
    ) -> None:
        what = (boottime(), row.id, row.scope, question.name, question.type, server, port)
        self._datapath.tell(Refused(*what, left_out=0, protocol=Protocol.TCP, audited=audited))
        self.told()

    def learn(self, lesson: Lesson) -> None:
        self._datapath.learn(lesson)
        self.told()


def _raise_limit() -> int:
    """How many files this process may have open, now as many as it may ever."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class _Pace:
    """A bucket of tokens; what is taken beyond it has to be waited for."""

    def __init__(self) -> None:
        self._until = 0.0

    def take(self, now: float, rate: float, burst: float) -> float:
        self._until = max(self._until, now) + 1 / rate
        return max(0.0, self._until - now - burst / rate)


class _Exchange:
    """One connection of a workload, and the one to its server once something was allowed there."""

    def __init__(self, proxy: DnsProxy, address: Address, server: Address, port: int, client: Ends) -> None:
        self._proxy = proxy
        self._address = address
        self._server = server
        self._port = port
        self._client = client
        self._upstream: Ends | None = None
        self._chosen: ServiceBackend | None = None
        self._room = asyncio.Semaphore(proxy.limits.outstanding)
        self._pending: Counter[tuple[object, ...]] = Counter()
        self._untaught: set[tuple[object, ...]] = set()
        self._answering: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until one of the ends has had enough. Raises what ended it."""
        while (message := await self._read(self._client[0])) is not None:
            await asyncio.sleep(self._proxy.pace(self._proxy.row(self._address)))
            await self._question(message)
        if self._answering is not None and self._pending:
            await asyncio.wait([self._answering], timeout=self._proxy.limits.idle)

    def end(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
        for _, writer in filter(None, (self._client, self._upstream)):
            writer.close()

    async def _question(self, message: bytes) -> None:
        try:
            question = read_asking(message)
        except Unreadable:
            question = None
        async with asyncio.timeout(self._proxy.limits.idle):
            await self._room.acquire()
        ruling = self._ruling(question)
        if ruling.verdict == "pass" and self._upstream is None:
            self._upstream = await self._connect()
            self._answering = asyncio.create_task(self._answers(self._upstream[0]))
            ruling = self._ruling(question)  # policy of now: that took its time
        if ruling.verdict == "drop":
            raise Gone("policy does not allow it, or it cannot be read")
        if question is None or ruling.verdict == "refuse":
            self._room.release()
        else:
            self._pending[question.key] += 1
            if not (self._audit(question) or ruling.teaches):
                self._untaught.add(question.key)
        if question is not None and ruling.verdict == "refuse":
            row = self._proxy.row(self._address)
            self._proxy.refused(row, question, self._server, self._port)
            await self._write(self._client[1], refusal(message, question, ruling.code))
        elif self._upstream is not None:
            await self._write(self._upstream[1], message)

    def _audit(self, question: Question) -> bool:
        """A question that passes, as all policies together see it, those in audit too; whether it teaches by them."""
        row = self._proxy.row(self._address)
        if not row.audit:
            return False
        names = self._proxy.names_of(row, self._server)
        ruling = self._proxy.judge.question(
            replace(row, policy=row.audit), self._server, self._port, question, names
        )
        if ruling.verdict == "refuse":
            self._proxy.refused(row, question, self._server, self._port, audited=True)
        return ruling.verdict == "pass" and ruling.teaches

    def _ruling(self, question: Question | None) -> Ruling:
        """What policy says now, the server's own of who may come included."""
        row = self._proxy.row(self._address)
        judge = self._proxy.judge
        if self._chosen is not None and not judge.admits(self._chosen, Protocol.TCP, row):
            return Ruling("drop")
        names = self._proxy.names_of(row, self._server)
        return judge.question(row, self._server, self._port, question, names)

    async def _answers(self, reader: asyncio.StreamReader) -> None:
        try:
            while (message := await self._read(reader)) is not None:
                if self._answer(message):
                    await self._write(self._client[1], message)
        except (Gone, OSError, TimeoutError) as reason:
            log.debug("DNS over TCP: answers of %s: %s", self._server, reason)
        finally:
            self._client[1].close()  # ends `run` too

    def _answer(self, message: bytes) -> bool:
        """Does it go on? What it teaches is granted before."""
        row = self._proxy.row(self._address)
        try:
            question = read_answering(message)
        except Unreadable:
            return self._unjudged()
        if not self._pending[question.key]:
            del self._pending[question.key]
            return self._unjudged()
        self._pending[question.key] -= 1
        if not self._pending[question.key]:
            del self._pending[question.key]
        self._room.release()
        if question.key in self._untaught:
            self._untaught.discard(question.key)
            return True
        try:
            taught = read_taught(message, question)
        except Unreadable as reason:
            raise Gone(f"an answer that cannot be read: {reason}") from None
        if taught is not None:
            server = self._server, self._port
            self._proxy.learn(
                Lesson(row.id, question.name, taught.addresses, taught.ttl, question.type, server, boottime())
            )
        return True

    def _unjudged(self) -> bool:
        """What is no answer to a question passes only where no names are judged (zone transfers, say)."""
        ruling = self._ruling(None)
        return ruling.verdict == "pass" and not ruling.judged

    async def _connect(self) -> Ends:
        row, judge = self._proxy.row(self._address), self._proxy.judge
        if self._server.is_loopback or self._server.is_link_local:
            raise Gone("an address that means another host here than there")
        ready = judge.backends(self._server, Protocol.TCP, self._port)
        willing = [one for one in ready if judge.admits(one, Protocol.TCP, row)]
        if not willing:
            raise Gone("no server there lets it in")
        self._chosen = chosen = random.choice(willing)
        async with asyncio.timeout(self._proxy.limits.patience):
            return await asyncio.open_connection(
                str(chosen.address), chosen.port, limit=self._proxy.limits.buffer, flags=socket.AI_NUMERICHOST
            )

    async def _read(self, reader: asyncio.StreamReader) -> bytes | None:
        """The next message; None at the end."""
        with suppress(asyncio.IncompleteReadError):
            async with asyncio.timeout(self._proxy.limits.idle):
                length = int.from_bytes(await reader.readexactly(2), "big")
                return await reader.readexactly(length)
        return None

    async def _write(self, writer: asyncio.StreamWriter, message: bytes) -> None:
        writer.write(len(message).to_bytes(2, "big") + message)
        async with asyncio.timeout(self._proxy.limits.patience):
            await writer.drain()
