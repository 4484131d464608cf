"""The running cluster as a scenario document, fetched: what `explain` asks where it is given no scenario.

The names are in the agent's file of what the kernel told; without root they are unknown.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from namewall.cli.context import instance, load_cluster
from namewall.cli.kubectl import Session
from namewall.kube import resources
from namewall.kube.errors import ApiError
from namewall.kube.request import list_
from namewall.kube.resources import Resource
from namewall.review import live

Object = dict[str, Any]


def live_scenario(kubeconfig: str | None, asker: str, namespace: str | None = None) -> Object:
    """A scenario document. `asker` is the endpoint whose grants count, as `--from` names it."""
    with Session.open(kubeconfig) as session:

        def items(resource: Resource) -> list[Object]:
            try:
                answer = session.client.send(list_(resource))
            except ApiError as error:
                if error.reason == "NotFound":
                    return []
                raise
            kind, version = resource.kind, answer.get("apiVersion")
            return [{"apiVersion": version, "kind": kind, **item} for item in answer.get("items") or ()]

        objects = {resource: items(resource) for resource in live.TYPES}
        scope = live.scope(objects[resources.PODS], asker, namespace or session.namespace)
        cluster = load_cluster(instance())
        strict = cluster.strict_dns_rules if cluster is not None else False
        return live.scenario(objects, _grants(scope), strict)


def _grants(scope: int | None) -> Iterator[live.Grant]:
    """Address and name of each live grant of a scope, from the agent's file of what the kernel told."""
    try:
        with open(f"{instance().run_dir}/names.json", encoding="utf-8") as file:
            rows = json.load(file)
    except (OSError, ValueError):
        return
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    for owner, name, address, deadline in rows:
        if owner == scope and deadline > now:
            yield address, name
