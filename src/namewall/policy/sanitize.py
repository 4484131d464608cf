"""What Cilium's agent refuses in a rule that the schema let through (semantics.md section 2).

Reads the raw rule; the schema has been checked before, and values of a wrong type are not handed in. Reports every
problem with its path, in Cilium's words. Changes nothing: how a rule is read is `policy.cilium`'s.

Engine settings are Cilium's defaults: L7 proxy and ICMP rules on; node selector labels and extended IP
protocols off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from namewall.model.errors import Problem, quoted
from namewall.model.kube_names import key_problems, value_problems
from namewall.model.labels import split_key
from namewall.model.memo import remembered
from namewall.model.names import MAX_FQDN
from namewall.policy.rule_schema import ICMP4_TYPES, ICMP6_TYPES, MAX_PORTS, PROTOCOLS
from namewall.policy.selectors import contains, entity_selectors
from namewall.policy.structural import cidr_hint, is_service_name, parse_cidr

Raw = Mapping[str, Any]

LISTS = ("ingress", "ingressDeny", "egress", "egressDeny")
INGRESS_PEERS = ("fromEndpoints", "fromCIDR", "fromCIDRSet", "fromEntities", "fromNodes", "fromGroups")
EGRESS_PEERS = (
    "toEndpoints",
    "toCIDR",
    "toCIDRSet",
    "toEntities",
    "toServices",
    "toFQDNs",
    "toNodes",
    "toGroups",
)
MAX_ICMP_FIELDS = 40


def agent(path: str, message: str, hint: str = "") -> Problem:
    return Problem(path, message, "agent", hint=hint)


# --- label selectors -----------------------------------------------------------------------------------------


@remembered
def _folded(key: str) -> str:
    return ".".join(split_key(key))


def selector(raw: Raw, path: str, fold: Callable[[str], str] = _folded) -> Iterator[Problem]:
    """`fold` makes the key that is checked: in Cilium's selectors one with its source (`k8s:app` as `k8s.app`)."""
    prefix = "invalid label selector: "
    for key, value in (raw.get("matchLabels") or {}).items():
        folded = fold(key)
        for message in key_problems(folded):
            text = f"{prefix}matchLabels: Invalid value: {quoted(folded)}: {message}"
            yield agent(f"{path}.matchLabels.{key}", text)
        for complaint in value_problems(value):
            text = f"{prefix}matchLabels: Invalid value: {quoted(value)}: {complaint}"
            yield agent(f"{path}.matchLabels.{key}", text)
    for index, expression in enumerate(raw.get("matchExpressions") or ()):
        name = f"matchExpressions[{index}]"
        where = f"{path}.{name}"
        operator, values = expression.get("operator", ""), expression.get("values") or []
        folded = fold(expression.get("key", ""))
        for message in key_problems(folded):
            yield agent(f"{where}.key", f"{prefix}{name}.key: Invalid value: {quoted(folded)}: {message}")
        if operator in ("In", "NotIn"):
            if not values:
                yield agent(
                    f"{where}.values",
                    f"{prefix}{name}.values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                )
            for number, value in enumerate(values):
                for complaint in value_problems(value):
                    text = f"{prefix}{name}.values[{number}]: Invalid value: {quoted(value)}: {complaint}"
                    yield agent(f"{where}.values[{number}]", text)
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                yield agent(
                    f"{where}.values",
                    f"{prefix}{name}.values: Forbidden: may not be specified when `operator` is 'Exists' or "
                    "'DoesNotExist'",
                )
        else:
            yield agent(
                f"{where}.operator",
                f"{prefix}{name}.operator: Invalid value: {quoted(operator)}: not a valid selector operator",
            )


# --- peers -----------------------------------------------------------------------------------------------------


def _go_name(member: str) -> str:
    return member[0].upper() + member[1:]


def _cidr(text: str, path: str) -> Iterator[Problem]:
    if not text:
        yield agent(path, "IP must be specified")
        return
    if parse_cidr(text) is None:
        try:
            ip_address(text)  # the agent would take a bare address; the schema does not
        except ValueError:
            yield agent(path, f"unable to parse CIDR: {quoted(text)} is no address and no prefix")


def _cidr_item(item: Raw, path: str) -> Iterator[Problem]:
    given = [item.get("cidr"), item.get("cidrGroupRef")]
    count = sum(1 for text in given if text) + ("cidrGroupSelector" in item)
    if "cidrGroupSelector" in item:
        yield from selector(item["cidrGroupSelector"], f"{path}.cidrGroupSelector", "cidrgroup.{}".format)
    if count == 0:
        yield agent(path, "one of cidr, cidrGroupRef, or cidrGroupSelector is required")
        return
    if count > 1:
        yield agent(path, "more than one of cidr, cidrGroupRef, or cidrGroupSelector may not be set")
        return
    cidr = parse_cidr(item.get("cidr") or "")
    if item.get("cidr") and cidr is None:
        text = f"unable to parse CIDRRule {quoted(item['cidr'])}: not ADDRESS/LENGTH"
        yield agent(f"{path}.cidr", text, cidr_hint(item["cidr"]))
    for index, text in enumerate(item.get("except") or ()):
        where = f"{path}.except[{index}]"
        excluded = parse_cidr(text)
        if excluded is None:
            said = f"netip.ParsePrefix({quoted(text)}): not ADDRESS/LENGTH"
            yield agent(where, said, cidr_hint(text))
        # No more than its base must lie in it.
        elif (
            cidr is not None
            and not contains(cidr, excluded)
            and ip_address(text.partition("/")[0]) not in cidr
        ):
            yield agent(
                where, f"allow CIDR prefix {item['cidr']} does not contain exclude CIDR prefix {text}"
            )


def _entity(name: str, path: str) -> Iterator[Problem]:
    try:
        entity_selectors(name)
    except KeyError:
        yield agent(path, f"unsupported entity: {name}")


def _service(item: Raw, path: str) -> Iterator[Problem]:
    if "k8sServiceSelector" in item:
        chosen = item["k8sServiceSelector"].get("selector") or {}
        yield from selector(chosen, f"{path}.k8sServiceSelector.selector", str)


def _peers(item: Raw, path: str, members: tuple[str, ...]) -> Iterator[Problem]:
    used = [member for member in members if item.get(member)]
    for other in used[1:]:
        yield agent(path, f"combining {_go_name(used[0])} and {_go_name(other)} is not supported yet")
    for member in used:
        check = _CHECKS.get(member.removeprefix("from").removeprefix("to"))
        if check is not None:
            for index, raw in enumerate(item[member]):
                yield from check(raw, f"{path}.{member}[{index}]")
        if member.endswith("Nodes"):
            yield agent(
                f"{path}.{member}",
                'FromNodes/ToNodes rules can only be applied when the "enable-node-selector-labels" flag is set',
            )


_NO_NAME, _NO_PATTERN = re.compile(r"[^-a-zA-Z0-9_.]"), re.compile(r"[^-a-zA-Z0-9_.*]")


def name_item(item: Raw, path: str) -> Iterator[Problem]:
    """One item of toFQDNs or of rules.dns."""
    name, pattern = item.get("matchName") or "", item.get("matchPattern") or ""
    if name and pattern:
        yield agent(path, "only one of MatchName or MatchPattern is allowed in a FQDN/DNS rule")
    if _NO_NAME.search(name):
        text = f"Invalid characters in MatchName: {quoted(name)}. Only 0-9, a-z, A-Z and ., -, _ characters are allowed"
        yield agent(f"{path}.matchName", text)
    if _NO_PATTERN.search(pattern):
        text = (
            f"Invalid characters in MatchPattern: {quoted(pattern)}. "
            "Only 0-9, a-z, A-Z and ., -, _ and * characters are allowed"
        )
        yield agent(f"{path}.matchPattern", text)
    elif len(pattern) > MAX_FQDN:
        text = f"Invalid MatchPattern: {quoted(pattern)}. Must be <= {MAX_FQDN} characters long."
        yield agent(f"{path}.matchPattern", text)


_CHECKS: dict[str, Callable[[Any, str], Iterator[Problem]]] = {
    "Endpoints": selector,
    "Nodes": selector,
    "CIDR": _cidr,
    "CIDRSet": _cidr_item,
    "Entities": _entity,
    "FQDNs": name_item,
    "Services": _service,
}
"""What is said of one item of a peer member; groups are not looked into."""


# --- ports -----------------------------------------------------------------------------------------------------

_GO_INTEGER = re.compile(r"0|0(?:_?[0-7])+|[1-9](?:_?[0-9])*")


@remembered
def parse_port(text: str) -> int | str:
    """A port number as Go reads it with base detection (`010` is 8), or a lower-cased name.

    Raises ValueError with Go's words.
    """
    if is_service_name(text):
        return text.lower()
    if len(text) > 64 or not _GO_INTEGER.fullmatch(text):
        raise ValueError(f"strconv.ParseUint: parsing {quoted(text)}: invalid syntax")
    digits = text.replace("_", "")
    number = int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)
    if number > 65535:
        raise ValueError(f"strconv.ParseUint: parsing {quoted(text)}: value out of range")
    return number


