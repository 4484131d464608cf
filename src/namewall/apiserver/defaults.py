"""Defaulting of the built-in kinds, as Kubernetes does it (pkg/apis/*/v1/defaults.go). It is visible: kubectl describe
prints `<unset>` and `80/` without it.

`apply` changes the object in place and is idempotent: defaulting a defaulted object does nothing, else every
kubectl apply would see a difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from namewall.apiserver.values import Object, dig
from namewall.model.labels import METADATA_NAME


def _defaults(obj: Object, **values: Any) -> None:
    for key, value in values.items():
        if obj.get(key) is None:
            obj[key] = value


def _image_pull_policy(image: str) -> str:
    tag = image.rsplit("/", 1)[-1]
    untagged = ":" not in tag and "@" not in tag
    return "Always" if image and (untagged or tag.endswith(":latest")) else "IfNotPresent"


def _probe(probe: Object | None) -> None:
    if not probe:
        return
    _defaults(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if probe.get("httpGet") is not None:
        _defaults(probe["httpGet"], path="/", scheme="HTTP")


def _container(container: Object) -> None:
    _defaults(
        container,
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy=_image_pull_policy(str(container.get("image") or "")),
        resources={},
    )
    for port in container.get("ports") or []:
        _defaults(port, protocol="TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        _probe(container.get(name))
    for env in container.get("env") or []:
        if reference := dig(env, "valueFrom", "fieldRef"):
            _defaults(reference, apiVersion="v1")


def _volume(volume: Object) -> None:
    for source in ("configMap", "secret", "downwardAPI", "projected"):
        if volume.get(source) is not None:
            _defaults(volume[source], defaultMode=0o644)


def pod_spec(spec: Object) -> None:
    """A PodSpec, also inside a template."""
    _defaults(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    if spec.get("serviceAccount") and not spec.get("serviceAccountName"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    for name in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(name) or []:
            _container(container)
    for volume in spec.get("volumes") or []:
        _volume(volume)


def _pod(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    _defaults(spec, serviceAccountName=spec.get("serviceAccount") or "default", enableServiceLinks=True)
    pod_spec(spec)
    _defaults(spec, priority=0, preemptionPolicy="PreemptLowerPriority")


def _template(obj: Object) -> None:
    template = dig(obj, "spec", "template")
    if template is not None:
        template.setdefault("metadata", {})
        pod_spec(template.setdefault("spec", {}))


def _deployment(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _defaults(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = spec.setdefault("strategy", {})
    _defaults(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        if strategy.get("rollingUpdate") is None:
            strategy["rollingUpdate"] = {}
        _defaults(strategy["rollingUpdate"], maxUnavailable="25%", maxSurge="25%")
    _template(obj)


def _replica_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _defaults(spec, replicas=1)
    labels = dig(spec, "template", "metadata", "labels")
    if labels:
        _defaults(spec, selector={"matchLabels": dict(labels)})
        if not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(labels)
    _template(obj)


def _service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _defaults(spec, type="ClusterIP", sessionAffinity="None")
    if spec["sessionAffinity"] == "ClientIP":
        _defaults(spec, sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10800}})
    if spec["type"] != "ExternalName":
        _defaults(spec, internalTrafficPolicy="Cluster")
    for port in spec.get("ports") or []:
        _defaults(port, protocol="TCP")
        if port.get("targetPort") in (None, 0, "") and "port" in port:
            port["targetPort"] = port["port"]


def _network_policy(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _defaults(spec, podSelector={})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction) or []:
            for port in rule.get("ports") or []:
                _defaults(port, protocol="TCP")


def _namespace(obj: Object) -> None:
    labels = obj["metadata"].setdefault("labels", {})
    labels[METADATA_NAME] = obj["metadata"].get("name", "")
    spec = obj.setdefault("spec", {})
    _defaults(spec, finalizers=["kubernetes"])
    _defaults(obj.setdefault("status", {}), phase="Active")


def _endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or []:
        for port in subset.get("ports") or []:
            _defaults(port, protocol="TCP")


def _endpoint_slice(obj: Object) -> None:
    for port in obj.get("ports") or []:
        _defaults(port, name="", protocol="TCP")


_BY_RESOURCE: dict[str, Callable[[Object], None]] = {
    "pods": _pod,
    "deployments.apps": _deployment,
    "replicasets.apps": _replica_set,
    "services": _service,
    "networkpolicies.networking.k8s.io": _network_policy,
    "namespaces": _namespace,
    "endpoints": _endpoints,
    "endpointslices.discovery.k8s.io": _endpoint_slice,
}


def apply(resource: str, obj: Object) -> None:
    """Puts the defaults of the kind stored as `resource` into the object."""
    if default := _BY_RESOURCE.get(resource):
        default(obj)
