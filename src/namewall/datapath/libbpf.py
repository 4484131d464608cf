"""The system's libbpf through ctypes: the only file that knows pointers. Everything raises OSError.

libbpf 1.x is wherever iproute2 is (`libbpf.so.1`). Only stable functions are used, and option structs only as
far as their first versions go, so that any 1.x will do. tcx has no helper before libbpf 1.3: the generic
`bpf_link_create` with attach types 46 and 47 does the same.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint32, c_void_p
from functools import cache
from pathlib import Path

TCX_INGRESS, TCX_EGRESS = 46, 47
BPF_F_BEFORE = 1 << 3
BPF_F_NO_PREALLOC, BPF_F_MMAPABLE, BPF_F_INNER_MAP = 1 << 0, 1 << 10, 1 << 12
BPF_ANY = 0
MAP_HASH, MAP_ARRAY, MAP_LRU_HASH = 1, 2, 9
TC_INGRESS, TC_EGRESS, TC_REPLACE = 1, 2, 1
BATCH = 4096


class _OpenOptions(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("object_name", c_char_p),
        ("relaxed_maps", ctypes.c_bool),
        ("pin_root_path", c_char_p),
    ]


class _TcHook(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("ifindex", c_int), ("attach_point", c_int), ("parent", c_uint32)]


class _TcOptions(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("program", c_int),
        ("flags", c_uint32),
        ("program_id", c_uint32),
        ("handle", c_uint32),
        ("priority", c_uint32),
    ]


class _LinkOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("flags", c_uint32), ("unused", c_uint32)]


class _MapOptions(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("btf_fd", c_uint32),
        ("btf_key_type_id", c_uint32),
        ("btf_value_type_id", c_uint32),
        ("btf_vmlinux_value_type_id", c_uint32),
        ("inner_map_fd", c_uint32),
        ("map_flags", c_uint32),
    ]


class _BatchOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("elem_flags", ctypes.c_uint64), ("flags", ctypes.c_uint64)]


class _RunOptions(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    ]


class MapInfo(ctypes.Structure):
    """The head of struct bpf_map_info."""

    _fields_ = [
        ("type", c_uint32),
        ("id", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("map_flags", c_uint32),
        ("name", ctypes.c_char * 16),
    ]


class LinkInfo(ctypes.Structure):
    """The head of struct bpf_link_info, as tcx links fill it."""

    _fields_ = [
        ("type", c_uint32),
        ("id", c_uint32),
        ("prog_id", c_uint32),
        ("pad", c_uint32),
        ("ifindex", c_uint32),
        ("attach_type", c_uint32),
    ]


class ProgramInfo(ctypes.Structure):
    """struct bpf_prog_info up to the run counters; pointers stay zero, so nothing is copied."""

    _fields_ = [
        ("type", c_uint32),
        ("id", c_uint32),
        ("tag", ctypes.c_uint8 * 8),
        ("jited_prog_len", c_uint32),
        ("xlated_prog_len", c_uint32),
        ("pointers", ctypes.c_uint64 * 2),
        ("load_time", ctypes.c_uint64),
        ("created_by_uid", c_uint32),
        ("nr_map_ids", c_uint32),
        ("map_ids", ctypes.c_uint64),
        ("name", ctypes.c_char * 16),
        ("ifindex", c_uint32),
        ("gpl_compatible", c_uint32),
        ("netns_dev", ctypes.c_uint64),
        ("netns_ino", ctypes.c_uint64),
        ("nr_jited_ksyms", c_uint32),
        ("nr_jited_func_lens", c_uint32),
        ("jited_ksyms", ctypes.c_uint64),
        ("jited_func_lens", ctypes.c_uint64),
        ("btf_id", c_uint32),
        ("func_info_rec_size", c_uint32),
        ("func_info", ctypes.c_uint64),
        ("nr_func_info", c_uint32),
        ("nr_line_info", c_uint32),
        ("line_info", ctypes.c_uint64),
        ("jited_line_info", ctypes.c_uint64),
        ("nr_jited_line_info", c_uint32),
        ("line_info_rec_size", c_uint32),
        ("jited_line_info_rec_size", c_uint32),
        ("nr_prog_tags", c_uint32),
        ("prog_tags", ctypes.c_uint64),
        ("run_time_ns", ctypes.c_uint64),
        ("run_cnt", ctypes.c_uint64),
        ("recursion_misses", ctypes.c_uint64),
        ("verified_insns", c_uint32),
    ]


_PRINT = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)
_SAMPLE = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)
_said: list[str] = []


def _listen(level: int, form: bytes, arguments: int) -> int:
    """libbpf's warnings, kept for the error message instead of written to stderr."""
    if level == 0:
        buffer = ctypes.create_string_buffer(65536)
        _libc().vsnprintf(buffer, c_size_t(len(buffer)), form, c_void_p(arguments))
        _said.append(buffer.value.decode(errors="replace").rstrip())
        del _said[:-20]
    return 0