def _port(port: Raw, path: str, dns: bool) -> Iterator[Problem]:
    text, protocol = port.get("port") or "", port.get("protocol") or ""
    if not text:
        yield agent(f"{path}.port", "port must be specified")
    else:
        try:
            number = parse_port(text)
        except ValueError as error:
            yield agent(f"{path}.port", f"unable to parse port: {error}")
        else:
            if dns and isinstance(number, int) and (port.get("endPort") or 0) > number:
                yield agent(f"{path}.endPort", "DNS rules do not support port ranges")
            if protocol in ("VRRP", "IGMP") and text != "0":
                yield agent(f"{path}.port", "port must be empty or 0")
    if protocol and protocol.upper() not in (*PROTOCOLS, "ICMP", "ICMPV6"):
        yield agent(
            f"{path}.protocol", f"invalid protocol {quoted(protocol)}, must be {{ tcp | udp | sctp | any }}"
        )


def has_l7(rules: Raw | None) -> bool:
    """Whether the rules restrict anything: an empty list does not."""
    return (
        rules is not None
        and len(rules) > 0
        and any(rules.get(member) for member in ("http", "kafka", "dns", "l7"))
    )


def _port_rule(item: Raw, path: str, ingress: bool) -> Iterator[Problem]:
    ports, rules = item.get("ports") or [], item.get("rules") or {}
    dns, l7 = bool(rules.get("dns")), has_l7(rules)
    if ingress and dns:
        yield agent(f"{path}.rules.dns", "L7 protocol DNS is not supported on ingress yet")
    if item.get("serverNames") and l7 and "terminatingTLS" not in item:
        yield agent(
            f"{path}.serverNames", "ServerNames are not allowed with L7 rules without TLS termination"
        )
    if "" in (item.get("serverNames") or ()):
        yield agent(f"{path}.serverNames", "empty server name is not allowed")
    if len(ports) > MAX_PORTS:
        yield agent(f"{path}.ports", f"too many ports, the max is {MAX_PORTS}")
    for index, port in enumerate(ports[: MAX_PORTS + 1]):
        where = f"{path}.ports[{index}]"
        yield from _port(port, where, dns)
        protocol = port.get("protocol") or "ANY"
        if l7 and not dns and protocol.upper() != "TCP":
            text = f"L7 rules can only apply to TCP (not {protocol}) except for DNS rules"
            yield agent(f"{where}.protocol", text)
        if l7 and port.get("port") and _is_zero(port["port"]):
            yield agent(f"{where}.port", "L7 rules can not be used when a port is 0")
    if listener := item.get("listener"):
        name = listener.get("name", "")
        if ingress:
            yield agent(f"{path}.listener", f"Listener is not allowed on ingress ({name})")
        if l7:
            yield agent(f"{path}.listener", f"Listener is not allowed with L7 rules ({name})")
    if rules:
        yield from _l7_rules(rules, f"{path}.rules", bool(ports))


