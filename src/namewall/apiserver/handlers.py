"""The verbs over HTTP: from a Target and a request to a response. What a write means is `writer`'s business."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from namewall.apiserver import decode, patch, subresources, table, watch
from namewall.apiserver.deletion import DeleteOptions
from namewall.apiserver.errors import (
    ApiError,
    Cause,
    bad_request,
    invalid,
    method_not_allowed,
    no_such_page,
    not_found,
    too_large_resource_version,
)
from namewall.apiserver.registry import BY_KEY, Resource
from namewall.apiserver.request import Form, Query, Target
from namewall.apiserver.selectors import Selection, parse_field_selector, parse_label_selector
from namewall.apiserver.store import Key, Store
from namewall.apiserver.table import Continuation
from namewall.apiserver.values import Object, dumps
from namewall.apiserver.writer import Options, Writer

MAX_BODY = 3 * 1024 * 1024
"""Kubernetes' own limit of a request's body."""

_RETURNS_DELETED = ("pods", "services", "serviceaccounts")
_PROPAGATION = ("Background", "Foreground", "Orphan")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read as far as every verb needs it."""

    http: Request
    target: Target
    query: Query
    form: Form
    body: bytes

    @property
    def resource(self) -> Resource:
        return self.target.resource

    def options(self) -> Options:
        agent = self.http.headers.get("user-agent", "")
        return Options(
            manager=self.query.get("fieldManager") or agent.split("/")[0] or "unknown",
            dry_run=self.query.dry_run(),
            field_validation=decode.validation_mode(self.query.get("fieldValidation")),
            force=self.query.flag("force"),
        )

    def selection(self) -> Selection:
        return Selection(
            parse_label_selector(self.query.get("labelSelector")),
            parse_field_selector(self.query.get("fieldSelector"), self.resource.selectable),
        )


async def read_body(http: Request) -> bytes:
    """The body; a 413 beyond the limit."""
    chunks, size = [], 0
    async for chunk in http.stream():
        size += len(chunk)
        if size > MAX_BODY:
            message = f"Request entity too large: limit is {MAX_BODY}"
            raise ApiError(413, "RequestEntityTooLarge", message)
        chunks.append(chunk)
    return b"".join(chunks)


def json_response(obj: Any, code: int = 200, warnings: list[str] | None = None) -> Response:
    data = obj if isinstance(obj, bytes) else dumps(obj)
    response = Response(data, code, media_type="application/json")
    for warning in warnings or []:
        text = warning.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        response.headers.append("Warning", f'299 - "{text}"'.encode("ascii", "replace").decode())
    return response


