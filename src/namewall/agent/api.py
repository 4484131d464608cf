"""The agent's socket: flows, tables and status for the verbs, the editor and /metrics (docs/agent-api.md)."""

from __future__ import annotations

import json
from typing import Any

from namewall.agent import metrics, views
from namewall.agent.flow_stream import parse_request, stream
from namewall.agent.observer import RING_BUFFER
from namewall.agent.unix_http import Answer, Asked
from namewall.model.errors import Cannot
from namewall.model.exposition import MEDIA_TYPE
from namewall.model.instance import Instance

LAST = 20
"""Flows that a GET without numbers gives, as `hubble observe` does."""


def socket_path(instance: Instance) -> str:
    return f"{instance.run_dir}/agent.sock"


class Api:
    """Answers requests of `unix_http`."""

    def __init__(self, node: views.Node) -> None:
        self._node = node

    async def handle(self, asked: Asked) -> Answer:
        try:
            return await self._route(asked)
        except ValueError as error:
            return _problem(400, str(error))
        except Cannot as error:
            return _problem(503, str(error))

    async def _route(self, asked: Asked) -> Answer:
        node = self._node
        path = asked.path.rstrip("/")
        if path == "/v1/flows":
            return self._flows(asked)
        if asked.method != "GET":
            return _problem(405, f"{asked.method} is not for {path}; use GET")
        match path.split("/")[1:]:
            case ["v1", "status"]:
                return _json(await views.status_view(node))
            case ["v1", "endpoints"]:
                return _json({"items": await views.endpoint_views(node)})
            case ["v1", "endpoints", *which]:
                return await self._endpoint("/".join(which))
            case ["v1", "policies"]:
                return _json({"items": await views.policy_views(node)})
            case ["v1", "names"]:
                return _json({"items": await views.name_views(node)})
            case ["v1", "tables", name] if name in views.TABLES:
                return _json({"items": await views.table_views(node, name)})
            case ["metrics"]:
                return Answer((await metrics.text(node)).encode(), media_type=MEDIA_TYPE)
        return _problem(
            404,
            f"there is no `{path}`; see /v1/status, /v1/flows, /v1/endpoints, /v1/policies, /v1/names, "
            f"/v1/tables/({'|'.join(views.TABLES)}), /metrics",
        )

    async def _endpoint(self, which: str) -> Answer:
        """By id, or `ns/pod`."""
        for view in await views.endpoint_views(self._node):
            if which in (str(view["id"]), f"{view['namespace']}/{view['pod']}"):
                return _json(view)
        return _problem(404, f"no endpoint `{which}`; give an id or ns/pod")

    def _flows(self, asked: Asked) -> Answer:
        raw: Any
        if asked.method == "POST":
            raw = json.loads(asked.body or b"{}")
        else:
            raw = {"follow": asked.query.get("follow") in ("1", "true")}
            raw["number"] = int(asked.query.get("last", 0 if raw["follow"] else LAST))
        if not isinstance(raw, dict):
            raise ValueError("want a JSON object, as Hubble's GetFlowsRequest")
        observer = self._node.observer
        lost = observer.lost[RING_BUFFER]
        headers = {
            "x-namewall-run": f"{observer.run_id:016x}",
            "x-namewall-began": f"{observer.began:.3f}",
            "x-namewall-lost": str(lost),
        }
        return Answer(
            stream(observer, parse_request(raw)), media_type="application/x-ndjson", headers=headers
        )


def _json(value: Any) -> Answer:
    return Answer(json.dumps(value).encode() + b"\n")


def _problem(status: int, message: str) -> Answer:
    return Answer(json.dumps({"error": message}).encode() + b"\n", status)
