"""Hubble's FlowFilter: which flows are meant.

A filter is a JSON object with flow.proto's field names (`source_pod`, `verdict`, …). Every field that is given
must hold, and of a field's values one must; of several filters one must hold. What is not known raises ValueError
with the field's name and what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from namewall.model.identity import Reserved
from namewall.model.labels import LabelView, view
from namewall.model.net import Address, Direction, Protocol
from namewall.policy.map_state import RuleOrigin
from namewall.state.flow_json import protocol_name, tcp_flags
from namewall.state.observed import End, EventKind, Observed, PolicyRef, Verdict

Test = Callable[[Observed], bool]
DEFAULT_NAMESPACE = "default"

EVENT_KINDS = {
    "drop": EventKind.DROP,
    "capture": EventKind.CAPTURE,
    "trace": EventKind.TRACE,
    "policy-verdict": EventKind.POLICY_VERDICT,
    "trace-sock": EventKind.TRACE_SOCK,
    "l7": EventKind.L7,
}
PROTOCOLS = ("tcp", "udp", "icmp", "icmpv4", "icmpv6", "sctp", "dns", "http", "kafka")
"""What a protocol filter may name; the last two never are here."""


def compile_filters(allow: Sequence[Mapping[str, Any]], deny: Sequence[Mapping[str, Any]]) -> Test:
    """As Hubble's whitelist and blacklist: in one of `allow` (or it is empty), and in none of `deny`."""
    allowed = [_one(each) for each in allow]
    denied = [_one(each) for each in deny]

    def test(flow: Observed) -> bool:
        if allowed and not any(one(flow) for one in allowed):
            return False
        return not any(one(flow) for one in denied)

    return test


def _one(wanted: Mapping[str, Any]) -> Test:
    tests: list[Test] = []
    for field, values in wanted.items():
        make = FIELDS.get(field)
        if make is None:
            raise ValueError(f"`{field}` is no field of a flow filter; write one of {', '.join(FIELDS)}")
        if not isinstance(values, list):
            raise ValueError(f"{field}: want a list of values")
        if values:
            tests.append(_any([_made(make, field, value) for value in values]))
    return lambda flow: all(test(flow) for test in tests)


