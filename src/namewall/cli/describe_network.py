"""Describes who may talk to whom and where: Services, their endpoints, NetworkPolicies."""

from __future__ import annotations

from typing import Any

from namewall.apiserver.columns import format_labels, format_selector, host_port
from namewall.apiserver.values import dig, parse_timestamp
from namewall.cli.describe_text import NONE, Object, Text

MAX_ENDPOINTS = 3


def service(text: Text, obj: Object, events: list[Object] | None, slices: list[Object]) -> None:
    spec = obj["spec"]
    text.metadata(obj)
    text.field("Selector", format_labels(spec.get("selector") or {}))
    text.field("Type", spec.get("type", ""))
    if spec.get("ipFamilyPolicy"):
        text.field("IP Family Policy", spec["ipFamilyPolicy"])
    if spec.get("ipFamilies"):
        text.field("IP Families", ",".join(spec["ipFamilies"]))
    else:
        text.field("IP Families", NONE)
    text.field("IP", spec.get("clusterIP", ""))
    text.field("IPs", ",".join(spec.get("clusterIPs") or []) or NONE)
    if spec.get("externalIPs"):
        text.field("External IPs", ",".join(spec["externalIPs"]))
    if spec.get("loadBalancerIP"):
        text.field("Desired LoadBalancer IP", spec["loadBalancerIP"])
    if spec.get("externalName"):
        text.field("External Name", spec["externalName"])
    for port in spec.get("ports") or ():
        _port(text, port, slices)
    text.field("Session Affinity", spec.get("sessionAffinity", ""))
    if spec.get("externalTrafficPolicy"):
        text.field("External Traffic Policy", spec["externalTrafficPolicy"])
    if spec.get("internalTrafficPolicy"):
        text.field("Internal Traffic Policy", spec["internalTrafficPolicy"])
    if spec.get("trafficDistribution"):
        text.field("Traffic Distribution", spec["trafficDistribution"])
    text.events(events)


def _port(text: Text, port: Object, slices: list[Object]) -> None:
    protocol = port.get("protocol", "TCP")
    text.field("Port", f"{port.get('name') or '<unset>'}\t{port.get('port')}/{protocol}")
    text.field("TargetPort", f"{port.get('targetPort', 0)}/{protocol}")
    if port.get("nodePort"):
        text.field("NodePort", f"{port.get('name') or '<unset>'}\t{port['nodePort']}/{protocol}")
    text.field("Endpoints", _endpoints(slices, port.get("name") or ""))


def _endpoints(slices: list[Object], name: str) -> str:
    if not slices:
        return NONE
    found = [
        host_port(endpoint["addresses"][0], port.get("port"))
        for one in slices
        for port in one.get("ports") or ()
        if (port.get("name") or "") == name
        for endpoint in one.get("endpoints") or ()
        if dig(endpoint, "conditions", "ready", default=True) and endpoint.get("addresses")
    ]
    more = f" + {len(found) - MAX_ENDPOINTS} more..." if len(found) > MAX_ENDPOINTS else ""
    return ",".join(found[:MAX_ENDPOINTS]) + more


def endpoints(text: Text, obj: Object, events: list[Object] | None) -> None:
    text.metadata(obj)
    text.line("Subsets:")
    for subset in obj.get("subsets") or ():
        for title, key in (("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")):
            addresses = ",".join(address["ip"] for address in subset.get(key) or ())
            text.field(title, addresses or NONE, 1)
        if subset.get("ports"):
            text.line("Ports:", 1)
            _ports(text, subset["ports"], 2)
        text.line()
    text.events(events)


def _ports(text: Text, ports: list[Object], level: int) -> None:
    text.line("Name\tPort\tProtocol", level)
    text.line("----\t----\t--------", level)
    for port in ports:
        number = port.get("port")
        shown = "<unset>" if number is None else number
        text.line(f"{port.get('name') or '<unset>'}\t{shown}\t{port.get('protocol', 'TCP')}", level)


