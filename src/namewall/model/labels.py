"""Security labels: `source:key=value` (semantics.md section 3).

An identity is a set of such labels, written as Cilium writes them (`k8s:app=web`, `reserved:host`). This module
says how one is read, and which labels a pod's identity has: its own ones, its namespace's, its service
account and cluster, after the default filter. A label that the filter drops is one no policy can select on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from namewall.model.identity import Reserved
from namewall.model.memo import remembered

Labels = frozenset[str]
"""A label set in Cilium's spelling; hashable, so that it can be a key."""

K8S = "k8s"
RESERVED = "reserved"
ANY = "any"
_OLD = f"{RESERVED}."

NAMESPACE = "io.kubernetes.pod.namespace"
NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels"
METADATA_NAME = "kubernetes.io/metadata.name"
"""The label that the API server gives every namespace: its name."""
NAMESPACE_NAME = f"{NAMESPACE_LABELS}.{METADATA_NAME}"
"""The same, as the namespace's pods have it."""
SERVICE_ACCOUNT = "io.cilium.k8s.policy.serviceaccount"
CLUSTER = "io.cilium.k8s.policy.cluster"
DEFAULT_CLUSTER = "default"


@dataclass(frozen=True, slots=True)
class Label:
    source: str
    key: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.key}={self.value}" if self.value else f"{self.source}:{self.key}"


def parse_label(text: str) -> Label:
    """`k8s:app=web`; without a source it is `unspec:`, without a value the value is empty."""
    head, _, value = text.partition("=")
    source, colon, key = head.partition(":")
    return Label(source, key, value) if colon else Label("unspec", head, value)


@remembered
def split_key(text: str) -> tuple[str, str]:
    """A selector's key: the source is the text before the FIRST colon; none (or an empty one) means any.

    `$host` and `reserved.host` are old spellings of `reserved:host` that Cilium still reads.
    """
    if text.startswith("$"):
        return RESERVED, text[1:]
    source, colon, key = text.partition(":")
    if not colon:
        return (RESERVED, text[len(_OLD) :]) if text.startswith(_OLD) else (ANY, text)
    return source or ANY, key


class LabelView(dict[tuple[str, str], str]):
    """A label set indexed for selection: (source, key) → value, and for each key also under source `any`.

    Two sources may carry one key; `any` then has the value of the source that sorts last, which is `reserved`
    before nothing else Namewall makes, so the case does not arise for pods.
    """


@lru_cache(maxsize=65536)
def view(labels: Labels) -> LabelView:
    """Cached: one view for each identity on the node."""
    index = LabelView()
    for own, of_any, value in sorted(map(_places, labels)):
        index[own] = index[of_any] = value
    return index


@remembered
def _places(label: str) -> tuple[tuple[str, str], tuple[str, str], str]:
    """Where a label stands in a view, its own and any source's, and its value."""
    parsed = parse_label(label)
    return (parsed.source, parsed.key), (ANY, parsed.key), parsed.value


# Key prefixes as Cilium's default filter has them; the longest match decides, no match keeps the label.
_FILTER = [
    (re.compile(pattern), keep)
    for pattern, keep in (
        (r"io\.kubernetes\.pod\.namespace", True),
        (r"io\.cilium\.k8s\.namespace\.labels", True),
        (r"app\.kubernetes\.io", True),
        (r"io\.kubernetes", False),
        (r"kubernetes\.io", False),
        (r"statefulset\.kubernetes\.io/pod-name", False),
        (r"apps\.kubernetes\.io/pod-index", False),
        (r"batch\.kubernetes\.io/job-completion-index", False),
        (r"batch\.kubernetes\.io/controller-uid", False),
        (r".*beta\.kubernetes\.io", False),
        (r"k8s\.io", False),
        (r"pod-template-generation", False),
        (r"pod-template-hash", False),
        (r"controller-revision-hash", False),
        (r"controller-uid", False),
        (r"annotation.*", False),
        (r"etcd_node", False),
    )
]


@lru_cache(maxsize=4096)
def is_relevant(key: str) -> bool:
    """Whether the default filter lets a label with this key into identities."""
    longest, keep = 0, True
    for pattern, verdict in _FILTER:
        match = pattern.match(key)
        if match and match.end() > longest:
            longest, keep = match.end(), verdict
    return keep


def is_of_pods(key: str) -> bool:
    """Whether an identity has a pod's label of this key."""
    return is_relevant(key) and not key.startswith(_MADE)


_MADE = "io.cilium.k8s."
"""Labels that are made for identities; pods cannot set them."""


def identity_labels(
    pod_labels: Mapping[str, str],
    namespace: str,
    namespace_labels: Mapping[str, str],
    service_account: str = "default",
    cluster: str = DEFAULT_CLUSTER,
) -> Labels:
    """The label set that is a pod's identity. Pods with equal results share one identity."""
    labels = {key: value for key, value in pod_labels.items() if not key.startswith(_MADE)}
    labels.update((f"{NAMESPACE_LABELS}.{key}", value) for key, value in namespace_labels.items())
    labels[NAMESPACE] = namespace
    labels[CLUSTER] = cluster
    if service_account:
        labels[SERVICE_ACCOUNT] = service_account
    return frozenset(str(Label(K8S, key, value)) for key, value in labels.items() if is_relevant(key))


RESERVED_LABELS: dict[int, Labels] = {
    Reserved.HOST: frozenset({"reserved:host"}),
    Reserved.WORLD: frozenset({"reserved:world"}),
    Reserved.UNMANAGED: frozenset({"reserved:unmanaged"}),
    Reserved.HEALTH: frozenset({"reserved:health"}),
    Reserved.INIT: frozenset({"reserved:init"}),
    Reserved.REMOTE_NODE: frozenset({"reserved:remote-node"}),
    Reserved.KUBE_APISERVER: frozenset({"reserved:kube-apiserver", "reserved:remote-node"}),
    Reserved.INGRESS: frozenset({"reserved:ingress"}),
    Reserved.WORLD_IPV4: frozenset({"reserved:world-ipv4"}),
    Reserved.WORLD_IPV6: frozenset({"reserved:world-ipv6"}),
}
"""Identities that exist on every node. CLOSED has no labels: no selector may reach it."""
