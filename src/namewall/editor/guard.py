"""Who may ask at all: a page of this very address, in a browser that was not sent here by another site.

A port on this machine is in reach of every page that a browser here shows. So `Host` must be an address of ours (a name
that an attacker's DNS points here is not), `Origin` and `Sec-Fetch-Site` must be our own, and what changes or
judges must be JSON, which no form can send. A link of another site may open the page itself, and nothing else.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE = ("/", "/index.html")
_FIXED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


def content_policy(nonce: str = "") -> str:
    """`nonce` is for the styles of one page."""
    styles = f"'self' 'nonce-{nonce}'" if nonce else "'self'"
    return (
        f"default-src 'none'; script-src 'self'; style-src {styles}; img-src 'self' data: blob:; "
        "connect-src 'self'; worker-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def hosts(port: int) -> tuple[str, ...]:
    return f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"


def refusal(headers: Mapping[str, str], method: str, path: str, port: int) -> str | None:
    """Why a request is not even looked at (403); None for one that may be."""
    host = headers.get("host", "").lower()
    if host not in hosts(port):
        return f"this is {hosts(port)[0]}, and no other host"
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}":
        return "requests of other origins are refused"
    site = headers.get("sec-fetch-site")
    if site in (None, "same-origin", "none"):
        return None
    followed = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    if method in ("GET", "HEAD") and path in PAGE and followed:
        return None
    return "requests of other sites are refused"


def is_bearer(headers: Mapping[str, str], token: str) -> bool:
    """Compared in a time that does not depend on where they differ."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


class Guard:
    """ASGI: refuses, and gives every answer the headers that hold a browser to the rules."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app, self._port = app, port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _FIXED.items():
                    headers[name] = value
                headers.setdefault("content-security-policy", content_policy())
                headers.setdefault("cache-control", "no-store")
            await send(message)

        why = refusal(Headers(scope=scope), scope["method"], scope["path"], self._port)
        if why is None:
            await self._app(scope, receive, sent)
            return
        body = json.dumps({"error": why, "path": None}).encode()
        start: dict[str, Any] = {"type": "http.response.start", "status": 403}
        lengths = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await sent({**start, "headers": lengths})
        await sent({"type": "http.response.body", "body": body})
