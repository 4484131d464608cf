"""The cluster's objects as their authors wrote them, and what would allow a flow in it."""

from __future__ import annotations

import copy
import json
from typing import Any

from namewall.kube import resources
from namewall.review.answers import ANSWERS
from namewall.review.live import scenario, versions
from namewall.review.written import as_written, text_of

WRITTEN = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: backend
  namespace: default
spec:
  endpointSelector:
    matchLabels:
      app: backend
  egress:
    - toCIDR:
        - 203.0.113.7/32
"""
SPEC: dict[str, Any] = {
    "endpointSelector": {"matchLabels": {"app": "backend"}},
    "egress": [{"toCIDR": ["203.0.113.7/32"]}],
}
LAST = "kubectl.kubernetes.io/last-applied-configuration"
STORED: dict[str, Any] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {
        "annotations": {LAST: json.dumps({"kind": "CiliumNetworkPolicy", "spec": SPEC})},
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 3,
        "managedFields": [{"manager": "kubectl"}],
        "name": "backend",
        "namespace": "default",
        "resourceVersion": "41",
        "uid": "8a1",
    },
    "spec": SPEC,
    "status": {"conditions": []},
}
POD = {
    "metadata": {"name": "backend-1", "namespace": "default", "uid": "1-2", "labels": {"app": "backend"}},
    "spec": {},
    "status": {"phase": "Running", "podIP": "10.0.0.4"},
}
OBJECTS = {
    resources.NAMESPACES: [{"metadata": {"name": "default"}}],
    resources.PODS: [POD],
    resources.CILIUM_NETWORK_POLICIES: [STORED],
}
DROPPED = {
    "traffic_direction": "EGRESS",
    "IP": {"source": "10.0.0.4", "destination": "203.0.113.9"},
    "l4": {"TCP": {"destination_port": 443}},
    "source": {"namespace": "default", "pod_name": "backend-1", "labels": ["k8s:app=backend"]},
    "destination": {"labels": ["reserved:world"]},
}


def test_a_policy_is_as_its_author_wrote_it() -> None:
    assert text_of(STORED) == WRITTEN
    mine = copy.deepcopy(STORED)
    mine["metadata"]["annotations"]["team"] = "a"
    assert as_written(mine)["metadata"] == {
        "name": "backend",
        "namespace": "default",
        "annotations": {"team": "a"},
    }


def test_what_would_allow_a_flow_is_as_its_author_would_write_it() -> None:
    body = {"world": scenario(OBJECTS, (), False), "versions": versions(OBJECTS), "flow": DROPPED}
    found = ANSWERS["allow"](body)
    (file,) = found["files"]
    assert file["name"] == "default/backend.cnp.yaml"
    assert file["text"].startswith(WRITTEN.removesuffix("- 203.0.113.7/32\n"))
    assert "203.0.113.9" in file["text"]
    for word in (LAST, "managedFields", "uid", "resourceVersion", "status"):
        assert word not in file["text"] + found["diff"]
    assert found["versions"] == {"CiliumNetworkPolicy/default/backend": "41"}