def endpoint_slice(text: Text, obj: Object, events: list[Object] | None) -> None:
    text.metadata(obj)
    text.field("AddressType", obj.get("addressType", ""))
    if obj.get("ports"):
        text.line("Ports:")
        _ports(text, obj["ports"], 1)
    else:
        text.line("Ports: <unset>")
    if not obj.get("endpoints"):
        text.line("Endpoints: <none>")
    else:
        text.line("Endpoints:")
        for endpoint in obj["endpoints"]:
            _endpoint(text, endpoint)
    text.events(events)


def _endpoint(text: Text, endpoint: Object) -> None:
    text.field("- Addresses", ", ".join(endpoint.get("addresses") or []) or NONE, 1)
    conditions = endpoint.get("conditions") or {}
    if conditions.get("ready") is not None:
        text.line("Conditions:", 2)
        text.field("Ready", "true" if conditions["ready"] else "false", 3)
    else:
        text.field("Conditions", NONE, 2)
    text.field("Hostname", endpoint.get("hostname") or "<unset>", 2)
    if reference := endpoint.get("targetRef"):
        text.field("TargetRef", f"{reference.get('kind')}/{reference.get('name')}", 2)
    text.field("NodeName", endpoint.get("nodeName") or "<unset>", 2)
    text.field("Zone", endpoint.get("zone") or "<unset>", 2)


# --- NetworkPolicy ----------------------------------------------------------------------------------------


def network_policy(text: Text, obj: Object) -> None:
    """kubectl shows no events of it."""
    from datetime import UTC, datetime

    metadata, spec = obj["metadata"], obj["spec"]
    created = datetime.fromtimestamp(parse_timestamp(metadata["creationTimestamp"]), UTC)
    text.heading(obj)
    text.field("Created on", f"{created:%Y-%m-%d %H:%M:%S} +0000 UTC")
    text.labels("Labels", metadata.get("labels"))
    text.annotations(metadata.get("annotations"))
    text.line("Spec:")
    selector = format_selector(spec.get("podSelector"))
    everywhere = " (Allowing the specific traffic to all pods in this namespace)"
    text.line(f"PodSelector:     {selector}{everywhere if selector == NONE else ''}", 1)
    types = spec.get("policyTypes") or []
    for direction, key, towards in (("ingress", "from", "From"), ("egress", "to", "To")):
        if direction.capitalize() not in types:
            text.line(f"Not affecting {direction} traffic", 1)
            continue
        text.line(f"Allowing {direction} traffic:", 1)
        rules = spec.get(direction) or []
        if not rules:
            text.line(f"<none> (Selected pods are isolated for {direction} connectivity)", 2)
        for index, rule in enumerate(rules):
            _rule(text, rule, key, towards)
            if index < len(rules) - 1:
                text.line("----------", 2)
    text.line(f"Policy Types: {', '.join(types) or NONE}", 1)


def _rule(text: Text, rule: Object, key: str, towards: str) -> None:
    ports = rule.get("ports") or []
    if not ports:
        text.line("To Port: <any> (traffic allowed to all ports)", 2)
    for port in ports:
        protocol, number = port.get("protocol", "TCP"), port.get("port", "<nil>")
        if port.get("endPort") is None:
            text.line(f"To Port: {number}/{protocol}", 2)
        else:
            text.line(f"To Port Range: {number}-{port['endPort']}/{protocol}", 2)
    peers: list[Any] = rule.get(key) or []
    if not peers:
        limit = "source" if key == "from" else "destination"
        text.line(f"{towards}: <any> (traffic not restricted by {limit})", 2)
    for peer in peers:
        text.line(f"{towards}:", 2)
        for title, member in (("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")):
            if peer.get(member) is not None:
                text.line(f"{title}: {format_selector(peer[member])}", 3)
        if block := peer.get("ipBlock"):
            text.line("IPBlock:", 3)
            text.line(f"CIDR: {block.get('cidr')}", 4)
            text.line(f"Except: {', '.join(block.get('except') or [])}", 4)
