"""A question that cannot be answered as it is asked."""

from __future__ import annotations

from namewall.model.errors import NamewallError


class Wrong(NamewallError):
    """str() is a sentence; `path` is the field it is about, None for the whole."""

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path
