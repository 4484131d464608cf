"""The requests of docs/editor-api.md: what is open, what needs the token, and how each error is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from namewall import __version__
from namewall.editor.assets import Assets
from namewall.editor.guard import PAGE, Guard, is_bearer
from namewall.editor.judging import Judges, Overloaded

if TYPE_CHECKING:
    from namewall.editor.live import Live

MOST_BODY = 4 * 1024 * 1024
"""Bytes."""
BODY_PATIENCE = 20.0
"""Seconds a body may take to come."""

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Settings:
    """`files` are those of the command line; `live` is None where there is no cluster."""

    port: int
    token: str
    files: tuple[tuple[str, str], ...] = ()
    live: Live | None = None


class Refused(Exception):
    """An error of the API."""

    def __init__(self, status: int, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.status, self.path = status, path


def reply(value: Any, status: int = 200) -> Response:
    return raw_reply(json.dumps(value, separators=(",", ":")).encode(), status)


def raw_reply(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    response = reply({"error": str(error), "path": error.path}, error.status)
    response.headers.update(headers)
    return response


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing here", 405: f"`{request.method}` is not answered here"}
    response = reply({"error": words.get(error.status_code, error.detail), "path": None}, error.status_code)
    response.headers.update(error.headers or {})
    return response


def _broken(request: Request, error: Exception) -> Response:
    return reply({"error": "this is a mistake of the server; its log has more", "path": None}, 500)


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


def make_app(settings: Settings, judges: Judges, assets: Assets) -> ASGIApp:
    """The whole server but for its socket."""

    def judging(verb: str) -> Handler:
        async def handle(request: Request) -> Response:
            body = await body_of(request) if request.method == "POST" else b""
            return await asked(verb, body)

        return handle

    async def asked(verb: str, body: bytes) -> Response:
        try:
            status, answer = await judges.ask(verb, body)
        except Overloaded as error:
            raise Refused(error.status, str(error)) from error
        return raw_reply(answer, status)

    async def page(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"allow": "GET, HEAD"})
        answer = assets.answer(request)
        if answer is None:
            if request.url.path in PAGE:
                raise Refused(503, "the page is not built: run `make ui`")
            raise HTTPException(404)
        if request.url.path in PAGE:
            judges.warm()
        return answer

    async def session(request: Request) -> Response:
        known = is_bearer(request.headers, settings.token)
        files = [{"name": name, "text": text} for name, text in settings.files] if known else []
        return reply({"version": __version__, "live": settings.live is not None, "files": files})

    open_requests = [
        Route(f"/api/{verb}", judging(verb), methods=["POST"])
        for verb in ("judge", "fix", "explain", "union", "diff", "convert")
    ]
    return Guard(
        Starlette(
            routes=[
                *open_requests,
                Route("/api/schema", judging("schema"), methods=["GET"]),
                Route("/api/session", session, methods=["GET"]),
                Route(
                    "/{path:path}", page, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
                ),
            ],
            exception_handlers={Refused: _refused, HTTPException: _http, Exception: _broken},
        ),
        settings.port,
    )
