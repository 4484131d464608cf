"""ReplicaSets keep their number of pods (pkg/controller/replicaset).

Active pods (neither ended nor being deleted) that the set controls, or that match it and nobody controls, are counted;
what is missing is created, what is too many is deleted, least useful first.
"""

from __future__ import annotations

from collections.abc import Iterable

from namewall.apiserver import selectors
from namewall.apiserver.controllers.base import Recorder, is_deleted, key_of, keys_of, owner_key
from namewall.apiserver.deletion import DeleteOptions
from namewall.apiserver.errors import ApiError
from namewall.apiserver.registry import BY_KEY
from namewall.apiserver.store import Change, Key
from namewall.apiserver.values import (
    Object,
    controller_of,
    deep_copy,
    dig,
    owner_reference,
    parse_timestamp,
    set_condition,
)
from namewall.apiserver.writer import Options, Writer

RESOURCE = "replicasets.apps"
MANAGER = "replicaset-controller"
BURST = 50
"""Pods created in one go; requests get their turn before the next ones."""


def is_active(pod: Object) -> bool:
    return not is_deleted(pod) and dig(pod, "status", "phase") not in ("Succeeded", "Failed")


def ready_since(pod: Object) -> float | None:
    """When the pod became ready; None where it is not."""
    for condition in dig(pod, "status", "conditions", default=[]):
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            since = condition.get("lastTransitionTime")
            return parse_timestamp(since) if since else 0.0
    return None


def deletion_order(pods: list[Object]) -> list[Object]:
    """Least useful first: not bound, pending, not ready, ready for a shorter time, younger."""

    def rank(pod: Object) -> tuple[bool, bool, bool, float, str]:
        since = ready_since(pod)
        return (
            bool(dig(pod, "spec", "nodeName")),
            dig(pod, "status", "phase") == "Running",
            since is not None,
            -(since or 0.0),
            # The younger first: times sort upwards, so turn their digits around.
            "".join(chr(255 - ord(char)) for char in str(pod["metadata"].get("creationTimestamp"))),
        )

    return sorted(pods, key=rank)


def availability(pods: list[Object], min_ready: int, now: float) -> tuple[int, int, float | None]:
    """Ready pods, available ones (ready for `min_ready` seconds), and the seconds until the next becomes available."""
    ready = available = 0
    soonest: float | None = None
    for pod in pods:
        since = ready_since(pod)
        if since is None:
            continue
        ready += 1
        left = since + min_ready - now if min_ready else 0.0
        if left <= 0:
            available += 1
        else:
            soonest = left if soonest is None else min(soonest, left)
    return ready, available, soonest


