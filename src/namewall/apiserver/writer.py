"""What writing means: the one way objects are created, changed and deleted, by clients and by controllers alike.

A write is decode → merge → default → validate → admit → store, in one piece on the event loop. Here live the rules that
hold for every kind (API conventions): identity and times belong to the server, `status` is written through its
subresource only, generation counts changes of the rest, a no-op writes nothing, deletion waits for finalizers and, for
pods, for their grace period.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from namewall.apiserver import (
    admission,
    apply,
    decode,
    defaults,
    managed,
    patch,
    schema,
    service_ips,
    validation,
)
from namewall.apiserver.deletion import DeleteOptions, is_finished, marked
from namewall.apiserver.errors import (
    MODIFIED,
    Cause,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    forbidden_field,
    invalid,
    not_found,
    required,
    unsupported_media_type,
)
from namewall.apiserver.registry import Resource
from namewall.apiserver.store import Exists, Key, Store
from namewall.apiserver.values import Object, deep_copy, dig, timestamp

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(slots=True)
class Options:
    """How a write is meant. `warnings` fills with what the client should be told."""

    manager: str = "namewall"
    dry_run: bool = False
    field_validation: str = "Ignore"
    force: bool = False
    warnings: list[str] = field(default_factory=list)


class Writer:
    """Writes to one store."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        service_cidrs: tuple[service_ips.Range, ...],
        chance: random.Random | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self._service_cidrs = service_cidrs
        self._random = chance or random.Random()

    # --- create -------------------------------------------------------------------------------------------

    def create(self, resource: Resource, namespace: str, body: Any, options: Options) -> Object:
        """Stores a new object and returns it."""
        obj = decode.decode(resource, body, options.field_validation, options.warnings)
        metadata = obj["metadata"]
        self._place(resource, namespace, metadata)
        if metadata.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = self._generate(resource, namespace, metadata["generateName"])
        name = metadata.get("name") or ""
        if not name:
            cause = required("metadata.name", "name or generateName is required")
            raise invalid(resource.group, resource.kind, "", [cause])
        self._check_namespace(resource, namespace, name)
        now = self.clock()
        for server_set in (
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
        ):
            metadata.pop(server_set, None)
        metadata["uid"] = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        metadata["creationTimestamp"] = timestamp(now)
        if resource.has_spec:
            metadata["generation"] = 1
        self._start_status(resource, obj)
        defaults.apply(resource.key, obj)
        causes = validation.validate(resource, obj)
        key = Key(resource.key, namespace, name)
        if self.store.get_raw(key) is not None:
            raise already_exists(resource.group, resource.plural, name)
        causes += admission.refused(resource.key, obj)
        if not causes and resource.key == "services":
            causes += self._assign_addresses(obj)
        if causes:
            raise invalid(resource.group, resource.kind, name, causes)
        metadata.pop("managedFields", None)
        entries = managed.track_update(schema.of(resource), None, obj, options.manager, now)
        metadata["managedFields"] = entries
        if options.dry_run:
            return obj
        try:
            return self.store.create(key, obj)
        except Exists:
            raise already_exists(resource.group, resource.plural, name) from None

    def _place(self, resource: Resource, namespace: str, metadata: Object) -> None:
        """The namespace of the request and of the object must agree."""
        given = metadata.get("namespace")
        if not resource.namespaced:
            metadata.pop("namespace", None)
            if given:
                cause = Cause(
                    "metadata.namespace", "Forbidden: not allowed on this type", "FieldValueForbidden"
                )
                raise invalid(resource.group, resource.kind, str(metadata.get("name", "")), [cause])
            return
        if given and given != namespace:
            raise bad_request(
                f"the namespace of the provided object does not match the namespace sent on the request: "
                f"`{given}` and `{namespace}`"
            )
        metadata["namespace"] = namespace

    def _generate(self, resource: Resource, namespace: str, base: str) -> str:
        for _ in range(8):
            name = base[:58] + "".join(self._random.choice(_SUFFIX) for _ in range(5))
            if self.store.get_raw(Key(resource.key, namespace, name)) is None:
                return name
        raise already_exists(resource.group, resource.plural, name)

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.namespaced:
            return
        found = self.store.get(Key("namespaces", "", namespace))
        if found is None:
            raise not_found("", "namespaces", namespace)
        if dig(found, "metadata", "deletionTimestamp"):
            error = forbidden(
                resource.group,
                resource.plural,
                name,
                f"unable to create new content in namespace {namespace} because it is being terminated",
            )
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            error.details = {**(error.details or {}), "causes": [cause]}
            raise error

    def _start_status(self, resource: Resource, obj: Object) -> None:
        if resource.key == "pods":
            limits = [dig(c, "resources", "limits") for c in obj["spec"].get("containers") or []]
            requests = [dig(c, "resources", "requests") for c in obj["spec"].get("containers") or []]
            quality = "Burstable" if any(limits) or any(requests) else "BestEffort"
            obj["status"] = {"phase": "Pending", "qosClass": quality}
        elif resource.key == "namespaces":
            obj["status"] = {"phase": "Active"}
        elif resource.key == "services":
            obj["status"] = {"loadBalancer": {}}
        elif resource.key in ("deployments.apps", "replicasets.apps"):
            obj["status"] = {"replicas": 0} if resource.plural == "replicasets" else {}
        elif resource.has_status and resource.key not in ("nodes", "ciliumendpoints.cilium.io"):
            obj.pop("status", None)

    def _assign_addresses(self, service: Object) -> list[Cause]:
        taken = service_ips.taken_by(self.store.objects("services"))
        return service_ips.assign(service, self._service_cidrs, taken, self._random.randrange)

    # --- update -------------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        obj = self.store.get(Key(resource.key, namespace, name))
        if obj is None:
            raise not_found(resource.group, resource.plural, name)
        return obj

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Any,
        options: Options,
        subresource: str = "",
    ) -> Object:
        """Replaces an object (PUT)."""
        obj = decode.decode(resource, body, options.field_validation, options.warnings)
        if not obj["metadata"].get("name"):
            obj["metadata"]["name"] = name
        if obj["metadata"]["name"] != name:
            raise bad_request(
                f"the name of the object ({obj['metadata']['name']}) does not match the name on the URL ({name})"
            )
        self._place(resource, namespace, obj["metadata"])
        old = self.get(resource, namespace, name)
        if not resource.strategic and not obj["metadata"].get("resourceVersion"):
            cause = Cause("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
            raise invalid(resource.group, resource.kind, name, [cause])
        return self.replace(resource, old, obj, options, subresource)

    def replace(
        self,
        resource: Resource,
        old: Object,
        obj: Object,
        options: Options,
        subresource: str = "",
        *,
        applied: bool = False,
    ) -> Object:
        """Puts the decoded `obj` in place of `old`. `applied`: its managedFields are already right."""
        was, metadata = old["metadata"], obj["metadata"]
        name = was["name"]
        version = metadata.get("resourceVersion")
        if version and version != was["resourceVersion"]:
            raise conflict(resource.group, resource.plural, name, MODIFIED)
        if metadata.get("uid") and metadata["uid"] != was["uid"]:
            why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {was['uid']}"
            raise conflict(resource.group, resource.plural, name, why)
        if subresource == "status":
            obj = {**old, "status": obj.get("status") or {}}
            if not obj["status"]:
                obj.pop("status")
            obj["metadata"] = metadata = {**was, "managedFields": metadata.get("managedFields") or []}
        elif resource.has_status and "status" in old:
            obj["status"] = old["status"]
        elif resource.has_status:
            obj.pop("status", None)
        for kept in (
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "generateName",
            "resourceVersion",
            "name",
            "namespace",
        ):
            if kept in was:
                metadata[kept] = was[kept]
            else:
                metadata.pop(kept, None)
        if resource.key == "services" and subresource != "status":
            self._keep_addresses(old, obj)
        if was.get("deletionTimestamp"):
            self._no_new_finalizers(resource, was, metadata)
        causes = validation.validate(resource, obj, old)
        if not subresource:
            causes += admission.refused(resource.key, obj)
            if not causes and resource.key == "services":
                causes += self._reassign_addresses(old, obj)
        if causes:
            raise invalid(resource.group, resource.kind, name, causes)
        now = self.clock()
        if resource.has_spec and _counted(old) != _counted(obj):
            metadata["generation"] = was.get("generation", 0) + 1
        if not applied:
            node = schema.of(resource)
            metadata["managedFields"] = managed.track_update(
                node, old, obj, options.manager, now, subresource
            )
        if _same(old, obj):
            return old
        if options.dry_run:
            return obj
        key = Key(resource.key, was.get("namespace", ""), name)
        if was.get("deletionTimestamp") and is_finished(resource, obj):
            return self.store.delete(key, obj)
        return self.store.update(key, obj)

    def _no_new_finalizers(self, resource: Resource, was: Object, metadata: Object) -> None:
        added = set(metadata.get("finalizers") or []) - set(was.get("finalizers") or [])
        if added:
            detail = "no new finalizers can be added if the object is being deleted, found new finalizers"
            cause = forbidden_field("metadata.finalizers", f"{detail} {sorted(added)}")
            raise invalid(resource.group, resource.kind, was["name"], [cause])

    @staticmethod
    def _keep_addresses(old: Object, obj: Object) -> None:
        """A client that leaves the addresses out means the ones there are."""
        if obj["spec"].get("type") == old["spec"].get("type") == "ClusterIP":
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if not obj["spec"].get(name) and old["spec"].get(name):
                    obj["spec"][name] = deep_copy(old["spec"][name])

    def _reassign_addresses(self, old: Object, obj: Object) -> list[Cause]:
        names = ("type", "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
        if all(obj["spec"].get(name) == old["spec"].get(name) for name in names):
            return []
        if obj["spec"].get("type") == "ExternalName":
            for name in names[1:]:
                obj["spec"].pop(name, None)
            return []
        if (
            obj["spec"].get("ipFamilyPolicy") == "SingleStack"
            and len(obj["spec"].get("ipFamilies") or []) > 1
        ):
            obj["spec"]["ipFamilies"] = obj["spec"]["ipFamilies"][:1]
            obj["spec"]["clusterIPs"] = obj["spec"]["clusterIPs"][:1]
        own = obj["metadata"]["uid"]
        others = [service for service in self.store.objects("services") if service["metadata"]["uid"] != own]
        taken = service_ips.taken_by(others)
        return service_ips.assign(obj, self._service_cidrs, taken, self._random.randrange)

    def write_status(self, resource: Resource, old: Object, status: Object, manager: str) -> Object:
        """A controller's status update: `old` as read, on which it decided."""
        obj = {**old, "metadata": dict(old["metadata"]), "status": status}
        obj["metadata"].pop("resourceVersion", None)
        return self.replace(resource, old, obj, Options(manager), "status")

    def write(self, resource: Resource, old: Object, obj: Object, manager: str) -> Object:
        """A controller's update of everything but the status."""
        obj = {**obj, "metadata": dict(obj["metadata"])}
        obj["metadata"].pop("resourceVersion", None)
        return self.replace(resource, old, obj, Options(manager), "")

    # --- patch --------------------------------------------------------------------------------------------

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: bytes,
        content_type: str,
        options: Options,
        subresource: str = "",
    ) -> tuple[Object, bool]:
        """The patched object, and whether it was created (server-side apply can)."""
        media = content_type.split(";")[0].strip().lower()
        strict = options.field_validation == "Strict"
        if media == APPLY_PATCH:
            return self._apply(resource, namespace, name, body, options, subresource)
        allowed = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH] + ([STRATEGIC_PATCH] if resource.strategic else [])
        if media not in allowed:
            raise unsupported_media_type(allowed)
        change = decode.parse(body, media, strict=strict)
        old = self.get(resource, namespace, name)
        if media == JSON_PATCH:
            changed = patch.json_patch(old, change)
        elif not isinstance(change, dict):
            raise bad_request("the patch must be an object")
        elif media == MERGE_PATCH:
            changed = patch.merge(old, change)
        else:
            changed = patch.strategic(schema.of(resource), old, change)
        if isinstance(changed, dict) and isinstance(changed.get("metadata"), dict):
            self._keep_name(resource, namespace, name, changed["metadata"])
        obj = decode.decode(resource, deep_copy(changed), options.field_validation, options.warnings)
        return self.replace(resource, old, obj, options, subresource), False

    @staticmethod
    def _keep_name(resource: Resource, namespace: str, name: str, metadata: Object) -> None:
        if metadata.get("name", name) != name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        if metadata.get("namespace", namespace) != namespace:
            raise bad_request("the namespace of the object does not match the namespace on the URL")

    def _apply(
        self, resource: Resource, namespace: str, name: str, body: bytes, options: Options, subresource: str
    ) -> tuple[Object, bool]:
        if not options.manager:
            cause = required("fieldManager", "is required for apply patch")
            raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
        applied = decode.expect(resource, decode.parse_yaml(body))
        self._keep_name(resource, namespace, name, applied["metadata"])
        if applied["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        plain = _undefaulted(resource, applied, options)
        node = schema.of(resource)
        old = self.store.get(Key(resource.key, namespace, name))
        now = self.clock()
        if old is None:
            if subresource:
                raise not_found(resource.group, resource.plural, name)
            if applied["metadata"].get("uid"):
                why = "uid mismatch: the provided object specified uid and no existing object was found"
                raise conflict(resource.group, resource.plural, name, why)
            obj = deep_copy(plain)
            obj["metadata"]["name"] = name
            obj["metadata"].pop("resourceVersion", None)
            created = self._create_applied(resource, namespace, obj, plain, options, now)
            return created, True
        if subresource == "status":
            plain = {
                key: value
                for key, value in plain.items()
                if key in ("apiVersion", "kind", "metadata", "status")
            }
        elif resource.has_status:
            plain = {key: value for key, value in plain.items() if key != "status"}
        merged = apply.apply(
            node, old, plain, options.manager, now, force=options.force, subresource=subresource
        )
        obj = deep_copy(merged)
        defaults.apply(resource.key, obj)
        return self.replace(resource, old, obj, options, subresource, applied=True), False

    def _create_applied(
        self, resource: Resource, namespace: str, obj: Object, plain: Object, options: Options, now: float
    ) -> Object:
        """Creates by apply: the manager owns what it applied, not what the server put in."""
        dry = Options(options.manager, True, "Ignore")
        created = self.create(resource, namespace, obj, dry)
        if resource.has_status:
            plain = {key: value for key, value in plain.items() if key != "status"}
        fields = frozenset(managed.flatten(schema.of(resource), plain))
        writer = managed.Manager(options.manager, "Apply", resource.group_version, fields, "", timestamp(now))
        created["metadata"]["managedFields"] = managed.encode([writer])
        if options.dry_run:
            return created
        return self.store.create(Key(resource.key, namespace, created["metadata"]["name"]), created)

    # --- delete -------------------------------------------------------------------------------------------

    def delete(
        self, resource: Resource, namespace: str, name: str, options: DeleteOptions
    ) -> tuple[Object, bool]:
        """The object's last state, and whether it is gone; if not, it waits for finalizers or its grace period."""
        before = self.get(resource, namespace, name)
        obj = marked(resource, before, options, self.clock())
        finished = is_finished(resource, obj)
        if options.dry_run:
            return obj, finished
        key = Key(resource.key, namespace, name)
        if finished:
            return self.store.delete(key, before), True
        return (obj if obj == before else self.store.update(key, obj)), False


def _counted(obj: Object) -> Object:
    """What generation counts changes of."""
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def _same(old: Object, new: Object) -> bool:
    """Whether a write would change nothing; the times of managers do not count."""

    def bare(obj: Object) -> Object:
        metadata = {
            key: value
            for key, value in obj["metadata"].items()
            if key != "managedFields" and value not in ({}, [])
        }
        return {**obj, "metadata": metadata}

    if bare(old) != bare(new):
        return False

    def managers(obj: Object) -> list[Object]:
        entries = obj["metadata"].get("managedFields") or []
        return [{key: value for key, value in entry.items() if key != "time"} for entry in entries]

    return managers(old) == managers(new)


def _undefaulted(resource: Resource, applied: Object, options: Options) -> Object:
    """What the manager applies, checked but without the server's defaults, which it does not own."""
    checked = deep_copy(applied)
    decode.decode(resource, checked, options.field_validation, options.warnings)
    pruned: Object = schema.prune(schema.of(resource), decode.without_nulls(resource, applied))
    return pruned
