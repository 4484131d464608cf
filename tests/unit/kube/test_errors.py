"""Replies that are refusals."""

from __future__ import annotations

import json

from namewall.kube.errors import ApiError


def test_a_status_is_taken_as_it_is() -> None:
    status = {
        "kind": "Status",
        "code": 409,
        "reason": "Conflict",
        "message": "m",
        "details": {"name": "x", "causes": []},
    }
    error = ApiError.from_body(500, json.dumps(status).encode())
    assert (error.code, error.reason, str(error), error.details["name"]) == (409, "Conflict", "m", "x")


def test_other_bodies_get_kubernetes_words() -> None:
    error = ApiError.from_body(404, b"404 page not found\n")
    assert (error.code, error.reason) == (404, "NotFound")
    assert str(error) == "the server could not find the requested resource"
    assert str(ApiError.from_body(502, b"")) == "the server responded with the status code 502"
    assert str(ApiError.from_body(500, b"boom")) == "boom"


def test_a_version_too_old_or_of_the_future_is_expired() -> None:
    future = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
    assert ApiError(410, "Expired", "").expired
    assert ApiError(504, "Timeout", "", future).expired
    assert not ApiError(504, "Timeout", "").expired
