"""What a built-in object must be to be stored (pkg/apis/*/validation of Kubernetes), all findings at once.

Covers what this server's kinds need to work: names, labels, immutable fields, selectors, ports. Policies and pod
fields that are not implemented are judged in `admission`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from namewall.apiserver import podfields, selectors
from namewall.apiserver.errors import Cause, duplicate, forbidden_field, invalid_value, required, unsupported
from namewall.apiserver.registry import Resource
from namewall.apiserver.values import Object, dig
from namewall.model import kube_names

_NAME_PROBLEMS: dict[str, kube_names.Check] = {
    "namespaces": kube_names.label_problems,
    "services": kube_names.dns_1035_problems,
}


def _causes(faults: Iterable[kube_names.Fault]) -> Iterator[Cause]:
    for fault in faults:
        yield Cause(*fault)


def _label_name(field: str, text: str) -> Iterator[Cause]:
    yield from _causes(kube_names.faults(field, text, kube_names.label_problems(text)))


def _metadata(resource: Resource, obj: Object) -> Iterator[Cause]:
    metadata = obj["metadata"]
    name_problems = _NAME_PROBLEMS.get(resource.key, kube_names.subdomain_problems)
    yield from _causes(kube_names.metadata_faults(metadata, name_problems))
    for index, finalizer in enumerate(metadata.get("finalizers") or []):
        problems = kube_names.key_problems(finalizer)
        yield from _causes(kube_names.faults(f"metadata.finalizers[{index}]", finalizer, problems))
    for index, owner in enumerate(metadata.get("ownerReferences") or []):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield required(f"metadata.ownerReferences[{index}].{field}")


# --- pods and what makes them -----------------------------------------------------------------------------


def _pod_spec(spec: Object, path: str) -> Iterator[Cause]:
    ours = spec.get("runtimeClassName") in podfields.RUNTIME_CLASSES
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{path}.containers")
    seen: set[str] = set()
    volumes = {volume.get("name") for volume in spec.get("volumes") or []}
    for index, container in enumerate(containers):
        here = f"{path}.containers[{index}]"
        name = container.get("name")
        if not name:
            yield required(f"{here}.name")
        else:
            yield from _label_name(f"{here}.name", name)
            if name in seen:
                yield duplicate(f"{here}.name", name)
            seen.add(name)
        if not container.get("image") and not ours:
            yield required(f"{here}.image")
        if ours and not container.get("command"):
            detail = "a pod of runtime class `host` has no image to take its command from"
            yield required(f"{here}.command", detail)
        for number, port in enumerate(container.get("ports") or []):
            yield from _port(f"{here}.ports[{number}].containerPort", port.get("containerPort"))
        for number, mount in enumerate(container.get("volumeMounts") or []):
            if not mount.get("mountPath"):
                yield required(f"{here}.volumeMounts[{number}].mountPath")
            if mount.get("name") not in volumes:
                yield Cause(
                    f"{here}.volumeMounts[{number}].name",
                    f'Not found: "{mount.get("name", "")}"',
                    "FieldValueNotFound",
                )
    if spec.get("restartPolicy") not in ("Always", "OnFailure", "Never"):
        yield unsupported(
            f"{path}.restartPolicy", spec.get("restartPolicy"), ("Always", "OnFailure", "Never")
        )
    if dig(spec, "terminationGracePeriodSeconds", default=0) < 0:
        grace = spec["terminationGracePeriodSeconds"]
        yield invalid_value(
            f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0"
        )


_POD_UPDATE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def _fixed_part(spec: Object) -> Object:
    fixed = {key: value for key, value in spec.items() if key not in ("tolerations", "containers")}
    fixed["containers"] = [
        {key: value for key, value in container.items() if key not in ("image", "imagePullPolicy")}
        for container in spec.get("containers") or []
    ]
    return fixed


def _pod(obj: Object, old: Object | None) -> Iterator[Cause]:
    if old is None:
        yield from _pod_spec(obj["spec"], "spec")
    elif _fixed_part(obj["spec"]) != _fixed_part(old["spec"]):
        yield forbidden_field("spec", _POD_UPDATE)


def _workload(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    if dig(spec, "replicas", default=0) < 0:
        yield invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    selector = spec.get("selector")
    template = spec.get("template")
    if selector is None:
        yield required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid_value("spec.selector", selector, "empty selector is invalid for deployment")
    if template is None:
        yield required("spec.template")
        return
    found = dig(template, "metadata", "labels", default={})
    yield from _causes(kube_names.label_faults("spec.template.metadata.labels", found))
    chosen = selectors.from_object(selector)
    if chosen and not chosen.matches(found):
        detail = "`selector` does not match template `labels`"
        yield invalid_value("spec.template.metadata.labels", found, detail)
    yield from _pod_spec(template.get("spec") or {}, "spec.template.spec")
    if dig(template, "spec", "restartPolicy") != "Always":
        yield unsupported(
            "spec.template.spec.restartPolicy", dig(template, "spec", "restartPolicy"), ("Always",)
        )
    if old is not None and old["spec"].get("selector") != selector:
        yield invalid_value("spec.selector", selector, "field is immutable")


_AMOUNT = re.compile(r"[0-9]+%\Z")


def _deployment(obj: Object, old: Object | None) -> Iterator[Cause]:
    yield from _workload(obj, old)
    strategy = obj["spec"].get("strategy") or {}
    if strategy.get("type") not in ("RollingUpdate", "Recreate"):
        kinds = ("Recreate", "RollingUpdate")
        yield unsupported("spec.strategy.type", strategy.get("type"), kinds)
    rolling = strategy.get("rollingUpdate")
    if rolling is None:
        return
    if strategy.get("type") == "Recreate":
        detail = "may not be specified when strategy `type` is 'Recreate'"
        yield forbidden_field("spec.strategy.rollingUpdate", detail)
    for field in ("maxSurge", "maxUnavailable"):
        value = rolling.get(field)
        fine = value >= 0 if isinstance(value, int) else _AMOUNT.match(str(value))
        if not fine:
            detail = "must be a number or a percentage (e.g. '25%')"
            yield invalid_value(f"spec.strategy.rollingUpdate.{field}", value, detail)
    if {str(rolling.get(field)) for field in ("maxSurge", "maxUnavailable")} <= {"0", "0%"}:
        detail = "may not be 0 when `maxSurge` is 0"
        yield invalid_value(
            "spec.strategy.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), detail
        )


# --- services ---------------------------------------------------------------------------------------------


def _port(field: str, value: Any) -> Iterator[Cause]:
    if value is None:
        yield required(field)
    elif not 1 <= value <= 65535:
        yield invalid_value(field, value, "must be between 1 and 65535, inclusive")


def _service(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec = obj["spec"]
    kind = spec.get("type")
    if kind in ("NodePort", "LoadBalancer"):
        yield forbidden_field("spec.type", f"`{kind}` is not implemented: use `ClusterIP`")
    elif kind == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
        return
    elif kind != "ClusterIP":
        yield unsupported("spec.type", kind, ("ClusterIP", "ExternalName"))
    if spec.get("externalIPs"):
        yield forbidden_field("spec.externalIPs", "is not implemented: leave it out")
    if spec.get("sessionAffinity") not in ("None", "ClientIP"):
        yield unsupported("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None"))
    yield from _causes(kube_names.label_faults("spec.selector", spec.get("selector")))
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    names: set[str] = set()
    numbers: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        here = f"spec.ports[{index}]"
        name = port.get("name")
        if name:
            yield from _label_name(f"{here}.name", name)
            if name in names:
                yield duplicate(f"{here}.name", name)
            names.add(name)
        elif len(ports) > 1:
            yield required(f"{here}.name")
        yield from _port(f"{here}.port", port.get("port"))
        if port.get("protocol") not in ("TCP", "UDP"):
            yield unsupported(f"{here}.protocol", port.get("protocol"), ("TCP", "UDP"))
        target = port.get("targetPort")
        if isinstance(target, int):
            yield from _port(f"{here}.targetPort", target)
        pair = (port.get("port"), port.get("protocol"))
        if pair in numbers:
            yield duplicate(here, {"port": pair[0], "protocol": pair[1]})
        numbers.add(pair)
    before = old["spec"] if old is not None and old["spec"].get("type") == kind else {}
    if before.get("clusterIP") and spec.get("clusterIP") != before["clusterIP"]:
        yield invalid_value("spec.clusterIPs[0]", spec.get("clusterIP"), "may not change once set")


# --- the rest ---------------------------------------------------------------------------------------------


def _config_map(obj: Object, old: Object | None) -> Iterator[Cause]:
    for field in ("data", "binaryData"):
        for key in obj.get(field) or {}:
            if not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) or key in (".", ".."):
                detail = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                yield invalid_value(f"{field}[{key}]", key, detail)
    if old is not None and old.get("immutable"):
        for field in ("data", "binaryData", "immutable"):
            if obj.get(field) != old.get(field):
                yield forbidden_field(field, "field is immutable when `immutable` is set")


def _runtime_class(obj: Object, old: Object | None) -> Iterator[Cause]:
    yield from _label_name("handler", obj.get("handler", ""))
    if old is not None and old.get("handler") != obj.get("handler"):
        yield invalid_value("handler", obj.get("handler"), "field is immutable")


def _endpoint_slice(obj: Object, old: Object | None) -> Iterator[Cause]:
    kinds = ("FQDN", "IPv4", "IPv6")
    if obj.get("addressType") not in kinds:
        yield unsupported("addressType", obj.get("addressType"), kinds)
    if old is not None and old.get("addressType") != obj.get("addressType"):
        yield invalid_value("addressType", obj.get("addressType"), "field is immutable")


def _event(obj: Object, old: Object | None) -> Iterator[Cause]:
    involved = dig(obj, "involvedObject", "namespace", default="")
    namespace = obj["metadata"].get("namespace")
    if involved and involved != namespace:
        yield invalid_value("involvedObject.namespace", involved, "does not match event.namespace")


_BY_RESOURCE: dict[str, Callable[[Object, Object | None], Iterator[Cause]]] = {
    "pods": _pod,
    "deployments.apps": _deployment,
    "replicasets.apps": _workload,
    "services": _service,
    "configmaps": _config_map,
    "runtimeclasses.node.k8s.io": _runtime_class,
    "endpointslices.discovery.k8s.io": _endpoint_slice,
    "events": _event,
}


def validate(resource: Resource, obj: Object, old: Object | None = None) -> list[Cause]:
    """The causes to refuse `obj`, created (`old` None) or changed from `old`."""
    causes = list(_metadata(resource, obj))
    if check := _BY_RESOURCE.get(resource.key):
        causes += check(obj, old)
    return causes
