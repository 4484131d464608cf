"""Addresses as 16 bytes in network order, IPv4 as ::ffff:a.b.c.d: as the kernel's tables and our store have them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from namewall.model.net import Address

_MAPPED = bytes(10) + b"\xff\xff"


def pack_address(address: Address) -> bytes:
    return _MAPPED + address.packed if isinstance(address, IPv4Address) else address.packed


def unpack_address(raw: bytes) -> Address:
    return IPv4Address(raw[12:]) if raw.startswith(_MAPPED) else IPv6Address(raw)
