"""The whole server but for its socket: the page, the open requests, and those of the cluster behind the token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from namewall import __version__
from namewall.editor.assets import Assets
from namewall.editor.guard import PAGE, Guard, is_bearer
from namewall.editor.http import Refused, asked, body_of, raw_reply, reply
from namewall.editor.judging import Judges

if TYPE_CHECKING:
    from namewall.editor.live import Live

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Settings:
    """`files` are those of the command line. `cluster` connects to the cluster, which is done when it is first asked
    about; None where there is none."""

    port: int
    token: str
    files: tuple[tuple[str, str], ...] = ()
    cluster: Callable[[], Live] | None = None


class Server:
    """What lives as long as the server."""

    def __init__(self, settings: Settings, judges: Judges, assets: Assets) -> None:
        self.settings, self.judges, self.assets = settings, judges, assets
        self._live: Live | None = None

    def live(self) -> Live | None:
        """Raises ConfigError, also the next time: a kubeconfig may come later."""
        if self._live is None and self.settings.cluster is not None:
            self._live = self.settings.cluster()
        return self._live

    async def aclose(self) -> None:
        self.judges.close()
        if self._live is not None:
            await self._live.aclose()


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


def make_app(here: Server) -> ASGIApp:
    settings, judges, assets = here.settings, here.judges, here.assets

    def judging(verb: str) -> Handler:
        async def handle(request: Request) -> Response:
            body = await body_of(request) if request.method == "POST" else b""
            status, answer = await asked(judges, verb, body)
            return raw_reply(answer, status)

        return handle

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

    async def live(request: Request) -> Response:
        if not is_bearer(request.headers, settings.token):
            raise Refused(401, "this needs the token of the address that `namewall` printed")
        from namewall.editor.live_app import answer

        return await answer(request, here.live, judges)

    async def session(request: Request) -> Response:
        known = is_bearer(request.headers, settings.token)
        files = [{"name": name, "text": text} for name, text in settings.files] if known else []
        return reply({"version": __version__, "live": settings.cluster is not None, "files": files})

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
                Route("/api/live", live, methods=["GET"]),
                *(
                    Route(f"/api/{verb}", live, methods=["POST"])
                    for verb in ("ask", "flows", "allow", "what-if", "apply")
                ),
                Route(
                    "/{path:path}", page, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
                ),
            ],
            exception_handlers={Refused: _refused, HTTPException: _http, Exception: _broken},
        ),
        settings.port,
    )
