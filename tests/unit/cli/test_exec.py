"""What exec asks for, and what the last frame means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from namewall.cli import exec as exec_verb
from namewall.cli.exec_stream import outcome


def status(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def exit_code(code: str) -> bytes:
    details = {"causes": [{"reason": "ExitCode", "message": code}]}
    return status(status="Failure", reason="NonZeroExitCode", details=details, message="m")


@pytest.mark.parametrize(
    ("payload", "code", "text"),
    [
        (status(status="Success"), 0, ""),
        (exit_code("28"), 28, "command terminated with exit code 28"),
        (exit_code("300"), 1, "error: error stream protocol error: no ExitCode cause given"),
        (status(status="Failure", message="no such program"), 125, "error: no such program"),
        (status(status="?"), 1, "error: error stream protocol error: unknown error"),
    ],
)
def test_outcomes(payload: bytes, code: int, text: str) -> None:
    assert outcome(payload) == (code, text)


def test_a_status_that_is_none_is_no_success() -> None:
    code, text = outcome(b"\xff")
    assert code == 1
    assert "is no status" in text


def test_only_what_is_true_is_asked_for() -> None:
    where = {"namespace": "n", "name": "p"}
    asked = exec_verb.request(where, "c", ["sh", "-c", "a&b"], stdin=True, tty=True)
    assert asked.target == (
        "/api/v1/namespaces/n/pods/p/exec?command=sh&command=-c&command=a%26b&container=c&stdin=true"
        "&stdout=true&tty=true"
    )
    plain = exec_verb.request(where, "c", ["true"], stdin=False, tty=False)
    assert plain.query == (("command", "true"), ("container", "c"), ("stdout", "true"), ("stderr", "true"))
