"""Binds pending pods to the one node, or says why not: a condition on the pod and an Event."""

from __future__ import annotations

from collections.abc import Iterable

from namewall.apiserver import podfields, subresources
from namewall.apiserver.controllers.base import Recorder, is_deleted, key_of
from namewall.apiserver.registry import BY_KEY
from namewall.apiserver.store import Change, Key
from namewall.apiserver.values import Object, deep_copy, dig, set_condition
from namewall.apiserver.writer import Options, Writer

MANAGER = "default-scheduler"


def why_not(pod: Object, node: Object | None, node_name: str) -> str | None:
    """Why the pod cannot run on the node; None if it can."""
    runtime_class = dig(pod, "spec", "runtimeClassName")
    if runtime_class not in podfields.RUNTIME_CLASSES:
        if runtime_class is None:
            return (
                "0/1 nodes are available: there is no container engine, so images cannot run; "
                "set `spec.runtimeClassName: host` to run a command of the host"
            )
        return (
            f"0/1 nodes are available: runtime class `{runtime_class}` does not run here; "
            "`spec.runtimeClassName` must be `host`"
        )
    if node is None:
        return f"0/1 nodes are available: node `{node_name}` has not registered, is the agent running"
    if dig(node, "spec", "unschedulable"):
        return "0/1 nodes are available: 1 node(s) were unschedulable."
    labels = dig(node, "metadata", "labels", default={})
    wanted = dig(pod, "spec", "nodeSelector", default={})
    if not wanted.items() <= labels.items():
        return "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    return None


def is_waiting(pod: Object) -> bool:
    return (
        not dig(pod, "spec", "nodeName")
        and not is_deleted(pod)
        and dig(pod, "status", "phase") == "Pending"
        and dig(pod, "spec", "schedulerName") == MANAGER
    )


class Scheduler:
    name = "scheduler"

    def __init__(self, writer: Writer, node_name: str) -> None:
        self._writer = writer
        self._node_name = node_name
        self._recorder = Recorder(writer, MANAGER)

    def interested(self, change: Change) -> Iterable[Key]:
        if change.type == "DELETED":
            return ()
        if change.key.resource == "pods":
            return [change.key]
        if change.key.resource == "nodes" and change.key.name == self._node_name:
            return self.initial()
        return ()

    def initial(self) -> Iterable[Key]:
        return [key_of("pods", pod) for pod in self._writer.store.objects("pods") if is_waiting(pod)]

    def reconcile(self, key: Key) -> float | None:
        pod = self._writer.store.get(key)
        if pod is None or not is_waiting(pod):
            return None
        node = self._writer.store.get(Key("nodes", "", self._node_name))
        why = why_not(pod, node, self._node_name)
        if why is None:
            bound = subresources.bind(
                self._writer, key.namespace, key.name, self._node_name, Options(MANAGER)
            )
            message = f"Successfully assigned {key.namespace}/{key.name} to {self._node_name}"
            self._recorder.record(bound, "Scheduled", message)
            return None
        status = deep_copy(pod.get("status") or {})
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
        if set_condition(status, condition, self._writer.clock()):
            pod = self._writer.write_status(BY_KEY["pods"], pod, status, MANAGER)
            self._recorder.record(pod, "FailedScheduling", why, kind="Warning")
        return None
