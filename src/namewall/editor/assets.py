"""The built page: files of `static/`, looked up by their exact names, compressed once.

What Vite names by its content (`assets/NAME-HASH.EXT`) may be kept for ever. The page itself has a fresh nonce in each
answer, by which alone its styles count.
"""

from __future__ import annotations

import gzip
import os
import re
import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from namewall.editor.guard import content_policy

FOLDER = os.path.join(os.path.dirname(__file__), "static")
NONCE = b"__NONCE__"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
}
PACKED = {".png", ".woff2"}
"""Compressed already."""
_HASHED = re.compile(r"/assets/[^/]+-[A-Za-z0-9_-]{8,}\.[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    packed: bytes | None
    kind: str
    kept: bool


class Assets:
    """Files are read when they are first asked for, and stay in memory."""

    def __init__(self, folder: str = FOLDER) -> None:
        self._folder = folder
        self._read: dict[str, Asset] = {}
        self._names = {
            "/" + os.path.relpath(os.path.join(where, name), folder)
            for where, _, names in os.walk(folder)
            for name in names
            if os.path.splitext(name)[1] in TYPES
        }

    def answer(self, request: Request) -> Response | None:
        """None where there is no such file."""
        path = "/index.html" if request.url.path == "/" else request.url.path
        if path not in self._names:
            return None
        try:
            asset = self._asset(path)
        except FileNotFoundError:  # another version was installed since
            return None
        packs = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"vary": "accept-encoding"}
        if path == "/index.html":
            nonce = secrets.token_urlsafe(16)
            content = asset.content.replace(NONCE, nonce.encode())
            headers["content-security-policy"] = content_policy(nonce)
            packed = gzip.compress(content, 6) if packs else None
        else:
            content, packed = asset.content, asset.packed if packs else None
            headers["cache-control"] = "public, max-age=31536000, immutable" if asset.kept else "no-cache"
        if packed is not None:
            headers["content-encoding"] = "gzip"
        return Response(packed if packed is not None else content, headers=headers, media_type=asset.kind)

    def _asset(self, path: str) -> Asset:
        found = self._read.get(path)
        if found is None:
            with open(self._folder + path, "rb") as file:
                content = file.read()
            ending = os.path.splitext(path)[1]
            pack = ending not in PACKED and path != "/index.html" and len(content) > 1000
            packed = gzip.compress(content, 9, mtime=0) if pack else None
            found = Asset(content, packed, TYPES[ending], bool(_HASHED.fullmatch(path)))
            self._read[path] = found
        return found
