"""Errors as Kubernetes writes them: an HTTP code and a Status object (API conventions, `Status` kind).

    ApiError
      made by bad_request, unauthorized, forbidden, not_found, already_exists, conflict, invalid, gone, ...

kubectl builds its own text for Invalid from `details.causes`; every other message it prints as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from namewall.apiserver.values import Object


@dataclass(frozen=True, slots=True)
class Cause:
    """One field of an invalid object. `reason` is one of the FieldValue... reasons of the API conventions."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"


class ApiError(Exception):
    """What the client gets in place of an answer."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Object | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers or {}

    def status(self) -> Object:
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            status["details"] = self.details
        status["code"] = self.code
        return status


def show(value: Any) -> str:
    """A value as field errors of Kubernetes quote it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def invalid_value(field: str, value: Any, detail: str) -> Cause:
    return Cause(field, f"Invalid value: {show(value)}: {detail}")


def required(field: str, detail: str = "") -> Cause:
    return Cause(field, f"Required value: {detail}" if detail else "Required value", "FieldValueRequired")


def unsupported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    names = ", ".join(show(name) for name in supported)
    return Cause(
        field, f"Unsupported value: {show(value)}: supported values: {names}", "FieldValueNotSupported"
    )


def forbidden_field(field: str, detail: str) -> Cause:
    return Cause(field, f"Forbidden: {detail}", "FieldValueForbidden")


def duplicate(field: str, value: Any) -> Cause:
    return Cause(field, f"Duplicate value: {show(value)}", "FieldValueDuplicate")


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def _named(group: str, kind: str, name: str) -> Object:
    details = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in details.items() if value}


def _qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def forbidden(group: str, plural: str, name: str, why: str) -> ApiError:
    target = f'{_qualified(group, plural)} "{name}"' if name else _qualified(group, plural)
    message = f"{target} is forbidden: {why}" if plural else f"forbidden: {why}"
    return ApiError(403, "Forbidden", message, details=_named(group, plural, name))


def not_found(group: str, plural: str, name: str) -> ApiError:
    message = f'{_qualified(group, plural)} "{name}" not found'
    return ApiError(404, "NotFound", message, details=_named(group, plural, name))


def no_such_page() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def method_not_allowed(group: str, plural: str) -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, details=_named(group, plural, ""))


def not_acceptable(offered: str) -> ApiError:
    message = f"only the following media types are accepted: {offered}"
    return ApiError(406, "NotAcceptable", message)


def already_exists(group: str, plural: str, name: str) -> ApiError:
    message = f'{_qualified(group, plural)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_named(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {_qualified(group, plural)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_named(group, plural, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def unsupported_media_type(offered: Iterable[str]) -> ApiError:
    message = (
        "the body of the request was in an unknown format - "
        f"accepted media types include: {', '.join(offered)}"
    )
    return ApiError(415, "UnsupportedMediaType", message)


def too_large_resource_version(wanted: int, current: int) -> ApiError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(
        504,
        "Timeout",
        f"Too large resource version: {wanted}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
        headers={"Retry-After": "1"},
    )


def invalid(group: str, kind: str, name: str, causes: list[Cause]) -> ApiError:
    """422: `kind` is the Kind, as kubectl prints `The <kind> "<name>" is invalid`."""
    target = f"{kind}.{group}" if group else kind
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _named(group, kind, name)
    details["causes"] = [
        {"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes
    ]
    return ApiError(422, "Invalid", f'{target} "{name}" is invalid: {text}', details=details)
