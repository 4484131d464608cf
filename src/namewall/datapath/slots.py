"""Which slot an endpoint has, and the maps of its own in it: connections, grants, questions.

A slot belongs to one scope: an interface whose scope changes gets fresh maps. After a restart the slots are
read from the endpoints' rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from namewall.datapath import layout, libbpf
from namewall.datapath.base import Options
from namewall.datapath.maps import PerEndpoint
from namewall.datapath.succession import Succession
from namewall.state.tables import EndpointRow


class Slots:
    def __init__(self, options: Options, connections: PerEndpoint, maps: Mapping[str, int]) -> None:
        self._options = options
        self.connections = connections
        self.grants = PerEndpoint(maps["grants"])
        self.orders = PerEndpoint(maps["grant_orders"])
        self.questions = PerEndpoint(maps["questions"])
        self._slots: dict[int, tuple[int, int]] = {}
        """Interface index → scope and slot, also where the slot is only set aside."""
        self._made: set[int] = set()
        self._succession = Succession()

    def succeed(self, succession: Succession) -> None:
        """Endpoints that are made from now on go on with what another epoch had of them."""
        self._succession.close()
        self._succession = succession

    def adopt(self, endpoints: Mapping[bytes, bytes]) -> None:
        for key, value in endpoints.items():
            _, scope, slot, *_ = layout.ENDPOINT.unpack(value)
            self._slots[int.from_bytes(key, "little")] = (scope, slot)
            self._made.add(slot)

    def of(self, row: EndpointRow) -> int:
        """The endpoint's slot; set aside if it is new. ValueError when there are no more."""
        known = self._slots.get(row.ifindex)
        if known is not None and known[0] == row.scope:
            return known[1]
        taken = {slot for _, slot in self._slots.values()}
        free = next((slot for slot in range(self._options.endpoints) if slot not in taken), None)
        if free is None:
            raise ValueError(f"there are more than {self._options.endpoints} endpoints; raise `endpoints`")
        self._slots[row.ifindex] = (row.scope, free)
        return free

    def make(self, row: EndpointRow) -> None:
        slot = self._slots[row.ifindex][1]
        if slot in self._made:
            return
        # Small LRU maps evict too early on many CPUs: each keeps a stock of its own.
        entries = max(self._options.connections, 256 * (os.cpu_count() or 1))
        key, value = layout.CONNECTION_KEY.size, layout.CONNECTION.size
        self.connections.put(slot, libbpf.create_map(libbpf.MAP_LRU_HASH, "connections", key, value, entries))
        key, value = layout.GRANT_KEY.size, layout.GRANT_PAGE.size
        flags = libbpf.BPF_F_NO_PREALLOC
        self.grants.put(
            slot, libbpf.create_map(libbpf.MAP_HASH, "grants", key, value, self._options.grants, flags)
        )
        self.orders.put(slot, self._make_order(self._options.grants))
        self.questions.put(slot, self._questions(row.ifindex))
        self._made.add(slot)

    def _questions(self, ifindex: int) -> int:
        inherited = self._succession.questions.pop(ifindex, None)
        if inherited is not None:
            return inherited
        sets = layout.PENDING_SET_BYTES, layout.PENDING_SETS
        return libbpf.create_map(libbpf.MAP_ARRAY, layout.QUESTIONS, 4, *sets, libbpf.BPF_F_MMAPABLE)

    @staticmethod
    def _make_order(size: int) -> int:
        flags = libbpf.BPF_F_INNER_MAP
        made = libbpf.create_map(libbpf.MAP_ARRAY, "order", 4, layout.GRANT_HAND.size, 1 + size, flags)
        libbpf.update(made, bytes(4), layout.GRANT_HAND.pack(0, size, 0))
        return made

    def evicted(self, slot: int) -> int:
        """Addresses that lost their grants to newer ones because the scope's quota was used up."""
        fd = self.orders.open(slot)
        if fd is None:
            return 0
        try:
            raw = libbpf.lookup(fd, bytes(4), layout.GRANT_HAND.size)
            return int(layout.GRANT_HAND.unpack(raw)[2]) if raw else 0
        finally:
            os.close(fd)

    def keep(self, interfaces: Iterable[int]) -> None:
        """Free the slots of all others."""
        wanted = set(interfaces)
        self._slots = {ifindex: known for ifindex, known in self._slots.items() if ifindex in wanted}
        used = {slot for _, slot in self._slots.values()}
        for slot in self._made - used:
            self.connections.remove(slot)
            self.grants.remove(slot)
            self.orders.remove(slot)
            self.questions.remove(slot)
        self._made &= used

    def of_scopes(self) -> dict[int, int]:
        """Scope → slot, of those that have their maps."""
        return {scope: slot for scope, slot in self._slots.values() if slot in self._made}
