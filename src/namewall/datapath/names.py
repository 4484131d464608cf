"""The names of the node in the kernel: the automaton that is in force, and grants made from here.

`prepare` builds what is to be, `swap` puts it in force; between them rows for the new classes are written.
Grants are changed only through the `maintain` program, that is by the code that packets change them by.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from operator import methodcaller

from namewall.datapath import layout, libbpf
from namewall.datapath.maps import PerEndpoint, memory
from namewall.datapath.numbers import Numbers
from namewall.fqdn.automaton import Automaton, build, selectors_of
from namewall.fqdn.change import changed
from namewall.model.net import Address, never_granted
from namewall.state.tables import KnownName

ETHERNET = bytes(14)
_is_fqdn = methodcaller("startswith", "fqdn:")


class Names:
    def __init__(self, numbers: Numbers, automaton_fd: int, maintain: int) -> None:
        self._numbers = numbers
        self._outer = automaton_fd
        self._maintain = maintain
        self._forms: tuple[frozenset[str], frozenset[str]] | None = None
        self._automaton: Automaton = build({})
        self._unused: set[int] = set()
        """Classes that no grant, connection or automaton in force has had."""
        self._granted: dict[tuple[int, bytes, int], int] = {}
        self._cells_memory = 0

    def prepare(self, fqdn: Iterable[str], dns: Iterable[str]) -> bool:
        """Is there something to swap? Raises TooManyStates with nothing changed."""
        forms = frozenset(fqdn), frozenset(dns)
        if forms == self._forms:
            return False
        automaton = changed(self._automaton, selectors_of(*forms))
        for selectors in automaton.told_apart():
            if selectors not in self._numbers.classes:
                self._unused.add(self._numbers.of_class(selectors))
        self._automaton = automaton
        self._forms = None  # until it is in force
        self._next_forms = forms
        return True

    def swap(self) -> bool:
        """The prepared automaton in force, from one packet to the next."""

        def number(selectors: frozenset[str]) -> int:
            return self._numbers.of_class(selectors) | (layout.CLASS_GRANTS if _grants(selectors) else 0)

        cells = self._automaton.numbered(number)
        flags = libbpf.BPF_F_INNER_MAP | libbpf.BPF_F_MMAPABLE
        fd = libbpf.create_map(libbpf.MAP_ARRAY, "cells", 4, 8, len(cells), flags)
        try:
            content = memoryview(cells).cast("B")
            with mmap.mmap(fd, len(content)) as view:
                view[:] = content
            libbpf.update(self._outer, bytes(4), fd.to_bytes(4, "little"))
            self._cells_memory = memory(fd)
        finally:
            os.close(fd)
        self._forms = self._next_forms
        self._unused.clear()
        self._granted.clear()
        return True

    def is_unused(self, number: int) -> bool:
        return number in self._unused

    def class_of(self, name: str) -> frozenset[str]:
        """The selectors that match a canonical name now."""
        return self._automaton.match(name)

    def grant(self, known: Iterable[KnownName], slots: dict[int, int]) -> None:
        """What was learned before, under the patterns of now."""
        for learned in known:
            slot = slots.get(learned.scope)
            if slot is None:
                continue
            selectors = self._automaton.match(learned.name)
            if not _grants(selectors):
                continue
            number = self._numbers.of_class(selectors)
            address = layout.pack_address(learned.address)
            key, deadline = (learned.scope, address, number), int(learned.deadline)
            if self._granted.get(key, 0) >= deadline:
                continue
            self._run(layout.MAINTAIN_GRANT, slot, address, number, deadline, 0)
            self._granted[key] = deadline

    def learn(
        self, slot: int, name: str, addresses: Iterable[Address], deadline: int
    ) -> tuple[bool, list[Address], bool]:
        """An answer's addresses for a name: bpf/learn.h. Whether some pattern matches the name, the addresses that
        may be granted, and whether the quota was too small for one."""
        selectors = self._automaton.match(name)
        granted = any(selector.startswith("fqdn:") for selector in selectors)
        allowed = [address for address in addresses if not never_granted(address)]
        if not granted:
            return False, allowed, False
        number = self._numbers.of_class(selectors)
        results = {
            address: self._run(layout.MAINTAIN_GRANT, slot, layout.pack_address(address), number, deadline, 0)
            for address in allowed
        }
        told = [address for address, result in results.items() if result != layout.GrantResult.NEVER]
        return True, told, layout.GrantResult.FULL in results.values()

    def _run(self, operation: int, slot: int, address: bytes, number: int, deadline: int, page: int) -> int:
        request = layout.MAINTAIN_REQUEST.pack(address, operation, slot, number, deadline, page, 0)
        return libbpf.run_on_bytes(self._maintain, ETHERNET + request)

    def sweep(
        self, slot: int, grants: PerEndpoint, connections: PerEndpoint, now: int, used: set[int]
    ) -> int:
        """Free what ended and no connection needs, of one endpoint; adds to `used` the classes still there."""
        ended: dict[bytes, set[int]] = {}
        for key, value in grants.dump(slot):
            address, page, _ = layout.GRANT_KEY.unpack(key)
            for held in layout.unpack_grants(value):
                if not held:
                    continue
                used.add(held >> 32)
                if held & 0xFFFFFFFF < now:
                    ended.setdefault(address, set()).add(page)
        live: set[bytes] = set()
        for key, value in connections.dump(slot):
            expires, _, _, name_class, *_ = layout.CONNECTION.unpack(value)
            if expires >= now:
                used.add(name_class)
                live.add(layout.CONNECTION_KEY.unpack(key)[1])
        freed = 0
        for address, pages in ended.items():
            if address not in live:
                # From the last page on, so that pages without a grant left can go.
                for page in sorted(pages, reverse=True):
                    freed += max(0, self._run(layout.MAINTAIN_EXPIRE, slot, address, 0, now, page))
        return freed

    def forget(self, used: set[int]) -> None:
        """Classes of earlier automata that nothing has any more."""
        if self._forms is None:
            return
        current = {self._numbers.of_class(selectors) for selectors in self._automaton.told_apart()}
        self._unused |= set(self._numbers.classes.values()) - used - current
        self._numbers.forget_classes(used | current)
        self._granted = {key: value for key, value in self._granted.items() if key[2] in used}

    def memory(self) -> int:
        return self._cells_memory


def _grants(selectors: frozenset[str]) -> bool:
    """Whether an address of a name of this class may be granted: some toFQDNs item means it."""
    return any(map(_is_fqdn, selectors))
