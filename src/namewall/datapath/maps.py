"""A map of the kernel and what we know to be in it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping

from namewall.datapath import libbpf


class Table:
    """One hash or trie that only we write. `rows` is what it holds, so a difference costs no system call."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        info = libbpf.map_info(fd)
        self._sizes = info.key_size, info.value_size
        self.rows: dict[bytes, bytes] = dict(libbpf.dump(fd, *self._sizes))

    def put(self, rows: Mapping[bytes, bytes]) -> bool:
        """Write the rows that are new or different; whether there were any."""
        changes = [(key, value) for key, value in rows.items() if self.rows.get(key) != value]
        if changes:
            libbpf.update_many(self.fd, changes)
            self.rows.update(changes)
        return bool(changes)

    def remove(self, keys: Iterable[bytes]) -> bool:
        gone = [key for key in keys if key in self.rows]
        libbpf.delete_many(self.fd, gone)
        for key in gone:
            del self.rows[key]
        return bool(gone)

    def prune(self, wanted: Collection[bytes]) -> bool:
        """Remove what is not wanted."""
        return self.remove([key for key in self.rows if key not in wanted])


class PerEndpoint:
    """An outer array with a map of its own for each endpoint's slot."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def put(self, slot: int, inner: int) -> None:
        """Takes the inner map over: its descriptor is closed."""
        try:
            libbpf.update(self._fd, slot.to_bytes(4, "little"), inner.to_bytes(4, "little"))
        finally:
            os.close(inner)

    def remove(self, slot: int) -> None:
        libbpf.delete(self._fd, slot.to_bytes(4, "little"))

    def open(self, slot: int) -> int | None:
        """A descriptor of the inner map, the caller's to close; None where the slot is empty."""
        number = libbpf.lookup(self._fd, slot.to_bytes(4, "little"), 4)
        return libbpf.map_by_id(int.from_bytes(number, "little")) if number else None

    def dump(self, slot: int) -> Iterator[tuple[bytes, bytes]]:
        fd = self.open(slot)
        if fd is None:
            return
        try:
            info = libbpf.map_info(fd)
            yield from libbpf.dump(fd, info.key_size, info.value_size)
        finally:
            os.close(fd)


def memory(fd: int) -> int:
    """Bytes of kernel memory, as the kernel itself reports them."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        for line in file:
            if line.startswith("memlock:"):
                return int(line.split()[1])
    return 0
