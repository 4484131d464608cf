"""What a container sees of the host's file system: decides the mounts of its tree.

The root is a read-only overlay of `/`. An overlay does not hold what is mounted below `/`, so devices,
sockets and kernel file systems of the host are simply not there; and through it a socket or pipe file of
the host is another inode, so nobody can connect to the host's one. Disk file systems that are mounted
separately (`/usr`, `/opt`) get an overlay each. Over that come the masks: empty tmpfs where the host keeps
what is private to its users, or a way out (`/run`, credentials, engines' directories, this instance's own),
as systemd's ProtectHome=tmpfs does for homes.

An overlay's upper layer holds the mount points that the host lacks; it lies on a tmpfs of its own, because
overlayfs refuses layers of which one contains the other. `plan` is pure; `look_at_host` and `make_layer`
are not.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Mount = dict[str, Any]

SCRATCH = ("/run", "/tmp", "/var/tmp", "/root", "/home")
"""Writable and empty. Beside them /dev/shm, which has its own mount."""
SCRATCH_SIZE = "256m"
"""Of each scratch tmpfs: a container must not fill the host's memory."""

HIDDEN_DIRECTORIES = (
    "/var/run",
    "/var/lib/namewall",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/var/lib/libvirt",
    "/var/lib/lxd",
    "/var/lib/incus",
    "/var/lib/machines",
    "/var/lib/etcd",
    "/var/lib/cloud",
    "/var/snap",
    "/var/backups",
    "/var/spool/cron",
    "/boot",
    "/etc/kubernetes",
    "/etc/rancher",
    "/etc/ssl/private",
    "/etc/wireguard",
    "/etc/NetworkManager/system-connections",
    "/etc/cni",
    "/etc/credstore",
    "/etc/credstore.encrypted",
)
"""Empty and read-only, where the host has them."""

_HIDDEN_FILES = (
    "/etc/shadow*",
    "/etc/gshadow*",
    "/etc/security/opasswd",
    "/etc/ssh/ssh_host_*_key",
    "/etc/krb5.keytab",
    "/var/lib/systemd/credential.secret",
)

DISK_FILE_SYSTEMS = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "overlay", "erofs"}
)


@dataclass(frozen=True, slots=True)
class HostTree:
    """What of the host's file system the plan depends on. All paths are free of symbolic links."""

    directories: frozenset[str]
    """Those of SCRATCH and HIDDEN_DIRECTORIES that exist."""
    hidden_files: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    """Mount points of disk file systems other than `/`, parents before children."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A directory or file of the host at a place in the container."""

    source: str
    destination: str
    directory: bool = True
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Layer:
    """The upper layer of the overlay at `mount_point`: what must exist there, True for a directory."""

    mount_point: str
    directory: str
    points: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    mounts: tuple[Mount, ...]
    layers: tuple[Layer, ...]
    masked_paths: tuple[str, ...]


def plan(host: HostTree, layers: str, hide: Iterable[str], binds: Sequence[Bind]) -> Plan:
    """The mounts in the order they must be made.

    `layers` is a directory of this container's on the layers' tmpfs; `hide` is what else must be empty (the
    instance's own directories). A bind shows through a mask that is above it; a mask below a bind hides.
    """
    overlays = [Layer("/", f"{layers}/0")]
    masks: dict[str, Mount] = {}
    for path in SCRATCH:
        masks[path] = _tmpfs(path, read_only=False)
    for path in (*HIDDEN_DIRECTORIES, *hide):
        masks.setdefault(path, _tmpfs(path, read_only=True))
    wanted = {path for path in masks if path in host.directories or path in hide}
    bound = {bind.destination for bind in binds}
    for disk in host.disks:
        if _above(disk, wanted) is None and disk not in wanted and disk not in bound:
            overlays.append(Layer(disk, f"{layers}/{len(overlays)}"))

    steps: dict[str, Mount] = {layer.mount_point: _overlay(layer) for layer in overlays}
    steps |= {
        path: masks[path]
        for path in wanted
        # Below another mask there is nothing to hide, unless a bind shows it again.
        if _above(path, wanted | bound) not in wanted
    }
    steps |= {bind.destination: _bind(bind) for bind in binds}

    covered = {path for path in steps if steps[path]["type"] == "tmpfs"}
    for path in steps:
        nearest = _above(path, covered | bound | {layer.mount_point for layer in overlays})
        for layer in overlays:
            if layer.mount_point == nearest:
                layer.points[path] = _is_directory(path, binds)
    order = sorted(steps, key=lambda path: path.rstrip("/").split("/"))
    return Plan(tuple(steps[path] for path in order), tuple(overlays), host.hidden_files)


