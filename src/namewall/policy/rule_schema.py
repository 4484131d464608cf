"""The OpenAPI v3 schema of one policy rule (`spec`, and each of `specs`): field by field, with its meaning.

Structural as Kubernetes wants it for a CRD, and as narrow as Cilium's: what this schema refuses, Cilium's API
server refuses. `policy.schema` wraps it in kinds, `policy.structural` validates with it, kubectl explains by it.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

LABEL_VALUE = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
MATCH_NAME = "^([-a-zA-Z0-9_]+[.]?)+$"
MATCH_PATTERN = "^([-a-zA-Z0-9_*]+[.]?)+$"
PORT_NUMBER = "6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4}"
SERVICE_NAME = "([a-zA-Z0-9]-?)*[a-zA-Z](-?[a-zA-Z0-9])*"
PORT = f"^({PORT_NUMBER})|{SERVICE_NAME}$"
SERVER_NAME = "^([-a-zA-Z0-9_*]+[.]?)+$"
LOG_VALUE = r"^\PC*$"
GROUP_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

ICMP4_TYPES = {
    "EchoReply": 0,
    "DestinationUnreachable": 3,
    "Redirect": 5,
    "Echo": 8,
    "EchoRequest": 8,
    "RouterAdvertisement": 9,
    "RouterSelection": 10,
    "TimeExceeded": 11,
    "ParameterProblem": 12,
    "Timestamp": 13,
    "TimestampReply": 14,
    "Photuris": 40,
    "ExtendedEchoRequest": 42,
    "ExtendedEchoReply": 43,
}
ICMP6_TYPES = {
    "DestinationUnreachable": 1,
    "PacketTooBig": 2,
    "TimeExceeded": 3,
    "ParameterProblem": 4,
    "EchoRequest": 128,
    "EchoReply": 129,
    "MulticastListenerQuery": 130,
    "MulticastListenerReport": 131,
    "MulticastListenerDone": 132,
    "RouterSolicitation": 133,
    "RouterAdvertisement": 134,
    "NeighborSolicitation": 135,
    "NeighborAdvertisement": 136,
    "RedirectMessage": 137,
    "RouterRenumbering": 138,
    "ICMPNodeInformationQuery": 139,
    "ICMPNodeInformationResponse": 140,
    "InverseNeighborDiscoverySolicitation": 141,
    "InverseNeighborDiscoveryAdvertisement": 142,
    "HomeAgentAddressDiscoveryRequest": 144,
    "HomeAgentAddressDiscoveryReply": 145,
    "MobilePrefixSolicitation": 146,
    "MobilePrefixAdvertisement": 147,
    "DuplicateAddressRequestCodeSuffix": 157,
    "DuplicateAddressConfirmationCodeSuffix": 158,
    "ExtendedEchoRequest": 160,
    "ExtendedEchoReply": 161,
}

# The schema's pattern spells one name with a space ("ExtendedEcho Reply"), as Cilium's does: the name is refused.
_ICMP_NAMES = dict.fromkeys([*ICMP4_TYPES, *ICMP6_TYPES])
ICMP_TYPE = (
    "^([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]|"
    + "|".join("ExtendedEcho Reply" if name == "ExtendedEchoReply" else name for name in _ICMP_NAMES)
    + ")$"
)

ENTITIES = (
    "all",
    "world",
    "cluster",
    "host",
    "init",
    "ingress",
    "unmanaged",
    "remote-node",
    "health",
    "none",
    "kube-apiserver",
)
PROTOCOLS = ("TCP", "UDP", "SCTP", "VRRP", "IGMP", "ANY")
MAX_PORTS = 40
MAX_NAME = 255


def an_object(
    description: str, properties: Schema, required: tuple[str, ...] = (), more: Schema | None = None
) -> Schema:
    schema: Schema = {"type": "object", "description": description, "properties": properties, **(more or {})}
    if required:
        schema["required"] = list(required)
    return schema


def a_list(description: str, items: Schema, **more: Any) -> Schema:
    return {"type": "array", "description": description, "items": items, **more}


def a_string(description: str = "", **more: Any) -> Schema:
    return {"type": "string", **({"description": description} if description else {}), **more}


def exactly_one(*names: str) -> list[Schema]:
    return [{"properties": {name: {}}, "required": [name]} for name in names]


def label_selector(description: str) -> Schema:
    expression = an_object(
        "One condition on a label; all conditions of a selector must hold.",
        {
            "key": a_string(
                "The label's key; text before the first `:` is its source (`k8s:app`, `reserved:host`)."
            ),
            "operator": a_string(
                "In and NotIn compare with `values`; Exists and DoesNotExist take none. NotIn also holds where the "
                "label is missing.",
                enum=["In", "NotIn", "Exists", "DoesNotExist"],
            ),
            "values": a_list(
                "Values to compare with; must be given for In and NotIn, must be absent otherwise.",
                a_string(),
                **{"x-kubernetes-list-type": "atomic"},
            ),
        },
        ("key", "operator"),
    )
    return an_object(
        description,
        {
            "matchExpressions": a_list(
                "Conditions on labels, all of which must hold.",
                expression,
                **{"x-kubernetes-list-type": "atomic"},
            ),
            "matchLabels": {
                "type": "object",
                "description": "Labels and the values they must have, all of them.",
                "additionalProperties": a_string(maxLength=63, pattern=LABEL_VALUE),
            },
        },
        more={"x-kubernetes-map-type": "atomic"},
    )


def name_item(where: str) -> Schema:
    return an_object(
        f"One name or pattern {where}; exactly one of matchName and matchPattern.",
        {
            "matchName": a_string(
                "A DNS name, compared whole and without regard to case; a trailing dot makes no difference.",
                maxLength=MAX_NAME,
                pattern=MATCH_NAME,
            ),
            "matchPattern": a_string(
                "A DNS name with wildcards: `*` is zero or more characters within one label (it never crosses a "
                "dot), a leading `**.` is one or more whole labels, and `*` alone is every name.",
                maxLength=MAX_NAME,
                pattern=MATCH_PATTERN,
            ),
        },
        more={"oneOf": exactly_one("matchName", "matchPattern")},
    )


def _port() -> Schema:
    return an_object(
        "A port, or a range of ports, of one transport protocol.",
        {
            "port": a_string("A number, or the name of a container port. `0` is every port.", pattern=PORT),
            "endPort": {
                "type": "integer",
                "format": "int32",
                "minimum": 0,
                "maximum": 65535,
                "description": "The last port of a range that begins with `port`.",
            },
            "protocol": a_string(
                "The transport protocol; ANY (also when it is left out) is TCP, UDP and SCTP.",
                enum=list(PROTOCOLS),
            ),
        },
    )


def _secret(description: str) -> Schema:
    return an_object(
        description,
        {"name": a_string("The Secret's name."), "namespace": a_string("The Secret's namespace.")},
        ("name",),
    )


def _tls(description: str) -> Schema:
    return an_object(
        description,
        {
            "certificate": a_string(
                "The key within the Secret that holds the certificate; `tls.crt` by default."
            ),
            "privateKey": a_string(
                "The key within the Secret that holds the private key; `tls.key` by default."
            ),
            "secret": _secret("The Secret with certificate, private key or trusted authorities."),
            "trustedCA": a_string(
                "The key within the Secret that holds trusted authorities; `ca.crt` by default."
            ),
        },
        ("secret",),
    )


def _l7_rules() -> Schema:
    header_match = an_object(
        "A header and what it must hold.",
        {
            "mismatch": a_string("What to do on a mismatch.", enum=["LOG", "ADD", "DELETE", "REPLACE"]),
            "name": a_string("The header's name.", minLength=1),
            "secret": _secret("A Secret that holds the value."),
            "value": a_string("The header's value."),
        },
        ("name",),
    )
    http = an_object(
        "One kind of HTTP request. Namewall validates HTTP rules but cannot enforce them.",
        {
            "headerMatches": a_list("Headers that must be present and match.", header_match),
            "headers": a_list("Headers that must be present.", a_string()),
            "host": a_string("Extended POSIX regular expression for the host.", format="idn-hostname"),
            "method": a_string("Extended POSIX regular expression for the method."),
            "path": a_string("Extended POSIX regular expression for the path."),
        },
    )
    kafka = an_object(
        "One kind of Kafka request. Namewall validates Kafka rules but cannot enforce them.",
        {
            "apiKey": a_string("The API key, as `fetch`; not together with `role`."),
            "apiVersion": a_string("The API version, a whole number."),
            "clientID": a_string("The client identifier."),
            "role": a_string("A group of API keys.", enum=["produce", "consume"]),
            "topic": a_string("The topic.", maxLength=255),
        },
    )
    return an_object(
        "What may be said on these ports, beyond addresses and ports; exactly one protocol.",
        {
            "dns": a_list(
                "DNS names that may be asked for. An empty list restricts nothing.", name_item("to ask for")
            ),
            "http": a_list("HTTP requests that may pass.", http),
            "kafka": a_list("Kafka requests that may pass.", kafka),
            "l7": a_list(
                "Key-value rules of the protocol named in `l7proto`.",
                {"type": "object", "additionalProperties": a_string()},
            ),
            "l7proto": a_string("The name of a protocol parser. Namewall cannot enforce it."),
        },
        more={"oneOf": exactly_one("http", "kafka", "dns", "l7proto")},
    )


def _to_ports(deny: bool) -> Schema:
    properties: Schema = {
        "ports": a_list("Ports, any of which may fit.", _port(), maxItems=MAX_PORTS),
    }
    if not deny:
        properties |= {
            "rules": _l7_rules(),
            "listener": an_object(
                "An Envoy listener to send the traffic through. Namewall cannot enforce it.",
                {
                    "envoyConfig": an_object(
                        "The object that defines the listener.",
                        {
                            "kind": a_string(
                                "Its kind.", enum=["CiliumEnvoyConfig", "CiliumClusterwideEnvoyConfig"]
                            ),
                            "name": a_string("Its name.", minLength=1),
                        },
                        ("name",),
                    ),
                    "name": a_string("The listener's name.", minLength=1),
                    "priority": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": 100,
                        "description": "Lower goes first where several listeners fit.",
                    },
                },
                ("envoyConfig", "name"),
            ),
            "originatingTLS": _tls("TLS towards the destination. Namewall cannot enforce it."),
            "terminatingTLS": _tls("TLS towards the source. Namewall cannot enforce it."),
            "serverNames": a_list(
                "Server names (SNI) that may be asked for. Namewall cannot enforce it.",
                a_string(pattern=SERVER_NAME, maxLength=MAX_NAME),
                minItems=1,
            ),
        }
    return a_list(
        "Ports of the destination, any of which may fit; none given (or an empty list) is every port and protocol.",
        an_object("Ports" + ("." if deny else ", and what may be said on them."), properties),
    )


def _icmps() -> Schema:
    field = an_object(
        "One ICMP type.",
        {
            "family": a_string(
                "IPv4 is ICMP, IPv6 is ICMPv6; IPv4 when left out.", enum=["IPv4", "IPv6"], default="IPv4"
            ),
            "type": {
                "x-kubernetes-int-or-string": True,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "pattern": ICMP_TYPE,
                "description": "The ICMP type: its number (0 to 255) or its name in CamelCase, as EchoRequest.",
            },
        },
        ("type",),
    )
    return a_list(
        "ICMP types that fit. Not together with toPorts.",
        an_object("ICMP types.", {"fields": a_list("ICMP types, any of which may fit.", field, maxItems=40)}),
    )


def _cidr_set(verb: str) -> Schema:
    return a_list(
        f"Address ranges, each less its exceptions, or groups of ranges, {verb}.",
        an_object(
            "Exactly one of cidr, cidrGroupRef and cidrGroupSelector, less the addresses in `except`.",
            {
                "cidr": a_string("A range, as 203.0.113.0/24; host bits may be set.", format="cidr"),
                "cidrGroupRef": a_string("The name of a CiliumCIDRGroup.", maxLength=253, pattern=GROUP_NAME),
                "cidrGroupSelector": label_selector("Selects CiliumCIDRGroups by their labels."),
                "except": a_list(
                    "Ranges within `cidr` that this item does not select. They are not denied: another rule may "
                    "allow them.",
                    a_string(format="cidr"),
                ),
            },
            more={"oneOf": exactly_one("cidr", "cidrGroupRef", "cidrGroupSelector")},
        ),
    )


def _groups() -> Schema:
    return a_list(
        "Address groups of a cloud provider. Namewall cannot enforce them.",
        an_object(
            "One group.",
            {
                "aws": an_object(
                    "A group of AWS instances.",
                    {
                        "labels": {
                            "type": "object",
                            "additionalProperties": a_string(),
                            "description": "Tags.",
                        },
                        "region": a_string("The region."),
                        "securityGroupsIds": a_list("Security groups by id.", a_string()),
                        "securityGroupsNames": a_list("Security groups by name.", a_string()),
                    },
                )
            },
        ),
    )


def _peers(prefix: str, who: str) -> Schema:
    verb = f"that traffic may {'come from' if prefix == 'from' else 'go to'}"
    return {
        f"{prefix}Endpoints": a_list(
            f"Endpoints (pods) {verb}, chosen by labels. Without a namespace label a selector means the policy's own "
            "namespace; an empty list selects nothing.",
            label_selector("Labels of the endpoints."),
        ),
        f"{prefix}Entities": a_list(
            f"Well-known groups of peers {verb}.",
            a_string("A well-known group of peers.", enum=list(ENTITIES)),
        ),
        f"{prefix}CIDR": a_list(
            f"Address ranges outside the cluster {verb}, as 203.0.113.0/24. Pods and nodes are never matched.",
            a_string(format="cidr"),
        ),
        f"{prefix}CIDRSet": _cidr_set(verb),
        f"{prefix}Nodes": a_list(
            f"Nodes {verb}. Namewall cannot enforce it.", label_selector("Labels of the nodes.")
        ),
        f"{prefix}Groups": _groups(),
    }


def _direction_rule(prefix: str, deny: bool) -> Schema:
    properties = _peers(prefix, prefix)
    properties["toPorts"] = _to_ports(deny)
    properties["icmps"] = _icmps()
    if prefix == "to":
        properties["toServices"] = a_list(
            "Kubernetes Services that traffic may go to, by name or by labels; the Service's own endpoints are meant.",
            an_object(
                "One Service, or all that a selector finds.",
                {
                    "k8sService": an_object(
                        "A Service by name.",
                        {
                            "serviceName": a_string("The Service's name."),
                            "namespace": a_string("The Service's namespace."),
                        },
                    ),
                    "k8sServiceSelector": an_object(
                        "Services by labels.",
                        {
                            "selector": label_selector("Labels of the Services."),
                            "namespace": a_string("Only Services of this namespace; all when left out."),
                        },
                        ("selector",),
                    ),
                },
            ),
        )
        if not deny:
            properties["toFQDNs"] = a_list(
                "DNS names whose addresses traffic may go to. Addresses are learned from the DNS answers this "
                "endpoint gets, for as long as they live; a rule must allow the endpoint to ask (see "
                "toPorts.rules.dns).",
                name_item("whose addresses may be reached"),
            )
    if not deny:
        properties["authentication"] = an_object(
            "Mutual authentication between the peers. Namewall cannot enforce any mode but `disabled`.",
            {"mode": a_string("How.", enum=["disabled", "required", "test-always-fail"])},
            ("mode",),
        )
    where = "Traffic into the endpoint" if prefix == "from" else "Traffic out of the endpoint"
    what = "is dropped where this fits, whatever else allows it" if deny else "passes where this fits"
    return an_object(f"{where} {what}: every member given must fit.", properties)


def rule() -> Schema:
    """One rule. A new value with each call: callers may put parts of it where they like."""
    direction_lists = {
        name: a_list(description, _direction_rule(prefix, deny))
        for name, prefix, deny, description in (
            ("ingress", "from", False, "What may come in. `[{}]` allows nothing and so denies all."),
            ("ingressDeny", "from", True, "What must not come in; wins over every allow."),
            ("egress", "to", False, "What may go out. `[{}]` allows nothing and so denies all."),
            ("egressDeny", "to", True, "What must not go out; wins over every allow."),
        )
    }
    properties: Schema = {
        "description": a_string("What the rule is for, in words."),
        "endpointSelector": label_selector(
            "The endpoints (pods) this rule protects; `{}` is every one, of the namespace where the policy has one."
        ),
        "nodeSelector": label_selector(
            "The nodes this rule protects, in a CiliumClusterwideNetworkPolicy. Namewall cannot enforce it."
        ),
        "enableDefaultDeny": an_object(
            "Whether what no rule allows is dropped; by default so in each direction the rule has entries for.",
            {
                "egress": {"type": "boolean", "description": "Drop outgoing traffic that no rule allows."},
                "ingress": {"type": "boolean", "description": "Drop incoming traffic that no rule allows."},
            },
        ),
        "labels": a_list(
            "Labels attached to the rule, shown with its decisions.",
            an_object(
                "A label.",
                {
                    "key": a_string("The label's key."),
                    "source": a_string("Where the label comes from, as `k8s`."),
                    "value": a_string("The label's value."),
                    "cidr": {
                        "type": "object",
                        "description": "Never set by users.",
                        "x-kubernetes-preserve-unknown-fields": True,
                    },
                },
                ("key",),
            ),
        ),
        "log": an_object(
            "Marks in the log of flows.",
            {
                "value": a_string(
                    "Text put into flows that this rule decides.", maxLength=32, pattern=LOG_VALUE
                )
            },
        ),
        **direction_lists,
    }
    return an_object(
        "One rule: whom it protects, and what may pass in each direction.",
        properties,
        more={
            "oneOf": exactly_one("endpointSelector", "nodeSelector"),
            "anyOf": exactly_one("ingress", "ingressDeny", "egress", "egressDeny"),
        },
    )
