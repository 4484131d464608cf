"""Policies as people write them, as another kind and back: where nothing is lost, `namewall diff` finds no change."""

from __future__ import annotations

from itertools import pairwise

import pytest

from namewall.policy.parse import API_VERSIONS
from namewall.review.answers import ANSWERS

CNP, CCNP, NETPOL = API_VERSIONS
WORLD = """\
endpoints:
- {name: web, namespace: shop, labels: {app: web, tier: front}, ips: [10.0.0.1], namedPorts: [{name: http, port: 8080}]}
- {name: db, namespace: shop, labels: {app: db}, ips: [10.0.0.2], namedPorts: [{name: http, port: 80}]}
- {name: mon, namespace: monitoring, labels: {app: mon, role: m}, ips: [10.0.1.1]}
- {name: bare, namespace: dev, labels: {x: z}, ips: [10.0.2.1]}
- {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}, ips: [10.0.3.1]}
namespaces: [{name: shop, labels: {team: a}}, {name: monitoring, labels: {team: b, env: prod}}, {name: dev}, {name: kube-system}]
externals: [{ip: 203.0.113.7, names: [kubernetes.io]}, {ip: 192.168.1.1, names: [x.io]}]
policies: []
"""
EXAMPLES = [
    (
        NETPOL,
        """
podSelector: {}
policyTypes: [Ingress, Egress]
""",
    ),
    (
        NETPOL,
        """
podSelector: {}
policyTypes: [Ingress]
ingress: [{}]
""",
    ),
    (
        NETPOL,
        """
podSelector: {matchLabels: {app: web}}
egress: [{}]
""",
    ),
    (
        NETPOL,
        """
podSelector: {matchLabels: {app: web}}
ingress:
- from: [{podSelector: {}}]
""",
    ),
    (
        NETPOL,
        """
podSelector: {matchExpressions: [{key: app, operator: In, values: [web, db]}, {key: tier, operator: DoesNotExist}]}
ingress:
- from: [{namespaceSelector: {}}]
  ports: [{port: http}]
""",
    ),
    (
        NETPOL,
        """
podSelector: {}
ingress:
- from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}, podSelector: {matchLabels: {role: m}}}, {podSelector: {matchLabels: {app: db}}}]
  ports: [{port: 80}, {protocol: UDP}]
""",
    ),
    (
        NETPOL,
        """
podSelector: {}
policyTypes: [Egress]
egress:
- to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]
  ports: [{port: 443}]
- ports: [{port: 53, protocol: UDP}]
""",
    ),
    (
        NETPOL,
        """
podSelector: {}
ingress:
- from: [{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [b]}]}}]
""",
    ),
    (
        NETPOL,
        """
podSelector: {}
ingress:
- from: [{namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}}]
  ports: [{port: 8000, endPort: 8100}]
""",
    ),
    (
        NETPOL,
        """
podSelector: {}
policyTypes: [Egress]
egress:
- to: []
- ports: []
""",
    ),
    (
        CNP,
        """
endpointSelector: {matchLabels: {app: web}}
ingress:
- fromEndpoints: [{matchLabels: {app: db}}]
  toPorts: [{ports: [{port: '80', protocol: TCP}]}]
""",
    ),
    (
        CNP,
        """
endpointSelector: {}
ingress: [{fromEndpoints: [{}]}]
egress: [{toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': kube-system, k8s-app: kube-dns}}], toPorts: [{ports: [{port: '53', protocol: ANY}], rules: {dns: [{matchPattern: '*'}]}}]}, {toFQDNs: [{matchName: kubernetes.io}]}]
""",
    ),
    (
        CNP,
        """
endpointSelector: {matchLabels: {app: web}}
ingressDeny: [{fromEntities: [world]}]
ingress: [{fromEntities: [all]}]
""",
    ),
    (
        CNP,
        """
endpointSelector: {matchLabels: {app: web}}
egress: [{toEntities: [cluster]}, {toEntities: [host, kube-apiserver]}]
""",
    ),
    (
        CNP,
        """
endpointSelector: {matchLabels: {app: web}}
enableDefaultDeny: {ingress: false}
ingress: [{fromEndpoints: [{matchLabels: {app: db}}]}]
""",
    ),
    (
        CNP,
        """
endpointSelector: {matchLabels: {app: web}}
egress: [{toCIDR: [203.0.113.0/24], toPorts: [{ports: [{port: '443'}]}]}, {toEndpoints: [{matchExpressions: [{key: 'k8s:io.kubernetes.pod.namespace', operator: In, values: [monitoring, dev]}]}]}]
""",
    ),
    (
        CNP,
        """
endpointSelector: {}
egress: [{toEndpoints: [{matchExpressions: [{key: app, operator: NotIn, values: [db]}]}]}, {icmps: [{fields: [{type: 8}]}]}]
""",
    ),
    (
        CNP,
        """
endpointSelector: {}
ingress: [{}]
egress: []
""",
    ),
    (
        CNP,
        """
endpointSelector: {matchLabels: {app: web}}
ingress: [{toPorts: [{ports: [{port: http, protocol: TCP}]}]}]
""",
    ),
    (
        CNP,
        """
endpointSelector: {}
egress: [{toServices: [{k8sService: {serviceName: api, namespace: shop}}]}]
""",
    ),
    (
        CCNP,
        """
endpointSelector: {matchLabels: {'k8s:io.kubernetes.pod.namespace': shop, app: web}}
ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': monitoring}}]}, {fromEndpoints: [{matchLabels: {app: mon}}]}]
""",
    ),
    (
        CCNP,
        """
endpointSelector: {matchLabels: {app: web}}
egress: [{toEndpoints: [{}]}]
""",
    ),
    (
        CCNP,
        """
endpointSelector: {matchExpressions: [{key: 'k8s:io.kubernetes.pod.namespace', operator: NotIn, values: [kube-system]}]}
ingress: [{fromEntities: [cluster]}]
""",
    ),
]


def converted(text: str, to: str) -> tuple[str, list[dict[str, str]]]:
    found = ANSWERS["convert"]({"file": {"name": "a.yaml", "text": text}, "object": 0, "to": to})
    return found["text"], found["lost"]


def changes(old: str, new: str) -> list[dict[str, object]]:
    """What becomes of every flow among `WORLD`."""
    sides = [[{"name": "w.yaml", "text": WORLD}, {"name": "a.yaml", "text": text}] for text in (old, new)]
    found = ANSWERS["diff"]({"old": sides[0], "new": sides[1]})["groups"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(("kind", "spec"), EXAMPLES)
@pytest.mark.parametrize("to", API_VERSIONS)
def test_there_and_back(kind: str, spec: str, to: str) -> None:
    where = "" if kind == CCNP else ", namespace: shop"
    body = "".join(f"  {line}\n" for line in spec.strip().splitlines())
    text = f"apiVersion: {API_VERSIONS[kind]}\nkind: {kind}\nmetadata: {{name: a{where}}}\nspec:\n{body}"
    other, lost = converted(text, to)
    back, lost_back = converted(other, kind)
    for (old, new), gone in zip(pairwise((text, other, back)), (lost, lost_back), strict=True):
        assert gone or changes(old, new) == []