def _above(path: str, candidates: Iterable[str]) -> str | None:
    """The deepest of the candidates that contains `path`, itself apart."""
    above = [c for c in candidates if c != path and (c == "/" or path.startswith(c + "/"))]
    return max(above, key=len, default=None)


def _is_directory(path: str, binds: Sequence[Bind]) -> bool:
    return all(bind.directory for bind in binds if bind.destination == path)


def _overlay(layer: Layer) -> Mount:
    lower = ":".join(_escape(path) for path in (layer.directory, layer.mount_point))
    return {
        "destination": layer.mount_point,
        "type": "overlay",
        "source": "overlay",
        "options": ["ro", "nosuid", "nodev", f"lowerdir={lower}"],
    }


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:")


def _tmpfs(path: str, *, read_only: bool) -> Mount:
    mode = "1777" if path.endswith("/tmp") else "0700" if path == "/root" else "0755"
    size = "4k" if read_only else SCRATCH_SIZE
    # A read-only mask is remounted so by runc only after the mount points below it are made.
    options = ["nosuid", "nodev", f"mode={mode}", f"size={size}", *(["ro"] if read_only else [])]
    return {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": options}


def _bind(bind: Bind) -> Mount:
    options = ["bind", "ro" if bind.read_only else "rw", "nosuid", "nodev"]
    return {"destination": bind.destination, "type": "bind", "source": bind.source, "options": options}


def look_at_host(mountinfo: str = "/proc/self/mountinfo") -> HostTree:
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        disks = _disks(file.read())
    return HostTree(
        directories=frozenset(
            p for p in (*SCRATCH, *HIDDEN_DIRECTORIES) if os.path.isdir(p) and not os.path.islink(p)
        ),
        hidden_files=tuple(sorted(path for pattern in _HIDDEN_FILES for path in glob.glob(pattern))),
        disks=tuple(path for path in disks if os.path.isdir(path)),
    )


def _disks(mountinfo: str) -> list[str]:
    found = set()
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        path = before.split()[4]
        for octal, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            path = path.replace(octal, plain)
        if path != "/" and after.split()[0] in DISK_FILE_SYSTEMS:
            found.add(path)
    return sorted(found)


def inside(path: str) -> str:
    """A container path as it is after the host's symbolic links: /var/run/x is /run/x."""
    path = os.path.normpath(path)
    if any(f"{path}/".startswith(f"{scratch}/") for scratch in SCRATCH):
        return path  # what the host has there, the container does not
    return os.path.realpath(path)


def make_layer(layer: Layer) -> None:
    """Create the layer's directory with its mount points; directories of the host keep their owner and
    mode.
    """
    os.makedirs(layer.directory, mode=0o755, exist_ok=True)
    _like(layer.mount_point, layer.directory)
    for point, is_directory in layer.points.items():
        relative = os.path.relpath(point, layer.mount_point)
        here, there = layer.directory, layer.mount_point
        *parents, name = relative.split("/")
        for part in parents:
            here, there = f"{here}/{part}", f"{there.rstrip('/')}/{part}"
            if not os.path.isdir(here):
                os.mkdir(here, 0o755)
                _like(there, here)
        if is_directory:
            if not os.path.isdir(f"{here}/{name}"):
                os.mkdir(f"{here}/{name}", 0o755)
                _like(point, f"{here}/{name}")
        else:
            with open(f"{here}/{name}", "ab"):
                pass


def _like(model: str, path: str) -> None:
    try:
        found = os.stat(model)
    except OSError:
        return
    os.chown(path, found.st_uid, found.st_gid)
    os.chmod(path, found.st_mode & 0o7777)
