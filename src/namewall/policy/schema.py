"""The structural schemas of the cilium.io/v2 kinds that Namewall serves (semantics.md sections 1, 2, 13).

One definition for three readers: kubectl (discovery, `explain`, validation), the API server (unknown fields,
types) and `policy.parse`, which validates with the very same dicts. Never mutate what `crd_schema` returns.
"""

from __future__ import annotations

from functools import cache

from namewall.policy.rule_schema import Schema, a_list, a_string, an_object, label_selector, rule

__all__ = ["KINDS", "crd_schema", "network_policy_schema"]


def _policy(kind: str, what: str) -> Schema:
    return an_object(
        f"{kind} {what}",
        {
            "apiVersion": a_string("The version of this representation: cilium.io/v2."),
            "kind": a_string(f"{kind}."),
            "metadata": {"type": "object", "description": "Standard object metadata."},
            "spec": rule(),
            "specs": a_list("Further rules; all of spec and specs apply.", rule()),
            "status": an_object(
                "What became of the policy; written by the system.",
                {
                    "conditions": a_list(
                        "Whether the policy is valid and in force.",
                        an_object(
                            "One condition.",
                            {
                                "type": a_string("Its type: Valid, or one of Namewall's own."),
                                "status": a_string("True, False or Unknown."),
                                "reason": a_string("A word for programs."),
                                "message": a_string("A sentence for people."),
                                "lastTransitionTime": a_string(
                                    "When `status` last changed.", format="date-time"
                                ),
                                "observedGeneration": {
                                    "type": "integer",
                                    "format": "int64",
                                    "description": "The generation this condition speaks of.",
                                },
                            },
                            ("type", "status"),
                        ),
                        **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
                    ),
                    "derivativePolicies": {
                        "type": "object",
                        "description": "Policies derived from this one's groups.",
                        "additionalProperties": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": True,
                        },
                    },
                },
            ),
        },
        ("metadata",),
    )


def _integer(description: str) -> Schema:
    return {"type": "integer", "format": "int64", "description": description}


def _endpoint() -> Schema:
    direction = an_object(
        "Enforcement in one direction.",
        {"enforcing": {"type": "boolean"}, "state": a_string("enforcing, non-enforcing or disabled.")},
        ("enforcing",),
    )
    return an_object(
        "CiliumEndpoint is the status of one endpoint (pod); it has the pod's name and namespace.",
        {
            "apiVersion": a_string("The version of this representation: cilium.io/v2."),
            "kind": a_string("CiliumEndpoint."),
            "metadata": {"type": "object", "description": "Standard object metadata."},
            "status": an_object(
                "The endpoint as its node sees it.",
                {
                    "id": _integer("The endpoint's number on its node."),
                    "state": a_string("ready once programs and policy are in force."),
                    "service-account": a_string("The pod's service account."),
                    "identity": an_object(
                        "The endpoint's identity.",
                        {
                            "id": _integer("Its number."),
                            "labels": a_list("Its labels, as `k8s:app=web`, sorted.", a_string()),
                        },
                    ),
                    "networking": an_object(
                        "Where the endpoint is reached.",
                        {
                            "addressing": a_list(
                                "Its addresses, in pairs.",
                                an_object("A pair.", {"ipv4": a_string("IPv4."), "ipv6": a_string("IPv6.")}),
                            ),
                            "node": a_string("The node's address."),
                        },
                        ("addressing",),
                    ),
                    "external-identifiers": an_object(
                        "What others call it.",
                        {},
                        more={"x-kubernetes-preserve-unknown-fields": True},
                    ),
                    "encryption": an_object(
                        "Transport encryption.", {"key": _integer("Key number; 0 is none.")}
                    ),
                    "named-ports": a_list(
                        "Ports of the pod's containers that have a name.",
                        an_object(
                            "A named port.",
                            {
                                "name": a_string("Its name."),
                                "port": _integer("Its number."),
                                "protocol": a_string("Its protocol."),
                            },
                        ),
                    ),
                    "policy": an_object(
                        "Whether policy is enforced.", {"ingress": direction, "egress": dict(direction)}
                    ),
                },
            ),
        },
        ("metadata",),
    )


def _identity() -> Schema:
    return an_object(
        "CiliumIdentity is a set of security labels and its number, which is the object's name.",
        {
            "apiVersion": a_string("The version of this representation: cilium.io/v2."),
            "kind": a_string("CiliumIdentity."),
            "metadata": {"type": "object", "description": "Standard object metadata."},
            "security-labels": {
                "type": "object",
                "description": "The labels that make the identity, as `k8s:app` → `web`.",
                "additionalProperties": a_string(),
            },
        },
        ("metadata", "security-labels"),
    )


def _cidr_group() -> Schema:
    return an_object(
        "CiliumCIDRGroup is a list of address ranges that policies can name.",
        {
            "apiVersion": a_string("The version of this representation: cilium.io/v2."),
            "kind": a_string("CiliumCIDRGroup."),
            "metadata": {"type": "object", "description": "Standard object metadata."},
            "spec": an_object(
                "The ranges.",
                {"externalCIDRs": a_list("Ranges, as 203.0.113.0/24.", a_string(format="cidr"))},
                ("externalCIDRs",),
            ),
        },
        ("metadata", "spec"),
    )


_MAKERS = {
    "CiliumNetworkPolicy": lambda: _policy(
        "CiliumNetworkPolicy", "says what traffic pods of its namespace may send and receive."
    ),
    "CiliumClusterwideNetworkPolicy": lambda: _policy(
        "CiliumClusterwideNetworkPolicy", "says what traffic pods of any namespace may send and receive."
    ),
    "CiliumEndpoint": _endpoint,
    "CiliumIdentity": _identity,
    "CiliumCIDRGroup": _cidr_group,
}
KINDS = tuple(_MAKERS)


@cache
def crd_schema(kind: str) -> Schema:
    """The OpenAPI v3 schema of a cilium.io/v2 kind. Raises KeyError for a kind that is not served."""
    return _MAKERS[kind]()


@cache
def network_policy_schema() -> Schema:
    """networking.k8s.io/v1 NetworkPolicy, as far as `parse` needs it to read one without surprises."""
    selector = label_selector("A label selector.")
    del selector["properties"]["matchLabels"]["additionalProperties"]["pattern"]
    del selector["properties"]["matchLabels"]["additionalProperties"]["maxLength"]
    port = an_object(
        "A port or a range of ports.",
        {
            "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "endPort": {"type": "integer", "format": "int32"},
            "protocol": a_string(enum=["TCP", "UDP", "SCTP"]),
        },
    )
    block = an_object(
        "An address range.", {"cidr": a_string(), "except": a_list("Exceptions.", a_string())}, ("cidr",)
    )
    peer = an_object("A peer.", {"podSelector": selector, "namespaceSelector": selector, "ipBlock": block})
    ports, peers = a_list("Ports.", port), a_list("Peers.", peer)
    return an_object(
        "NetworkPolicy.",
        {
            "apiVersion": a_string(),
            "kind": a_string(),
            "metadata": {"type": "object"},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "spec": an_object(
                "The rules.",
                {
                    "podSelector": selector,
                    "policyTypes": a_list("Directions.", a_string(enum=["Ingress", "Egress"])),
                    "ingress": a_list("Rules.", an_object("A rule.", {"from": peers, "ports": ports})),
                    "egress": a_list("Rules.", an_object("A rule.", {"to": peers, "ports": ports})),
                },
            ),
        },
        ("metadata", "spec"),
    )