_LISTENER = _PRINT(_listen)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


@cache
def library() -> ctypes.CDLL:
    """libbpf itself; OSError where it is not installed."""
    lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    pointers = {
        "bpf_object__open_mem": [c_void_p, c_size_t, c_void_p],
        "bpf_object__find_map_by_name": [c_void_p, c_char_p],
        "bpf_object__find_program_by_name": [c_void_p, c_char_p],
        "bpf_object__next_program": [c_void_p, c_void_p],
        "ring_buffer__new": [c_int, c_void_p, c_void_p, c_void_p],
    }
    for name, arguments in pointers.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = c_void_p, arguments
    closing = {"bpf_object__close": [c_void_p], "ring_buffer__free": [c_void_p]}
    for name, arguments in closing.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = None, arguments
    numbers = {
        "bpf_object__load": [c_void_p],
        "bpf_map__set_max_entries": [c_void_p, c_uint32],
        "bpf_map__fd": [c_void_p],
        "bpf_program__fd": [c_void_p],
        "ring_buffer__consume": [c_void_p],
        "ring_buffer__epoll_fd": [c_void_p],
    }
    for name, arguments in numbers.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = c_int, arguments
    lib.libbpf_set_print.restype = c_void_p
    lib.libbpf_set_print(_LISTENER)
    return lib


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result


class Object:
    """An object file on its way into the kernel. `load` pins maps that ask for it below `pin_root`."""

    def __init__(self, code: bytes, pin_root: str) -> None:
        self._code = ctypes.create_string_buffer(code, len(code))
        options = _OpenOptions(ctypes.sizeof(_OpenOptions), b"namewall", False, pin_root.encode())
        _said.clear()
        self._object = library().bpf_object__open_mem(self._code, len(code), ctypes.byref(options))
        if not self._object:
            raise OSError(ctypes.get_errno(), _reason("cannot read the BPF object"))

    def resize(self, name: str, entries: int) -> None:
        found = library().bpf_object__find_map_by_name(self._object, name.encode())
        if not found:
            raise OSError(errno.ENOENT, f"the BPF object has no map `{name}`")
        _check(library().bpf_map__set_max_entries(found, entries), f"sizing `{name}`")

    def load(self) -> None:
        _said.clear()
        result = library().bpf_object__load(self._object)
        if result < 0:
            raise OSError(-result, _reason("the kernel does not take the BPF programs"))

    def program(self, name: str) -> int:
        """Its file descriptor, which lives as long as the object is open."""
        found = library().bpf_object__find_program_by_name(self._object, name.encode())
        if not found:
            raise OSError(errno.ENOENT, f"the BPF object has no program `{name}`")
        return _check(library().bpf_program__fd(found), f"program `{name}`")

    def close(self) -> None:
        if self._object:
            library().bpf_object__close(self._object)
            self._object = None


def _reason(what: str) -> str:
    """The last of what libbpf said; the verifier's own words are long, and their end tells most."""
    words = [line for text in _said for line in text.splitlines() if line.strip()]
    telling = [line for line in words if "BPF program load" not in line and "-- " not in line]
    return f"{what}: {' | '.join(telling[-6:])}" if telling else what


def pin(fd: int, path: str) -> None:
    _check(library().bpf_obj_pin(fd, path.encode()), f"pinning `{path}`")


def open_pin(path: str) -> int:
    return _check(library().bpf_obj_get(path.encode()), f"opening `{path}`")


def create_map(kind: int, name: str, key: int, value: int, entries: int, flags: int = 0) -> int:
    options = _MapOptions(ctypes.sizeof(_MapOptions), 0, 0, 0, 0, 0, flags)
    made = library().bpf_map_create(kind, name.encode(), key, value, entries, ctypes.byref(options))
    return _check(made, f"creating a map `{name}`")


def map_info(fd: int) -> MapInfo:
    info = MapInfo()
    _info(fd, info)
    return info


