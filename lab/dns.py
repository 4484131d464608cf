"""The lab's DNS server: authoritative for every name there is, which in the lab's world are few.

`answer` is the pure part: a question and a time in, a message out (RFC 1034 section 4.3.2 without zones
cuts): the CNAME chain and the addresses of its end; NOERROR without data for other types and for names that
only have names below them; NXDOMAIN for the rest, each with the SOA that negative caching needs (RFC 2308).
It sets AA for what it is and RA because the cluster's DNS forwards to it as to a resolver. `serve` answers
over UDP (truncated to the client's EDNS size) and TCP on each of the world's resolver addresses.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from lab.names import Site, World

_NEGATIVE_TTL = 2  # seconds
_SOA = dns.rrset.from_text(
    ".", _NEGATIVE_TTL, "IN", "SOA", f"ns.world.test. hostmaster.world.test. 1 60 60 60 {_NEGATIVE_TTL}"
)
_CHAIN_LIMIT = 8


def answer(world: World, query: dns.message.Message, now: float) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AA
    if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
        response.set_rcode(dns.rcode.NOTIMP if query.question else dns.rcode.FORMERR)
        return response
    question = query.question[0]
    if question.rdclass != dns.rdataclass.IN:
        response.set_rcode(dns.rcode.REFUSED)
        return response
    owner, site = question.name, _find(world, question.name)
    for _ in range(_CHAIN_LIMIT):
        if site is None or site.alias is None:
            break
        target = dns.name.from_text(site.alias)
        response.answer.append(dns.rrset.from_text(owner, site.ttl, "IN", "CNAME", str(target)))
        if question.rdtype == dns.rdatatype.CNAME:
            return response
        owner, site = target, _find(world, target)
    if site is None:
        below = any(dns.name.from_text(known.name).is_subdomain(owner) for known in world.sites)
        response.set_rcode(dns.rcode.NOERROR if below else dns.rcode.NXDOMAIN)
    elif found := _addresses(site, question.rdtype, now):
        response.answer.append(dns.rrset.from_text(owner, site.ttl, "IN", question.rdtype, *found))
        return response
    response.authority.append(_SOA)
    return response


def _find(world: World, name: dns.name.Name) -> Site | None:
    return world.site(name.to_text(omit_final_dot=True).lower())


def _addresses(site: Site, rdtype: dns.rdatatype.RdataType, now: float) -> list[str]:
    version = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}.get(rdtype)
    return [str(address) for address in site.at(version, now)] if version else []


def _reply(world: World, wire: bytes, max_size: int) -> bytes | None:
    """The answer on the wire; None where the question is not one that can be answered at all."""
    try:
        query = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return None
    if query.flags & dns.flags.QR:
        return None
    response = answer(world, query, time.time())
    if max_size < 65535 and query.edns >= 0:
        max_size = max(max_size, query.payload)
    return response.to_wire(max_size=max_size, prefer_truncation=True)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, world: World) -> None:
        self._world = world

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if reply := _reply(self._world, data, 512):
            self._transport.sendto(reply, addr)


async def serve(world: World) -> None:
    """Listens on every resolver address, then returns; the servers live as long as the running loop."""
    loop = asyncio.get_running_loop()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            while True:
                async with asyncio.timeout(30):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    reply = _reply(world, await reader.readexactly(size), 65535)
                if reply is None:
                    break
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()
        writer.close()

    for address in map(str, world.resolvers):
        await loop.create_datagram_endpoint(lambda: _Udp(world), local_addr=(address, 53))
        _SERVERS.append(await asyncio.start_server(talk, address, 53))


_SERVERS: list[asyncio.Server] = []  # a reference keeps a server from being collected
