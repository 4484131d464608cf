"""The one table of what this server serves: kinds, names, verbs, subresources, printer columns, selectable fields.

Discovery, OpenAPI, routing, tables and storage all read it; nothing else lists kinds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from namewall.apiserver import columns
from namewall.apiserver.columns import Column

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
READ_VERBS = ("get", "list", "watch")


@dataclass(frozen=True, slots=True)
class Subresource:
    """`kind` is what it answers with, `group`/`version` where that differs from the resource's own."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    group: str
    version: str
    plural: str
    kind: str
    columns: tuple[Column, ...] = ()
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    selectable: tuple[str, ...] = ()
    """Fields a fieldSelector may name, beside metadata.name and metadata.namespace."""
    has_spec: bool = True
    """Whether metadata.generation counts changes of the object apart from metadata and status."""
    strategic: bool = True
    """Built-in kinds know strategic merge patch; custom resources do not."""

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def key(self) -> str:
        """The group resource, as `deployments.apps` or `pods`: the name in storage and in messages."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def group_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def prefix(self) -> str:
        """The path of its group version."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def has_status(self) -> bool:
        return any(sub.name == "status" for sub in self.subresources)

    @property
    def schema(self) -> str:
        """The name of its schema among the definitions (Kubernetes' own names for the built-in kinds)."""
        if self.strategic:
            package = (self.group or "core").removesuffix(".k8s.io")
            return f"io.k8s.api.{package}.{self.version}.{self.kind}"
        reverse = ".".join(reversed(self.group.split(".")))
        return f"{reverse}.{self.version}.{self.kind}"


def _status(kind: str) -> Subresource:
    return Subresource("status", kind, ("get", "patch", "update"))


_SCALE = Subresource("scale", "Scale", ("get", "patch", "update"), "autoscaling", "v1")

RESOURCES: tuple[Resource, ...] = (
    Resource("", "v1", "configmaps", "ConfigMap", columns.CONFIG_MAP, short_names=("cm",), has_spec=False),
    Resource("", "v1", "endpoints", "Endpoints", columns.ENDPOINTS, short_names=("ep",), has_spec=False),
    Resource(
        "",
        "v1",
        "events",
        "Event",
        columns.EVENT,
        short_names=("ev",),
        has_spec=False,
        selectable=(
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ),
    ),
    Resource(
        "",
        "v1",
        "namespaces",
        "Namespace",
        columns.NAMESPACE,
        namespaced=False,
        short_names=("ns",),
        verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        subresources=(_status("Namespace"), Subresource("finalize", "Namespace", ("update",))),
        selectable=("status.phase",),
    ),
    Resource(
        "",
        "v1",
        "nodes",
        "Node",
        columns.NODE,
        namespaced=False,
        short_names=("no",),
        subresources=(_status("Node"),),
        selectable=("spec.unschedulable",),
    ),
    Resource(
        "",
        "v1",
        "pods",
        "Pod",
        columns.POD,
        short_names=("po",),
        categories=("all",),
        subresources=(
            _status("Pod"),
            Subresource("binding", "Binding", ("create",)),
            Subresource("eviction", "Eviction", ("create",), "policy", "v1"),
            Subresource("exec", "PodExecOptions", ("create", "get")),
            Subresource("log", "Pod", ("get",)),
        ),
        selectable=(
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ),
    ),
    Resource(
        "",
        "v1",
        "serviceaccounts",
        "ServiceAccount",
        columns.SERVICE_ACCOUNT,
        short_names=("sa",),
        has_spec=False,
    ),
    Resource(
        "",
        "v1",
        "services",
        "Service",
        columns.SERVICE,
        short_names=("svc",),
        categories=("all",),
        subresources=(_status("Service"),),
        selectable=("spec.clusterIP", "spec.type"),
    ),
    Resource(
        "apps",
        "v1",
        "deployments",
        "Deployment",
        columns.DEPLOYMENT,
        short_names=("deploy",),
        categories=("all",),
        subresources=(_status("Deployment"), _SCALE),
    ),
    Resource(
        "apps",
        "v1",
        "replicasets",
        "ReplicaSet",
        columns.REPLICA_SET,
        short_names=("rs",),
        categories=("all",),
        subresources=(_status("ReplicaSet"), _SCALE),
        selectable=("status.replicas",),
    ),
    Resource(
        "discovery.k8s.io",
        "v1",
        "endpointslices",
        "EndpointSlice",
        columns.ENDPOINT_SLICE,
        has_spec=True,
    ),
    Resource(
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        "NetworkPolicy",
        columns.NETWORK_POLICY,
        short_names=("netpol",),
    ),
    Resource(
        "node.k8s.io",
        "v1",
        "runtimeclasses",
        "RuntimeClass",
        columns.RUNTIME_CLASS,
        namespaced=False,
        has_spec=False,
    ),
    Resource(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        columns.CUSTOM_RESOURCE_DEFINITION,
        namespaced=False,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        verbs=READ_VERBS,
        strategic=False,
    ),
    Resource(
        "cilium.io",
        "v2",
        "ciliumnetworkpolicies",
        "CiliumNetworkPolicy",
        columns.CILIUM_NETWORK_POLICY,
        short_names=("cnp", "ciliumnp"),
        categories=("cilium", "ciliumpolicy"),
        subresources=(_status("CiliumNetworkPolicy"),),
        strategic=False,
    ),
    Resource(
        "cilium.io",
        "v2",
        "ciliumclusterwidenetworkpolicies",
        "CiliumClusterwideNetworkPolicy",
        columns.CILIUM_CLUSTERWIDE_NETWORK_POLICY,
        namespaced=False,
        short_names=("ccnp",),
        categories=("cilium", "ciliumpolicy"),
        subresources=(_status("CiliumClusterwideNetworkPolicy"),),
        strategic=False,
    ),
    Resource(
        "cilium.io",
        "v2",
        "ciliumendpoints",
        "CiliumEndpoint",
        columns.CILIUM_ENDPOINT,
        short_names=("cep", "ciliumep"),
        categories=("cilium",),
        subresources=(_status("CiliumEndpoint"),),
        strategic=False,
    ),
    Resource(
        "cilium.io",
        "v2",
        "ciliumidentities",
        "CiliumIdentity",
        columns.CILIUM_IDENTITY,
        namespaced=False,
        short_names=("ciliumid",),
        categories=("cilium",),
        strategic=False,
    ),
    Resource(
        "cilium.io",
        "v2",
        "ciliumcidrgroups",
        "CiliumCIDRGroup",
        columns.CILIUM_CIDR_GROUP,
        namespaced=False,
        short_names=("ccg",),
        categories=("cilium",),
        strategic=False,
    ),
)

REVIEWS: tuple[tuple[str, str, str, str, bool], ...] = (
    ("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
    ("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
    ("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", False),
    ("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", True),
)
"""Kinds that are only asked (POST), never stored: group, version, plural, kind, namespaced."""

BY_PATH: dict[tuple[str, str, str], Resource] = {
    (resource.group, resource.version, resource.plural): resource for resource in RESOURCES
}
BY_KEY: dict[str, Resource] = {resource.key: resource for resource in RESOURCES}
BY_KIND: dict[tuple[str, str], Resource] = {
    (resource.group_version, resource.kind): resource for resource in RESOURCES
}


def group_versions() -> Iterator[tuple[str, str]]:
    """Every (group, version), the core group first, then by name, as kubectl api-versions lists them."""
    seen = {(resource.group, resource.version) for resource in RESOURCES}
    seen |= {(group, version) for group, version, *_ in REVIEWS}
    yield from sorted(seen)
