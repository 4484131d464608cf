"""Flows as JSON: the fields of Hubble's flow.proto, as `hubble observe -o jsonpb` writes them.

Fields that have no value are left out, as protobuf's JSON does. What Hubble has no field for stands under
`namewall` (`flow_dict(..., ours=True)`), never under a name of Hubble's. Drop reasons from 220 on are ours:
where Hubble's enumeration ends, the names go on.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from namewall.model.flow import MatchType
from namewall.model.net import Direction, Protocol
from namewall.policy.map_state import RuleOrigin
from namewall.state.observed import Dns, End, EventKind, Observed, PolicyRef

Json = dict[str, Any]

TCP_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
"""Bit 0 first."""
TO_ENDPOINT, TO_STACK = 0, 3
"""Trace observation points of the monitor."""

QUERY_TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    35: "NAPTR",
    43: "DS",
    48: "DNSKEY",
    64: "SVCB",
    65: "HTTPS",
    255: "ANY",
    257: "CAA",
}
RCODES = {0: "No Error", 1: "Format Error", 2: "Server Failure", 3: "Non-Existent Domain", 5: "Query Refused"}


def query_type(number: int) -> str:
    return QUERY_TYPES.get(number, f"TYPE{number}")


def flow_dict(flow: Observed, node: str, uuid: str, *, ours: bool = False) -> Json:
    """`flow` of Hubble's GetFlowsResponse."""
    found: Json = {"time": timestamp(flow.time), "uuid": uuid, "verdict": flow.verdict.name}
    if flow.reason is not None:
        found["drop_reason"] = int(flow.reason)
    version = flow.source_ip.version
    found["IP"] = {
        "source": str(flow.source_ip),
        "destination": str(flow.destination_ip),
        "ipVersion": f"IPv{version}",
    }
    layer4 = _layer4(flow)
    if layer4:
        found["l4"] = layer4
    found["source"] = _end(flow.source)
    found["destination"] = _end(flow.destination)
    found["Type"] = "L7" if flow.dns is not None else "L3_L4"
    found["node_name"] = node
    if flow.source.names:
        found["source_names"] = list(flow.source.names)
    if flow.destination.names:
        found["destination_names"] = list(flow.destination.names)
    if flow.dns is not None:
        found["l7"] = {
            "type": "RESPONSE" if flow.dns.response else "REQUEST",
            "dns": _dns(flow.dns, observation_source(flow)),
        }
    if flow.reply:
        found["reply"] = True
    found["event_type"] = _event_type(flow)
    for name, end in (("source_service", flow.source), ("destination_service", flow.destination)):
        if end.service is not None:
            found[name] = {"name": end.service[1], "namespace": end.service[0]}
    found["traffic_direction"] = flow.direction.name
    if flow.match is not MatchType.NONE:
        found["policy_match_type"] = int(flow.match)
    if flow.kind is EventKind.TRACE:
        found["trace_observation_point"] = (
            "TO_ENDPOINT" if flow.direction is Direction.INGRESS else "TO_STACK"
        )
    if flow.reason is not None:
        found["drop_reason_desc"] = flow.reason.name
    if flow.reply is not None:
        found["is_reply"] = flow.reply
    found["Summary"] = summary(flow)
    field = f"{flow.direction.name.lower()}_{'allowed' if flow.reason is None else 'denied'}_by"
    if flow.grounds.rules:
        found[field] = [_policy(origin) for origin in flow.grounds.rules]
    if flow.grounds.logs:
        found["policy_log"] = list(flow.grounds.logs)
    if ours:
        found["namewall"] = _ours(flow)
    return found


def response(flow: Json) -> Json:
    """A whole line of `hubble observe -o jsonpb`."""
    return {"flow": flow, "node_name": flow["node_name"], "time": flow["time"]}


def lost_events(source: str, number: int) -> Json:
    """Hubble's LostEvent. `source` as its enumeration has it; 64-bit numbers are text in protobuf's JSON."""
    return {"lost_events": {"source": source, "num_events_lost": str(number)}}


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC, with nine digits: protobuf's JSON allows 0, 3, 6 or 9."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    days, second = divmod(seconds, 86400)
    year, month, day = _date(days)
    return (
        f"{year:04}-{month:02}-{day:02}T"
        f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{rest:09}Z"
    )


def _date(days: int) -> tuple[int, int, int]:
    found = date.fromordinal(719163 + days)
    return found.year, found.month, found.day


def summary(flow: Observed) -> str:
    """What stands in parentheses at the end of a compact line."""
    if flow.dns is not None:
        text = _dns_summary(flow.dns, observation_source(flow))
    elif flow.protocol == Protocol.TCP:
        flags = tcp_flags(flow.tcp_flags)
        text = f"TCP Flags: {', '.join(flags)}" if flags else "TCP"
    elif flow.protocol == Protocol.ICMP:
        text = f"ICMPv4 {_ICMP4.get(flow.icmp_type, f'Type({flow.icmp_type})')}"
    elif flow.protocol == Protocol.ICMPV6:
        text = f"ICMPv6 {_ICMP6.get(flow.icmp_type, f'Type({flow.icmp_type})')}"
    elif flow.protocol in (Protocol.UDP, Protocol.SCTP):
        text = Protocol(flow.protocol).name
    else:
        text = f"IP protocol {flow.protocol}" if flow.protocol else "no IP"
    return f"{text}; {flow.times - 1} more like it" if flow.times > 1 else text


