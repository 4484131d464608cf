"""The resource types Namewall knows by heart: how each is addressed and called. Pure values.

Anything else that a server offers is found by discovery (namewall.cli uses it for unknown words).
Invariant: names and short names are Kubernetes' and Cilium's own, never ours under a foreign name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource type. `group` is "" for the core group; `singular` and the plural are lower case."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """What stands in an object's `apiVersion`: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`pods`, `deployments.apps`: how Kubernetes names the type in messages."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def answers_to(self, word: str) -> bool:
        """Whether a user's word means this type: plural, singular, kind or short name, optionally with

        `.group` or `.version.group` behind it (`deploy.apps`, `deployments.v1.apps`).
        """
        name, dot, rest = word.lower().partition(".")
        if name not in (self.plural, self.singular, self.kind.lower(), *self.short_names):
            return False
        return not dot or rest in (self.group, f"{self.version}.{self.group}", f"{self.version}.")


def find(word: str, resources: Iterable[Resource]) -> Resource | None:
    """The first type the word means; earlier entries win, as in a server's discovery order."""
    return next((resource for resource in resources if resource.answers_to(word)), None)


def by_kind(api_version: str, kind: str, resources: Iterable[Resource]) -> Resource | None:
    """The type of an object that says `apiVersion` and `kind`, spelled exactly."""
    for resource in resources:
        if resource.kind == kind and resource.api_version == api_version:
            return resource
    return None


_ALL = ("all",)
_CILIUM = "cilium.io"
_POLICY = ("cilium", "ciliumpolicy")

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", False, "namespace", ("ns",))
NODES = Resource("", "v1", "nodes", "Node", False, "node", ("no",))
PODS = Resource("", "v1", "pods", "Pod", True, "pod", ("po",), _ALL)
SERVICES = Resource("", "v1", "services", "Service", True, "service", ("svc",), _ALL)
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints", True, "endpoints", ("ep",))
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", True, "configmap", ("cm",))
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", True, "serviceaccount", ("sa",))
EVENTS = Resource("", "v1", "events", "Event", True, "event", ("ev",))
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", True, "deployment", ("deploy",), _ALL)
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", True, "replicaset", ("rs",), _ALL)
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True, "endpointslice")
NETWORK_POLICIES = Resource(
    "networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, "networkpolicy", ("netpol",)
)
CILIUM_NETWORK_POLICIES = Resource(
    _CILIUM,
    "v2",
    "ciliumnetworkpolicies",
    "CiliumNetworkPolicy",
    True,
    "ciliumnetworkpolicy",
    ("cnp", "ciliumnp"),
    _POLICY,
)
CILIUM_CLUSTERWIDE_NETWORK_POLICIES = Resource(
    _CILIUM,
    "v2",
    "ciliumclusterwidenetworkpolicies",
    "CiliumClusterwideNetworkPolicy",
    False,
    "ciliumclusterwidenetworkpolicy",
    ("ccnp",),
    _POLICY,
)
CILIUM_ENDPOINTS = Resource(
    _CILIUM,
    "v2",
    "ciliumendpoints",
    "CiliumEndpoint",
    True,
    "ciliumendpoint",
    ("cep", "ciliumep"),
    ("cilium",),
)
CILIUM_IDENTITIES = Resource(
    _CILIUM,
    "v2",
    "ciliumidentities",
    "CiliumIdentity",
    False,
    "ciliumidentity",
    ("ciliumid",),
    ("cilium",),
)
CILIUM_CIDR_GROUPS = Resource(
    _CILIUM,
    "v2",
    "ciliumcidrgroups",
    "CiliumCIDRGroup",
    False,
    "ciliumcidrgroup",
    ("ccg",),
    ("cilium",),
)
RUNTIME_CLASSES = Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", False, "runtimeclass")

KNOWN: tuple[Resource, ...] = (
    NAMESPACES,
    NODES,
    PODS,
    SERVICES,
    ENDPOINTS,
    CONFIG_MAPS,
    SERVICE_ACCOUNTS,
    EVENTS,
    DEPLOYMENTS,
    REPLICA_SETS,
    ENDPOINT_SLICES,
    NETWORK_POLICIES,
    CILIUM_NETWORK_POLICIES,
    CILIUM_CLUSTERWIDE_NETWORK_POLICIES,
    CILIUM_ENDPOINTS,
    CILIUM_IDENTITIES,
    CILIUM_CIDR_GROUPS,
    RUNTIME_CLASSES,
)
