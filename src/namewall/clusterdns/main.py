"""The cluster DNS as a process: its sockets, its signals, its log on stderr."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import sys
from collections.abc import Sequence

from namewall.clusterdns.reload import Document
from namewall.clusterdns.server import Server
from namewall.model.cluster import Resolver


def parse_listen(text: str) -> tuple[str, int]:
    """`53`, `127.0.0.1:53` or `[::1]:53` → host ("" for every address) and port. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"`{text}` is no place to listen; write PORT, ADDRESS:PORT or [IPv6]:PORT")
    return host.strip("[]"), int(port)


def serve(
    places: Sequence[tuple[str, int]], records: str | None, upstreams: Sequence[Resolver], domain: str
) -> None:
    """Until SIGTERM or SIGINT. Exit code 3 with a sentence where a port cannot be had."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    # Each question that waits for upstream holds a socket: take what the hard limit gives.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard > 0 else 4096, hard))
    raise SystemExit(asyncio.run(_serve(places, records, upstreams, domain)))


async def _serve(
    places: Sequence[tuple[str, int]], records: str | None, upstreams: Sequence[Resolver], domain: str
) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = Server(domain, upstreams)
    follow = None
    if records is not None:
        follow = asyncio.create_task(server.follow(Document(records)))
        # The first look comes before the first question, so that a restart answers from its first moment.
        await asyncio.sleep(0)
    for host, port in places:
        try:
            port = await server.listen(host, port)
        except OSError as error:
            print(
                f"error: cannot listen on {host or 'every address'} port {port}: {error.strerror}",
                file=sys.stderr,
            )
            return 3
        print(f"listening on {host or '*'} port {port}", file=sys.stderr, flush=True)
    await stop.wait()
    await server.close()
    if follow is not None:
        follow.cancel()
    return 0