class Handlers:
    """Every verb of every resource."""

    def __init__(self, store: Store, writer: Writer, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._writer = writer
        self._clock = clock

    async def handle(self, call: Call) -> Response:
        """The answer of one call; raises ApiError."""
        method, target = call.http.method, call.target
        if target.subresource:
            return self._subresource(call)
        verb = self._verb(call)
        if verb not in call.resource.verbs:
            raise method_not_allowed(call.resource.group, call.resource.plural)
        if call.resource.namespaced and not target.namespace and method not in ("GET", "HEAD"):
            raise method_not_allowed(call.resource.group, call.resource.plural)
        answers: dict[str, Callable[[Call], Response]] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        return answers[verb](call)

    def _verb(self, call: Call) -> str:
        named = bool(call.target.name)
        method = call.http.method
        if method in ("GET", "HEAD"):
            if named and not call.query.flag("watch"):
                return "get"
            return "watch" if call.query.flag("watch") else "list"
        verbs = {
            ("POST", False): "create",
            ("PUT", True): "update",
            ("PATCH", True): "patch",
            ("DELETE", True): "delete",
            ("DELETE", False): "deletecollection",
        }
        found = verbs.get((method, named))
        if found is None:
            raise method_not_allowed(call.resource.group, call.resource.plural)
        return found

    # --- reading ------------------------------------------------------------------------------------------

    def _one(self, call: Call, obj: Object, code: int = 200, warnings: list[str] | None = None) -> Response:
        if call.form == "table":
            metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            include = call.query.get("includeObject", "Metadata")
            obj = table.table(call.resource, [obj], self._clock(), metadata=metadata, include=include)
        elif call.form == "partial":
            obj = table.partial(obj)
        return json_response(obj, code, warnings)

    def _get(self, call: Call) -> Response:
        target = call.target
        raw = self._store.get_raw(Key(call.resource.key, target.namespace, target.name))
        if raw is None:
            raise not_found(call.resource.group, call.resource.plural, target.name)
        if call.form == "object":
            return json_response(raw)
        return self._one(call, json.loads(raw))

    def _check_version(self, call: Call) -> int | None:
        """The resourceVersion a read must not be older than; ours are never old, but may be asked the future."""
        text = call.query.get("resourceVersion")
        if not text:
            return None
        if not text.isdigit():
            raise bad_request(
                f"resourceVersion: Invalid value: `{text}`: must be a number that this server gave out"
            )
        version = int(text)
        if version > self._store.version:
            raise too_large_resource_version(version, self._store.version)
        return version

    def _list(self, call: Call) -> Response:
        self._check_version(call)
        selection = call.selection()
        limit = call.query.number("limit") or 0
        token = call.query.get("continue")
        start = Continuation.decode(token) if token else None
        version = start.version if start else self._store.version
        objects, more, parsed = self._page(call, selection, limit, start)
        metadata: Object = {"resourceVersion": str(version)}
        if more:
            last = parsed[-1]["metadata"] if parsed else json.loads(objects[-1])["metadata"]
            metadata["continue"] = Continuation(version, last.get("namespace", ""), last["name"]).encode()
            if not selection and not start:
                total = self._store.count(call.resource.key, call.target.namespace)
                metadata["remainingItemCount"] = total - len(objects)
        if call.form == "object":
            head: Object = {
                "kind": f"{call.resource.kind}List",
                "apiVersion": call.resource.group_version,
                "metadata": metadata,
            }
            return json_response(dumps(head)[:-1] + b',"items":[' + b",".join(objects) + b"]}")
        items = parsed or [json.loads(raw) for raw in objects]
        if call.form == "partial":
            listed = {
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
            }
            return json_response({**listed, "items": [table.partial(item) for item in items]})
        include = call.query.get("includeObject", "Metadata")
        return json_response(
            table.table(call.resource, items, self._clock(), metadata=metadata, include=include)
        )

    def _page(
        self, call: Call, selection: Selection, limit: int, start: Continuation | None
    ) -> tuple[list[bytes], bool, list[Object]]:
        """Raw objects of a page, whether there are more, and the same objects parsed if a selector needed that."""
        key, namespace = call.resource.key, call.target.namespace
        name = selection.fields.name()
        if name is not None and (namespace or not call.resource.namespaced) and start is None:
            raw = self._store.get_raw(Key(key, namespace, name))
            rows = [raw] if raw is not None else []
            limit = 0
        else:
            after = (start.namespace, start.name) if start else None
            bound = limit + 1 if limit and not selection else -1
            rows = self._store.list_raw(key, namespace, after=after, limit=bound)
        if not selection:
            more = bool(limit) and len(rows) > limit
            return rows[:limit] if more else rows, more, []
        objects: list[bytes] = []
        parsed: list[Object] = []
        for row in rows:
            obj = json.loads(row)
            if selection.matches(obj):
                if limit and len(objects) == limit:
                    return objects, True, parsed
                objects.append(row)
                parsed.append(obj)
        return objects, False, parsed

    def _watch(self, call: Call) -> Response:
        query = call.query
        selection = call.selection()
        if call.target.name:
            fields = f"metadata.name={call.target.name}"
            selection = Selection(selection.labels, parse_field_selector(fields, ()))
        version = self._check_version(call)
        initial = query.get("sendInitialEvents")
        if initial and query.get("resourceVersionMatch") != "NotOlderThan":
            cause = Cause(
                "resourceVersionMatch",
                "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                "FieldValueForbidden",
            )
            raise invalid("meta.k8s.io", "ListOptions", "", [cause])
        from_now = not initial and version in (None, 0)
        timeout = query.number("timeoutSeconds") or random.randint(1800, 3600)
        wanted = watch.WatchRequest(
            resource=call.resource,
            namespace=call.target.namespace,
            selection=selection,
            form=call.form,
            since=None if from_now or query.flag("sendInitialEvents") else version or self._store.version,
            bookmarks=query.flag("allowWatchBookmarks"),
            initial_end=query.flag("sendInitialEvents") and query.flag("allowWatchBookmarks"),
            timeout=float(timeout),
            include=query.get("includeObject", "Metadata"),
        )
        lines = watch.stream(self._store, wanted, self._clock)
        return StreamingResponse(lines, media_type="application/json")

    # --- writing ------------------------------------------------------------------------------------------

    def _body(self, call: Call, options: Options) -> Any:
        strict = options.field_validation == "Strict"
        return decode.parse(call.body, call.http.headers.get("content-type", ""), strict=strict)

    def _create(self, call: Call) -> Response:
        options = call.options()
        obj = self._body(call, options)
        created = self._writer.create(call.resource, call.target.namespace, obj, options)
        return self._one(call, created, 201, options.warnings)

    def _update(self, call: Call) -> Response:
        options, target = call.options(), call.target
        obj = self._body(call, options)
        updated = self._writer.update(
            call.resource, target.namespace, target.name, obj, options, target.subresource
        )
        return self._one(call, updated, 200, options.warnings)

    def _patch(self, call: Call) -> Response:
        options, target = call.options(), call.target
        content_type = call.http.headers.get("content-type", "")
        if "apply-patch" in content_type:
            options.manager = call.query.get("fieldManager")
        patched, created = self._writer.patch(
            call.resource, target.namespace, target.name, call.body, content_type, options, target.subresource
        )
        return self._one(call, patched, 201 if created else 200, options.warnings)

    def _delete_options(self, call: Call) -> DeleteOptions:
        body = self._body(call, Options()) if call.body.strip() else {}
        if not isinstance(body, dict):
            raise bad_request("the body of a delete must be DeleteOptions")
        query = call.query
        grace = body.get("gracePeriodSeconds")
        if grace is None:
            grace = query.number("gracePeriodSeconds")
        if grace is not None and (not isinstance(grace, int) or grace < 0):
            raise bad_request(f"`gracePeriodSeconds` must be a number of seconds from 0, not `{grace}`")
        orphan = body.get("orphanDependents")
        policy = body.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
        if orphan is not None:
            policy = "Orphan" if orphan else "Background"
        if policy not in _PROPAGATION:
            supported = ", ".join(f'"{name}"' for name in _PROPAGATION)
            cause = Cause(
                "propagationPolicy",
                f'Unsupported value: "{policy}": supported values: {supported}',
                "FieldValueNotSupported",
            )
            raise invalid("meta.k8s.io", "DeleteOptions", "", [cause])
        preconditions = body.get("preconditions") or {}
        return DeleteOptions(
            grace=grace,
            propagation=policy,
            uid=preconditions.get("uid"),
            version=preconditions.get("resourceVersion"),
            dry_run=query.dry_run() or "All" in (body.get("dryRun") or []),
        )

    def _delete(self, call: Call) -> Response:
        target = call.target
        obj, gone = self._writer.delete(
            call.resource, target.namespace, target.name, self._delete_options(call)
        )
        if not gone or call.resource.key in _RETURNS_DELETED:
            return self._one(call, obj)
        details = {
            "name": target.name,
            "group": call.resource.group,
            "kind": call.resource.plural,
            "uid": obj["metadata"]["uid"],
        }
        details = {key: value for key, value in details.items() if value}
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
        return json_response(status)

    def _delete_collection(self, call: Call) -> Response:
        options = self._delete_options(call)
        rows, _, _ = self._page(call, call.selection(), 0, None)
        deleted = []
        for row in rows:
            metadata = json.loads(row)["metadata"]
            obj, _ = self._writer.delete(
                call.resource, metadata.get("namespace", ""), metadata["name"], options
            )
            deleted.append(obj)
        return json_response(
            {
                "kind": f"{call.resource.kind}List",
                "apiVersion": call.resource.group_version,
                "metadata": {"resourceVersion": str(self._store.version)},
                "items": deleted,
            }
        )

    # --- subresources -------------------------------------------------------------------------------------

    def _subresource(self, call: Call) -> Response:
        method, name = call.http.method, call.target.subresource
        if not any(sub.name == name for sub in call.resource.subresources):
            raise no_such_page()
        match name, method:
            case "status", "GET" | "HEAD":
                return self._get(call)
            case "status", "PUT":
                return self._update(call)
            case "status", "PATCH":
                return self._patch(call)
            case "scale", "GET" | "HEAD" | "PUT" | "PATCH":
                return self._scale(call)
            case "binding", "POST":
                return self._bind(call)
            case "eviction", "POST":
                return self._evict(call)
            case "finalize", "PUT":
                options = call.options()
                body = self._body(call, options)
                return json_response(subresources.finalize(self._writer, call.target.name, body, options))
        raise method_not_allowed(call.resource.group, call.resource.plural)

    def _scale(self, call: Call) -> Response:
        target, options = call.target, call.options()
        scale = subresources.scale_of(self._writer, call.resource, target.namespace, target.name)
        if call.http.method in ("GET", "HEAD"):
            return json_response(scale)
        change = self._body(call, options)
        if call.http.method == "PATCH":
            json_patch = "json-patch" in call.http.headers.get("content-type", "")
            change = (patch.json_patch if json_patch else patch.merge)(scale, change)
        if not isinstance(change, dict):
            raise bad_request("the body must be a Scale")
        done = subresources.write_scale(
            self._writer, call.resource, target.namespace, target.name, change, options
        )
        return json_response(done)

    def _bind(self, call: Call) -> Response:
        options = call.options()
        body = self._body(call, options)
        node = body.get("target", {}).get("name") if isinstance(body, dict) else None
        if not node:
            raise bad_request("`target.name` of a Binding must name a node")
        subresources.bind(self._writer, call.target.namespace, call.target.name, str(node), options)
        return json_response(_success(), 201)

    def _evict(self, call: Call) -> Response:
        options = call.options()
        body = self._body(call, options) if call.body.strip() else {}
        wanted = (body.get("deleteOptions") or {}) if isinstance(body, dict) else {}
        grace = wanted.get("gracePeriodSeconds")
        delete = DeleteOptions(grace=grace, dry_run=options.dry_run)
        self._writer.delete(BY_KEY["pods"], call.target.namespace, call.target.name, delete)
        return json_response(_success(), 201)


def _success() -> Object:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
