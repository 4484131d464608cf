"""The system calls that Python 3.11 has no name for, each as a function that raises OSError.

Namespaces (unshare, setns) belong to the calling thread: callers use a thread of their own for them.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWNET = 0x4000_0000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

_PR_SET_CHILD_SUBREAPER = 36
_FALLOC_FL_KEEP_SIZE = 0x1
_FALLOC_FL_PUNCH_HOLE = 0x2
_IN_NONBLOCK = 0o4000
_IN_CLOEXEC = 0o2000000
IN_MODIFY = 0x2

# linux/pidfd.h, kernel 6.13; the exit code survives the reaping since 6.15
_PIDFD_GET_INFO = 0xC000_0000 | (64 << 16) | (0xFF << 8) | 11
_PIDFD_INFO_EXIT = 1 << 3
_PIDFD_INFO_EXIT_CODE_OFFSET = 60

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def unshare(flags: int) -> None:
    _check(_libc.unshare(ctypes.c_int(flags)))


def setns(fd: int, kind: int) -> None:
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)))


def mount(source: str, target: str, fstype: str | None, flags: int = 0, data: str | None = None) -> None:
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        fstype.encode() if fstype else None,
        ctypes.c_ulong(flags),
        os.fsencode(data) if data else None,
    )
    _check(result, target)


def umount(target: str) -> None:
    """Detaches at once; what still uses the mount keeps it alive until it lets go."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(MNT_DETACH | UMOUNT_NOFOLLOW)), target)


def sethostname(name: str) -> None:
    raw = name.encode()
    _check(_libc.sethostname(raw, ctypes.c_size_t(len(raw))))


def become_subreaper() -> None:
    """Orphans among our descendants become our children instead of init's."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Gives back the blocks of a byte range; sizes and offsets of the file stay."""
    result = _libc.fallocate(
        ctypes.c_int(fd),
        ctypes.c_int(_FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE),
        ctypes.c_longlong(offset),
        ctypes.c_longlong(length),
    )
    _check(result)


def inotify() -> int:
    return _check(_libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC))


def inotify_watch(fd: int, path: str, mask: int) -> int:
    return _check(_libc.inotify_add_watch(ctypes.c_int(fd), os.fsencode(path), ctypes.c_uint32(mask)), path)


def inotify_unwatch(fd: int, watch: int) -> None:
    _libc.inotify_rm_watch(ctypes.c_int(fd), ctypes.c_int(watch))


def exit_status(pidfd: int) -> int | None:
    """The wait status of a process that has ended and is not our child, or None where the kernel cannot
    say.
    """
    info = bytearray(struct.pack("<Q", _PIDFD_INFO_EXIT).ljust(64, b"\0"))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    (mask,) = struct.unpack_from("<Q", info)
    if not mask & _PIDFD_INFO_EXIT:
        return None
    (status,) = struct.unpack_from("<i", info, _PIDFD_INFO_EXIT_CODE_OFFSET)
    return int(status)
