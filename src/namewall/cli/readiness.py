"""When is it up? When the API server answers, the node is Ready, and the cluster DNS has a ready backend."""

from __future__ import annotations

import os
import time

from namewall.cli import processes
from namewall.model.cluster import Cluster
from namewall.model.instance import Instance

POLL = 0.02
"""Seconds between looks."""


class NotReady(Exception):
    """It did not come up; str() is a sentence for the user, with the daemon's last words."""


def wait_ready(here: Instance, cluster: Cluster, deadline: float) -> None:
    """Returns when pods can be had; raises NotReady when a daemon ends or `deadline` (time.monotonic) passes."""
    from namewall.kube import request
    from namewall.kube.config import KubeConfig
    from namewall.kube.errors import KubeError
    from namewall.kube.resources import ENDPOINTS, NODES
    from namewall.kube.sync import SyncClient

    waited_for = "the API server to answer"
    while time.monotonic() < deadline:
        for name in processes.DAEMONS:
            if processes.running(here, name) is None:
                words = processes.last_words(here, name)
                raise NotReady(f"the {name} ended at its start: {words or 'it said nothing'}")
        if os.path.exists(here.kubeconfig):
            try:
                with SyncClient(KubeConfig.load(here.kubeconfig)) as client:
                    waited_for = f"node `{cluster.node_name}` to be Ready"
                    node = client.send(request.get(NODES, None, cluster.node_name))
                    waited_for = "the agent's first look at pods and policies"
                    # A restarted agent: the node and the DNS are ready still, its tables may not be.
                    if _ready(node) and _has_looked(here):
                        waited_for = "the cluster DNS to be ready"
                        endpoints = client.send(request.get(ENDPOINTS, "kube-system", "kube-dns"))
                        if any(subset.get("addresses") for subset in endpoints.get("subsets") or ()):
                            return
            except KubeError:
                pass
        time.sleep(POLL)
    words = processes.last_words(here, "agent")
    raise NotReady(f"gave up waiting for {waited_for}; the agent's last words: {words or 'none'}")


def _has_looked(here: Instance) -> bool:
    from namewall.agent.report import read_report

    report, agent = read_report(here), processes.running(here, "agent")
    return report is not None and agent is not None and report["pid"] == agent.pid


def _ready(node: dict[str, object]) -> bool:
    status = node.get("status")
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
