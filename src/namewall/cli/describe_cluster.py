"""Describes the cluster's own furniture: namespaces, nodes, service accounts, config maps; and everything else.

`anything` shows an object of any kind, as kubectl does for custom kinds.
"""

from __future__ import annotations

import re
from typing import Any

from namewall.apiserver.values import dig
from namewall.cli.describe_text import NONE, Object, Text, rfc1123
from namewall.cli.output import go_value

_ACRONYMS = {"API", "URL", "UID", "OSB", "GUID"}
_SHOWN_ABOVE = {
    ".metadata.managedFields",
    ".metadata.name",
    ".metadata.namespace",
    ".metadata.labels",
    ".metadata.annotations",
}


def namespace(text: Text, obj: Object, quotas: list[Object] | None, limits: list[Object] | None) -> None:
    """`quotas` and `limits` are None where the server does not know such types."""
    text.metadata(obj, namespace=False)
    text.field("Status", dig(obj, "status", "phase", default=""))
    conditions = dig(obj, "status", "conditions", default=[])
    if conditions:
        text.line("Conditions:")
        text.line("Type\tStatus\tLastTransitionTime\tReason\tMessage", 1)
        text.line("----\t------\t------------------\t------\t-------", 1)
        for one in conditions:
            stamp = rfc1123(one.get("lastTransitionTime"))
            cells = (one.get("type"), one.get("status"), stamp, one.get("reason"), one.get("message"))
            text.line("\t".join(str(cell or "") for cell in cells), 1)
    if quotas == []:
        text.line()
        text.line("No resource quota.")
    if limits == []:
        text.line()
        text.line("No LimitRange resource.")


def service_account(text: Text, obj: Object, events: list[Object] | None) -> None:
    text.metadata(obj)
    secrets = [str(item.get("name")) for item in obj.get("imagePullSecrets") or ()]
    text.lines("Image pull secrets", sorted(secrets))
    text.events(events)


def config_map(text: Text, obj: Object, events: list[Object] | None) -> None:
    text.metadata(obj)
    text.line()
    text.line("Data")
    text.line("====")
    for key, value in sorted((obj.get("data") or {}).items()):
        text.line(f"{key}:")
        text.line("----")
        for line in str(value).split("\n"):
            text.line(line)
        text.line()
    text.line()
    text.line("BinaryData")
    text.line("====")
    for key, value in sorted((obj.get("binaryData") or {}).items()):
        text.line(f"{key}: {len(value) * 3 // 4 - value.count('=')} bytes")
    text.line()
    text.events(events)


def node(text: Text, obj: Object, events: list[Object] | None, pods: list[Object]) -> None:
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    text.heading(obj, namespace=False)
    prefix = "node-role.kubernetes.io/"
    roles = [key.removeprefix(prefix) for key in metadata.get("labels") or {} if key.startswith(prefix)]
    text.field("Roles", ",".join(sorted(roles)) or NONE)
    text.labels("Labels", metadata.get("labels"))
    text.annotations(metadata.get("annotations"))
    text.field("CreationTimestamp", rfc1123(metadata.get("creationTimestamp")))
    text.lines("Taints", (_taint(taint) for taint in spec.get("taints") or ()))
    text.field("Unschedulable", "true" if spec.get("unschedulable") else "false")
    if conditions := status.get("conditions"):
        text.line("Conditions:")
        text.line("Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage", 1)
        text.line("----\t------\t-----------------\t------------------\t------\t-------", 1)
        for one in conditions:
            times = (rfc1123(one.get("lastHeartbeatTime")), rfc1123(one.get("lastTransitionTime")))
            cells = (one.get("type"), one.get("status"), *times, one.get("reason"), one.get("message"))
            text.line(" \t".join(str(cell or "") for cell in cells), 1)
    text.line("Addresses:")
    for address in status.get("addresses") or ():
        text.field(str(address.get("type")), address.get("address"), 1)
    for title in ("Capacity", "Allocatable"):
        if amounts := status.get(title.lower()):
            text.line(f"{title}:")
            for key, amount in sorted(amounts.items()):
                text.field(key, amount, 1)
    _system(text, status.get("nodeInfo") or {})
    if spec.get("podCIDR"):
        text.field("PodCIDR", spec["podCIDR"])
    if spec.get("podCIDRs"):
        text.field("PodCIDRs", ",".join(spec["podCIDRs"]))
    if spec.get("providerID"):
        text.field("ProviderID", spec["providerID"])
    running = [pod for pod in pods if dig(pod, "status", "phase") not in ("Succeeded", "Failed")]
    text.field("Non-terminated Pods", f"({len(running)} in total)")
    text.line("Namespace\tName\tAge", 1)
    text.line("---------\t----\t---", 1)
    for pod in running:
        of = pod["metadata"]
        text.line(f"{of.get('namespace')}\t{of['name']}\t{text.since(of.get('creationTimestamp'))}", 1)
    text.events(events)


def _taint(taint: Object) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def _system(text: Text, info: Object) -> None:
    text.line("System Info:")
    for title, key in (
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
        ("Kube-Proxy Version", "kubeProxyVersion"),
    ):
        text.field(title, info.get(key, ""), 1)


# --- any kind ---------------------------------------------------------------------------------------------


def anything(text: Text, obj: Object, events: list[Object] | None) -> None:
    text.metadata(obj)
    _content(text, obj, 0, "")
    text.events(events)


def _content(text: Text, content: Object, level: int, path: str) -> None:
    for name in sorted(content):
        value, here = content[name], f"{path}.{name}"
        if here in _SHOWN_ABOVE:
            continue
        if isinstance(value, dict):
            text.line(f"{label(name)}:", level)
            _content(text, value, level + 1, here)
        elif isinstance(value, list):
            text.line(f"{label(name)}:", level)
            for item in value:
                if isinstance(item, dict):
                    _content(text, item, level + 1, here)
                else:
                    text.line(go_value(item), level + 1)
        else:
            text.field(label(name), go_value(value), level)


def label(name: str) -> str:
    """`matchName` is shown as `Match Name`, `toFQDNs` as `To Fqd Ns`: kubectl's own rule. Pure."""
    if re.search(r"[^A-Za-z-]", name) or not name:
        return name
    parts: list[Any] = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z]+|[A-Z]+|[a-z]+|-+", name)
    return " ".join(
        part.upper() if part.upper() in _ACRONYMS else part[:1].upper() + part[1:].lower() for part in parts
    )
