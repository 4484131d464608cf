"""Who asks: the client certificate's subject, or a bearer token. Whoever is known may do everything.

The server listens on loopback and its credentials are 0600 files of root: there is one administrator and no roles.
Unknown clients get what Kubernetes gives system:anonymous: health and version, 403 for the rest; a wrong token is 401.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from namewall.apiserver.errors import ApiError, unauthorized

PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version")


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...] = ()

    @property
    def anonymous(self) -> bool:
        return self.name == "system:anonymous"


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def from_certificate(certificate: Mapping[str, Any] | None) -> User | None:
    """The user of a verified client certificate: its common name, with its organizations as groups."""
    if not certificate:
        return None
    pairs = [pair for name in certificate.get("subject", ()) for pair in name]
    names = [value for key, value in pairs if key == "commonName"]
    groups = [value for key, value in pairs if key == "organizationName"]
    return User(names[0], (*groups, "system:authenticated")) if names else None


def authenticate(certificate_user: User | None, authorization: str, token: str) -> User:
    """The user of a request; a 401 where the token it shows is not ours."""
    if certificate_user is not None:
        return certificate_user
    scheme, _, shown = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return ANONYMOUS
    if not hmac.compare_digest(shown.strip().encode(), token.encode()):
        raise unauthorized()
    return User("namewall:admin", ("system:masters", "system:authenticated"))


def authorize(user: User, method: str, path: str) -> None:
    """A 403 where the user may not do this."""
    if not user.anonymous or path in PUBLIC_PATHS or path.startswith(("/livez/", "/readyz/")):
        return
    message = f'forbidden: User "{user.name}" cannot {method.lower()} path "{path}"'
    raise ApiError(403, "Forbidden", message, details={})
