"""The running cluster behind the page: what the API server holds, what the agent sees."""

from __future__ import annotations


class Live:
    async def aclose(self) -> None:
        return None
