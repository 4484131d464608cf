"""What a request can end in instead of an answer.

    KubeError
    ├── ConfigError        the kubeconfig is missing or wrong; nothing was sent
    ├── Unreachable        no answer: refused, reset, timed out, not trusted
    └── ApiError           the server answered with a Status (or another non-2xx body)

`ApiError.reason` is Kubernetes' StatusReason (`NotFound`, `AlreadyExists`, `Conflict`, `Expired`, …); callers
decide by `code` and `reason`, never by `message`, which is for people.
"""

from __future__ import annotations

import json
from typing import Any


class KubeError(Exception):
    """Every error of this package; str() is one sentence for the user."""


class ConfigError(KubeError):
    """The kubeconfig cannot be used."""


class Unreachable(KubeError):
    """The server gave no answer; the same request may be tried again."""


class ApiError(KubeError):
    """The server's refusal. `details` is the Status' own (`name`, `kind`, `causes`, …), or {}."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}

    @property
    def expired(self) -> bool:
        """The resourceVersion asked for is of no use any more; list again.

        410: too old. ResourceVersionTooLarge (a 504): of the future, so of a store that was restored since.
        """
        causes = self.details.get("causes") or ()
        return self.code == 410 or any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes)

    @classmethod
    def from_status(cls, status: dict[str, Any]) -> ApiError:
        """From a `kind: Status` object, as a reply or as an ERROR frame of a watch."""
        code = status.get("code")
        return cls(
            code if isinstance(code, int) else 500,
            str(status.get("reason") or ""),
            str(status.get("message") or "the server gave no message"),
            status.get("details") if isinstance(status.get("details"), dict) else None,
        )

    @classmethod
    def from_body(cls, code: int, body: bytes) -> ApiError:
        """From a reply that is not 2xx, whether the body is a Status or not."""
        try:
            status = json.loads(body)
        except ValueError:
            status = None
        if isinstance(status, dict) and status.get("kind") == "Status":
            return cls.from_status({**status, "code": status.get("code") or code})
        return cls(code, *_plain(code, body.decode(errors="replace").strip()))


# What client-go makes of replies that are no Status (apimachinery/pkg/api/errors, NewGenericServerResponse).
_GENERIC = {
    400: ("BadRequest", "the server rejected our request for an unknown reason"),
    401: ("Unauthorized", "the server has asked for the client to provide credentials"),
    403: ("Forbidden", ""),
    404: ("NotFound", "the server could not find the requested resource"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
    406: ("NotAcceptable", ""),
    409: ("Conflict", "the server reported a conflict"),
    410: ("Expired", ""),
    415: ("UnsupportedMediaType", ""),
    429: (
        "TooManyRequests",
        "the server has received too many requests and has asked us to try again later",
    ),
    500: ("InternalError", ""),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the server was unable to return a response in the time allotted"),
}


def _plain(code: int, text: str) -> tuple[str, str]:
    reason, message = _GENERIC.get(code, ("", ""))
    return reason, message or text or f"the server responded with the status code {code}"
