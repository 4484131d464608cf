"""uvicorn's protocols with the client's certificate in the ASGI scope, as `peercert`, which uvicorn leaves out."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


def _certificate(transport: Any) -> Any:
    tls = transport.get_extra_info("ssl_object")
    return tls.getpeercert() if tls is not None else None


class Http(HttpToolsProtocol):
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["peercert"] = _certificate(self.transport)  # type: ignore[typeddict-unknown-key]


class WebSockets(WebSocketsSansIOProtocol):
    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        # The application runs as a task that has not begun yet.
        self.scope["peercert"] = _certificate(self.transport)  # type: ignore[typeddict-unknown-key]