def link_info(fd: int) -> LinkInfo:
    info = LinkInfo()
    _info(fd, info)
    return info


def program_info(fd: int) -> ProgramInfo:
    info = ProgramInfo()
    _info(fd, info)
    return info


def _info(fd: int, info: ctypes.Structure) -> None:
    size = c_uint32(ctypes.sizeof(info))
    _check(library().bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(size)), "reading BPF info")


def map_by_id(number: int) -> int:
    return _check(library().bpf_map_get_fd_by_id(c_uint32(number)), f"opening map {number}")


def lookup(fd: int, key: bytes, value_size: int) -> bytes | None:
    value = ctypes.create_string_buffer(value_size)
    result = library().bpf_map_lookup_elem(fd, key, value)
    if result == -errno.ENOENT:
        return None
    _check(result, "map look-up")
    return value.raw


def update(fd: int, key: bytes, value: bytes, flags: int = BPF_ANY) -> None:
    _check(library().bpf_map_update_elem(fd, key, value, ctypes.c_uint64(flags)), "map update")


def delete(fd: int, key: bytes) -> bool:
    result = library().bpf_map_delete_elem(fd, key)
    if result == -errno.ENOENT:
        return False
    _check(result, "map delete")
    return True


def update_many(fd: int, rows: Iterable[tuple[bytes, bytes]]) -> None:
    """In batches where there is more than a handful; a batch that fails says at which row by raising."""
    pairs = list(rows)
    for at in range(0, len(pairs), BATCH):
        part = pairs[at : at + BATCH]
        if len(part) < 8:
            for key, value in part:
                update(fd, key, value)
            continue
        keys, values = b"".join(key for key, _ in part), b"".join(value for _, value in part)
        count, options = c_uint32(len(part)), _BatchOptions(ctypes.sizeof(_BatchOptions), 0, 0)
        done = library().bpf_map_update_batch(fd, keys, values, ctypes.byref(count), ctypes.byref(options))
        _check(done, "map batch update")


def delete_many(fd: int, keys: Iterable[bytes]) -> None:
    for key in keys:
        delete(fd, key)


def dump(fd: int, key_size: int, value_size: int) -> Iterator[tuple[bytes, bytes]]:
    """All rows of a hash or trie. Rows that come and go meanwhile may be there or not."""
    try:
        yield from _dump_in_batches(fd, key_size, value_size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, 524):
            raise
        yield from _dump_one_by_one(fd, key_size, value_size)


def _dump_in_batches(fd: int, key_size: int, value_size: int) -> Iterator[tuple[bytes, bytes]]:
    keys = ctypes.create_string_buffer(key_size * BATCH)
    values = ctypes.create_string_buffer(value_size * BATCH)
    token, after = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
    options = _BatchOptions(ctypes.sizeof(_BatchOptions), 0, 0)
    first = True
    while True:
        count = c_uint32(BATCH)
        result = library().bpf_map_lookup_batch(
            fd,
            None if first else token,
            after,
            keys,
            values,
            ctypes.byref(count),
            ctypes.byref(options),
        )
        if result < 0 and result != -errno.ENOENT:
            _check(result, "map dump")
        key_bytes, value_bytes = keys.raw, values.raw
        for i in range(count.value):
            yield (
                key_bytes[i * key_size : (i + 1) * key_size],
                value_bytes[i * value_size : (i + 1) * value_size],
            )
        if result == -errno.ENOENT:
            return
        first = False
        token.raw = after.raw


def _dump_one_by_one(fd: int, key_size: int, value_size: int) -> Iterator[tuple[bytes, bytes]]:
    key: bytes | None = None
    following = ctypes.create_string_buffer(key_size)
    while True:
        result = library().bpf_map_get_next_key(fd, key, following)
        if result == -errno.ENOENT:
            return
        _check(result, "map dump")
        key = following.raw
        value = lookup(fd, key, value_size)
        if value is not None:
            yield key, value


def create_tcx_link(program: int, ifindex: int, attach_type: int) -> int:
    """First in line at its hook."""
    options = _LinkOptions(ctypes.sizeof(_LinkOptions), BPF_F_BEFORE, 0)
    made = library().bpf_link_create(program, ifindex, attach_type, ctypes.byref(options))
    return _check(made, f"attaching to interface {ifindex}")


def update_link(link: int, program: int) -> None:
    _check(library().bpf_link_update(link, program, None), "replacing a program")


