"""Asks the agent through its socket (docs/agent-api.md): JSON answers, and streams of JSON lines."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from namewall.model.instance import Instance

PATIENCE = 10.0
"""Seconds to wait for an answer's head."""


class AgentAway(Exception):
    """No agent answers; str() says what to do."""


class AgentError(Exception):
    """It answered with an error; str() is its sentence, `status` HTTP's number."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("agent", timeout=PATIENCE)
        self._path = path
        self._kept: socket.socket | None = None

    def connect(self) -> None:
        self.sock = self._kept = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def wait_for_ever(self) -> None:
        """For what comes from now on. (`sock` is gone where the answer is the last of its connection, though the
        answer still reads from it.)"""
        if self._kept is not None:
            self._kept.settimeout(None)


@dataclass(frozen=True, slots=True)
class Stream:
    """`run` numbers the agent's life; `lost` counts events that the kernel could not tell until now."""

    run: str
    lost: int
    lines: Iterator[bytes]


class AgentClient:
    """One request a connection. Raises AgentAway and AgentError."""

    def __init__(self, instance: Instance) -> None:
        self._path = f"{instance.run_dir}/agent.sock"

    def get(self, path: str) -> Any:
        connection, response = self._send("GET", path, None)
        try:
            return json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise AgentAway(f"the agent's answer broke off ({error})") from error
        finally:
            connection.close()

    def items(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(path)["items"]
        return found

    @contextmanager
    def flows(self, request: dict[str, Any]) -> Iterator[Stream]:
        """Hubble's GetFlowsRequest; its lines end when the agent does or all are told."""
        connection, response = self._send("POST", "/v1/flows", json.dumps(request).encode())
        try:
            connection.wait_for_ever()
            run, lost = (
                response.headers["x-namewall-run"] or "",
                int(response.headers["x-namewall-lost"] or 0),
            )
            yield Stream(run, lost, _lines(response))
        finally:
            connection.close()

    def _send(
        self, method: str, path: str, body: bytes | None
    ) -> tuple[_UnixConnection, http.client.HTTPResponse]:
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
        except PermissionError as error:
            raise AgentAway(f"may not open `{self._path}`: it is root's; run it with sudo") from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise AgentAway(
                f"the agent does not answer at `{self._path}` ({_why(error)}); run `namewall up`"
            ) from error
        if response.status != 200:
            raw = response.read()
            connection.close()
            try:
                message = json.loads(raw)["error"]
            except (ValueError, KeyError, TypeError):
                message = f"the agent answered {response.status}"
            raise AgentError(response.status, message)
        return connection, response


def _why(error: Exception) -> str:
    return (error.strerror or "").lower() or str(error) if isinstance(error, OSError) else str(error)


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Whole lines as they come; ends also where the other side vanished."""
    rest = b""
    while True:
        try:
            part = response.read1(65536)
        except (OSError, http.client.HTTPException, ValueError):
            return
        if not part:
            return
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
