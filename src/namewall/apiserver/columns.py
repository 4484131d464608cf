"""Printer columns: what `kubectl get` shows of each kind, by Kubernetes' and Cilium's own names and order.

Built-in kinds: k8s.io/kubernetes/pkg/printers/internalversion/printers.go. Cilium's: the additionalPrinterColumns
of its CRDs (semantics.md section 1). Priority 1 columns show only with -o wide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from namewall.apiserver.values import Object, age, dig, human_duration, parse_timestamp

Cell = Callable[[Object, float], Any]
"""An object and the time to a cell: a string, a number, or None for blank."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    cell: Cell
    type: str = "string"
    priority: int = 0
    format: str = ""

    def definition(self) -> Object:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": "",
            "priority": self.priority,
        }


def _name(obj: Object, now: float) -> str:
    return str(obj["metadata"]["name"])


def _at(*path: str | int, default: Any = None) -> Cell:
    return lambda obj, now: dig(obj, *path, default=default)


def _condition(kind: str) -> Cell:
    def cell(obj: Object, now: float) -> Any:
        for condition in dig(obj, "status", "conditions", default=[]):
            if condition.get("type") == kind:
                return condition.get("status")
        return None

    return cell


def _containers(field: str) -> Cell:
    def cell(obj: Object, now: float) -> str:
        containers = dig(obj, "spec", "template", "spec", "containers", default=[])
        return ",".join(str(container.get(field) or "") for container in containers)

    return cell


def format_labels(labels: dict[str, str]) -> str:
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) or "<none>"


def format_selector(selector: Object | None) -> str:
    """metav1.FormatLabelSelector."""
    if selector is None:
        return "<none>"
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for item in selector.get("matchExpressions") or []:
        values = ",".join(sorted(item.get("values") or []))
        parts.append(
            {
                "In": f"{item['key']} in ({values})",
                "NotIn": f"{item['key']} notin ({values})",
                "Exists": item["key"],
            }.get(item["operator"], f"!{item['key']}")
        )
    return ",".join(parts) or "<none>"


NAME = Column("Name", _name, format="name")
AGE = Column("Age", age)
_SELECTOR = Column("Selector", lambda obj, now: format_selector(dig(obj, "spec", "selector")), priority=1)
_WORKLOAD_WIDE = (
    Column("Containers", _containers("name"), priority=1),
    Column("Images", _containers("image"), priority=1),
    _SELECTOR,
)


# --- pods -------------------------------------------------------------------------------------------------


def _statuses(pod: Object) -> list[Object]:
    return dig(pod, "status", "containerStatuses", default=[])  # type: ignore[no-any-return]


def pod_status(pod: Object, now: float = 0) -> str:
    """The STATUS column (printPod in printers.go)."""
    reason = dig(pod, "status", "reason") or dig(pod, "status", "phase") or "Pending"
    for condition in dig(pod, "status", "conditions", default=[]):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    running = False
    for status in reversed(_statuses(pod)):
        state = status.get("state") or {}
        if waiting := dig(state, "waiting", "reason"):
            reason = waiting
        elif (ended := state.get("terminated")) is not None:
            code, signal = ended.get("exitCode", 0), ended.get("signal", 0)
            reason = ended.get("reason") or (f"Signal:{signal}" if signal else f"ExitCode:{code}")
        elif status.get("ready") and "running" in state:
            running = True
    if reason == "Completed" and running:
        reason = "Running" if _condition("Ready")(pod, now) == "True" else "NotReady"
    if dig(pod, "metadata", "deletionTimestamp"):
        return "Unknown" if dig(pod, "status", "reason") == "NodeLost" else "Terminating"
    return str(reason)


def _pod_ready(pod: Object, now: float) -> str:
    ready = sum(
        1 for status in _statuses(pod) if status.get("ready") and "running" in (status.get("state") or {})
    )
    return f"{ready}/{len(dig(pod, 'spec', 'containers', default=[]))}"


def _pod_restarts(pod: Object, now: float) -> str:
    restarts = sum(status.get("restartCount", 0) for status in _statuses(pod))
    ended = [
        finished
        for status in _statuses(pod)
        if (finished := dig(status, "lastState", "terminated", "finishedAt"))
    ]
    if restarts and ended:
        return f"{restarts} ({human_duration(now - max(map(parse_timestamp, ended)))} ago)"
    return str(restarts)


