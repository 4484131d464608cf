"""Runs inside a workload: asks, connects and keeps a connection, and writes down what went wrong.

Standard library only, for it runs with the host's own Python. One JSON line a second on stdout: how many of each
kind ended since the last line, and every wrong one in words. Kinds: `udp` (an allowed name: NOERROR with an
address), `fresh` (the same, of a name asked for the first time now), `refused` (a name no rule allows), `tcp53`
(an allowed name over DNS on TCP), `connect` (to an address of an allowed name), `denied` (to one of a denied name:
nothing may come back), `steady` (a request on the connection that was opened at the start).

    asker.py RATE ALLOWED_NAME DENIED_NAME DENIED_ADDRESS FRESH_SECONDS FRESH_NAME...
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import ssl
import struct
import sys
import time
from collections import Counter

PATIENCE = 2.0
"""Seconds after which an answer counts as lost. Nothing is asked twice."""
REFUSED, NOERROR = 5, 0

count: Counter[str] = Counter()
wrong: list[str] = []


def question(number: int, name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def addresses(answer: bytes) -> list[str]:
    """The A records of an answer whose names are all compressed, as the cluster's DNS writes them."""
    at = answer.index(b"\0", 12) + 5
    found = []
    for _ in range(struct.unpack_from("!H", answer, 6)[0]):
        while answer[at] and answer[at] < 192:
            at += 1 + answer[at]
        at += 2 if answer[at] else 1
        kind, _, _, length = struct.unpack_from("!2HIH", answer, at)
        at += 10
        if kind == 1:
            found.append(socket.inet_ntoa(answer[at : at + 4]))
        at += length
    return found


def note(kind: str, good: bool, why: str) -> None:
    count[kind] += 1
    if not good:
        wrong.append(f"{time.time():.3f} {kind}: {why}")


class Udp(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.waiting: dict[int, tuple[str, str, float]] = {}
        self.learned: dict[str, list[str]] = {}

    def ask(self, kind: str, name: str) -> None:
        number = random.choice(
            [n for n in (random.randrange(65536) for _ in range(8)) if n not in self.waiting]
        )
        self.waiting[number] = (kind, name, time.monotonic())
        self.transport.sendto(question(number, name))

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        kind, name, _ = self.waiting.pop(int.from_bytes(data[:2], "big"), ("", "", 0.0))
        if not kind:
            return
        code = data[3] & 15
        if kind == "refused":
            note(kind, code == REFUSED, f"{name} got rcode {code}")
            return
        found = addresses(data) if code == NOERROR else []
        note(kind, bool(found), f"{name} got rcode {code} and {len(found)} addresses")
        self.learned[name] = found or self.learned.get(name, [])

    def sweep(self) -> None:
        late = time.monotonic() - PATIENCE
        for number, (kind, name, asked) in list(self.waiting.items()):
            if asked < late:
                del self.waiting[number]
                note(kind, False, f"the answer about {name} is lost")


async def ask(udp: Udp, rate: int, allowed: str, denied: str, fresh: list[str], every: float) -> None:
    begun, asked, shown = time.monotonic(), 0, 0
    while True:
        now = time.monotonic() - begun
        while asked < now * rate:
            asked += 1
            known = fresh[:shown]
            name = denied if asked % 10 == 0 else random.choice([allowed, *known])
            udp.ask("refused" if name == denied else "udp", name)
        if shown < min(len(fresh), int(now / every)):
            shown += 1
            udp.ask("fresh", fresh[shown - 1])
        udp.sweep()
        await asyncio.sleep(0.005)


async def connect(udp: Udp) -> None:
    while True:
        await asyncio.sleep(0.1)
        known = [(name, address) for name, found in udp.learned.items() for address in found]
        if not known:
            continue
        name, address = random.choice(known)
        try:
            async with asyncio.timeout(PATIENCE):
                _, writer = await asyncio.open_connection(address, 443)
            writer.close()
            note("connect", True, "")
        except OSError as error:
            note("connect", False, f"{name} at {address}: {error or 'timed out'}")


async def knock(address: str) -> None:
    while True:
        try:
            async with asyncio.timeout(0.5):
                _, writer = await asyncio.open_connection(address, 443)
            writer.close()
            note("denied", False, f"{address} was reached")
        except TimeoutError:
            note("denied", True, "")
        except OSError as error:
            note("denied", False, f"{address}: {error}")


async def keep(udp: Udp, allowed: str) -> None:
    """Two requests a second on one connection, begun before anything dies."""
    while not udp.learned.get(allowed):
        await asyncio.sleep(0.05)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(udp.learned[allowed][0], 443, ssl=trusting)
    while True:
        writer.write(f"HEAD / HTTP/1.1\r\nHost: {allowed}\r\n\r\n".encode())
        try:
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError) as error:
            note("steady", False, f"the connection ended: {error or 'timed out'}")
            return
        note("steady", head.startswith(b"HTTP/1.1 200"), head.decode()[:40])
        await asyncio.sleep(0.5)


async def ask_by_tcp(server: str, name: str) -> None:
    while True:
        await asyncio.sleep(1)
        try:
            async with asyncio.timeout(0.9):
                reader, writer = await asyncio.open_connection(server, 53)
                asked = question(7, name)
                writer.write(struct.pack("!H", len(asked)) + asked)
                answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                writer.close()
            note("tcp53", bool(addresses(answer)), f"{name} got rcode {answer[3] & 15}")
        except (OSError, asyncio.IncompleteReadError) as error:
            note("tcp53", False, f"{error or 'timed out'}")


async def report() -> None:
    while True:
        await asyncio.sleep(1)
        print(json.dumps({"at": time.time(), "count": count, "wrong": wrong}), flush=True)
        count.clear()
        wrong.clear()


async def main() -> None:
    rate, allowed, denied, closed, every, *fresh = sys.argv[1:]
    with open("/etc/resolv.conf", encoding="ascii") as file:
        server = next(line.split()[1] for line in file if line.startswith("nameserver"))
    _, udp = await asyncio.get_running_loop().create_datagram_endpoint(Udp, remote_addr=(server, 53))
    await asyncio.gather(
        ask(udp, int(rate), allowed, denied, fresh, float(every)),
        connect(udp),
        knock(closed),
        keep(udp, allowed),
        ask_by_tcp(server, allowed),
        report(),
    )


asyncio.run(main())
