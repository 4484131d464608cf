"""The kernel's tables as they are now, for people: read from the pins, so also while no agent lives.

Nothing here writes or loads. Numbers are told apart by the numbers file of the run directory (datapath/numbers.py);
a number that it does not have any more reads as `?`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

from namewall.datapath import layout, libbpf, objects
from namewall.datapath.maps import PerEndpoint, memory
from namewall.datapath.numbers import read_numbers
from namewall.model.errors import Cannot
from namewall.model.flow import DropReason
from namewall.model.identity import Reserved
from namewall.model.instance import Instance
from namewall.model.net import Address, Direction, Protocol


@dataclass(frozen=True, slots=True)
class EndpointPin:
    """A row of `endpoints`: an interface that is judged."""

    id: int
    scope: int
    slot: int
    ifindex: int
    identity: int
    policy: int
    enforce_ingress: bool
    enforce_egress: bool
    mac: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class PolicyPin:
    """A row of `policies`. `port` is 0 with 0 `port_bits` for every port; for ICMP it is the type.

    `action` is allow, deny or dns (only questions pass, and of these `names`; ["*"]: all). `aside`: it allows, and adds
    no names to those that the dns entries of its peer list for the port.
    """

    policy: int
    direction: str
    peer: str
    identity: int | None
    protocol: str
    port: int
    port_bits: int
    action: str
    names: tuple[str, ...]
    aside: bool


@dataclass(frozen=True, slots=True)
class GrantPin:
    """`selectors` is the name class: every selector that matches the name. `deadline` in seconds of boot time."""

    scope: int
    address: Address
    name_class: int
    selectors: tuple[str, ...]
    deadline: int


@dataclass(frozen=True, slots=True)
class ConnectionPin:
    """`direction` says who began it: EGRESS, the endpoint did. Times are seconds of boot time."""

    endpoint: int
    direction: str
    protocol: str
    local: Address
    remote: Address
    local_port: int
    remote_port: int
    created: int
    expires: int
    replied: bool
    closing: bool
    name_class: int
    selectors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IpcachePin:
    prefix: str
    identity: int
    inside: bool


@dataclass(frozen=True, slots=True)
class ServicePin:
    """`backends` are (identity, target port) pairs; a Service with none drops what is sent to it."""

    address: Address
    port: int
    protocol: str
    backends: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TableSize:
    """`name` as the map is pinned; those of one endpoint carry its number, as `grants/17`."""

    name: str
    used: int
    most: int
    bytes: int

    @property
    def pressure(self) -> float:
        """Percent in use."""
        return 100.0 * self.used / self.most if self.most else 0.0


class Pins:
    """An instance's pinned maps. Raises Cannot where there are none or they may not be read."""

    def __init__(self, instance: Instance) -> None:
        self._numbers = read_numbers(f"{instance.run_dir}/numbers.json")
        folder = objects.epoch_dir(instance.pin_dir, self._numbers.epoch)
        self._maps: dict[str, int] = {}
        if os.path.exists(folder) and not objects.usable(instance.pin_dir, self._numbers):
            raise Cannot(
                "the kernel's tables are of another version of namewall; run `namewall up` of this one"
            )
        try:
            for name in objects.MAPS:
                self._maps[name] = libbpf.open_pin(f"{folder}/{name}")
        except FileNotFoundError:
            self.close()
            raise Cannot(
                f"there are no tables of namewall below `{instance.pin_dir}`; run `namewall up`"
            ) from None
        except OSError as error:
            self.close()
            raise Cannot(f"cannot read the kernel's tables ({error}); it needs root") from error
        self._classes = {number: tuple(sorted(forms)) for forms, number in self._numbers.classes.items()}

    def __enter__(self) -> Pins:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for fd in self._maps.values():
            os.close(fd)
        self._maps = {}

    def endpoints(self) -> list[EndpointPin]:
        found = []
        for key, value in self._dump("endpoints"):
            row = _named(layout.ENDPOINT, value)
            raw = row["addresses"]
            found.append(
                EndpointPin(
                    row["id"],
                    row["scope"],
                    row["slot"],
                    int.from_bytes(key, "little"),
                    row["identity"],
                    row["policy"],
                    bool(row["flags"] & layout.ENFORCE_INGRESS),
                    bool(row["flags"] & layout.ENFORCE_EGRESS),
                    row["mac"].hex(":"),
                    tuple(
                        layout.unpack_address(raw[16 * i : 16 * (i + 1)])
                        for i in range(min(row["address_count"], layout.MAX_ADDRESSES))
                    ),
                )
            )
        return sorted(found, key=lambda row: row.id)

    def policies(self) -> list[PolicyPin]:
        prefixes = {number: str(prefix) for prefix, number in self._numbers.prefixes.items()}
        rules = {number: tuple(sorted(forms)) for forms, number in self._numbers.rules.items()}
        found = []
        for key, value in self._dump("policies"):
            length, policy, peer, direction, protocol, port = layout.POLICY_KEY.unpack(key)
            entry = _named(layout.POLICY_ENTRY, value)
            flags, number = entry["flags"], entry["rules"]
            kind = peer & layout.PEER_NAME
            action = "allow"
            names: tuple[str, ...] = ()
            if flags & layout.POLICY_DENY:
                action = "deny"
            elif flags & layout.POLICY_DNS:
                action = "dns"
                names = ("*",) if flags & layout.POLICY_DNS_ANY else rules.get(number, ("?",))
            found.append(
                PolicyPin(
                    policy,
                    Direction(direction).name,
                    self._peer(peer, prefixes),
                    None if kind or not peer else peer,
                    protocol_word(protocol),
                    int.from_bytes(port, "big"),
                    max(0, length - layout.POLICY_WHOLE - 8),
                    action,
                    names,
                    bool(flags & layout.POLICY_ASIDE),
                )
            )
        return sorted(found, key=lambda r: (r.policy, r.direction, r.peer, r.protocol, r.port, r.port_bits))

    def grants(self) -> list[GrantPin]:
        inner = PerEndpoint(self._maps["grants"])
        found = []
        for endpoint in self.endpoints():
            for key, value in inner.dump(endpoint.slot):
                address = layout.unpack_address(_named(layout.GRANT_KEY, key)["address"])
                for held in layout.unpack_grants(value):
                    if held:
                        number = held >> 32
                        found.append(
                            GrantPin(
                                endpoint.scope, address, number, self.selectors(number), held & 0xFFFFFFFF
                            )
                        )
        return sorted(found, key=lambda row: (row.scope, row.address.version, row.address, row.name_class))

    def connections(self) -> list[ConnectionPin]:
        inner = PerEndpoint(self._maps["connections"])
        found = []
        for endpoint in self.endpoints():
            for key, value in inner.dump(endpoint.slot):
                ends, state = _named(layout.CONNECTION_KEY, key), _named(layout.CONNECTION, value)
                found.append(
                    ConnectionPin(
                        endpoint.id,
                        Direction(state["direction"]).name,
                        protocol_word(ends["protocol"]),
                        layout.unpack_address(ends["local"]),
                        layout.unpack_address(ends["remote"]),
                        ends["local_port"],
                        ends["remote_port"],
                        state["created"],
                        state["expires"],
                        bool(state["flags"] & _REPLIED),
                        bool(state["flags"] & (_FIN | _CLOSING)),
                        state["name_class"],
                        self.selectors(state["name_class"]),
                    )
                )
        return sorted(found, key=lambda row: (row.endpoint, row.created, row.local_port, row.remote_port))

    def ipcache(self) -> list[IpcachePin]:
        found = []
        for key, value in self._dump("ipcache"):
            entry = _named(layout.IPCACHE_ENTRY, value)
            identity, flags = entry["identity"], entry["flags"]
            found.append(
                (_prefix(key), IpcachePin(_text(*_prefix(key)), identity, bool(flags & layout.INSIDE)))
            )
        found.sort(key=lambda pair: (pair[0][0].version, pair[0][0], pair[0][1]))
        return [row for _, row in found]

    def services(self) -> list[ServicePin]:
        found = []
        for key, value in self._dump("services"):
            vip, service = _named(layout.SERVICE_KEY, key), _named(layout.SERVICE, value)
            count, backends = service["count"], service["backends"]
            pairs = []
            for i in range(min(count, layout.MAX_BACKENDS)):
                identity, _, target, _ = layout.BACKEND.unpack_from(backends, i * layout.BACKEND.size)
                pairs.append((identity, target))
            found.append(
                ServicePin(
                    layout.unpack_address(vip["address"]),
                    vip["port"],
                    protocol_word(vip["protocol"]),
                    tuple(pairs),
                )
            )
        return sorted(found, key=lambda row: (row.address.version, row.address, row.port, row.protocol))

    def selectors(self, name_class: int) -> tuple[str, ...]:
        """The selectors of a name class, `fqdn:FORM` and `dns:FORM`; none for class 0."""
        number = name_class & ~layout.CLASS_GRANTS
        return self._classes.get(number, ("?",)) if number else ()

    def drops(self) -> dict[DropReason, int]:
        """Packets dropped since the maps were made."""
        found = {}
        for reason in DropReason:
            total = libbpf.lookup_per_cpu(self._maps["counters"], int(reason).to_bytes(4, "little"))
            if total:
                found[reason] = total
        return found

    def lost_events(self) -> int:
        """Events that found the ring buffer full."""
        return libbpf.lookup_per_cpu(self._maps["counters"], layout.COUNT_LOST)

    def sizes(self) -> list[TableSize]:
        found = [self._size(name, self._maps[name]) for name in _COUNTED]
        for endpoint in self.endpoints():
            for name in _PER_ENDPOINT:
                fd = PerEndpoint(self._maps[name]).open(endpoint.slot)
                if fd is not None:
                    try:
                        found.append(self._size(f"{name}/{endpoint.id}", fd))
                    finally:
                        os.close(fd)
        return found

    def generation(self) -> int:
        """Raised whenever everything known is to be judged again."""
        raw = libbpf.lookup(self._maps["config"], bytes(4), layout.CONFIG.size)
        return int(_named(layout.CONFIG, raw)["generation"]) if raw else 0

    def _size(self, name: str, fd: int) -> TableSize:
        info = libbpf.map_info(fd)
        used = sum(1 for _ in libbpf.dump(fd, info.key_size, info.value_size))
        return TableSize(name, used, info.max_entries, memory(fd))

    def _dump(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        fd = self._maps[name]
        info = libbpf.map_info(fd)
        yield from libbpf.dump(fd, info.key_size, info.value_size)

    def _peer(self, peer: int, prefixes: dict[int, str]) -> str:
        kind, number = peer & layout.PEER_NAME, peer & layout.PEER_NUMBER
        if kind == layout.PEER_NAME:
            return " ".join(self.selectors(number))
        if kind == layout.PEER_CIDR:
            return f"cidr:{prefixes.get(number, '?')}"
        if kind == layout.PEER_CIDR_INSIDE:
            return f"cidr-inside:{prefixes.get(number, '?')}"
        return identity_word(number) if number else "any"


_COUNTED = ("endpoints", "ipcache", "cidrs", "policies", "dns_rules", "services", "trusted")
_PER_ENDPOINT = ("connections", "grants")
_REPLIED, _FIN, _CLOSING = 1, 2 | 4, 8


def identity_word(number: int) -> str:
    """`reserved:host`, or the number of a pod identity."""
    if number in Reserved.__members__.values():
        return f"reserved:{Reserved(number).name.lower().replace('_', '-')}"
    return str(number)


def protocol_word(number: int) -> str:
    return Protocol(number).name if number in Protocol.__members__.values() else str(number)


def _named(shape: layout.Layout, raw: bytes) -> dict[str, Any]:
    """The fields by name: what is added to a layout does not matter here."""
    return dict(zip(shape.fields, shape.unpack(raw), strict=True))


def _prefix(key: bytes) -> tuple[Address, int]:
    length, raw = layout.PREFIX_KEY.unpack(key)
    address = layout.unpack_address(raw)
    return address, length if isinstance(address, IPv6Address) else length - 96


def _text(address: Address, length: int) -> str:
    return f"{address}/{length}"