def _is_zero(text: str) -> bool:
    try:
        return parse_port(text) == 0
    except ValueError:
        return False


def _l7_rules(rules: Raw, path: str, has_ports: bool) -> Iterator[Problem]:
    kinds = [kind for kind in ("http", "kafka", "dns", "l7proto") if rules.get(kind)]
    if len(kinds) > 1:
        yield agent(path, "multiple L7 protocol rule types specified in single rule")
    if rules.get("l7") and not rules.get("l7proto"):
        yield agent(f"{path}.l7", "'l7' may only be specified when a 'l7proto' is also specified")
    if rules.get("dns") and not has_ports:
        yield agent(f"{path}.dns", "port 53 must be specified for DNS rules")
    for index, item in enumerate(rules.get("dns") or ()):
        yield from name_item(item, f"{path}.dns[{index}]")
    for index, item in enumerate(rules.get("http") or ()):
        for member in ("path", "method"):
            if complaint := regexp_problem(item.get(member) or ""):
                yield agent(f"{path}.http[{index}].{member}", f"error parsing regexp: {complaint}")
    for index, item in enumerate(rules.get("kafka") or ()):
        yield from _kafka(item, f"{path}.kafka[{index}]")


def regexp_problem(text: str) -> str | None:
    """The gross errors of a Go regular expression, in one pass. HTTP rules are not enforced; this is courtesy."""
    depth, index, in_class, repeatable = 0, 0, False, False
    while index < len(text):
        char = text[index]
        if char == "\\":
            if index + 1 == len(text):
                return "trailing backslash at end of expression: ``"
            index, repeatable = index + 1, True
        elif in_class:
            in_class = char != "]"
            repeatable = True
        elif char == "[":
            in_class = True
            index += len(text[index + 1 : index + 3]) - len(text[index + 1 : index + 3].removeprefix("^"))
            index += text[index + 1 : index + 2] == "]"
        elif char == "(":
            depth, repeatable = depth + 1, False
            if text[index + 1 : index + 2] == "?":
                index += 1
        elif char == ")":
            depth, repeatable = depth - 1, True
            if depth < 0:
                return f"unexpected ): `{text}`"
        elif char in "*+?":
            if not repeatable:
                return f"missing argument to repetition operator: `{char}`"
        else:
            repeatable = char not in "|^"
        index += 1
    if in_class:
        return f"missing closing ]: `{text[text.rindex('[') :]}`"
    return f"missing closing ): `{text}`" if depth else None


