"""The ASGI application: who asks, what for, and an answer or a Status. Starlette's parts, a router of our own.

(Kubernetes' paths are one grammar, read in `request`; a table of routes would say it less well.)
"""

from __future__ import annotations

import gzip
import logging
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from namewall import __version__
from namewall.apiserver import auth, decode, discovery, metrics, openapi, pod_streams, reviews
from namewall.apiserver.auth import User
from namewall.apiserver.config import ServerConfig
from namewall.apiserver.errors import ApiError, bad_request, method_not_allowed, no_such_page
from namewall.apiserver.handlers import Call, Handlers, json_response, read_body
from namewall.apiserver.request import (
    Query,
    Review,
    Target,
    accepts,
    negotiate,
    parse_path,
    wants_aggregated_discovery,
)
from namewall.apiserver.store import Store
from namewall.apiserver.writer import Writer

log = logging.getLogger("namewall.apiserver")

_FOREVER = {"Cache-Control": "public, immutable", "Expires": "Fri, 31 Dec 2100 23:59:59 GMT"}


class App:
    """One server's application."""

    def __init__(self, config: ServerConfig, store: Store, writer: Writer, token: str) -> None:
        self._config = config
        self._store = store
        self._token = token
        self._handlers = Handlers(store, writer)
        self._streams = pod_streams.PodStreams(config.instance, store)
        self._metrics = metrics.Metrics()
        self.ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = await self._http(Request(scope, receive))
            await response(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    # --- HTTP ---------------------------------------------------------------------------------------------

    async def _http(self, http: Request) -> Response:
        begun = time.perf_counter()
        resource = ""
        try:
            user = self._user(http.scope, http.headers.get("authorization", ""))
            path = http.scope["path"].rstrip("/") or "/"
            auth.authorize(user, http.method, path)
            if path.startswith(("/api/", "/apis/")):
                parts = path.strip("/").split("/")
                if len(parts) > (2 if parts[0] == "api" else 3):
                    found = parse_path(path)
                    resource = found.resource.key if isinstance(found, Target) else found.plural
                    response = await self._api(http, found, user)
                else:
                    response = self._discover(http, path, parts)
            elif path == "/metrics" and http.method in ("GET", "HEAD"):
                response = await self._metrics_page()
            else:
                response = self._page(http, path)
        except ApiError as error:
            response = json_response(error.status(), error.code)
            response.headers.update(error.headers)
        except RecursionError:
            response = json_response(bad_request("the object is nested too deeply").status(), 400)
        except Exception:
            log.exception("%s %s failed", http.method, http.scope["path"])
            failure = ApiError(500, "InternalError", "Internal error occurred: see the API server's log")
            response = json_response(failure.status(), 500)
        self._metrics.observe(http.method, resource, response.status_code, time.perf_counter() - begun)
        return response

    def _user(self, scope: Scope, authorization: str) -> User:
        return auth.authenticate(auth.from_certificate(scope.get("peercert")), authorization, self._token)

    async def _api(self, http: Request, found: Target | Review, user: User) -> Response:
        query = Query(http.scope["query_string"])
        body = await read_body(http) if http.method not in ("GET", "HEAD") else b""
        if isinstance(found, Review):
            if http.method != "POST":
                raise method_not_allowed(found.group, found.plural)
            asked = decode.parse(body, http.headers.get("content-type", ""))
            return json_response(reviews.answer(found, asked, user), 201)
        if found.subresource in pod_streams.SUBRESOURCES and found.resource.key == "pods":
            return await self._streams.http(found, http.method, query)
        form = negotiate(http.headers.get("accept", ""))
        return await self._handlers.handle(Call(http, found, query, form, body))

    def _discover(self, http: Request, path: str, parts: list[str]) -> Response:
        if parts[0] == "api":
            return json_response(discovery.api_resources("", parts[1]))
        if len(parts) == 2:
            return json_response(discovery.api_group(parts[1]))
        return json_response(discovery.api_resources(parts[1], parts[2]))

    async def _metrics_page(self) -> Response:
        """Ours, and the agent's while it lives: one place to scrape, behind the server's credentials."""
        text = self._metrics.render(self._store.counts(), self._store.version)
        text += await metrics.of_agent(f"{self._config.instance.run_dir}/agent.sock")
        return Response(text, media_type=metrics.MEDIA_TYPE)

    def _page(self, http: Request, path: str) -> Response:
        """Everything that is not a resource."""
        if http.method not in ("GET", "HEAD"):
            raise method_not_allowed("", "")
        match path:
            case "/api" | "/apis":
                return self._roots(http, path)
            case "/version":
                return json_response(discovery.version(__version__))
            case "/livez" | "/healthz":
                return PlainTextResponse("ok")
            case "/readyz":
                return PlainTextResponse("ok" if self.ready else "not ready", 200 if self.ready else 500)
            case "/":
                paths = [
                    "/api",
                    "/api/v1",
                    "/apis",
                    "/healthz",
                    "/livez",
                    "/metrics",
                    "/openapi/v2",
                    "/openapi/v3",
                ]
                return json_response({"paths": [*paths, "/readyz", "/version"]})
            case "/openapi/v2":
                if "proto" in http.headers.get("accept", ""):
                    return Response(openapi.V2_PROTOBUF, media_type=openapi.V2_MEDIA_TYPE)
                info = {"title": "Namewall", "version": "unversioned"}
                return json_response({"swagger": "2.0", "info": info, "paths": {}, "definitions": {}})
            case "/openapi/v3":
                return json_response(openapi.index())
        if path.startswith("/openapi/v3/"):
            return self._openapi(http, path.removeprefix("/openapi/v3/"))
        raise no_such_page()

    def _roots(self, http: Request, path: str) -> Response:
        if wants_aggregated_discovery(http.headers.get("accept", "")):
            data = discovery.aggregated(path)
            response = Response(data)
            response.headers["content-type"] = discovery.AGGREGATED_MEDIA_TYPE
            return response
        if path == "/apis":
            return json_response(discovery.api_groups())
        server = http.scope.get("server") or (self._config.host, self._config.port)
        return json_response(discovery.api_versions(f"{server[0]}:{server[1]}"))

    @staticmethod
    def _openapi(http: Request, path: str) -> Response:
        data = openapi.compressed(path)
        if data is None:
            raise no_such_page()
        digest = openapi.digest(path)
        etag = f'"{digest}"'
        headers = {"ETag": etag, "Vary": "Accept-Encoding"}
        if Query(http.scope["query_string"]).get("hash") == digest:
            headers |= _FOREVER
        if http.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        if any(coding == "gzip" for coding, _ in accepts(http.headers.get("accept-encoding", ""))):
            headers["Content-Encoding"] = "gzip"
        else:
            data = gzip.decompress(data)
        return Response(data, headers=headers, media_type="application/json")

    # --- WebSocket ----------------------------------------------------------------------------------------

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        try:
            user = self._user(scope, headers.get("authorization", ""))
            auth.authorize(user, "GET", scope["path"])
            found = parse_path(scope["path"])
            if not isinstance(found, Target) or found.subresource not in pod_streams.SUBRESOURCES:
                raise bad_request("only pods/exec speaks WebSocket here")
            await self._streams.websocket(found, Query(scope["query_string"]), scope, receive, send)
        except ApiError as error:
            await _deny(scope, receive, send, json_response(error.status(), error.code))


async def _deny(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """Answers a WebSocket's opening request with a plain response."""
    from starlette.websockets import WebSocket

    socket: Any = WebSocket(scope, receive, send)
    await receive()
    await socket.send_denial_response(response)
