"""A stream without news is no agent that went away."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from namewall.cli import agent_client
from namewall.cli.agent_client import AgentAway, AgentClient
from namewall.model.instance import Instance

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\nx-namewall-run: 7\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def agent(root: Path, silence: float, *answer: bytes) -> threading.Thread:
    """Sends the parts of an answer, each after so many seconds."""
    (root / "run").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(root / "run" / "agent.sock"))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            for part in answer:
                connection.sendall(part)
                time.sleep(silence)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_flows_may_be_long_in_coming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_client, "PATIENCE", 0.1)
    thread = agent(tmp_path, 0.4, HEAD, b"3\r\n{}\n\r\n", b"3\r\n[]\n\r\n", b"0\r\n\r\n")
    with AgentClient(Instance(str(tmp_path))).flows({"follow": True}) as stream:
        assert stream.run == "7"
        assert list(stream.lines) == [b"{}", b"[]"]
    thread.join()


def test_an_agent_that_answers_nothing_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_client, "PATIENCE", 0.1)
    thread = agent(tmp_path, 0.4, b"")
    with pytest.raises(AgentAway, match="timed out"):
        AgentClient(Instance(str(tmp_path))).get("/v1/endpoints")
    thread.join()
