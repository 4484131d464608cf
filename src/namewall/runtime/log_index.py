"""When each part of a container's log was written, and how a log stays bounded.

A container writes straight to its file, so nobody sees single lines pass. The monitor notes (time, size)
each time it finds the file longer; a line's time is that of the first note that covers it: right to about
50 ms while the monitor lives, late where it was dead.

Bounded without losing a byte that is kept: the oldest part's blocks are given back (a hole), sizes and
offsets stay as they were, so a writer with O_APPEND and readers in the middle never notice.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress

from namewall.runtime import syscalls

KEEP = 8 * 1024 * 1024
"""Bytes of a log that are kept at least; up to twice that before the older half goes."""
KEEP_INDEX = 1024 * 1024

RECORD = struct.Struct("<qq")
"""Time in nanoseconds since the epoch, size in bytes."""

_BLOCK = 65536


def note(index_fd: int, now_ns: int, size: int) -> None:
    os.write(index_fd, RECORD.pack(now_ns, size))


def bound(fd: int, keep: int) -> None:
    """Give back the head of a file whose kept part is twice `keep`. `fd` is open for writing."""
    end = os.fstat(fd).st_size
    start = first_kept(fd)
    if end - start > 2 * keep:
        cut = (end - keep) // _BLOCK * _BLOCK
        # A file system without holes keeps everything; that is its limit, not an error.
        with suppress(OSError):
            syscalls.punch_hole(fd, 0, cut)


def first_kept(fd: int) -> int:
    """The offset of the first byte that was not given back."""
    try:
        return os.lseek(fd, 0, os.SEEK_DATA)
    except OSError:  # ENXIO: nothing but a hole, or empty
        return os.fstat(fd).st_size


def line_start(fd: int, offset: int) -> int:
    """`offset`, or where holes cut a line in two, the start of the next one."""
    if offset == 0:
        return 0
    while chunk := os.pread(fd, _BLOCK, offset):
        newline = chunk.find(b"\n")
        if newline >= 0:
            return offset + newline + 1
        offset += len(chunk)
    return offset


class Times:
    """Reads an index. Look-ups are in growing order of offset or time, so it walks on."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._position = 0
        self._ahead: list[tuple[int, int]] = []

    def at(self, offset: int) -> int | None:
        """Nanoseconds when the byte at `offset` was first seen; None where it was not noted yet."""
        while True:
            for position, (time_ns, size) in enumerate(self._ahead):
                if size > offset:
                    del self._ahead[:position]
                    return time_ns
            self._ahead.clear()
            if not self._read():
                return None

    def offset_since(self, time_ns: int) -> int | None:
        """The size of the log when it was last noted before `time_ns`; None where all of it is older."""
        size_before = 0
        while True:
            for position, (noted, size) in enumerate(self._ahead):
                if noted >= time_ns:
                    del self._ahead[:position]
                    return size_before
                size_before = size
            self._ahead.clear()
            if not self._read():
                return None

    def _read(self) -> bool:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            if self._position == 0:
                self._position = first_kept(fd) // RECORD.size * RECORD.size
            raw = os.pread(fd, 4096 * RECORD.size, self._position)
        finally:
            os.close(fd)
        raw = raw[: len(raw) // RECORD.size * RECORD.size]
        self._position += len(raw)
        self._ahead.extend(RECORD.iter_unpack(raw))
        return bool(raw)