def _made(make: Callable[[Any], Test], field: str, value: Any) -> Test:
    try:
        return make(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{field}: {error}") from None


def _any(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda flow: any(test(flow) for test in tests)


def _source(flow: Observed) -> End:
    return flow.source


def _destination(flow: Observed) -> End:
    return flow.destination


Which = Callable[[Observed], End]


def _named(text: str) -> tuple[str, str]:
    """`ns/prefix` → (ns, prefix); no slash is the namespace `default`, an empty namespace is any."""
    namespace, slash, prefix = text.partition("/")
    return (namespace, prefix) if slash else (DEFAULT_NAMESPACE, text)


def _pod(which: Which, text: str) -> Test:
    namespace, prefix = _named(text)

    def test(flow: Observed) -> bool:
        end = which(flow)
        if not prefix:  # a whole namespace: its Services too
            return bool(end.namespace) and namespace in ("", end.namespace)
        return namespace in ("", end.namespace) and end.pod.startswith(prefix)

    return test


def _service(which: Which, text: str) -> Test:
    namespace, prefix = _named(text)

    def test(flow: Observed) -> bool:
        service = which(flow).service
        return service is not None and namespace in ("", service[0]) and service[1].startswith(prefix)

    return test


def _workload(which: Which, wanted: Mapping[str, str]) -> Test:
    kind, name = wanted.get("kind", "").lower(), wanted.get("name", "")
    return lambda flow: any(
        kind in ("", has_kind.lower()) and name in ("", has_name)
        for has_kind, has_name in which(flow).workloads
    )


_FQDN = re.compile(r"[-a-z0-9_.*]+")


def _fqdn(which: Which, text: str) -> Test:
    """Hubble's: `*` is any run of characters of names, dots among them."""
    pattern = text.strip().lower().removesuffix(".")
    if not _FQDN.fullmatch(pattern):
        raise ValueError(f"`{text}` has a character that names cannot have; `*` stands for any")
    expression = re.compile("[-a-z0-9_.]*".join(map(re.escape, pattern.split("*"))))
    return lambda flow: any(expression.fullmatch(name) for name in which(flow).names)


def _dns_query(text: str) -> Test:
    """A regular expression, searched in the question's name."""
    try:
        expression = re.compile(text)
    except re.error as error:
        raise ValueError(f"`{text}` is no regular expression ({error})") from None
    return lambda flow: flow.dns is not None and expression.search(flow.dns.query) is not None


def _ip(which: Callable[[Observed], Address], text: str) -> Test:
    try:
        network: IPv4Network | IPv6Network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"`{text}` is no address and no prefix; write as 203.0.113.7 or 2001:db8::/32"
        ) from None
    return lambda flow: which(flow) in network


def _port(which: Callable[[Observed], int], text: str) -> Test:
    if not str(text).isdigit() or not 0 < int(text) < 65536:
        raise ValueError(f"`{text}` is no port; write 1 to 65535")
    number = int(text)
    return lambda flow: which(flow) == number


def _identity(which: Which, number: int) -> Test:
    return lambda flow: which(flow).identity == number


def identity_numbers(text: str) -> list[int]:
    """`1234`, `world` (which is of either IP version too), `host`, … ValueError for what is neither."""
    if text.isdigit():
        return [int(text)]
    name = text.upper().replace("-", "_")
    if name == "WORLD":
        return [Reserved.WORLD, Reserved.WORLD_IPV4, Reserved.WORLD_IPV6]
    if name in Reserved.__members__:
        return [Reserved[name]]
    known = ", ".join(member.name.lower().replace("_", "-") for member in Reserved)
    raise ValueError(f"`{text}` is no identity; write a number or one of {known}")


_SET = re.compile(r"(\S+)\s+(in|notin)\s*\(([^()]*)\)")
_PART = re.compile(r"(?:[^,()]|\([^()]*\))+")


def _label(which: Which, text: str) -> Test:
    """kubectl's selector syntax over Cilium's labels; a key without a source is of any source."""
    parts = [_requirement(part.strip()) for part in _PART.findall(text)]
    if not parts:
        raise ValueError("an empty selector selects nothing; write as app=web or reserved:world")

    def test(flow: Observed) -> bool:
        labels = view(_widened(which(flow).labels))
        return all(part(labels) for part in parts)

    return test


def _widened(labels: tuple[str, ...]) -> frozenset[str]:
    """The world of either IP version is the world."""
    world = any(label in ("reserved:world-ipv4", "reserved:world-ipv6") for label in labels)
    return frozenset((*labels, "reserved:world") if world else labels)


def _key(text: str) -> tuple[str, str]:
    source, colon, key = text.strip().partition(":")
    return (source, key) if colon else ("any", source)


def _requirement(text: str) -> Callable[[LabelView], bool]:
    found = _SET.fullmatch(text)
    if found:
        key, values = _key(found[1]), {value.strip() for value in found[3].split(",")}
        if found[2] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if "!=" in text:
        left, _, value = text.partition("!=")
        return partial(_differs, _key(left), value.strip())
    if "=" in text:
        left, _, value = text.replace("==", "=", 1).partition("=")
        return partial(_equals, _key(left), value.strip())
    if text.startswith("!"):
        missing = _key(text[1:])
        return lambda labels: missing not in labels
    if not text or " " in text:
        raise ValueError(f"`{text}` is no label; write as app=web, k8s:app=web, !app or app in (a,b)")
    wanted = _key(text)
    return lambda labels: wanted in labels


def _equals(key: tuple[str, str], value: str, labels: LabelView) -> bool:
    return labels.get(key) == value


def _differs(key: tuple[str, str], value: str, labels: LabelView) -> bool:
    return labels.get(key) != value


def _member(kind: Any, text: str, what: str) -> Any:
    try:
        return kind[str(text).upper()]
    except KeyError:
        names = ", ".join(member.name for member in kind)
        raise ValueError(f"`{text}` is no {what}; write one of {names}") from None


def _verdict(text: str) -> Test:
    wanted = _member(Verdict, text, "verdict")
    return lambda flow: flow.verdict is wanted


def _reason(text: str) -> Test:
    """Names of Hubble's enumeration that nothing here drops for match nothing."""
    name = str(text).upper()
    if not re.fullmatch(r"[A-Z0-9_]+", name):
        raise ValueError(f"`{text}` is no drop reason; write as POLICY_DENIED")
    return lambda flow: flow.reason is not None and flow.reason.name == name


def _direction(text: str) -> Test:
    wanted = _member(Direction, text, "traffic direction")
    return lambda flow: flow.direction is wanted


def _protocol(text: str) -> Test:
    name = str(text).lower()
    if name not in PROTOCOLS:
        raise ValueError(f"`{text}` is no protocol; write one of {', '.join(PROTOCOLS)}")
    if name == "icmp":
        return lambda flow: flow.protocol in (Protocol.ICMP, Protocol.ICMPV6)
    if name.upper() in Protocol.__members__:  # DNS is carried by one of them too
        wanted = Protocol[name.upper()]
        return lambda flow: flow.protocol == wanted
    return lambda flow: protocol_name(flow).lower() == name


def _event_type(wanted: Mapping[str, Any]) -> Test:
    """A drop is a drop whoever judged: policy's verdict and a refused question count as such."""
    if not isinstance(wanted.get("type"), int):
        raise ValueError('want a number as `type`, as {"type": 5}')
    kind, sub_type = wanted["type"], wanted.get("sub_type", 0)
    match_sub_type = bool(wanted.get("match_sub_type"))

    def test(flow: Observed) -> bool:
        if kind == EventKind.DROP:
            if flow.reason is None:
                return False
            return not match_sub_type or int(flow.reason) == sub_type
        if flow.kind != kind:
            return False
        if kind == EventKind.TRACE and match_sub_type:
            return bool(sub_type == (0 if flow.direction is Direction.INGRESS else 3))
        return True

    return test


def _tcp_flags(wanted: Mapping[str, bool]) -> Test:
    names = {name for name, on in wanted.items() if on}
    return lambda flow: names <= set(tcp_flags(flow.tcp_flags))


def _reply(wanted: bool) -> Test:
    return lambda flow: flow.reply is wanted


def _version(text: str) -> Test:
    number = {"ipv4": 4, "ipv6": 6}.get(str(text).lower())
    if number is None:
        raise ValueError(f"`{text}` is no IP version; write IPv4 or IPv6")
    return lambda flow: flow.source_ip.version == number


def _policy(text: str) -> Test:
    """Ours: flows that this policy (`ns/name`, or `name` of any namespace) let pass or kept from passing."""
    namespace, slash, name = str(text).rpartition("/")

    def test(flow: Observed) -> bool:
        grounds = flow.grounds
        policies: list[RuleOrigin | PolicyRef] = [*grounds.rules, *grounds.selected_by]
        return any(ref.name == name and (not slash or ref.namespace == namespace) for ref in policies)

    return test


FIELDS: dict[str, Callable[[Any], Test]] = {
    "source_pod": partial(_pod, _source),
    "destination_pod": partial(_pod, _destination),
    "source_ip": partial(_ip, lambda flow: flow.source_ip),
    "destination_ip": partial(_ip, lambda flow: flow.destination_ip),
    "source_fqdn": partial(_fqdn, _source),
    "destination_fqdn": partial(_fqdn, _destination),
    "source_label": partial(_label, _source),
    "destination_label": partial(_label, _destination),
    "source_service": partial(_service, _source),
    "destination_service": partial(_service, _destination),
    "source_workload": partial(_workload, _source),
    "destination_workload": partial(_workload, _destination),
    "source_identity": partial(_identity, _source),
    "destination_identity": partial(_identity, _destination),
    "source_port": partial(_port, lambda flow: flow.source_port),
    "destination_port": partial(_port, lambda flow: flow.destination_port),
    "traffic_direction": _direction,
    "verdict": _verdict,
    "drop_reason_desc": _reason,
    "event_type": _event_type,
    "protocol": _protocol,
    "tcp_flags": _tcp_flags,
    "reply": _reply,
    "ip_version": _version,
    "dns_query": _dns_query,
    "policy": _policy,
}