class ReplicaSetController:
    name = "replicaset"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._recorder = Recorder(writer, MANAGER)

    def interested(self, change: Change) -> Iterable[Key]:
        if change.key.resource == RESOURCE:
            return [change.key]
        if change.key.resource != "pods":
            return ()
        pod = change.object()
        if owner := owner_key(pod, "ReplicaSet", RESOURCE):
            return [owner]
        return [change.key] if controller_of(pod) is None and change.type == "ADDED" else ()

    def initial(self) -> Iterable[Key]:
        return keys_of(self._writer.store, RESOURCE)

    def reconcile(self, key: Key) -> float | None:
        """A ReplicaSet, or a pod that nobody controls and that some set may adopt."""
        if key.resource == "pods":
            for found in self._writer.store.objects(RESOURCE, key.namespace):
                self.reconcile(key_of(RESOURCE, found))
            return None
        replica_set = self._writer.store.get(key)
        if replica_set is None or is_deleted(replica_set):
            return None
        pods = [pod for pod in self._own(replica_set) if is_active(pod)]
        wanted = int(dig(replica_set, "spec", "replicas", default=1))
        failure = ""
        if len(pods) < wanted:
            failure = self._create(replica_set, pods, min(BURST, wanted - len(pods)))
        elif len(pods) > wanted:
            doomed = deletion_order(pods)[: len(pods) - wanted]
            for pod in doomed:
                self._delete(replica_set, pod)
            pods = [pod for pod in pods if pod not in doomed]
        return self._write_status(replica_set, pods, failure)

    def _own(self, replica_set: Object) -> list[Object]:
        """The set's pods; adopts those that match and that nobody controls."""
        selector = selectors.from_object(dig(replica_set, "spec", "selector"))
        if selector is None:
            return []
        uid, namespace = replica_set["metadata"]["uid"], replica_set["metadata"]["namespace"]
        pods = []
        for pod in self._writer.store.own_or_free("pods", namespace, uid):
            controller = controller_of(pod)
            matches = selector.matches(dig(pod, "metadata", "labels", default={}))
            if controller is not None and controller.get("uid") == uid:
                if matches:
                    pods.append(pod)
                else:
                    self._release(pod, uid)
            elif controller is None and matches and is_active(pod):
                pods.append(self._adopt(pod, replica_set))
        return pods

    def _adopt(self, pod: Object, replica_set: Object) -> Object:
        adopted = deep_copy(pod)
        adopted["metadata"].setdefault("ownerReferences", []).append(owner_reference(replica_set))
        return self._writer.write(BY_KEY["pods"], pod, adopted, MANAGER)

    def _release(self, pod: Object, uid: str) -> None:
        """A pod whose labels no longer match is let go."""
        released = deep_copy(pod)
        kept = [entry for entry in released["metadata"]["ownerReferences"] if entry.get("uid") != uid]
        released["metadata"]["ownerReferences"] = kept
        if not kept:
            del released["metadata"]["ownerReferences"]
        self._writer.write(BY_KEY["pods"], pod, released, MANAGER)

    def _create(self, replica_set: Object, pods: list[Object], number: int) -> str:
        """Creates pods and appends them; the message of what prevented it, if anything did."""
        template = replica_set["spec"]["template"]
        metadata = {
            key: deep_copy(value)
            for key, value in (template.get("metadata") or {}).items()
            if key in ("labels", "annotations", "finalizers") and value
        }
        metadata["generateName"] = replica_set["metadata"]["name"] + "-"
        metadata["ownerReferences"] = [owner_reference(replica_set)]
        for _ in range(number):
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": deep_copy(metadata),
                "spec": deep_copy(template.get("spec") or {}),
            }
            namespace = replica_set["metadata"]["namespace"]
            try:
                created = self._writer.create(BY_KEY["pods"], namespace, pod, Options(MANAGER))
            except ApiError as error:
                message = f"Error creating: {error.message}"
                self._recorder.record(replica_set, "FailedCreate", message, kind="Warning")
                return error.message
            pods.append(created)
            self._recorder.record(
                replica_set, "SuccessfulCreate", f"Created pod: {created['metadata']['name']}"
            )
        return ""

    def _delete(self, replica_set: Object, pod: Object) -> None:
        metadata = pod["metadata"]
        self._writer.delete(BY_KEY["pods"], metadata["namespace"], metadata["name"], DeleteOptions())
        self._recorder.record(replica_set, "SuccessfulDelete", f"Deleted pod: {metadata['name']}")

    def _write_status(self, replica_set: Object, pods: list[Object], failure: str) -> float | None:
        now = self._writer.clock()
        min_ready = int(dig(replica_set, "spec", "minReadySeconds", default=0))
        ready, available, soonest = availability(pods, min_ready, now)
        wanted = dig(replica_set, "spec", "template", "metadata", "labels", default={})
        labeled = sum(
            1 for pod in pods if wanted.items() <= dig(pod, "metadata", "labels", default={}).items()
        )
        old = replica_set.get("status") or {}
        status: Object = {"replicas": len(pods)}
        if labeled:
            status["fullyLabeledReplicas"] = labeled
        if ready:
            status["readyReplicas"] = ready
        if available:
            status["availableReplicas"] = available
        status["observedGeneration"] = replica_set["metadata"].get("generation", 1)
        conditions = [
            entry for entry in deep_copy(old.get("conditions") or []) if entry["type"] != "ReplicaFailure"
        ]
        if conditions or failure:
            status["conditions"] = conditions
        if failure:
            before = [entry for entry in old.get("conditions") or [] if entry["type"] == "ReplicaFailure"]
            status["conditions"] = conditions + deep_copy(before)
            condition = {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": failure,
            }
            set_condition(status, condition, now)
        self._writer.write_status(BY_KEY[RESOURCE], replica_set, status, MANAGER)
        # What was refused may be allowed later (a namespace's, a class's doing): look again.
        return 10.0 if failure else soonest