_KAFKA_KEYS = frozenset(
    [
        "produce",
        "fetch",
        "offsets",
        "metadata",
        "leaderandisr",
        "stopreplica",
        "updatemetadata",
        "controlledshutdown",
        "offsetcommit",
        "offsetfetch",
        "findcoordinator",
        "joingroup",
        "heartbeat",
        "leavegroup",
        "syncgroup",
        "describegroups",
        "listgroups",
        "saslhandshake",
        "apiversions",
        "createtopics",
        "deletetopics",
        "deleterecords",
        "initproducerid",
        "offsetforleaderepoch",
        "addpartitionstotxn",
        "addoffsetstotxn",
        "endtxn",
        "writetxnmarkers",
        "txnoffsetcommit",
        "describeacls",
        "createacls",
        "deleteacls",
        "describeconfigs",
        "alterconfigs",
    ]
)


def _kafka(item: Raw, path: str) -> Iterator[Problem]:
    role, key = item.get("role") or "", item.get("apiKey") or ""
    version, topic = item.get("apiVersion") or "", item.get("topic") or ""
    if role and key:
        yield agent(path, f"cannot set both Role {quoted(role)} and APIKey {quoted(key)} together")
    if key and key.lower() not in _KAFKA_KEYS:
        yield agent(f"{path}.apiKey", f"invalid Kafka APIKey {quoted(key)}")
    if role and role.lower() not in ("produce", "consume"):
        yield agent(f"{path}.role", f"invalid Kafka Role {quoted(role)}")
    if version and not (re.fullmatch(r"\+?[0-9]{1,9}", version) and int(version) <= 32767):
        yield agent(f"{path}.apiVersion", f"invalid Kafka APIVersion {quoted(version)}")
    if len(topic) > 255:
        yield agent(f"{path}.topic", "kafka topic exceeds maximum len of 255")
    elif topic and not re.fullmatch(r"[a-zA-Z0-9\\._-]+", topic):
        yield agent(f"{path}.topic", f"invalid Kafka Topic name {quoted(topic)}")


