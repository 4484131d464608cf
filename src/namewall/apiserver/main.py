"""The API server as a process: credentials, store, listener, kubeconfig, controllers; until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import random
import socket
import ssl
import sys
import time

import uvicorn

from namewall.apiserver import admission, bootstrap, kubeconfig, pki, tls
from namewall.apiserver.app import App
from namewall.apiserver.config import ServerConfig
from namewall.apiserver.store import Store
from namewall.apiserver.writer import Writer

__all__ = ["ServerConfig", "serve"]

SHUTDOWN_SECONDS = 1
"""How long open watches may keep the server when it is asked to stop; clients connect again."""

WARM_UP_SECONDS = 1.0
"""When the policy engine is imported, so that the first policy need not wait for it: 40 ms, once all else is up."""

log = logging.getLogger("namewall.apiserver")


def listen(config: ServerConfig) -> socket.socket:
    """The listening socket. Port 0 tries the kubeconfig's port first, so that it stays the same over restarts."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    ports = [config.port]
    if config.port == 0 and (before := kubeconfig.port(config.instance.kubeconfig)):
        ports.insert(0, before)
    for port in ports:
        # asyncio turns Nagle off only for sockets that say they are TCP; with it on, an answer waits 40 ms for an ACK.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.host, port))
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE and port != ports[-1]:
                continue
            raise
        listener.listen(128)
        listener.setblocking(False)
        return listener
    raise AssertionError("there is always a port to try")


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


async def _run(config: ServerConfig, app: App, writer: Writer, credentials: pki.Credentials) -> None:
    from namewall.apiserver.controllers.manager import Manager

    listener = listen(config)
    settings = uvicorn.Config(
        app,
        http=tls.Http,
        ws=tls.WebSockets,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        ws_max_size=16 * 1024 * 1024,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        timeout_keep_alive=90,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ssl_certfile=str(credentials.server_cert),
        ssl_keyfile=str(credentials.server_key),
        ssl_ca_certs=str(credentials.ca),
        ssl_cert_reqs=ssl.CERT_OPTIONAL,
    )
    server = uvicorn.Server(settings)
    manager = Manager(writer, config)
    manager.start()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.005)
        if server.started:
            kubeconfig.write(config.instance.kubeconfig, _url(listener), credentials)
            app.ready = True
            asyncio.get_running_loop().call_later(WARM_UP_SECONDS, admission.warm)
            log.info("listening on %s", _url(listener))
        await serving
    finally:
        await manager.stop()


def _is_news(record: logging.LogRecord) -> bool:
    """uvicorn takes a WebSocket that was refused with a proper answer for a mistake of the application."""
    return "without completing handshake" not in record.getMessage()


def serve(config: ServerConfig) -> None:
    """Serves until SIGTERM or SIGINT. Raises OSError where the address cannot be had."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    os.umask(0o077)
    os.makedirs(config.instance.state_dir, mode=0o700, exist_ok=True)
    credentials = pki.ensure(f"{config.instance.state_dir}/pki")
    store = Store(config.instance.database)
    try:
        writer = Writer(store, time.time, config.service_cidrs, random.Random())
        bootstrap.seed(writer)
        app = App(config, store, writer, credentials.token)
        gc.freeze()
        asyncio.run(_run(config, app, writer, credentials))
    finally:
        store.close()
