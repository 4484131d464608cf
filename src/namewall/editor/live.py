"""The running cluster behind the page: what the API server holds, what the agent sees, with the kubeconfig's rights.

Nothing is kept but connections: each answer is of the moment it is asked for. Judging is left to the workers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from namewall.editor.agent import Agent, AgentError
from namewall.kube import resources
from namewall.kube.client import Client
from namewall.kube.config import KubeConfig
from namewall.kube.errors import ApiError
from namewall.kube.resources import Resource
from namewall.policy.metadata import MODE
from namewall.review import live
from namewall.review.written import text_of

Object = dict[str, Any]
MOST_FLOWS = 5000
"""Different flows that one what-if judges; of more the newest."""
_COMPARED = ("traffic_direction", "l4", "source_names", "destination_names")


class Live:
    """`agent_socket` is None where the cluster is not this host's; `strict` as in Scenario.strict_dns_rules."""

    def __init__(self, config: KubeConfig, agent_socket: str | None, strict: bool = False) -> None:
        self.config, self._strict = config, strict
        self.client = Client(config, component="namewall-editor")
        self.streams = 0
        """Of flows, that are open."""
        self._agent = None if agent_socket is None else Agent(agent_socket)

    async def aclose(self) -> None:
        await self.client.aclose()
        if self._agent is not None:
            await self._agent.aclose()

    @property
    def agent(self) -> Agent:
        """Raises AgentError."""
        if self._agent is None:
            raise AgentError(503, "flows and names need the agent of `namewall up` on this host")
        return self._agent

    async def _objects(self, *more: Resource) -> dict[Resource, list[Object]]:
        async def items(resource: Resource) -> list[Object]:
            try:
                return (await self.client.list(resource))[0]
            except ApiError as error:
                if error.reason == "NotFound":
                    return []
                raise

        wanted = (*live.TYPES, *more)
        found = await asyncio.gather(*map(items, wanted))
        return dict(zip(wanted, found, strict=True))

    async def _names(self) -> list[Object]:
        return [] if self._agent is None else await self._agent.items("/v1/names")

    async def _judged(self) -> dict[tuple[str, str], Object]:
        """What the agent tells of its endpoints, by namespace and pod."""
        rows = [] if self._agent is None else await self._agent.items("/v1/endpoints")
        return {(row["namespace"], row["pod"]): row for row in rows}

    async def state(self) -> Object:
        """The answer of `GET /api/live`. Without the agent there are no names, nor what is enforced, and `problem`
        says so. Raises KubeError."""
        objects = await self._objects(resources.CILIUM_ENDPOINTS)
        problem = None
        try:
            names, judged = await self._names(), await self._judged()
        except AgentError as error:
            names, judged, problem = [], {}, str(error)
        statuses = {_name_of(each): each.get("status") or {} for each in objects[resources.CILIUM_ENDPOINTS]}
        return {
            "server": self.config.server,
            "problem": problem,
            "endpoints": [
                _endpoint(pod, statuses.get(_name_of(pod), {}), judged.get(_name_of(pod)))
                for pod in objects[resources.PODS]
                if live.runs(pod)
            ],
            "names": [_learned(row) for row in names],
            "services": [
                {key: row[key] for key in ("namespace", "name")}
                | {"addresses": row["ips"], "ports": row["ports"]}
                for row in map(live.service, objects[resources.SERVICES])
            ],
            "namespaces": [
                {"name": each["metadata"]["name"], "labels": each["metadata"].get("labels") or {}}
                for each in objects[resources.NAMESPACES]
            ],
            "policies": await asyncio.to_thread(
                lambda: [_policy(each) for kind in live.POLICIES for each in objects[kind]]
            ),
        }

    async def world(self, flow: Any = None) -> Object:
        """`world`, the cluster as a scenario document with the names that the flow's pod learned, and `versions`, those
        of its policies. Raises KubeError."""
        objects = await self._objects()
        grants: list[live.Grant] = []
        source = flow.get("source") if isinstance(flow, dict) else None
        if isinstance(source, dict) and source.get("pod_name"):
            pod = f"{source.get('namespace')}/{source['pod_name']}"
            try:
                rows = await self._names()
            except AgentError:
                rows = []
            known = [row for row in rows if row["pod"] == pod and row["secondsLeft"] > 0]
            grants = [(address, row["fqdn"]) for row in known for address in row["ips"]]
        return {
            "world": live.scenario(objects, grants, self._strict),
            "versions": live.versions(objects),
        }

    async def flows(self, request: Object) -> tuple[dict[str, str], AsyncIterator[bytes]]:
        """Headers and lines of the agent's stream, which ends when its reader does. Raises AgentError."""
        stack = AsyncExitStack()
        response = await stack.enter_async_context(self.agent.flows(request))

        async def lines() -> AsyncIterator[bytes]:
            async with stack:
                async for part in response.aiter_raw():
                    yield part

        return dict(response.headers), lines()

    async def seen(self) -> tuple[list[Object], int]:
        """The different flows since the agent's start, replies aside, and how many there were. Raises AgentError."""
        found: dict[str, Object] = {}
        total = 0
        _, parts = await self.flows({"namewall": True, "whitelist": [{"reply": [False]}]})
        rest = b""
        async for part in parts:
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                flow = json.loads(line).get("flow") if line else None
                if flow is None:
                    continue
                total += int((flow.get("namewall") or {}).get("times") or 1)
                found[_told_by(flow)] = flow
        return list(found.values())[-MOST_FLOWS:], total


def _told_by(flow: Mapping[str, Any]) -> str:
    """What a verdict depends on."""
    ends = [(flow.get(side) or {}).get("labels") for side in ("source", "destination")]
    egress = flow.get("traffic_direction") == "EGRESS"
    address = (flow.get("IP") or {}).get("destination" if egress else "source")
    layer = {
        name: {key: value for key, value in each.items() if key in ("destination_port", "type")}
        for name, each in (flow.get("l4") or {}).items()
    }
    query = ((flow.get("l7") or {}).get("dns") or {}).get("query")
    names = [flow.get(key) for key in _COMPARED if key.endswith("_names")]
    pods = [(flow.get(side) or {}).get("namespace") for side in ("source", "destination")]
    return json.dumps([ends, egress, address, layer, query, names, pods])


def _name_of(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _endpoint(pod: Object, status: Object, judged: Object | None) -> Object:
    """`status` is its CiliumEndpoint's, `judged` what the agent tells of it."""
    row, enforced = live.endpoint(pod), judged and judged["enforcement"]
    return {
        "namespace": row["namespace"],
        "name": row["name"],
        "labels": row["labels"],
        "serviceAccount": row["serviceAccount"],
        "addresses": row["ips"],
        "identity": (status.get("identity") or {}).get("id"),
        "workload": judged and judged["workload"],
        "ingressEnforced": enforced and enforced in ("both", "ingress"),
        "egressEnforced": enforced and enforced in ("both", "egress"),
    }


def _learned(row: Object) -> Object:
    namespace, _, pod = (row["pod"] or "").partition("/")
    return {
        "namespace": namespace,
        "pod": pod,
        "name": row["fqdn"].removesuffix("."),
        "addresses": row["ips"],
        "secondsLeft": row["secondsLeft"],
    }


def _policy(obj: Object) -> Object:
    metadata = obj["metadata"]
    return {
        "kind": obj["kind"],
        "namespace": metadata.get("namespace"),
        "name": metadata["name"],
        "text": text_of(obj),
        "audit": (metadata.get("annotations") or {}).get(MODE) == "audit",
        "resourceVersion": metadata.get("resourceVersion"),
    }
