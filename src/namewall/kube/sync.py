"""The blocking client, for commands: http.client and ssl only, because a command's start is felt.

(httpx alone takes longer to import than a whole `namewall get pods` may.) One connection, kept for the next
request; sends what `request` builds; fails with ApiError or Unreachable as `client` does. `Warning` headers
go to `on_warning`.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from namewall.kube.config import KubeConfig
from namewall.kube.errors import ApiError, Unreachable
from namewall.kube.request import Request
from namewall.kube.watch import FrameDecoder, WatchEvent

TIMEOUT = 60.0
"""Seconds without a byte after which an ordinary request has failed."""

_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


class SyncClient:
    """Use it with `with`; not for threads."""

    def __init__(self, config: KubeConfig, on_warning: Callable[[str], None] = lambda _: None) -> None:
        self.config = config
        self._on_warning = on_warning
        self._url = urlsplit(config.server)
        self._context = config.ssl_context()
        self._idle: http.client.HTTPConnection | None = None
        self._headers = {"User-Agent": "namewall", "Accept-Encoding": "identity"}
        if config.token:
            self._headers["Authorization"] = f"Bearer {config.token}"

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    @property
    def authorization(self) -> dict[str, str]:
        """The headers another protocol (WebSocket) must send to be us."""
        return {key: value for key, value in self._headers.items() if key == "Authorization"}

    @property
    def tls(self) -> ssl.SSLContext | None:
        return self._context

    def send(self, asked: Request) -> dict[str, Any]:
        """Any request whose answer is one JSON object."""
        body = self.send_raw(asked)
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise Unreachable(f"the answer of {self.config.server} to {asked.path} is not JSON") from error
        if not isinstance(answer, dict):
            raise Unreachable(f"the answer of {self.config.server} to {asked.path} is not a JSON object")
        return answer

    def send_raw(self, asked: Request) -> bytes:
        """The body of a 2xx answer, whatever it is."""
        connection, self._idle = self._idle, None
        reused = connection is not None
        connection = connection or self._connect(TIMEOUT)
        with self._wrapped():
            try:
                response = self._exchange(connection, asked)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if not reused or asked.method == "POST":
                    raise
                # The server closed the idle connection; what is the same when done twice is done again.
                connection.close()
                connection = self._connect(TIMEOUT)
                response = self._exchange(connection, asked)
            body = response.read()
            if response.will_close:
                connection.close()
            else:
                self._idle = connection
        if not 200 <= response.status < 300:
            raise ApiError.from_body(response.status, body)
        return body

    def watch(self, asked: Request, timeout: float | None = None) -> Iterator[WatchEvent]:
        """The events of a watch until the server ends it; TimeoutError after `timeout` seconds of silence."""
        decoder = FrameDecoder()
        for chunk in self.stream(asked, timeout):
            yield from decoder.feed(chunk)

    def stream(self, asked: Request, timeout: float | None = None) -> Iterator[bytes]:
        """What comes, as it comes, until the server ends it; TimeoutError after `timeout` seconds of silence."""
        connection = self._connect(timeout)
        try:
            with self._wrapped():
                response = self._exchange(connection, asked)
                if not 200 <= response.status < 300:
                    raise ApiError.from_body(response.status, response.read())
            while True:
                with self._wrapped():
                    chunk = response.read1(65536)
                if not chunk:
                    return
                yield chunk
        finally:
            connection.close()

    def _exchange(self, connection: http.client.HTTPConnection, asked: Request) -> http.client.HTTPResponse:
        target = self._url.path.rstrip("/") + asked.target
        connection.request(asked.method, target, body=asked.body, headers={**self._headers, **asked.headers})
        response = connection.getresponse()
        for header in response.headers.get_all("Warning") or ():
            for text in _WARNING.findall(header):
                self._on_warning(re.sub(r"\\(.)", r"\1", text))
        return response

    def _connect(self, timeout: float | None) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        with self._wrapped():
            if self._context is None:
                plain = http.client.HTTPConnection(host, port or 80, timeout=timeout)
                plain.connect()
                return plain
            secure = http.client.HTTPSConnection(host, port or 443, timeout=timeout, context=self._context)
            if self.config.tls_server_name:
                sock = socket.create_connection((host, port or 443), timeout)
                secure.sock = self._context.wrap_socket(sock, server_hostname=self.config.tls_server_name)
            else:
                secure.connect()
            return secure

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        """Turns what the network does into Unreachable; a timeout stays a TimeoutError."""
        try:
            yield
        except TimeoutError:
            raise
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"Unable to connect to the server: tls: failed to verify certificate: {error.verify_message}"
            ) from error
        except ConnectionRefusedError as error:
            host = self._url.netloc
            raise Unreachable(
                f"The connection to the server {host} was refused - did you specify the right host or port?"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or error.__class__.__name__
            raise Unreachable(f"Unable to connect to the server: {reason}") from error
