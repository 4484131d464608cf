"""Which of the documents in a file are policies, which are scenarios, and which are neither. Pure."""

from __future__ import annotations

from typing import Any

from namewall.model.documents import Document
from namewall.model.near import near
from namewall.policy.parse import WRITTEN_KINDS


def is_scenario(document: Document) -> bool:
    """As opposed to a policy that lies in the same folder."""
    value = document.value
    return isinstance(value, dict) and "kind" not in value and ("queries" in value or "tests" in value)


_NEIGHBOURS = {
    "networking.k8s.io": ("Ingress", "IngressClass", "IPAddress", "ServiceCIDR"),
    "cilium.io": (
        "CiliumBGPAdvertisement",
        "CiliumBGPClusterConfig",
        "CiliumBGPNodeConfig",
        "CiliumBGPNodeConfigOverride",
        "CiliumBGPPeerConfig",
        "CiliumBGPPeeringPolicy",
        "CiliumClusterwideEnvoyConfig",
        "CiliumEgressGatewayPolicy",
        "CiliumEndpoint",
        "CiliumEndpointSlice",
        "CiliumEnvoyConfig",
        "CiliumExternalWorkload",
        "CiliumGatewayClassConfig",
        "CiliumIdentity",
        "CiliumL2AnnouncementPolicy",
        "CiliumLoadBalancerIPPool",
        "CiliumLocalRedirectPolicy",
        "CiliumNode",
        "CiliumNodeConfig",
        "CiliumPodIPPool",
    ),
}
"""The other kinds of the policies' own API groups. Any kind that is not here is a misspelt one."""
_OTHER_POLICIES = ("crd.projectcalico.org", "projectcalico.org", "policy.networking.k8s.io", "crd.antrea.io")
"""API groups whose policies have names like ours and are no business of ours."""


def is_other(obj: Any) -> bool:
    """An object of Kubernetes that is no policy and nobody's misspelt one, as files often hold beside policies."""
    version, kind = (obj.get("apiVersion"), obj.get("kind")) if isinstance(obj, dict) else (None, None)
    if not isinstance(version, str) or not isinstance(kind, str) or not kind:
        return False
    group = version.rpartition("/")[0]
    if group in _NEIGHBOURS:
        return kind in _NEIGHBOURS[group]
    if group in _OTHER_POLICIES:
        return True
    return "NetworkPolicy" not in kind and near(kind, WRITTEN_KINDS) is None and kind not in WRITTEN_KINDS


def objects(document: Document) -> list[tuple[str, Any]]:
    """(path, object) of a document: itself, or the items of a List."""
    value = document.value
    kind = value.get("kind") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind.endswith("List") and isinstance(value.get("items"), list):
        return [(f"items[{index}]", item) for index, item in enumerate(value["items"])]
    return [("", value)]


def is_world(document: Document) -> bool:
    """A scenario that asks nothing: it only says who there is."""
    value = document.value
    return isinstance(value, dict) and "kind" not in value and "policies" in value
