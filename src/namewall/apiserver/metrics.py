"""Counters of the server in Prometheus' text format, under the names Kubernetes' API server uses."""

from __future__ import annotations

import asyncio
from collections import Counter

from namewall.model.exposition import MEDIA_TYPE, Family, gauge, render

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
        counts: Counter[tuple[str, str]] = Counter()
        for (verb, resource, _), count in self.requests.items():
            counts[verb, resource] += count
        labels = {(verb, resource): {"verb": verb, "resource": resource} for verb, resource in sorted(counts)}
        seconds = [(labels[key], round(self.seconds[key], 6)) for key in labels]
        return render(
            [
                Family(
                    "apiserver_request_total",
                    "counter",
                    "Requests by verb, resource and code.",
                    [
                        ({"verb": verb, "resource": resource, "code": str(code)}, count)
                        for (verb, resource, code), count in sorted(self.requests.items())
                    ],
                ),
                Family(
                    "apiserver_request_duration_seconds",
                    "summary",
                    "Seconds spent on requests.",
                    parts={"_sum": seconds, "_count": [(labels[key], counts[key]) for key in labels]},
                ),
                Family(
                    "apiserver_resource_objects",
                    "gauge",
                    "Stored objects by resource.",
                    [({"resource": name}, count) for name, count in sorted(objects.items())],
                ),
                gauge("namewall_apiserver_resource_version", "The newest resourceVersion.", version),
            ]
        )
