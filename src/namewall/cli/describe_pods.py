"""Describes what runs: pods, and the pod templates of Deployments and ReplicaSets."""

from __future__ import annotations

from typing import Any

from namewall.apiserver.columns import format_selector
from namewall.apiserver.values import dig
from namewall.cli.describe_text import NONE, Object, Text, controlled_by, rfc1123


def pod(text: Text, obj: Object, events: list[Object] | None) -> None:
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    text.heading(obj)
    if spec.get("priority") is not None:
        text.field("Priority", spec["priority"])
    for title, key in (
        ("Priority Class Name", "priorityClassName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Service Account", "serviceAccountName"),
    ):
        if spec.get(key):
            text.field(title, spec[key])
    node = spec.get("nodeName")
    text.field("Node", f"{node}/{status.get('hostIP', '')}" if node else NONE)
    if status.get("startTime"):
        text.field("Start Time", rfc1123(status["startTime"]))
    text.labels("Labels", metadata.get("labels"))
    text.annotations(metadata.get("annotations"))
    if metadata.get("deletionTimestamp") and status.get("reason") != "NodeLost":
        text.field("Status", f"Terminating (lasts {text.since(metadata['deletionTimestamp'])})")
        text.field("Termination Grace Period", f"{metadata.get('deletionGracePeriodSeconds', 0)}s")
    else:
        text.field("Status", status.get("phase", ""))
    for title in ("Reason", "Message"):
        if status.get(title.lower()):
            text.field(title, status[title.lower()])
    profile = dig(spec, "securityContext", "seccompProfile", "type")
    if profile:
        text.field("SeccompProfile", profile)
    text.field("IP", status.get("podIP", ""))
    _addresses(text, status.get("podIPs") or [])
    if owner := controlled_by(obj):
        text.field("Controlled By", owner)
    if status.get("nominatedNodeName"):
        text.field("NominatedNodeName", status["nominatedNodeName"])
    if spec.get("initContainers"):
        statuses = status.get("initContainerStatuses") or []
        containers(text, "Init Containers", spec["initContainers"], statuses, obj)
    containers(text, "Containers", spec["containers"], status.get("containerStatuses") or [], obj)
    if status.get("conditions"):
        text.line("Conditions:")
        text.line("Type\tStatus", 1)
        for condition in status["conditions"]:
            text.line(f"{condition.get('type')} \t{condition.get('status')} ", 1)
    _volumes(text, spec.get("volumes") or [], "")
    text.field("QoS Class", status.get("qosClass", ""))
    text.labels("Node-Selectors", spec.get("nodeSelector"))
    text.lines("Tolerations", map(_toleration, spec.get("tolerations") or []))
    text.events(events)


def _addresses(text: Text, addresses: list[Object]) -> None:
    if not addresses:
        text.field("IPs", NONE)
        return
    text.line("IPs:")
    for address in addresses:
        text.field("IP", address.get("ip", ""), 1)


def template(text: Text, obj: Object) -> None:
    """`Pod Template:` of a workload."""
    metadata, spec = obj.get("metadata") or {}, obj["spec"]
    text.line("Pod Template:")
    text.labels("  Labels", metadata.get("labels"))
    if metadata.get("annotations"):
        text.annotations(metadata["annotations"], "  Annotations")
    if spec.get("serviceAccountName"):
        text.field("  Service Account", spec["serviceAccountName"])
    if spec.get("initContainers"):
        containers(text, "Init Containers", spec["initContainers"], None, obj, "  ")
    containers(text, "Containers", spec["containers"], None, obj, "  ")
    _volumes(text, spec.get("volumes") or [], "  ")
    if spec.get("priorityClassName"):
        text.field("  Priority Class Name", spec["priorityClassName"])
    text.labels("  Node-Selectors", spec.get("nodeSelector"))
    text.lines("  Tolerations", map(_toleration, spec.get("tolerations") or []))


# --- containers -------------------------------------------------------------------------------------------


def containers(
    text: Text,
    title: str,
    entries: list[Object],
    statuses: list[Object] | None,
    pod: Object,
    space: str = "",
) -> None:
    """`statuses` None: a template, nothing runs."""
    text.line(f"{space}{title}:")
    by_name = {status.get("name"): status for status in statuses or ()}
    for entry in entries:
        text.line(f"{' ' if space else ''}{entry['name']}:", 1)
        status = by_name.get(entry["name"])
        _basics(text, entry, status)
        for name in ("Command", "Args"):
            if words := entry.get(name.lower()):
                text.line(f"{name}:", 2)
                for line in (line for word in words for line in word.split("\n")):
                    text.line(line, 3)
        if status is not None:
            _state(text, "State", status.get("state") or {})
            if dig(status, "lastState", "terminated"):
                _state(text, "Last State", status["lastState"])
            text.field("Ready", bool(status.get("ready")), 2)
            text.field("Restart Count", status.get("restartCount", 0), 2)
        for name in ("Limits", "Requests"):
            amounts = dig(entry, "resources", name.lower(), default={})
            if amounts:
                text.line(f"{name}:", 2)
                for key, amount in sorted(amounts.items()):
                    text.field(key, amount, 3)
        for name in ("Liveness", "Readiness", "Startup"):
            if probe := entry.get(f"{name.lower()}Probe"):
                text.field(name, _probe(probe), 2)
        _environment(text, entry.get("env") or [], pod)
        _mounts(text, entry.get("volumeMounts") or [])