def _icmps(items: list[Raw], path: str) -> Iterator[Problem]:
    for index, item in enumerate(items):
        fields = item.get("fields") or []
        if len(fields) > MAX_ICMP_FIELDS:
            yield agent(f"{path}[{index}].fields", f"too many types, the max is {MAX_ICMP_FIELDS}")
        for number, field in enumerate(fields[:MAX_ICMP_FIELDS]):
            where = f"{path}[{index}].fields[{number}]"
            family = field.get("family") or "IPv4"
            if family not in ("IPv4", "IPv6"):
                yield agent(f"{where}.family", f"wrong family: {family}")
            kind = field.get("type")
            known = ICMP6_TYPES if family == "IPv6" else ICMP4_TYPES
            if isinstance(kind, str) and not kind.isdecimal() and kind not in known:
                yield agent(f"{where}.type", f"ICMP type {kind} not found in {family}")


# --- the rule --------------------------------------------------------------------------------------------------


def rule(raw: Raw, path: str, clusterwide: bool) -> Iterator[Problem]:
    """Every problem of one spec."""
    has_endpoint, has_node = "endpointSelector" in raw, "nodeSelector" in raw
    if has_node and not clusterwide:
        yield agent(f"{path}.nodeSelector", "rule cannot have NodeSelector")
    if not has_endpoint and not has_node:
        yield agent(path, "rule must have one of EndpointSelector or NodeSelector")
    if has_endpoint and has_node:
        yield agent(path, "rule cannot have both EndpointSelector and NodeSelector")
    for member in ("endpointSelector", "nodeSelector"):
        if member in raw:
            yield from selector(raw[member], f"{path}.{member}")
    for number, label in enumerate(raw.get("labels") or ()):
        if label.get("key") == "":
            yield agent(f"{path}.labels[{number}].key", "invalid Label: it does not contain label key")
    if not any(raw.get(name) for name in LISTS):
        yield agent(path, "rule must have at least one of Ingress, IngressDeny, Egress, EgressDeny")
    for name in LISTS:
        ingress = name.startswith("ingress")
        for index, item in enumerate(raw.get(name) or ()):
            where = f"{path}.{name}[{index}]"
            yield from _peers(item, where, INGRESS_PEERS if ingress else EGRESS_PEERS)
            if item.get("icmps") and item.get("toPorts"):
                yield agent(
                    where,
                    "the ICMPs block may only be present without ToPorts. Define a separate rule to use ToPorts",
                )
            for number, port_rule in enumerate(item.get("toPorts") or ()):
                yield from _port_rule(port_rule, f"{where}.toPorts[{number}]", ingress)
                rules = port_rule.get("rules") or {}
                # Questions of a node's own are judged by its proxy (EgressRule.Validate).
                if has_node and (rules.get("http") or rules.get("kafka")):
                    yield agent(
                        f"{where}.toPorts[{number}].rules", "host policies do not support L7 rules yet"
                    )
            yield from _icmps(item.get("icmps") or [], f"{where}.icmps")
