"""Drop reasons in words, as Cilium's monitor and Hubble's compact output say them."""

from __future__ import annotations

from namewall.model.flow import DropReason

_WORDS = {
    DropReason.INVALID_SOURCE_MAC: "Invalid source mac",
    DropReason.INVALID_SOURCE_IP: "Invalid source ip",
    DropReason.POLICY_DENIED: "Policy denied",
    DropReason.INVALID_PACKET_DROPPED: "Invalid packet",
    DropReason.CT_TRUNCATED_OR_INVALID_HEADER: "CT: Truncated or invalid header",
    DropReason.CT_MISSING_TCP_ACK_FLAG: "CT: Missing TCP ACK flag",
    DropReason.CT_UNKNOWN_L4_PROTOCOL: "CT: Unknown L4 protocol",
    DropReason.UNSUPPORTED_L3_PROTOCOL: "Unsupported L3 protocol",
    DropReason.IP_FRAGMENTATION_NOT_SUPPORTED: "IP fragmentation not supported",
    DropReason.SERVICE_BACKEND_NOT_FOUND: "Service backend not found",
    DropReason.NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION: (
        "No configuration available to perform policy decision"
    ),
    DropReason.FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND: "First logical datagram fragment not found",
    DropReason.FORBIDDEN_ICMPV6_MESSAGE: "Forbidden ICMPv6 message",
    DropReason.PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL: "Proxy redirection not supported for protocol",
    DropReason.POLICY_DENY: "Policy denied by denylist",
    DropReason.VLAN_FILTERED: "VLAN traffic disallowed by VLAN filter",
    DropReason.IP_OPTIONS: "IP options not allowed",
}


def drop_words(reason: DropReason) -> str:
    """`POLICY_DENIED` → `Policy denied`; a reason of ours that Cilium does not know reads as its name does."""
    known = _WORDS.get(reason)
    if known is not None:
        return known
    words = reason.name.replace("_", " ").lower().capitalize()
    return (
        words.replace("Dns", "DNS")
        .replace("Tls", "TLS")
        .replace("Dhcp", "DHCP")
        .replace("Icmp", "ICMP")
        .replace(" arp", " ARP")
    )