def _basics(text: Text, entry: Object, status: Object | None) -> None:
    if status is not None:
        text.field("Container ID", status.get("containerID", ""), 2)
    text.field("Image", entry.get("image", ""), 2)
    if status is not None:
        text.field("Image ID", status.get("imageID", ""), 2)
    for title, key in (("Port", "containerPort"), ("Host Port", "hostPort")):
        parts = [
            f"{port.get(key, 0)}/{port.get('protocol', 'TCP')}"
            + (f" ({port['name']})" if port.get("name") else "")
            for port in entry.get("ports") or ()
        ]
        text.field(f"{title}s" if len(parts) > 1 else title, ", ".join(parts) or NONE, 2)


def _state(text: Text, title: str, state: Object) -> None:
    if state.get("running") is not None:
        text.field(title, "Running", 2)
        text.field("Started", rfc1123(state["running"].get("startedAt")), 3)
    elif (ended := state.get("terminated")) is not None:
        text.field(title, "Terminated", 2)
        for name in ("Reason", "Message"):
            if ended.get(name.lower()):
                text.field(name, ended[name.lower()], 3)
        text.field("Exit Code", ended.get("exitCode", 0), 3)
        if ended.get("signal"):
            text.field("Signal", ended["signal"], 3)
        text.field("Started", rfc1123(ended.get("startedAt")), 3)
        text.field("Finished", rfc1123(ended.get("finishedAt")), 3)
    else:
        text.field(title, "Waiting", 2)
        if reason := dig(state, "waiting", "reason"):
            text.field("Reason", reason, 3)


def _probe(probe: Object) -> str:
    attributes = (
        f"delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 0)}s "
        f"period={probe.get('periodSeconds', 0)}s #success={probe.get('successThreshold', 0)} "
        f"#failure={probe.get('failureThreshold', 0)}"
    )
    if command := dig(probe, "exec", "command"):
        return f"exec [{' '.join(command)}] {attributes}"
    if http := probe.get("httpGet"):
        scheme = str(http.get("scheme", "HTTP")).lower()
        return f"http-get {scheme}://{http.get('host', '')}:{http.get('port')}{http.get('path', '')} {attributes}"
    if tcp := probe.get("tcpSocket"):
        return f"tcp-socket {tcp.get('host', '')}:{tcp.get('port')} {attributes}"
    return f"unknown {attributes}"


def _environment(text: Text, entries: list[Object], pod: Object) -> None:
    if not entries:
        text.field("Environment", NONE, 2)
        return
    text.line("Environment:", 2)
    for entry in entries:
        first, *more = _value(entry, pod).split("\n")
        text.field(entry["name"], first, 3)
        for line in more:
            text.line(f"\t{line}", 3)


def _value(entry: Object, pod: Object) -> str:
    source = entry.get("valueFrom")
    if source is None:
        return str(entry.get("value", ""))
    if field := source.get("fieldRef"):
        found = _field(pod, str(field.get("fieldPath", "")))
        return f"{found} ({field.get('apiVersion', 'v1')}:{field.get('fieldPath')})"
    for kind, what in (("secretKeyRef", "in secret"), ("configMapKeyRef", "of config map")):
        if ref := source.get(kind):
            optional = "true" if ref.get("optional") else "false"
            return f"<set to the key '{ref.get('key')}' {what} '{ref.get('name')}'>\tOptional: {optional}"
    return ""


def _field(pod: Object, path: str) -> str:
    """What a fieldRef gives, as far as it stands in the metadata; kubectl looks no further either."""
    if path in ("metadata.name", "metadata.namespace", "metadata.uid"):
        return str(dig(pod, *path.split("."), default=""))
    for map_name in ("labels", "annotations"):
        prefix = f"metadata.{map_name}['"
        if path.startswith(prefix):
            return str(dig(pod, "metadata", map_name, path[len(prefix) : -2], default=""))
    return ""


def _mounts(text: Text, mounts: list[Object]) -> None:
    if not mounts:
        text.field("Mounts", NONE, 2)
        return
    text.line("Mounts:", 2)
    for mount in sorted(mounts, key=lambda mount: str(mount.get("mountPath"))):
        flags = ["ro" if mount.get("readOnly") else "rw"]
        if mount.get("subPath"):
            flags.append(f'path="{mount["subPath"]}"')
        text.line(f"{mount.get('mountPath')} from {mount.get('name')} ({','.join(flags)})", 3)


