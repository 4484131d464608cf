"""Asks the upstream resolvers what is not the cluster's own.

The client's octets go on as they are, with a random id and from a random port; what comes back goes back
with the client's id. An answer counts only from the server's own address (the socket is connected), with our
id and the question repeated. One server after the other, again from the first while time is left; a server
that was silent is asked last for a while. Nothing is cached: an answer's TTL is then the upstream's own (the
datapath bases its grants on it), and names change hands as fast as upstream says.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Sequence

import dns.rcode

from namewall.clusterdns.query import Query, answers, is_truncated, rcode_of, with_id
from namewall.model.cluster import Resolver

ATTEMPT = 1.5
"""Seconds one server has for one try."""
TOTAL = 4.5
"""Seconds until we give up: before the stub resolver's own 5 s, so that the client hears SERVFAIL from us."""
PENALTY = 10.0
"""Seconds that a server which failed is asked after the others."""
_ELSEWHERE = (dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR)
"""Codes after which another server may know better, as stub resolvers have it."""


class NoAnswer(Exception):
    """No upstream gave a usable answer in time."""


class Forwarder:
    """`upstreams` may be replaced at any time."""

    def __init__(self, upstreams: Sequence[Resolver] = ()) -> None:
        self.upstreams = tuple(upstreams)
        self._failed_until: dict[Resolver, float] = {}

    async def ask(self, query: Query, *, tcp: bool) -> bytes:
        """The answer's octets, with the query's id. Raises NoAnswer."""
        loop = asyncio.get_running_loop()
        last: bytes | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOTAL):
                while True:
                    before = loop.time()
                    for server in self._order(before):
                        try:
                            async with asyncio.timeout(ATTEMPT):
                                answer = await (self._by_tcp if tcp else self._by_udp)(query, server)
                        except (TimeoutError, OSError, asyncio.IncompleteReadError):
                            self._failed_until[server] = loop.time() + PENALTY
                            continue
                        self._failed_until.pop(server, None)
                        answer = with_id(answer, query.message.id)
                        if rcode_of(answer) not in _ELSEWHERE:
                            return answer
                        last = answer
                    if last is not None or not self.upstreams:
                        break
                    # Servers where nobody listens refuse at once: no tight loop.
                    await asyncio.sleep(max(0.0, 0.3 - (loop.time() - before)))
        if last is not None:
            return last
        raise NoAnswer

    def _order(self, now: float) -> list[Resolver]:
        return sorted(self.upstreams, key=lambda server: self._failed_until.get(server, 0.0) > now)

    async def _by_udp(self, query: Query, server: Resolver) -> bytes:
        number = secrets.randbits(16)
        loop = asyncio.get_running_loop()
        with _socket(server, socket.SOCK_DGRAM) as udp:
            udp.connect((str(server.address), server.port))
            await loop.sock_sendall(udp, with_id(query.wire, number))
            while True:
                answer = await loop.sock_recv(udp, 65535)
                if answers(query, number, answer):
                    break
        if is_truncated(answer):
            # By TCP we may get all of it, and it may still fit what the client takes by UDP.
            # Within the half of its time, so that the truncated one is still in hand where TCP is blocked.
            with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError):
                async with asyncio.timeout(ATTEMPT / 2):
                    return await self._by_tcp(query, server)
        return answer

    async def _by_tcp(self, query: Query, server: Resolver) -> bytes:
        number = secrets.randbits(16)
        reader, writer = await asyncio.open_connection(str(server.address), server.port)
        try:
            writer.write(len(query.wire).to_bytes(2, "big") + with_id(query.wire, number))
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        finally:
            writer.close()
        if not answers(query, number, answer):
            raise ConnectionError(f"{server} answered something else")
        return answer


def _socket(server: Resolver, kind: socket.SocketKind) -> socket.socket:
    udp = socket.socket(socket.AF_INET if server.address.version == 4 else socket.AF_INET6, kind)
    udp.setblocking(False)
    return udp
