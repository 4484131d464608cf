"""The scenario document as a structural schema: the one description of its fields.

`scenario_parse` checks documents against it (every problem with its path), docs/schemas/ is written from it. Fields
are those of the conformance data (namespaces, policies, endpoints, externals, queries), and ours beside them:
addresses of endpoints, services, CIDR groups, lookups and the time of a query. Unknown fields are errors, since a
misspelt `expect` would make a test that cannot fail.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

PROTOCOLS = ("TCP", "UDP", "SCTP", "ICMP", "ICMPv6")
PORT_PROTOCOLS = PROTOCOLS[:3]
EXPECTATIONS = ("allow", "deny", "refused")
"""`refused`: a DNS question is refused, the one asked or the one a name as a target needs first."""


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _list(description: str, items: Schema) -> Schema:
    return {"type": "array", "description": description, "items": items}


def _object(description: str, properties: dict[str, Schema], *required: str) -> Schema:
    schema: Schema = {"type": "object", "description": description, "properties": properties}
    return {**schema, "required": list(required)} if required else schema


def _anything(description: str) -> Schema:
    return {"description": description, "x-kubernetes-preserve-unknown-fields": True}


_NAME = {"minLength": 1, "maxLength": 253}
_LABELS: Schema = {
    "type": "object",
    "description": "Labels: key to value.",
    "additionalProperties": {"type": "string"},
}
_PORT = {"type": "integer", "minimum": 0, "maximum": 65535}
_TIME = {"type": "number", "minimum": 0}

_NAMED_PORT = _object(
    "A container port that has a name.",
    {
        "name": _text("Its name.", **_NAME),
        "port": {**_PORT, "description": "Its number."},
        "protocol": _text("TCP if left out.", enum=list(PORT_PROTOCOLS)),
    },
    "name",
    "port",
)

ENDPOINT = _object(
    "A pod.",
    {
        "name": _text("Its name.", **_NAME),
        "namespace": _text("`default` if left out.", **_NAME),
        "labels": _LABELS,
        "serviceAccount": _text("`default` if left out."),
        "namedPorts": _list("What port names stand for.", _NAMED_PORT),
        "ips": _list("Its addresses; without any, no CIDR rule can mean it.", _text("An address.")),
        "node": _text("The node it runs on; policy does not ask."),
    },
    "name",
)

SERVICE = _object(
    "A Service: policy judges the way to each of its endpoints, not its own address.",
    {
        "name": _text("Its name.", **_NAME),
        "namespace": _text("`default` if left out.", **_NAME),
        "labels": _LABELS,
        "selector": {**_LABELS, "description": "Which pods of its namespace are its endpoints."},
        "ips": _list("Its cluster addresses.", _text("An address.")),
        "ports": _list(
            "Its ports.",
            _object(
                "One port.",
                {
                    "name": _text("Its name."),
                    "port": {**_PORT, "description": "Where clients connect."},
                    "targetPort": {
                        "x-kubernetes-int-or-string": True,
                        "description": "Where the endpoints listen, a number or a named port; `port` if left out.",
                    },
                    "protocol": _text("TCP if left out.", enum=list(PORT_PROTOCOLS)),
                },
                "port",
            ),
        ),
        "endpoints": _list(
            "The ready ones, pods or addresses; those of `selector` if left out.",
            _text("A pod or an address."),
        ),
    },
    "name",
)

EXTERNAL = _object(
    "An address outside the cluster.",
    {
        "ip": _text("The address."),
        "names": _list(
            "Names it was learned under: a live grant for every endpoint.", _text("A name.", **_NAME)
        ),
    },
    "ip",
)

CIDR_GROUP = _object(
    "A CiliumCIDRGroup.",
    {
        "name": _text("Its name.", **_NAME),
        "labels": _LABELS,
        "externalCIDRs": _list("Its ranges.", _text("A range.", format="cidr")),
    },
    "name",
    "externalCIDRs",
)

LOOKUP = _object(
    "A DNS answer that one endpoint got. It opens its address for that endpoint alone.",
    {
        "from": _text("The endpoint that asked; in a test its `from` if left out."),
        "name": _text("The name asked for.", **_NAME),
        "ip": _text("The address in the answer."),
        "ips": _list("Several addresses of one answer.", _text("An address.")),
        "ttl": {**_TIME, "description": "Seconds; less than 60 count as 60."},
        "at": {**_TIME, "description": "When, in seconds; 0 if left out."},
        "server": _text("Who was asked; the cluster DNS if left out."),
    },
    "name",
)

QUERY = _object(
    "One new connection, or one DNS question, and what is expected of it.",
    {
        "name": _text("What a report calls it."),
        "from": _text(
            "A pod (`NAME`, `pod/NAME`, `NAMESPACE/NAME`), an address, or host, remote-node, kube-apiserver, "
            "health, ingress."
        ),
        "to": _text("As `from`, or `svc/NAME`, or a DNS name; with `:PORT` and `/PROTOCOL` if wanted."),
        "port": {**_PORT, "description": "The destination's port; for ICMP and ICMPv6 the type."},
        "protocol": _text("TCP if left out, UDP for a question.", enum=list(PROTOCOLS)),
        "dns": _text("A DNS question for this name is sent.", **_NAME),
        "at": {**_TIME, "description": "When, in seconds; after the last lookup if left out."},
        "lookups": _list("Lookups of this query alone.", LOOKUP),
        "expect": _anything(f"One of {', '.join(EXPECTATIONS)}, or the answer's fields that matter."),
    },
    "from",
)

EXPECT = _object(
    "What is expected: the fields given are compared, the others are not.",
    {
        **{
            name: {"enum": ["allow", "deny", None], "description": text}
            for name, text in (
                ("egress", "The L3/L4 verdict at the source; null if it is no endpoint."),
                ("ingress", "The L3/L4 verdict at the destination; null if it is no endpoint."),
            )
        },
        "l7dns": {
            "enum": ["allow", "deny", "none", "redirect", None],
            "description": "What becomes of the DNS question, or that one would be judged.",
        },
        "verdict": {"enum": ["allow", "deny"], "description": "allow only if nothing above is deny."},
        "reason": _text("A drop reason, or allowed, no_policy, dns_refused."),
        "rules": _list(
            "The rules that decided.",
            _object(
                "A rule.",
                {
                    "policy": _text("The policy's name."),
                    "kind": _text("The policy's kind."),
                    "namespace": {
                        "type": ["string", "null"],
                        "description": "The policy's namespace; null for clusterwide ones.",
                    },
                    "direction": _text("Seen from the endpoint.", enum=["egress", "ingress"]),
                    "rule": _text("The rule's zero-based path, as spec.egress[1]."),
                },
            ),
        ),
    },
)

SCENARIO = _object(
    "A cluster in small: policies, pods, the outside, and what is asked of them.",
    {
        "id": _anything("What a batch calls it."),
        "name": _text("What a report calls it."),
        "about": _text("A sentence that says what it shows."),
        "features": _list("Tags.", _text("A tag.")),
        "namespaces": _list(
            "Namespaces that have labels.",
            _object("A namespace.", {"name": _text("Its name.", **_NAME), "labels": _LABELS}, "name"),
        ),
        "policies": _list("Policies and CiliumCIDRGroups, as kubectl takes them.", _anything("An object.")),
        "policyFiles": _list("Files or folders of policies, relative to this file.", _text("A path.")),
        "policy_results": _list("What is expected of each policy.", _anything("{name, accepted}.")),
        "endpoints": _list("The pods.", ENDPOINT),
        "externals": _list("Addresses outside the cluster.", EXTERNAL),
        "services": _list("The Services.", SERVICE),
        "cidrGroups": _list("The CiliumCIDRGroups.", CIDR_GROUP),
        "lookups": _list("What endpoints looked up.", LOOKUP),
        "at": {**_TIME, "description": "When queries are asked that do not say so themselves, in seconds."},
        "strictDnsRules": {
            "type": "boolean",
            "description": "Only answers that a `rules.dns` let through teach, as in Cilium (--strict-dns-rules).",
        },
        "queries": _list("What is asked.", QUERY),
        "tests": _list("What is asked, as `queries`; the word that test files use.", QUERY),
    },
)