def attach_clsact(program: int, ifindex: int, attach_point: int) -> None:
    """Before kernel 6.6: a filter of the clsact qdisc under a handle and priority of its own; replaces."""
    hook = _TcHook(ctypes.sizeof(_TcHook), ifindex, attach_point, 0)
    made = library().bpf_tc_hook_create(ctypes.byref(hook))
    if made != -errno.EEXIST:
        _check(made, f"adding clsact to interface {ifindex}")
    options = _TcOptions(ctypes.sizeof(_TcOptions), program, TC_REPLACE, 0, 1, 1)
    _check(
        library().bpf_tc_attach(ctypes.byref(hook), ctypes.byref(options)),
        f"attaching to interface {ifindex}",
    )


def detach_clsact(ifindex: int, attach_point: int) -> None:
    hook = _TcHook(ctypes.sizeof(_TcHook), ifindex, attach_point, 0)
    options = _TcOptions(ctypes.sizeof(_TcOptions), 0, 0, 0, 1, 1)
    result = library().bpf_tc_detach(ctypes.byref(hook), ctypes.byref(options))
    if result not in (-errno.ENOENT, -errno.ENODEV, -errno.EINVAL):
        _check(result, f"detaching from interface {ifindex}")


def run_on_bytes(program: int, data: bytes) -> int:
    """Runs a program of tc once on bytes that stand for a packet; what it returns."""
    action, _, _ = run_on_packet(program, data, b"", 1)
    return action


def lookup_per_cpu(fd: int, key: bytes) -> int:
    """The sum over all CPUs of a counter of 64 bits."""
    cpus = _check(library().libbpf_num_possible_cpus(), "counting CPUs")
    raw = lookup(fd, key, 8 * cpus) or b""
    return sum(int.from_bytes(raw[i : i + 8], "little") for i in range(0, len(raw), 8))


def run_on_packet(program: int, packet: bytes, context: bytes, repeat: int) -> tuple[int, bytes, int]:
    """BPF_PROG_TEST_RUN on a packet: the action, the packet after it, nanoseconds a run."""
    data = ctypes.create_string_buffer(packet, len(packet))
    out = ctypes.create_string_buffer(len(packet) + 1024)
    buffer = ctypes.create_string_buffer(context, max(1, len(context)))
    options = _RunOptions(size=ctypes.sizeof(_RunOptions))
    options.data_in, options.data_size_in = ctypes.addressof(data), len(packet)
    options.data_out, options.data_size_out = ctypes.addressof(out), len(out)
    if context:
        options.ctx_in, options.ctx_size_in = ctypes.addressof(buffer), len(context)
    options.repeat = repeat
    _check(library().bpf_prog_test_run_opts(program, ctypes.byref(options)), "BPF_PROG_TEST_RUN")
    action = ctypes.c_int32(options.retval).value
    return action, out.raw[: options.data_size_out], options.duration


class RingBuffer:
    """The reader's side of a ring buffer map."""

    def __init__(self, fd: int, take: Callable[[bytes], None]) -> None:
        def sample(_context: int, data: int, size: int) -> int:
            take(ctypes.string_at(data, size))
            return 0

        self._sample = _SAMPLE(sample)
        self._ring = library().ring_buffer__new(fd, ctypes.cast(self._sample, c_void_p), None, None)
        if not self._ring:
            raise OSError(ctypes.get_errno(), "cannot read the ring buffer")

    def fileno(self) -> int:
        return _check(library().ring_buffer__epoll_fd(self._ring), "ring buffer")

    def consume(self) -> int:
        return _check(library().ring_buffer__consume(self._ring), "reading the ring buffer")

    def close(self) -> None:
        if self._ring:
            library().ring_buffer__free(self._ring)
            self._ring = None


def mount_bpffs(path: str) -> None:
    if _libc().mount(b"bpf", path.encode(), b"bpf", c_long(0), None) < 0:
        number = ctypes.get_errno() or errno.EPERM
        raise OSError(number, f"mounting a bpffs at `{path}`: {os.strerror(number)}")


def unmount(path: str) -> None:
    if _libc().umount2(path.encode(), c_int(2)) < 0:
        raise OSError(errno.EBUSY, f"cannot unmount `{path}`")


def object_file() -> bytes:
    """The compiled programs, which the wheel carries beside this file."""
    return (Path(__file__).parent / "endpoint.bpf.o").read_bytes()