def _volumes(text: Text, volumes: list[Object], space: str) -> None:
    if not volumes:
        text.field(f"{space}Volumes", NONE)
        return
    text.line(f"{space}Volumes:")
    for volume in volumes:
        text.line(f"{' ' if space else ''}{volume.get('name')}:", 1)
        for name, value in _volume(volume):
            text.field(name, value, 2)


def _volume(volume: Object) -> list[tuple[str, Any]]:
    if (source := volume.get("emptyDir")) is not None:
        return [
            ("Type", "EmptyDir (a temporary directory that shares a pod's lifetime)"),
            ("Medium", source.get("medium", "")),
            ("SizeLimit", source.get("sizeLimit", "<unset>")),
        ]
    if source := volume.get("hostPath"):
        return [
            ("Type", "HostPath (bare host directory volume)"),
            ("Path", source.get("path", "")),
            ("HostPathType", source.get("type", "")),
        ]
    if source := volume.get("configMap"):
        return [
            ("Type", "ConfigMap (a volume populated by a ConfigMap)"),
            ("Name", source.get("name", "")),
            ("Optional", "true" if source.get("optional") else "false"),
        ]
    return [("Type", next((key for key in volume if key != "name"), "<unknown>"))]


def _toleration(toleration: Object) -> str:
    text = str(toleration.get("key", ""))
    if toleration.get("value"):
        text += f"={toleration['value']}"
    if toleration.get("effect"):
        text += f":{toleration['effect']}"
    if toleration.get("operator") == "Exists" and not toleration.get("value"):
        text += " op=Exists" if text else "op=Exists"
    if toleration.get("tolerationSeconds") is not None:
        text += f" for {toleration['tolerationSeconds']}s"
    return text


# --- workloads --------------------------------------------------------------------------------------------


def deployment(text: Text, obj: Object, events: list[Object] | None, replica_sets: list[Object]) -> None:
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    text.heading(obj)
    text.field("CreationTimestamp", rfc1123(metadata.get("creationTimestamp")))
    text.labels("Labels", metadata.get("labels"))
    text.annotations(metadata.get("annotations"))
    text.field("Selector", format_selector(spec.get("selector")))
    counts = (("updated", "updatedReplicas"), ("total", "replicas"), ("available", "availableReplicas"))
    text.field(
        "Replicas",
        f"{spec.get('replicas', 1)} desired | "
        + "".join(f"{status.get(key, 0)} {word} | " for word, key in counts)
        + f"{status.get('unavailableReplicas', 0)} unavailable",
    )
    strategy = spec.get("strategy") or {}
    text.field("StrategyType", strategy.get("type", ""))
    text.field("MinReadySeconds", spec.get("minReadySeconds", 0))
    if rolling := strategy.get("rollingUpdate"):
        text.field(
            "RollingUpdateStrategy",
            f"{rolling.get('maxUnavailable')} max unavailable, {rolling.get('maxSurge')} max surge",
        )
    template(text, spec["template"])
    text.conditions(obj)
    revision = dig(metadata, "annotations", _REVISION)
    owned = [one for one in replica_sets if _owned(one, metadata.get("uid"))]
    new = [one for one in owned if revision and dig(one, "metadata", "annotations", _REVISION) == revision]
    old = [one for one in owned if one not in new and dig(one, "spec", "replicas", default=1)]
    text.field("OldReplicaSets", _counted(old))
    text.field("NewReplicaSet", _counted(new))
    text.events(events)


_REVISION = "deployment.kubernetes.io/revision"


def _owned(obj: Object, uid: Any) -> bool:
    return any(owner.get("uid") == uid for owner in dig(obj, "metadata", "ownerReferences", default=[]))


def _counted(replica_sets: list[Object]) -> str:
    parts = [
        f"{one['metadata']['name']} ({dig(one, 'status', 'replicas', default=0)}/"
        f"{dig(one, 'spec', 'replicas', default=1)} replicas created)"
        for one in replica_sets
    ]
    return ", ".join(parts) or NONE


def replica_set(text: Text, obj: Object, events: list[Object] | None, pods: list[Object]) -> None:
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    text.heading(obj)
    text.field("Selector", format_selector(spec.get("selector")))
    text.labels("Labels", metadata.get("labels"))
    text.annotations(metadata.get("annotations"))
    if owner := controlled_by(obj):
        text.field("Controlled By", owner)
    text.field("Replicas", f"{status.get('replicas', 0)} current / {spec.get('replicas', 1)} desired")
    phases = [dig(one, "status", "phase") for one in pods if _owned(one, metadata.get("uid"))]
    words = (("Running", "Running"), ("Waiting", "Pending"), ("Succeeded", "Succeeded"), ("Failed", "Failed"))
    text.field("Pods Status", " / ".join(f"{phases.count(phase)} {word}" for word, phase in words))
    template(text, spec["template"])
    text.conditions(obj)
    text.events(events)
