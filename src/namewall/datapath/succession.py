"""What a new epoch takes over from the one that enforces until then: the questions on their way.

A question that left under the old programs is answered under the new ones. Its note is a hash and a time and has no
number of an epoch in it, so the endpoints' maps of questions are handed on as they are, with the hash's secret.
Grants and connections do hold numbers: they are made anew, from what the agent remembers and by the next packet.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from namewall.datapath import layout, libbpf
from namewall.datapath.maps import PerEndpoint


@dataclass(slots=True)
class Succession:
    """Nothing, where nothing enforced before or where it cannot be read."""

    secret: int | None = None
    questions: dict[int, int] = field(default_factory=dict)
    """Interface index → a descriptor of its map of questions."""

    def close(self) -> None:
        for fd in self.questions.values():
            os.close(fd)
        self.questions.clear()


def succeed(pin_dir: str, epoch: int) -> Succession:
    """What the other epochs' pins have for `epoch`. The oldest is the one that enforces: it goes when its successor's
    first tables are in force."""
    others = [f"{pin_dir}/{name}" for name in os.listdir(pin_dir) if name not in ("links", f"{epoch:08x}")]
    if not others:
        return Succession()
    folder = min(others, key=lambda path: os.stat(path).st_mtime_ns)
    found = Succession()
    try:
        with _open(f"{folder}/config") as config:
            found.secret = next(_heads(config, layout.CONFIG, "secret"))[1]
        with _open(f"{folder}/endpoints") as endpoints, _open(f"{folder}/questions") as questions:
            for ifindex, slot in _heads(endpoints, layout.ENDPOINT, "slot"):
                fd = PerEndpoint(questions).open(slot)
                if fd is None:
                    continue
                if libbpf.map_info(fd).name == layout.QUESTIONS.encode():
                    found.questions[ifindex] = fd
                else:
                    os.close(fd)
    except (OSError, StopIteration):
        found.close()
        return Succession()
    return found


@contextlib.contextmanager
def _open(path: str) -> Iterator[int]:
    fd = libbpf.open_pin(path)
    try:
        yield fd
    finally:
        os.close(fd)


def _heads(fd: int, shape: layout.Layout, name: str) -> Iterator[tuple[int, int]]:
    """Key and one field of each row, of whatever schema: these fields never move (bpf/types.h)."""
    info = libbpf.map_info(fd)
    at, size = shape.offset(name), struct.calcsize(shape.fields[name])
    for key, value in libbpf.dump(fd, info.key_size, info.value_size):
        yield int.from_bytes(key, "little"), int.from_bytes(value[at : at + size], "little")
