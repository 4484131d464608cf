"""Asks the agent through its socket (docs/agent-api.md), as cli/agent_client.py does, without holding up the loop."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

PATIENCE = 10.0
"""Seconds to wait for an answer's head."""
NEWS = ("x-namewall-run", "x-namewall-began", "x-namewall-lost")
"""Headers by which a client that follows knows what it missed."""


class AgentError(Exception):
    """str() is a sentence, `status` what a client of ours should get."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Agent:
    def __init__(self, socket: str) -> None:
        self._socket = socket
        transport = httpx.AsyncHTTPTransport(uds=socket, limits=httpx.Limits(max_keepalive_connections=0))
        self._http = httpx.AsyncClient(
            transport=transport, base_url="http://agent", trust_env=False, timeout=PATIENCE
        )

    async def items(self, path: str) -> list[dict[str, Any]]:
        """Raises AgentError."""
        try:
            response = await self._http.get(path)
            if response.status_code != 200:
                raise _refused(response.status_code, response.content)
            found: list[dict[str, Any]] = response.json()["items"]
            return found
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise self._away(error) from error

    @asynccontextmanager
    async def flows(self, request: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        """The stream of `POST /v1/flows`. Raises AgentError before it begins."""
        timeout = httpx.Timeout(PATIENCE, read=None if request.get("follow") else PATIENCE)
        asked = self._http.build_request("POST", "/v1/flows", json=request, timeout=timeout)
        try:
            response = await self._http.send(asked, stream=True)
        except httpx.HTTPError as error:
            raise self._away(error) from error
        try:
            if response.status_code != 200:
                raise _refused(response.status_code, await response.aread())
            yield response
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    def _away(self, error: Exception) -> AgentError:
        why = str(error) or type(error).__name__
        return AgentError(503, f"the agent does not answer at `{self._socket}` ({why}); run `namewall up`")


def _refused(status: int, body: bytes) -> AgentError:
    try:
        message = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        message = f"the agent answered {status}"
    return AgentError(400 if status == 400 else 502, message)
