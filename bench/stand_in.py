"""A unix socket that speaks in the agent's place: each request in a thread of its own."""

from __future__ import annotations

import socket
import threading

import h11


class StandIn:
    """Give `answer`. Listens when it is made, until the process ends."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def answer(self, stream: socket.socket, http: h11.Connection, target: bytes) -> None:
        """To a whole request for `target`; the connection ends when this returns."""
        raise NotImplementedError

    def _serve(self) -> None:
        while True:
            stream, _ = self._socket.accept()
            threading.Thread(target=self._take, args=(stream,), daemon=True).start()

    def _take(self, stream: socket.socket) -> None:
        http = h11.Connection(h11.SERVER)
        event: object = h11.NEED_DATA
        target = b""
        while not isinstance(event, h11.EndOfMessage):
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(stream.recv(65536))
            if isinstance(event, h11.Request):
                target = event.target
        with stream:
            self.answer(stream, http, target)
