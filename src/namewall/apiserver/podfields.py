"""Pod fields that this runtime does not implement, refused at apply: never ignored (issue 2, part 3).

The list stands here and nowhere else. It holds for pods, and the templates of Deployments and ReplicaSets, whose
runtime class is ours; a pod of any other class is stored and stays Pending, so its fields do no harm. A value
that only says what is done anyway (`hostNetwork: false`) passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from namewall.apiserver.errors import Cause, forbidden_field, invalid_value, unsupported
from namewall.apiserver.values import Object, dig
from namewall.runtime import quantity

HOST = "host"
"""Runs a command from the host's own file system."""
NAMEWALL = "namewall"
"""As HOST, with Namewall's own program mounted: for the cluster DNS, in kube-system only."""
RUNTIME_CLASSES = (HOST, NAMEWALL)

_OFF = "is not implemented by runtime class `host`: leave it out"

_SPEC: dict[str, tuple[tuple[Any, ...], str]] = {
    "hostNetwork": ((False,), "pods have a network namespace of their own: leave it out"),
    "hostPID": ((False,), "pods have a PID namespace of their own: leave it out"),
    "hostIPC": ((False,), "pods have an IPC namespace of their own: leave it out"),
    "hostUsers": ((True,), _OFF),
    "shareProcessNamespace": ((False,), _OFF),
    "initContainers": (([],), _OFF),
    "ephemeralContainers": (([],), _OFF),
    "resourceClaims": (([],), _OFF),
    "resources": (({},), "limits of a whole pod are not implemented: leave it out"),
    "hostAliases": (([],), _OFF),
    "dnsConfig": (({},), "pods resolve through the cluster DNS only: leave it out"),
    "dnsPolicy": (("ClusterFirst",), "pods resolve through the cluster DNS only, as `ClusterFirst` says"),
    "hostnameOverride": ((), _OFF),
    "setHostnameAsFQDN": ((False,), _OFF),
    "hostname": ((), "the hostname of a pod is its name: leave it out"),
    "subdomain": ((), _OFF),
    "activeDeadlineSeconds": ((), _OFF),
    "readinessGates": (([],), _OFF),
    "schedulingGates": (([],), _OFF),
    "overhead": (({},), _OFF),
    "imagePullSecrets": (([],), "there are no images: leave it out"),
    "os": (({"name": "linux"},), "only `linux` runs here"),
    "affinity": (({},), "there is one node: leave it out"),
    "topologySpreadConstraints": (([],), "there is one node: leave it out"),
}
"""Field of the PodSpec: the values that change nothing, and what to say to any other."""

_POD_SECURITY: dict[str, tuple[Any, ...]] = {
    "seccompProfile": ({"type": "RuntimeDefault"},),
    "fsGroup": (),
    "fsGroupChangePolicy": (),
    "runAsUser": (),
    "runAsGroup": (),
    "runAsNonRoot": (False,),
    "supplementalGroups": ([],),
    "supplementalGroupsPolicy": (),
    "seLinuxOptions": ({},),
    "seLinuxChangePolicy": (),
    "appArmorProfile": (),
    "sysctls": ([],),
    "windowsOptions": ({},),
}
_CONTAINER_SECURITY: dict[str, tuple[Any, ...]] = {
    "allowPrivilegeEscalation": (False,),
    "privileged": (False,),
    "readOnlyRootFilesystem": (False,),
    "capabilities": ({},),
    "procMount": ("Default",),
    "seccompProfile": ({"type": "RuntimeDefault"},),
    "runAsUser": (),
    "runAsGroup": (),
    "runAsNonRoot": (False,),
    "seLinuxOptions": ({},),
    "appArmorProfile": (),
    "windowsOptions": ({},),
}

_CONTAINER: dict[str, tuple[tuple[Any, ...], str]] = {
    "volumeDevices": (([],), _OFF),
    "lifecycle": (({},), _OFF),
    "livenessProbe": ((), _OFF),
    "startupProbe": ((), _OFF),
    "readinessProbe": ((), _OFF),
    "envFrom": (([],), _OFF),
    "resizePolicy": (([],), _OFF),
    "restartPolicy": ((), _OFF),
    "restartPolicyRules": (([],), _OFF),
}


