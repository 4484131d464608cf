"""The streams of one `exec`: Kubernetes' remote command protocol over a WebSocket, version 5.

Every message is binary; its first byte is the channel: 0 stdin, 1 stdout, 2 stderr, 3 the final status, 4 the
terminal's size, 255 the end of a channel (k8s.io/apimachinery/pkg/util/remotecommand). Invariant: the exit code
is the status' own; a connection that ends without a status is an error, never success.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from namewall.kube.errors import ApiError, Unreachable
from namewall.kube.request import Request
from namewall.kube.sync import SyncClient

PROTOCOL = Subprotocol("v5.channel.k8s.io")
STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
CHUNK = 32 * 1024
BROKEN_PIPE = 128 + signal.SIGPIPE
COULD_NOT_START = 125


@dataclass(frozen=True, slots=True)
class Streams:
    stdin: bool
    tty: bool


def run(client: SyncClient, asked: Request, streams: Streams) -> tuple[int, str]:
    """The command's exit code, and what to say of it on stderr ("" where nothing is).

    ApiError where the server refuses the upgrade.
    """
    with _open(client, asked) as connection, _interruptible(), _raw_terminal(streams.tty):
        if streams.tty:
            _follow_size(connection)
        if streams.stdin:
            threading.Thread(target=_send_stdin, args=(connection,), daemon=True).start()
        return _receive(connection)


def _open(client: SyncClient, asked: Request) -> ClientConnection:
    url = urlsplit(client.config.server)
    scheme = "wss" if url.scheme == "https" else "ws"
    options: dict[str, Any] = {}
    if client.tls is not None:
        options["ssl"] = client.tls
        if client.config.tls_server_name:
            options["server_hostname"] = client.config.tls_server_name
    try:
        connection: ClientConnection = connect(
            f"{scheme}://{url.netloc}{url.path.rstrip('/')}{asked.target}",
            subprotocols=[PROTOCOL],
            additional_headers=client.authorization,
            user_agent_header="namewall",
            compression=None,
            max_size=None,
            proxy=None,
            open_timeout=60,
            ping_interval=20,
            ping_timeout=60,
            close_timeout=2,
            **options,
        )
        return connection
    except InvalidStatus as refused:
        raise ApiError.from_body(
            refused.response.status_code, bytes(refused.response.body or b"")
        ) from refused
    except (OSError, InvalidHandshake) as error:
        raise Unreachable(f"Unable to connect to the server: {error}") from error


def _receive(connection: ClientConnection) -> tuple[int, str]:
    status: bytes | None = None
    try:
        while True:
            message = connection.recv()
            data = message.encode() if isinstance(message, str) else message
            channel, payload = data[0] if data else CLOSE, data[1:]
            if channel == STATUS:
                status = payload
            elif channel in (STDOUT, STDERR) and payload:
                _write(channel, payload)
    except ConnectionClosed:
        pass
    except BrokenPipeError:
        return BROKEN_PIPE, ""
    if status is None:
        return 1, "error: the connection to the server ended before the command did"
    return outcome(status)


def outcome(payload: bytes) -> tuple[int, str]:
    """The exit code and the message that a status frame means (client-go's v4 error decoder). Pure."""
    try:
        status = json.loads(payload)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        return 1, f"error: error stream protocol error: {payload.decode(errors='replace')!r} is no status"
    if status.get("status") == "Success":
        return 0, ""
    if status.get("status") != "Failure":
        return 1, "error: error stream protocol error: unknown error"
    if status.get("reason") != "NonZeroExitCode":
        return COULD_NOT_START, f"error: {status.get('message', '')}"
    for cause in (status.get("details") or {}).get("causes") or ():
        code = str(cause.get("message", ""))
        if cause.get("reason") == "ExitCode" and code.isdigit() and int(code) < 256:
            return int(code), f"command terminated with exit code {int(code)}"
    return 1, "error: error stream protocol error: no ExitCode cause given"


def _write(descriptor: int, data: bytes) -> None:
    """Channel numbers 1 and 2 are also the descriptors'."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _send_stdin(connection: ClientConnection) -> None:
    try:
        while data := os.read(sys.stdin.fileno(), CHUNK):
            connection.send(bytes([STDIN]) + data)
        connection.send(bytes([CLOSE, STDIN]))
    except (ConnectionClosed, OSError):
        pass  # the command has ended: nobody reads on


def _follow_size(connection: ClientConnection) -> None:
    """Sends the terminal's size now and at each change; a signal handler may only put into the queue."""
    if not os.isatty(sys.stdout.fileno()):
        return
    changes: queue.SimpleQueue[None] = queue.SimpleQueue()
    signal.signal(signal.SIGWINCH, lambda *_: changes.put(None))
    changes.put(None)

    def follow() -> None:
        while True:
            changes.get()
            size = os.get_terminal_size(sys.stdout.fileno())
            text = json.dumps({"Width": size.columns, "Height": size.lines}) + "\n"
            try:
                connection.send(bytes([RESIZE]) + text.encode())
            except (ConnectionClosed, OSError):
                return

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def _interruptible() -> Iterator[None]:
    """A signal ends the program at once: raised as an exception it could meet the connection with a lock held,
    and closing that would wait for the lock for ever. What the caller has us ignore (nohup) stays ignored."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.getsignal(number) for number in signals}
    previous = {number: handler for number, handler in previous.items() if handler != signal.SIG_IGN}
    for number in previous:
        signal.signal(number, lambda number, _: os._exit(128 + number))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _raw_terminal(wanted: bool) -> Iterator[None]:
    """Keys go to the command, Ctrl-C too; the terminal is as before afterwards, whatever happens."""
    if not wanted:
        yield
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def leave(number: int, _: object) -> None:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
