"""Serves the editor on the loopback address until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import Callable

import uvicorn

from namewall.editor.app import Server, Settings, make_app
from namewall.editor.assets import Assets
from namewall.editor.judging import Judges
from namewall.model.errors import Cannot

HOST = "127.0.0.1"
MOST_HEADERS = 16384
"""Bytes."""
MOST_CONNECTIONS = 256


def listen(port: int) -> socket.socket:
    """The server's socket; port 0 is any. Raises Cannot."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        why = (
            "is taken"
            if error.errno == errno.EADDRINUSE
            else f"cannot be had ({os.strerror(error.errno or 0)})"
        )
        raise Cannot(f"{HOST}:{port} {why}; give another port with --port, 0 for any") from error
    listener.listen(128)
    listener.setblocking(False)
    return listener


def serve(listener: socket.socket, settings: Settings, started: Callable[[], None] = lambda: None) -> None:
    """Until SIGTERM or SIGINT. `started` is called when the first request would be answered."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    asyncio.run(_serve(listener, settings, started))


def _is_news(record: logging.LogRecord) -> bool:
    """A page that shows flows has a request open when the server ends: that is how it should be."""
    return "timeout graceful shutdown" not in record.getMessage()


async def _serve(listener: socket.socket, settings: Settings, started: Callable[[], None]) -> None:
    here = Server(settings, Judges(), Assets())
    config = uvicorn.Config(
        make_app(here),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MOST_HEADERS,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.002)
        if server.started:
            started()
        await serving
    finally:
        await here.aclose()
