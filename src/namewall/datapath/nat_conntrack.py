"""Forgets connections of UDP that lead to a backend that is gone.

The kernel draws a backend once per connection. For TCP that ends with the backend. A UDP "connection" lives
as long as its client sends, and resolvers send again and again from one port: without this a client of
kube-dns would ask a pod that was deleted until it gives up (kube-proxy does the same, for the same reason).

By ctnetlink (linux/netfilter/nfnetlink_conntrack.h) on a plain socket: two messages, and nothing to build but
a filter, for an entry's own attributes name it when it is deleted. pyroute2 would cost the agent 10 MB.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from namewall.model.errors import Cannot
from namewall.model.net import Address, Protocol
from namewall.state.tables import ServiceBackend, VipKey

_NETLINK_NETFILTER = 12
_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_NESTED, _TYPE_MASK = 0x8000, 0x3FFF

_TUPLE_ORIG, _TUPLE_REPLY, _ZONE, _FILTER = 1, 2, 18, 25
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IP_SOURCE, _IP_DESTINATION = {4: 1, 6: 3}, {4: 2, 6: 4}
_PROTO_NUMBER, _PROTO_SOURCE_PORT, _PROTO_DESTINATION_PORT = 1, 2, 3
_FILTER_ORIG_FLAGS = 1
_BY_IP_DESTINATION, _BY_PROTO_NUMBER, _BY_DESTINATION_PORT = 1 << 1, 1 << 3, 1 << 5

Attributes = dict[int, bytes]


def forget_stale(services: Mapping[VipKey, tuple[ServiceBackend, ...]]) -> int:
    """Deletes the entries of these VIPs whose other end is no backend of theirs; how many. Raises Cannot.

    An entry that was never translated (made while the rules were missing) counts as stale too.
    """
    vips = [vip for vip in services if vip.protocol == Protocol.UDP]
    if not vips:
        return 0
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink:
            netlink.bind((0, 0))
            return sum(_forget(netlink, vip, services[vip]) for vip in vips)
    except OSError as error:
        raise Cannot(f"the kernel's connection table cannot be used: {error.strerror}") from error


def _forget(netlink: socket.socket, vip: VipKey, backends: tuple[ServiceBackend, ...]) -> int:
    forgotten = 0
    for entry in list(_ask(netlink, _GET, _DUMP, vip.address.version, _filter(vip))):
        if _end(entry[_TUPLE_ORIG], _IP_DESTINATION, _PROTO_DESTINATION_PORT) != (vip.address, vip.port):
            continue
        if ServiceBackend(*_end(entry[_TUPLE_REPLY], _IP_SOURCE, _PROTO_SOURCE_PORT)) in backends:
            continue
        named = b"".join(
            _attribute(kind, entry[kind & _TYPE_MASK])
            for kind in (_TUPLE_ORIG | _NESTED, _ZONE)
            if kind & _TYPE_MASK in entry
        )
        try:
            list(_ask(netlink, _DELETE, _ACK, vip.address.version, named))
            forgotten += 1
        except OSError as error:
            # It may have ended meanwhile.
            if error.errno != errno.ENOENT:
                raise
    return forgotten


def _filter(vip: VipKey) -> bytes:
    """The kernel picks the entries: there may be a million of others.

    By address for IPv4 alone: asked for an IPv6 address it finds none of the entries that have it (seen on
    6.18).
    """
    flags = _BY_PROTO_NUMBER | _BY_DESTINATION_PORT
    wanted = _attribute(
        _TUPLE_PROTO | _NESTED,
        _attribute(_PROTO_NUMBER, bytes((vip.protocol,)))
        + _attribute(_PROTO_DESTINATION_PORT, struct.pack("!H", vip.port)),
    )
    if vip.address.version == 4:
        flags |= _BY_IP_DESTINATION
        wanted += _attribute(_TUPLE_IP | _NESTED, _attribute(_IP_DESTINATION[4], vip.address.packed))
    chosen = _attribute(_FILTER_ORIG_FLAGS, struct.pack("=I", flags))
    return _attribute(_TUPLE_ORIG | _NESTED, wanted) + _attribute(_FILTER | _NESTED, chosen)


def _end(flow: bytes, address_kind: Mapping[int, int], port_kind: int) -> tuple[Address, int]:
    """One end of a tuple: address and port."""
    parts = _attributes(flow)
    addresses, protocol = _attributes(parts[_TUPLE_IP]), _attributes(parts[_TUPLE_PROTO])
    packed = next(addresses[kind] for kind in address_kind.values() if kind in addresses)
    return ip_address(packed), int.from_bytes(protocol[port_kind], "big")


def _ask(
    netlink: socket.socket, kind: int, flags: int, version: int, attributes: bytes
) -> Iterator[Attributes]:
    """One request and the entries it is answered with. Raises OSError."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    length = 16 + 4 + len(attributes)
    header = struct.pack("=IHHII", length, kind, _REQUEST | flags, 1, 0)
    netlink.send(header + struct.pack("=BBH", family, 0, 0) + attributes)
    while True:
        datagram = netlink.recv(1 << 17)
        at = 0
        while at + 16 <= len(datagram):
            length, answer = struct.unpack_from("=IH", datagram, at)
            if answer == _ERROR:
                (code,) = struct.unpack_from("=i", datagram, at + 16)
                if code:
                    raise OSError(-code, os.strerror(-code))
                return
            if answer == _DONE:
                return
            yield _attributes(datagram[at + 20 : at + length])
            at += (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(octets: bytes) -> Attributes:
    found: Attributes = {}
    at = 0
    while at + 4 <= len(octets):
        length, kind = struct.unpack_from("=HH", octets, at)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = octets[at + 4 : at + length]
        at += (length + 3) & ~3
    return found