def _readiness_gates(pod: Object, now: float) -> str:
    gates = dig(pod, "spec", "readinessGates", default=[])
    if not gates:
        return "<none>"
    met = sum(1 for gate in gates if _condition(gate.get("conditionType", ""))(pod, now) == "True")
    return f"{met}/{len(gates)}"


POD = (
    NAME,
    Column("Ready", _pod_ready),
    Column("Status", pod_status),
    Column("Restarts", _pod_restarts),
    AGE,
    Column("IP", _at("status", "podIP", default="<none>"), priority=1),
    Column("Node", _at("spec", "nodeName", default="<none>"), priority=1),
    Column("Nominated Node", _at("status", "nominatedNodeName", default="<none>"), priority=1),
    Column("Readiness Gates", _readiness_gates, priority=1),
)


# --- other built-in kinds ---------------------------------------------------------------------------------


def _node_status(node: Object, now: float) -> str:
    ready = _condition("Ready")(node, now)
    words = ["Ready" if ready == "True" else "NotReady" if ready is not None else "Unknown"]
    if dig(node, "spec", "unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_roles(node: Object, now: float) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = dig(node, "metadata", "labels", default={})
    return ",".join(sorted(k.removeprefix(prefix) for k in labels if k.startswith(prefix))) or "<none>"


def _node_address(kind: str) -> Cell:
    def cell(node: Object, now: float) -> str:
        for address in dig(node, "status", "addresses", default=[]):
            if address.get("type") == kind:
                return str(address.get("address"))
        return "<none>"

    return cell


def _node_info(field: str) -> Cell:
    return _at("status", "nodeInfo", field, default="<unknown>")


def _deployment_ready(obj: Object, now: float) -> str:
    return f"{dig(obj, 'status', 'readyReplicas', default=0)}/{dig(obj, 'spec', 'replicas', default=1)}"


def _service_ports(service: Object, now: float) -> str:
    ports = []
    for port in dig(service, "spec", "ports", default=[]):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(ports) or "<none>"


def _service_external(service: Object, now: float) -> str:
    if dig(service, "spec", "type") == "ExternalName":
        return str(dig(service, "spec", "externalName", default=""))
    return ",".join(dig(service, "spec", "externalIPs", default=[])) or "<none>"


def _cluster_ip(service: Object, now: float) -> str:
    return str(dig(service, "spec", "clusterIP") or "<none>")


def host_port(address: str, port: Any) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _endpoints(obj: Object, now: float) -> str:
    pairs = []
    for subset in obj.get("subsets") or []:
        for port in subset.get("ports") or [{}]:
            for address in subset.get("addresses") or []:
                number = port.get("port")
                pairs.append(address["ip"] if number is None else host_port(address["ip"], number))
    more = f" + {len(pairs) - 3} more..." if len(pairs) > 3 else ""
    return ",".join(pairs[:3]) + more or "<none>"


def _slice_ports(obj: Object, now: float) -> str:
    numbers = [str(port.get("port", "*")) for port in obj.get("ports") or []]
    more = f" + {len(numbers) - 3} more..." if len(numbers) > 3 else ""
    return ",".join(numbers[:3]) + more or "<unset>"


def _slice_endpoints(obj: Object, now: float) -> str:
    addresses = [address for endpoint in obj.get("endpoints") or [] for address in endpoint["addresses"]]
    more = f" + {len(addresses) - 3} more..." if len(addresses) > 3 else ""
    return ",".join(addresses[:3]) + more or "<unset>"


def _since(*paths: tuple[str, ...]) -> Cell:
    def cell(obj: Object, now: float) -> str:
        for path in paths:
            if value := dig(obj, *path):
                return human_duration(now - parse_timestamp(value))
        return "<unknown>"

    return cell


def _event_object(event: Object, now: float) -> str:
    involved = event.get("involvedObject") or {}
    name = involved.get("name", "")
    return f"{str(involved.get('kind', '')).lower()}/{name}" if name else ""


def _event_source(event: Object, now: float) -> str:
    parts = [dig(event, "source", "component"), dig(event, "source", "host")]
    text = ", ".join(part for part in parts if part)
    return text or str(event.get("reportingComponent") or "")


_LAST_SEEN = _since(("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",))
_FIRST_SEEN = _since(("firstTimestamp",), ("eventTime",))

EVENT = (
    Column("Last Seen", _LAST_SEEN),
    Column("Type", _at("type")),
    Column("Reason", _at("reason")),
    Column("Object", _event_object),
    Column("Subobject", _at("involvedObject", "fieldPath", default=""), priority=1),
    Column("Source", _event_source, priority=1),
    Column("Message", lambda obj, now: str(obj.get("message") or "").strip()),
    Column("First Seen", _FIRST_SEEN, priority=1),
    Column("Count", lambda obj, now: dig(obj, "series", "count") or obj.get("count") or 1, "integer", 1),
    Column("Name", _name, priority=1, format="name"),
)
NAMESPACE = (NAME, Column("Status", _at("status", "phase", default="Active")), AGE)
NODE = (
    NAME,
    Column("Status", _node_status),
    Column("Roles", _node_roles),
    AGE,
    Column("Version", _at("status", "nodeInfo", "kubeletVersion", default="")),
    Column("Internal-IP", _node_address("InternalIP"), priority=1),
    Column("External-IP", _node_address("ExternalIP"), priority=1),
    Column("OS-Image", _node_info("osImage"), priority=1),
    Column("Kernel-Version", _node_info("kernelVersion"), priority=1),
    Column("Container-Runtime", _node_info("containerRuntimeVersion"), priority=1),
)
SERVICE_ACCOUNT = (
    NAME,
    Column("Secrets", lambda obj, now: len(obj.get("secrets") or []), "string"),
    AGE,
)
SERVICE = (
    NAME,
    Column("Type", _at("spec", "type")),
    Column("Cluster-IP", _cluster_ip),
    Column("External-IP", _service_external),
    Column("Port(s)", _service_ports),
    AGE,
    Column("Selector", lambda obj, now: format_labels(dig(obj, "spec", "selector", default={})), priority=1),
)
ENDPOINTS = (NAME, Column("Endpoints", _endpoints), AGE)
ENDPOINT_SLICE = (
    NAME,
    Column("AddressType", _at("addressType")),
    Column("Ports", _slice_ports),
    Column("Endpoints", _slice_endpoints),
    AGE,
)
CONFIG_MAP = (
    NAME,
    Column("Data", lambda obj, now: len(obj.get("data") or {}) + len(obj.get("binaryData") or {})),
    AGE,
)
DEPLOYMENT = (
    NAME,
    Column("Ready", _deployment_ready),
    Column("Up-to-date", _at("status", "updatedReplicas", default=0)),
    Column("Available", _at("status", "availableReplicas", default=0)),
    AGE,
    *_WORKLOAD_WIDE,
)
REPLICA_SET = (
    NAME,
    Column("Desired", _at("spec", "replicas", default=1), "integer"),
    Column("Current", _at("status", "replicas", default=0), "integer"),
    Column("Ready", _at("status", "readyReplicas", default=0), "integer"),
    AGE,
    *_WORKLOAD_WIDE,
)
NETWORK_POLICY = (
    NAME,
    Column("Pod-Selector", lambda obj, now: format_selector(dig(obj, "spec", "podSelector", default={}))),
    AGE,
)
RUNTIME_CLASS = (NAME, Column("Handler", _at("handler")), AGE)
CUSTOM_RESOURCE_DEFINITION = (NAME, Column("Created At", _at("metadata", "creationTimestamp"), "date"))

# --- cilium.io/v2 (semantics.md section 1) ----------------------------------------------------------------

CILIUM_NETWORK_POLICY = (NAME, AGE, Column("Valid", _condition("Valid")))
CILIUM_CLUSTERWIDE_NETWORK_POLICY = (NAME, Column("Valid", _condition("Valid")))
CILIUM_ENDPOINT = (
    NAME,
    Column("Security Identity", _at("status", "identity", "id"), "integer"),
    Column("Ingress Enforcement", _at("status", "policy", "ingress", "state"), priority=1),
    Column("Egress Enforcement", _at("status", "policy", "egress", "state"), priority=1),
    Column("Endpoint State", _at("status", "state")),
    Column("IPv4", _at("status", "networking", "addressing", 0, "ipv4")),
    Column("IPv6", _at("status", "networking", "addressing", 0, "ipv6")),
)
CILIUM_IDENTITY = (
    NAME,
    Column("Namespace", _at("metadata", "labels", "io.kubernetes.pod.namespace")),
    AGE,
)
CILIUM_CIDR_GROUP = (NAME, AGE)
