"""Asking the DNS from inside a workload, by messages on the wire."""

from __future__ import annotations

import socket

import dns.message
import dns.rcode
import dns.rdatatype
from arena import Place


def ask(
    place: Place, server: str, name: str, kind: str = "A", *, port: int = 53, patience: float = 2.0
) -> dns.message.Message | None:
    """The answer, None where none came."""
    query = dns.message.make_query(name, kind, use_edns=0)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with place.make_socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(patience)
        client.connect((server, port))
        try:
            client.send(query.to_wire())
            return dns.message.from_wire(client.recv(65535))
        except OSError:
            return None


def found(answer: dns.message.Message | None) -> list[str]:
    """The addresses in it."""
    if answer is None:
        return []
    kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
    return [item.address for rrset in answer.answer if rrset.rdtype in kinds for item in rrset]
