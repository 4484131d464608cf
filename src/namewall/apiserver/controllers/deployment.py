"""Deployments roll their template out over ReplicaSets (pkg/controller/deployment).

What is safe to do next is decided in `rollout`; here it is done, and told in the status.
"""

from __future__ import annotations

from collections.abc import Iterable

from namewall.apiserver import selectors
from namewall.apiserver.controllers.base import Recorder, is_deleted, key_of, keys_of, owner_key
from namewall.apiserver.controllers.rollout import (
    DESIRED,
    HASH,
    HISTORY,
    MAXIMUM,
    OWN_ANNOTATIONS,
    REVISION,
    SetState,
    limits,
    plan,
    revision,
    same_template,
    template_hash,
)
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
    timestamp,
)
from namewall.apiserver.writer import Options, Writer

RESOURCE = "deployments.apps"
SETS = "replicasets.apps"
MANAGER = "deployment-controller"


class DeploymentController:
    name = "deployment"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._recorder = Recorder(writer, MANAGER)

    def interested(self, change: Change) -> Iterable[Key]:
        if change.key.resource == RESOURCE:
            return [change.key]
        if change.key.resource == SETS:
            owner = owner_key(change.object(), "Deployment", RESOURCE)
            return [owner] if owner else ()
        if change.key.resource == "pods" and change.type == "DELETED":
            # Recreate waits until the last old pod is gone.
            owner = owner_key(change.object(), "ReplicaSet", SETS)
            found = self._writer.store.get(owner) if owner else None
            above = owner_key(found, "Deployment", RESOURCE) if found else None
            return [above] if above else ()
        return ()

    def initial(self) -> Iterable[Key]:
        return keys_of(self._writer.store, RESOURCE)

    def reconcile(self, key: Key) -> float | None:
        deployment = self._writer.store.get(key)
        if deployment is None or is_deleted(deployment):
            return None
        sets = self._own(deployment)
        new = next((found for found in sets if same_template(deployment, found)), None)
        old = [found for found in sets if new is None or found["metadata"]["uid"] != new["metadata"]["uid"]]
        paused = bool(dig(deployment, "spec", "paused"))
        created = False
        if not paused:
            deployment, new, created = self._new_set(deployment, new, old)
            if new is None:
                return self._write_status(deployment, None, old, created=False)
            self._roll(deployment, new, old)
        else:
            self._scale_paused(deployment, new, old)
        sets = self._own(deployment)
        uid = new["metadata"]["uid"] if new else None
        new = next((found for found in sets if found["metadata"]["uid"] == uid), None)
        old = [found for found in sets if found["metadata"]["uid"] != uid]
        if not paused:
            self._clean_up(deployment, old)
        return self._write_status(deployment, new, old, created=created)

    # --- sets ---------------------------------------------------------------------------------------------

    def _own(self, deployment: Object) -> list[Object]:
        """The deployment's sets, oldest first; adopts those that match and that nobody controls."""
        selector = selectors.from_object(dig(deployment, "spec", "selector"))
        uid = deployment["metadata"]["uid"]
        found = []
        for replica_set in self._writer.store.own_or_free(SETS, deployment["metadata"]["namespace"], uid):
            controller = controller_of(replica_set)
            if controller is not None and controller.get("uid") == uid:
                found.append(replica_set)
            elif (
                controller is None
                and selector
                and not is_deleted(replica_set)
                and selector.matches(dig(replica_set, "metadata", "labels", default={}))
            ):
                adopted = deep_copy(replica_set)
                adopted["metadata"].setdefault("ownerReferences", []).append(owner_reference(deployment))
                found.append(self._writer.write(BY_KEY[SETS], replica_set, adopted, MANAGER))
        found.sort(
            key=lambda item: (revision(item), item["metadata"]["creationTimestamp"], item["metadata"]["name"])
        )
        return [item for item in found if not is_deleted(item)]

    def _new_set(
        self, deployment: Object, new: Object | None, old: list[Object]
    ) -> tuple[Object, Object | None, bool]:
        """The set of the current template, made if there is none, with the newest revision on both objects."""
        newest = max(map(revision, old), default=0) + 1
        created = False
        if new is None:
            new = self._create_set(deployment, old, newest)
            if new is None:
                return deployment, None, False
            created = True
        else:
            changed = deep_copy(new)
            annotations = changed["metadata"].setdefault("annotations", {})
            annotations.update(self._inherited(deployment))
            annotations.update(self._sizes(deployment))
            if revision(new) < newest:
                before = annotations.get(REVISION)
                if before and revision(new):
                    history = [entry for entry in annotations.get(HISTORY, "").split(",") if entry]
                    annotations[HISTORY] = ",".join([*history, before])
                annotations[REVISION] = str(newest)
            changed["spec"]["minReadySeconds"] = dig(deployment, "spec", "minReadySeconds", default=0)
            if not changed["spec"]["minReadySeconds"]:
                del changed["spec"]["minReadySeconds"]
            new = self._writer.write(BY_KEY[SETS], new, changed, MANAGER)
        current = annotations_of(new).get(REVISION)
        if annotations_of(deployment).get(REVISION) != current:
            marked = deep_copy(deployment)
            marked["metadata"].setdefault("annotations", {})[REVISION] = current
            deployment = self._writer.write(BY_KEY[RESOURCE], deployment, marked, MANAGER)
        return deployment, new, created

    @staticmethod
    def _inherited(deployment: Object) -> Object:
        return {key: value for key, value in annotations_of(deployment).items() if key not in OWN_ANNOTATIONS}

    @staticmethod
    def _sizes(deployment: Object) -> Object:
        wanted = int(dig(deployment, "spec", "replicas", default=1))
        return {DESIRED: str(wanted), MAXIMUM: str(wanted + limits(deployment)[0])}

    def _create_set(self, deployment: Object, old: list[Object], newest: int) -> Object | None:
        template = deep_copy(deployment["spec"]["template"])
        wanted = int(dig(deployment, "spec", "replicas", default=1))
        surge, _ = limits(deployment)
        if dig(deployment, "spec", "strategy", "type") == "Recreate":
            replicas = 0 if any(dig(item, "spec", "replicas", default=0) for item in old) else wanted
        else:
            others = sum(int(dig(item, "spec", "replicas", default=0)) for item in old)
            replicas = max(0, min(wanted, wanted + surge - others))
        collisions = int(dig(deployment, "status", "collisionCount", default=0))
        name = template_hash(deployment["spec"]["template"], collisions)
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = name
        selector = deep_copy(deployment["spec"]["selector"])
        selector.setdefault("matchLabels", {})[HASH] = name
        annotations = {**self._inherited(deployment), **self._sizes(deployment), REVISION: str(newest)}
        spec: Object = {"replicas": replicas, "selector": selector, "template": template}
        if min_ready := dig(deployment, "spec", "minReadySeconds"):
            spec["minReadySeconds"] = min_ready
        replica_set = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{deployment['metadata']['name']}-{name}",
                "labels": dict(template["metadata"]["labels"]),
                "annotations": annotations,
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": spec,
        }
        namespace = deployment["metadata"]["namespace"]
        try:
            created = self._writer.create(BY_KEY[SETS], namespace, replica_set, Options(MANAGER))
        except ApiError as error:
            self._recorder.record(deployment, "ReplicaSetCreateError", error.message, kind="Warning")
            status = deep_copy(deployment.get("status") or {})
            if error.reason == "AlreadyExists":
                status["collisionCount"] = collisions + 1
            failure = {
                "type": "Progressing",
                "status": "False",
                "reason": "ReplicaSetCreateError",
                "message": error.message,
            }
            set_condition(status, failure, self._writer.clock(), updates=True)
            self._writer.write_status(BY_KEY[RESOURCE], deployment, status, MANAGER)
            return None
        self._scaled(deployment, created["metadata"]["name"], 0, replicas)
        return created

    def _scaled(self, deployment: Object, name: str, before: int, after: int) -> None:
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {name} from {before} to {after}"
        if after != before:
            self._recorder.record(deployment, "ScalingReplicaSet", message)

    def _scale(self, deployment: Object, replica_set: Object, replicas: int) -> None:
        before = int(dig(replica_set, "spec", "replicas", default=0))
        changed = deep_copy(replica_set)
        changed["spec"]["replicas"] = replicas
        changed["metadata"].setdefault("annotations", {}).update(self._sizes(deployment))
        self._writer.write(BY_KEY[SETS], replica_set, changed, MANAGER)
        self._scaled(deployment, replica_set["metadata"]["name"], before, replicas)

    def _state(self, replica_set: Object, pods: dict[str, int]) -> SetState:
        return SetState(
            replica_set["metadata"]["name"],
            int(dig(replica_set, "spec", "replicas", default=0)),
            int(dig(replica_set, "status", "availableReplicas", default=0)),
            pods.get(replica_set["metadata"]["uid"], 0),
        )

    def _roll(self, deployment: Object, new: Object, old: list[Object]) -> None:
        """Takes the steps that `plan` finds safe now."""
        pods: dict[str, int] = {}
        recreate = dig(deployment, "spec", "strategy", "type") == "Recreate"
        if recreate:
            for pod in self._writer.store.objects("pods", deployment["metadata"]["namespace"]):
                owner = controller_of(pod)
                if owner is not None:
                    pods[owner["uid"]] = pods.get(owner["uid"], 0) + 1
        surge, unavailable = limits(deployment)
        changes = plan(
            int(dig(deployment, "spec", "replicas", default=1)),
            surge,
            unavailable,
            self._state(new, pods),
            [self._state(item, pods) for item in old],
            recreate=recreate,
        )
        for replica_set in (new, *old):
            name = replica_set["metadata"]["name"]
            if name in changes:
                self._scale(deployment, replica_set, changes[name])

    def _scale_paused(self, deployment: Object, new: Object | None, old: list[Object]) -> None:
        """A paused deployment rolls nothing out, but follows `replicas` with the set that is in use."""
        in_use = [
            item for item in (*old, *([new] if new else [])) if dig(item, "spec", "replicas", default=0)
        ]
        target = in_use[0] if len(in_use) == 1 else new if new and not in_use else None
        wanted = int(dig(deployment, "spec", "replicas", default=1))
        if target is not None and dig(target, "spec", "replicas", default=0) != wanted:
            self._scale(deployment, target, wanted)

    def _clean_up(self, deployment: Object, old: list[Object]) -> None:
        """Keeps revisionHistoryLimit old sets for `rollout undo`."""
        keep = int(dig(deployment, "spec", "revisionHistoryLimit", default=10))
        unused = [
            item
            for item in old
            if not dig(item, "spec", "replicas", default=0) and not dig(item, "status", "replicas", default=0)
        ]
        for item in unused[: max(0, len(unused) - keep)]:
            metadata = item["metadata"]
            self._writer.delete(BY_KEY[SETS], metadata["namespace"], metadata["name"], DeleteOptions())

    # --- status -------------------------------------------------------------------------------------------

    def _write_status(
        self, deployment: Object, new: Object | None, old: list[Object], *, created: bool
    ) -> float | None:
        deployment = self._writer.store.get(key_of(RESOURCE, deployment)) or deployment
        now = self._writer.clock()
        before = deployment.get("status") or {}
        sets = [*old, *([new] if new else [])]
        wanted = int(dig(deployment, "spec", "replicas", default=1))

        def total(field: str, chosen: list[Object]) -> int:
            return sum(int(dig(item, "status", field, default=0)) for item in chosen)

        counts = {
            "replicas": total("replicas", sets),
            "updatedReplicas": total("replicas", [new] if new else []),
            "readyReplicas": total("readyReplicas", sets),
            "availableReplicas": total("availableReplicas", sets),
        }
        meant = sum(int(dig(item, "spec", "replicas", default=0)) for item in sets)
        counts["unavailableReplicas"] = max(0, meant - counts["availableReplicas"])
        status: Object = {"observedGeneration": deployment["metadata"].get("generation", 1)}
        status |= {name: number for name, number in counts.items() if number}
        if before.get("collisionCount"):
            status["collisionCount"] = before["collisionCount"]
        status["conditions"] = deep_copy(before.get("conditions") or [])
        self._available(deployment, status, counts["availableReplicas"], wanted, now)
        again = self._progressing(deployment, new, status, before, counts, wanted, now, created=created)
        self._failing(sets, status, now)
        self._writer.write_status(BY_KEY[RESOURCE], deployment, status, MANAGER)
        return again

    def _available(self, deployment: Object, status: Object, available: int, wanted: int, now: float) -> None:
        _, unavailable = limits(deployment)
        if dig(deployment, "spec", "strategy", "type") == "Recreate":
            unavailable = 0
        enough = available >= wanted - unavailable
        condition = {
            "type": "Available",
            "status": "True" if enough else "False",
            "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
            "message": (
                "Deployment has minimum availability."
                if enough
                else "Deployment does not have minimum availability."
            ),
        }
        set_condition(status, condition, now, updates=True)

    def _progressing(
        self,
        deployment: Object,
        new: Object | None,
        status: Object,
        before: Object,
        counts: dict[str, int],
        wanted: int,
        now: float,
        *,
        created: bool,
    ) -> float | None:
        """The Progressing condition. Returns the seconds until the progress deadline, if one is running."""
        found = next((entry for entry in status["conditions"] if entry["type"] == "Progressing"), None)
        if dig(deployment, "spec", "paused"):
            paused = {"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}
            set_condition(status, {**paused, "message": "Deployment is paused"}, now, updates=True)
            return None
        if new is None:
            return None
        name = new["metadata"]["name"]
        complete = counts["updatedReplicas"] == counts["replicas"] == counts["availableReplicas"] == wanted
        fields = ("updatedReplicas", "readyReplicas", "availableReplicas")
        moved = any(counts[field] > int(before.get(field, 0)) for field in fields)
        old_now = counts["replicas"] - counts["updatedReplicas"]
        old_then = int(before.get("replicas", 0)) - int(before.get("updatedReplicas", 0))
        condition = {"type": "Progressing", "status": "True"}
        if complete:
            text = f'ReplicaSet "{name}" has successfully progressed.'
            set_condition(
                status, {**condition, "reason": "NewReplicaSetAvailable", "message": text}, now, updates=True
            )
            return None
        if created or found is None or found.get("reason") == "DeploymentPaused":
            reason = "NewReplicaSetCreated" if created else "FoundNewReplicaSet"
            text = f'Created new replica set "{name}"' if created else f'Found new replica set "{name}"'
            set_condition(status, {**condition, "reason": reason, "message": text}, now, updates=True)
        elif moved or old_now < old_then or found.get("reason") == "NewReplicaSetAvailable":
            text = f'ReplicaSet "{name}" is progressing.'
            set_condition(
                status, {**condition, "reason": "ReplicaSetUpdated", "message": text}, now, updates=True
            )
            found["lastUpdateTime"] = timestamp(now)
        found = next(entry for entry in status["conditions"] if entry["type"] == "Progressing")
        deadline = int(dig(deployment, "spec", "progressDeadlineSeconds", default=600))
        left = parse_timestamp(found["lastUpdateTime"]) + deadline - now
        if found.get("reason") == "ProgressDeadlineExceeded":
            return None
        if left <= 0:
            text = f'ReplicaSet "{name}" has timed out progressing.'
            late = {
                "type": "Progressing",
                "status": "False",
                "reason": "ProgressDeadlineExceeded",
                "message": text,
            }
            set_condition(status, late, now, updates=True)
            return None
        return left + 1

    @staticmethod
    def _failing(sets: list[Object], status: Object, now: float) -> None:
        """A set that cannot make its pods says so on the deployment."""
        for replica_set in reversed(sets):
            for condition in dig(replica_set, "status", "conditions", default=[]):
                if condition.get("type") == "ReplicaFailure":
                    kept = {
                        key: condition[key]
                        for key in ("type", "status", "reason", "message")
                        if key in condition
                    }
                    set_condition(status, kept, now, updates=True)
                    return
        status["conditions"] = [entry for entry in status["conditions"] if entry["type"] != "ReplicaFailure"]


def annotations_of(obj: Object) -> Object:
    return dig(obj, "metadata", "annotations", default={})  # type: ignore[no-any-return]