def _table(obj: Object, table: dict[str, tuple[tuple[Any, ...], str]], path: str) -> Iterator[Cause]:
    for field, (harmless, why) in table.items():
        value = obj.get(field)
        if value is not None and value not in harmless:
            yield forbidden_field(f"{path}.{field}", why)


def _security(context: Any, table: dict[str, tuple[Any, ...]], path: str) -> Iterator[Cause]:
    for field, value in (context or {}).items():
        harmless = table.get(field, ())
        if value is None or value in harmless or _drops_only(field, value):
            continue
        if harmless and not isinstance(harmless[0], dict | list):
            why = f"only `{str(harmless[0]).lower()}` is implemented by runtime class `host`"
        else:
            why = _OFF
        yield forbidden_field(f"{path}.{field}", why)


def _drops_only(field: str, value: Any) -> bool:
    return (
        field == "capabilities" and isinstance(value, dict) and not value.get("add") and not value.get("drop")
    )


def _volumes(spec: Object, path: str) -> Iterator[Cause]:
    for index, volume in enumerate(spec.get("volumes") or []):
        for source, value in volume.items():
            here = f"{path}.volumes[{index}].{source}"
            if source == "name" or value is None or source == "configMap":
                continue
            yield forbidden_field(here, "only `configMap` volumes are implemented")
    for number, container in enumerate(spec.get("containers") or []):
        for index, mount in enumerate(container.get("volumeMounts") or []):
            here = f"{path}.containers[{number}].volumeMounts[{index}]"
            if mount.get("mountPropagation") not in (None, "None"):
                yield forbidden_field(f"{here}.mountPropagation", _OFF)
            if mount.get("subPathExpr"):
                yield forbidden_field(f"{here}.subPathExpr", _OFF)


_FIELD_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)


def _resources(resources: Object, path: str) -> Iterator[Cause]:
    if resources.get("claims"):
        yield forbidden_field(f"{path}.claims", _OFF)
    for part in ("limits", "requests"):
        for name, amount in (resources.get(part) or {}).items():
            if name not in ("cpu", "memory"):
                yield forbidden_field(f"{path}.{part}[{name}]", "only `cpu` and `memory` are implemented")
                continue
            try:
                quantity.parse(amount)
            except ValueError as error:
                yield invalid_value(f"{path}.{part}[{name}]", amount, str(error))


def _containers(spec: Object, path: str) -> Iterator[Cause]:
    for index, container in enumerate(spec.get("containers") or []):
        here = f"{path}.containers[{index}]"
        yield from _table(container, _CONTAINER, here)
        yield from _security(container.get("securityContext"), _CONTAINER_SECURITY, f"{here}.securityContext")
        for number, port in enumerate(container.get("ports") or []):
            for field in ("hostPort", "hostIP"):
                if port.get(field):
                    yield forbidden_field(f"{here}.ports[{number}].{field}", _OFF)
        for number, env in enumerate(container.get("env") or []):
            for source in env.get("valueFrom") or {}:
                if source not in ("fieldRef", "configMapKeyRef"):
                    yield forbidden_field(f"{here}.env[{number}].valueFrom.{source}", _OFF)
            path = dig(env, "valueFrom", "fieldRef", "fieldPath", default="metadata.name")
            if path not in _FIELD_PATHS and not re.fullmatch(r"metadata\.(labels|annotations)\['.*'\]", path):
                yield unsupported(f"{here}.env[{number}].valueFrom.fieldRef.fieldPath", path, _FIELD_PATHS)
        yield from _resources(container.get("resources") or {}, f"{here}.resources")


def refused(spec: Object, namespace: str, path: str = "spec") -> list[Cause]:
    """The causes to refuse a PodSpec at `path`, all of them; none for a runtime class that is not ours."""
    runtime_class = spec.get("runtimeClassName")
    if runtime_class not in RUNTIME_CLASSES:
        return []
    causes = list(_table(spec, _SPEC, path))
    causes += _security(spec.get("securityContext"), _POD_SECURITY, f"{path}.securityContext")
    causes += _containers(spec, path)
    causes += _volumes(spec, path)
    if runtime_class == NAMEWALL and namespace != "kube-system":
        why = "runtime class `namewall` is for namespace `kube-system` only: use `host`"
        causes.append(forbidden_field(f"{path}.runtimeClassName", why))
    return causes
