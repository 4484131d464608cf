"""Counters of the server in Prometheus' text format, under the names Kubernetes' API server uses."""

from __future__ import annotations

import asyncio
from collections import Counter

from namewall.model.exposition import MEDIA_TYPE, gauge, render

__all__ = ["MEDIA_TYPE", "Metrics", "of_agent"]

AGENT_PATIENCE = 3.0
"""Seconds; a scraper gives up after ten."""


async def of_agent(socket: str) -> str:
    """What the agent counts, from its socket; while it is away only that it is."""
    try:
        async with asyncio.timeout(AGENT_PATIENCE):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                # HTTP/1.0: the answer ends where the connection does, so there is nothing to decode.
                writer.write(b"GET /metrics HTTP/1.0\r\nHost: agent\r\n\r\n")
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        head, body = b"", b""
    alive = b" 200 " in head.partition(b"\r\n")[0]
    up = gauge("namewall_agent_up", "Whether the agent answered: 1 or 0", int(alive))
    return render([up]) + (body.decode() if alive else "")


class Metrics:
    """Requests by verb, resource and code, and the seconds they took (streams count until their headers)."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.seconds: Counter[tuple[str, str]] = Counter()
        self.watches = 0

    def observe(self, verb: str, resource: str, code: int, seconds: float) -> None:
        self.requests[verb, resource, code] += 1
        self.seconds[verb, resource] += seconds  # type: ignore[assignment]

    def render(self, objects: dict[str, int], version: int) -> str:
        lines = [
            "# HELP apiserver_request_total Requests by verb, resource and code.",
            "# TYPE apiserver_request_total counter",
        ]
        for (verb, resource, code), count in sorted(self.requests.items()):
            lines.append(
                f'apiserver_request_total{{verb="{verb}",resource="{resource}",code="{code}"}} {count}'
            )
        lines += [
            "# HELP apiserver_request_duration_seconds_sum Seconds spent on requests.",
            "# TYPE apiserver_request_duration_seconds_sum counter",
        ]
        for (verb, resource), seconds in sorted(self.seconds.items()):
            lines.append(
                f'apiserver_request_duration_seconds_sum{{verb="{verb}",resource="{resource}"}} {seconds:.6f}'
            )
        lines += [
            "# HELP apiserver_resource_objects Stored objects by resource.",
            "# TYPE apiserver_resource_objects gauge",
        ]
        lines += [
            f'apiserver_resource_objects{{resource="{name}"}} {n}' for name, n in sorted(objects.items())
        ]
        lines += [
            "# HELP namewall_apiserver_resource_version The newest resourceVersion.",
            "# TYPE namewall_apiserver_resource_version gauge",
            f"namewall_apiserver_resource_version {version}",
        ]
        return "\n".join(lines) + "\n"