_ICMP4 = {
    0: "EchoReply",
    3: "DestinationUnreachable",
    5: "Redirect",
    8: "EchoRequest",
    11: "TimeExceeded",
    13: "TimestampRequest",
}
_ICMP6 = {
    1: "DestinationUnreachable",
    2: "PacketTooBig",
    3: "TimeExceeded",
    128: "EchoRequest",
    129: "EchoReply",
    130: "MulticastListenerQuery",
    131: "MulticastListenerReport",
    132: "MulticastListenerDone",
    133: "RouterSolicitation",
    134: "RouterAdvertisement",
    135: "NeighborSolicitation",
    136: "NeighborAdvertisement",
    137: "Redirect",
    143: "MulticastListenerReport",
}


def tcp_flags(bits: int) -> list[str]:
    """In the order that Hubble says them: SYN and ACK first."""
    order = ("SYN", "ACK", "FIN", "RST", "PSH", "URG", "ECE", "CWR")
    return [name for name in order if bits >> TCP_FLAGS.index(name) & 1]


def protocol_name(flow: Observed) -> str:
    """TCP, UDP, ICMPv4, … or DNS for questions and answers: Hubble's protocol of a flow."""
    if flow.dns is not None:
        return "DNS"
    known = {Protocol.ICMP: "ICMPv4", Protocol.ICMPV6: "ICMPv6"}
    if flow.protocol in known:
        return known[Protocol(flow.protocol)]
    return Protocol(flow.protocol).name if flow.protocol in set(Protocol) - {0} else "Unknown"


def _layer4(flow: Observed) -> Json:
    ports = {"source_port": flow.source_port, "destination_port": flow.destination_port}
    ports = {name: port for name, port in ports.items() if port}
    if flow.protocol == Protocol.TCP:
        flags = dict.fromkeys(tcp_flags(flow.tcp_flags), True)
        return {"TCP": {**ports, "flags": flags} if flags else ports}
    if flow.protocol in (Protocol.UDP, Protocol.SCTP):
        return {Protocol(flow.protocol).name: ports}
    if flow.protocol in (Protocol.ICMP, Protocol.ICMPV6):
        name = "ICMPv4" if flow.protocol == Protocol.ICMP else "ICMPv6"
        return {name: {"type": flow.icmp_type} if flow.icmp_type else {}}
    return {}


def _end(end: End) -> Json:
    found: Json = {}
    if end.endpoint:
        found["ID"] = end.endpoint
    if end.identity:
        found["identity"] = end.identity
    if end.pod:
        found["cluster_name"] = "default"
    if end.namespace:
        found["namespace"] = end.namespace
    if end.labels:
        found["labels"] = list(end.labels)
    if end.pod:
        found["pod_name"] = end.pod
    if end.workloads:
        found["workloads"] = [{"name": name, "kind": kind} for kind, name in end.workloads]
    return found


def observation_source(flow: Observed) -> str:
    """Who saw the question: over UDP the kernel, over TCP the proxy, which is Hubble's word."""
    return "proxy" if flow.protocol == Protocol.TCP else "kernel"


def _dns(dns: Dns, source: str) -> Json:
    found: Json = {"query": dns.query}
    if dns.ips:
        found["ips"] = [str(address) for address in dns.ips]
    if dns.ttl:
        found["ttl"] = dns.ttl
    found["observation_source"] = source
    if dns.rcode:
        found["rcode"] = dns.rcode
    found["qtypes"] = [query_type(dns.query_type)]
    if dns.response and dns.ips:
        found["rrtypes"] = sorted({"A" if address.version == 4 else "AAAA" for address in dns.ips})
    return found


def _dns_summary(dns: Dns, source: str) -> str:
    asked = f"{dns.query} {query_type(dns.query_type)}"
    if not dns.response:
        return f"DNS Query {asked}"
    answer = f"RCode: {RCODES.get(dns.rcode, str(dns.rcode))}" if dns.rcode else ""
    if dns.ips:
        answer = '"' + ",".join(map(str, dns.ips)) + '"'
    return f"DNS Answer {answer} TTL: {dns.ttl} ({source.capitalize()} {asked})"


def _event_type(flow: Observed) -> Json:
    found: Json = {"type": int(flow.kind)}
    if flow.kind is EventKind.DROP and flow.reason is not None:
        found["sub_type"] = int(flow.reason)
    if flow.kind is EventKind.TRACE and flow.direction is Direction.EGRESS:
        found["sub_type"] = TO_STACK
    return found


def _policy(origin: RuleOrigin) -> Json:
    """Hubble's Policy; the rule's path is a label of ours."""
    prefix = "k8s:io.cilium.k8s.policy"
    labels = [f"{prefix}.derived-from={origin.kind}", f"{prefix}.name={origin.name}"]
    if origin.namespace:
        labels.append(f"{prefix}.namespace={origin.namespace}")
    found: Json = {"name": origin.name}
    if origin.namespace:
        found["namespace"] = origin.namespace
    return {**found, "labels": [*labels, f"namewall:rule={origin.rule}"], "kind": origin.kind}


def _ours(flow: Observed) -> Json:
    """What Hubble has no field for."""
    found: Json = {
        "times": flow.times,
        "rules": [
            {"kind": rule.kind, "namespace": rule.namespace, "name": rule.name, "rule": rule.rule}
            for rule in flow.grounds.rules
        ],
        "selected_by": [policy_ref(ref) for ref in flow.grounds.selected_by],
    }
    if flow.source.stale or flow.destination.stale:
        found["names_expired"] = True
    return found


def policy_ref(ref: PolicyRef) -> Json:
    return {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
