"""Bodies in, JSON out, and errors as docs/editor-api.md has them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from namewall.editor.judging import Judges, Overloaded

MOST_BODY = 4 * 1024 * 1024
"""Bytes."""
BODY_PATIENCE = 20.0
"""Seconds a body may take to come."""


class Refused(Exception):
    """An error of the API."""

    def __init__(self, status: int, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.status, self.path = status, path


def reply(value: Any, status: int = 200) -> Response:
    return raw_reply(json.dumps(value, separators=(",", ":")).encode(), status)


def raw_reply(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


async def body_of(request: Request) -> bytes:
    """A JSON body, not yet read. Raises Refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "the body must be application/json")
    too_large = Refused(413, f"the body is larger than {MOST_BODY >> 20} MB")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MOST_BODY:
        raise too_large
    found = bytearray()
    try:
        async with asyncio.timeout(BODY_PATIENCE):
            async for part in request.stream():
                found += part
                if len(found) > MOST_BODY:
                    raise too_large
    except TimeoutError:
        raise Refused(400, f"the body did not come within {BODY_PATIENCE:g} s") from None
    except ClientDisconnect:
        raise Refused(400, "the body broke off") from None
    return bytes(found)


async def asked(judges: Judges, verb: str, body: bytes | Any) -> tuple[int, bytes]:
    """What a worker says. Raises Refused."""
    try:
        return await judges.ask(verb, body if isinstance(body, bytes) else json.dumps(body).encode())
    except Overloaded as error:
        raise Refused(error.status, str(error)) from error
