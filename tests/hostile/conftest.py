"""The arena: workloads under the page's kind of policy, and what must stay out of their reach."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from arena import Arena

from lab import cluster, kubectl, netns
from lab.names import page_world
from lab.play import Reader
from lab.scene import PAGE

DNS = """
    - toEndpoints:
        - matchLabels: {{"k8s:io.kubernetes.pod.namespace": kube-system, "k8s:k8s-app": kube-dns}}
      toPorts:
        - ports: [{{port: "53", protocol: ANY}}]
          rules: {{dns: [{names}]}}
"""
POLICIES = f"""
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: mallory}}
spec:
  endpointSelector: {{matchLabels: {{app: mallory}}}}
  ingress: [{{fromEntities: [all]}}]
  egress:{DNS.format(names="{matchName: kubernetes.io}")}
    - toFQDNs: [{{matchName: kubernetes.io}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: alice}}
spec:
  endpointSelector: {{matchLabels: {{app: alice}}}}
  ingress: [{{fromEntities: [all]}}]
  egress:{DNS.format(names="{matchPattern: '*'}")}
    - toFQDNs: [{{matchName: ebpf.io}}, {{matchName: cilium.io}}]
---
# Eve may ask servers of her own choice: the mistake that lint finds. `rules.dns` lets their answers teach.
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: eve}}
spec:
  endpointSelector: {{matchLabels: {{app: eve}}}}
  ingress: [{{fromEntities: [all]}}]
  egress:
    - toEntities: [world]
      toPorts:
        - ports: [{{port: "53", protocol: UDP}}]
          rules: {{dns: [{{matchName: kubernetes.io}}]}}
    - toFQDNs: [{{matchName: kubernetes.io}}]
---
# Oscar may send anything to port 53 of the world, unjudged, and reach kubernetes.io once he has learned it.
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: oscar}}
spec:
  endpointSelector: {{matchLabels: {{app: oscar}}}}
  ingress: [{{fromEntities: [all]}}]
  egress:
    - toEntities: [world]
      toPorts: [{{ports: [{{port: "53", protocol: UDP}}]}}]
    - toFQDNs: [{{matchName: kubernetes.io}}]
"""
POD = """
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  runtimeClassName: host
  terminationGracePeriodSeconds: 0
  containers: [{{name: main, command: [{command}]}}]
"""
COMMANDS = {
    "mallory": "sleep, infinity",
    "alice": "sleep, infinity",
    "eve": "sleep, infinity",
    "oscar": "sleep, infinity",
    "server": 'python3, -m, http.server, "8080", --bind, "::"',
}


@pytest.fixture(scope="session")
def arena() -> Iterator[Arena]:
    found = kubectl.fetched()
    assert found is not None, f"{kubectl.FETCHED} is missing; scripts/setup fetches it"
    outside = page_world(netns.free_slot())
    with cluster.lab(outside, more=("--min-ttl", "2")) as lab:
        reader = Reader(lab, found.path)
        reader.write(PAGE)
        here = Arena(lab, reader, outside)
        here.kubectl("apply", POLICIES)
        pods = "".join(POD.format(name=name, command=command) for name, command in COMMANDS.items())
        here.kubectl("apply", pods + "---\n" + SERVICE)
        here.kubectl("wait --for=condition=Ready pod --all --timeout=60s")
        here.find_pods()
        yield here


SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: server}
spec:
  ipFamilyPolicy: PreferDualStack
  selector: {app: server}
  ports: [{port: 8080}]
"""
