"""Forgets connections of UDP that lead to a backend that is gone.

The kernel draws a backend once per connection. For TCP that ends with the backend. A UDP "connection" lives
as long as its client sends, and resolvers send again and again from one port: without this a client of
kube-dns would ask a pod that was deleted until it gives up (kube-proxy does the same, for the same reason).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket

from namewall.model.errors import Cannot
from namewall.model.net import Protocol
from namewall.state.tables import ServiceBackend, VipKey


def forget_stale(services: Mapping[VipKey, tuple[ServiceBackend, ...]]) -> int:
    """Deletes the entries of these VIPs whose other end is no backend of theirs; how many. Raises Cannot.

    An entry that was never translated (made while the rules were missing) counts as stale too.
    """
    forgotten = 0
    try:
        for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
            vips = [
                vip for vip in services if vip.protocol == Protocol.UDP and vip.address.version == version
            ]
            if not vips:
                continue
            with NFCTSocket(nfgen_family=family) as conntrack:
                for vip in vips:
                    forgotten += _forget(conntrack, family, vip, services[vip])
    except NetlinkError as error:
        raise Cannot(f"the kernel's connection table cannot be read: {error}") from error
    return forgotten


def _forget(conntrack: Any, family: int, vip: VipKey, backends: tuple[ServiceBackend, ...]) -> int:
    # The kernel picks the entries: there may be a million of others. By address for IPv4 alone: asked for an
    # IPv6 address it leaves out just the entries that have it (seen on 6.18).
    asked = NFCTAttrTuple(
        family=family,
        daddr=str(vip.address) if family == socket.AF_INET else None,
        proto=int(Protocol.UDP),
        dport=vip.port,
    )
    forgotten = 0
    for entry in list(conntrack.dump(tuple_orig=asked)):
        original = NFCTAttrTuple.from_netlink(family, entry.get_attr("CTA_TUPLE_ORIG"))
        reply = NFCTAttrTuple.from_netlink(family, entry.get_attr("CTA_TUPLE_REPLY"))
        if ip_address(original.daddr) != vip.address or original.dport != vip.port:
            continue
        if ServiceBackend(ip_address(reply.saddr), reply.sport) in backends:
            continue
        # It may have ended meanwhile.
        with contextlib.suppress(NetlinkError):
            conntrack.entry("del", tuple_orig=original)
            forgotten += 1
    return forgotten
