"""A container as an OCI runtime bundle: decides all that confines it (pure).

Not configurable, on purpose: capabilities, no_new_privs, the seccomp filter, devices, masked parts of /proc
and /sys, and a file tree that is read-only (rootfs.py). Root inside is the host's root without its powers;
what keeps it in is here. Sources: opencontainers/runtime-spec; moby's default masked and read-only paths;
Kubernetes' default capabilities without MKNOD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from namewall.runtime import seccomp
from namewall.runtime.quantity import parse
from namewall.runtime.rootfs import Plan

Object = dict[str, Any]

CAPABILITIES = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/bpf",
    "/sys/kernel/debug",
    "/sys/kernel/tracing",
)
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_DEVICES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
_PROCESSES = 4096
"""Of a container, threads counted: a fork bomb stays inside."""


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Paths of the pod's namespaces, which its containers join."""

    network: str
    ipc: str
    uts: str


def config(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    container: Object,
    tree: Plan,
    namespaces: Namespaces,
    cgroup: str,
) -> Object:
    """The bundle's config.json. `cgroup` is the cgroup's absolute path for runc's cgroupfs driver."""
    capabilities = list(CAPABILITIES)
    return {
        "ociVersion": "1.0.2",
        "root": {
            "path": "rootfs",
            "readonly": False,
        },  # read-only by its own mount, which a remount would loosen
        "process": {
            "terminal": False,
            # Without a umask of its own it would have that of whoever started it.
            "user": {"uid": 0, "gid": 0, "additionalGids": [0], "umask": 0o022},
            "args": list(arguments),
            "env": [f"{name}={value}" for name, value in variables.items()],
            "cwd": container.get("workingDir") or "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
            "noNewPrivileges": True,
        },
        "mounts": [*_with_kernel_file_systems(tree.mounts)],
        "linux": {
            "namespaces": [
                {"type": "pid"},
                {"type": "mount"},
                {"type": "cgroup"},
                {"type": "network", "path": namespaces.network},
                {"type": "ipc", "path": namespaces.ipc},
                {"type": "uts", "path": namespaces.uts},
            ],
            "cgroupsPath": cgroup,
            "resources": _resources(container),
            "devices": [
                {"path": f"/dev/{name}", "type": "c", "major": major, "minor": minor, "fileMode": 0o666}
                for name, major, minor in _DEVICES
            ],
            "seccomp": seccomp.profile(),
            "maskedPaths": [*MASKED_PATHS, *tree.masked_paths],
            "readonlyPaths": list(READ_ONLY_PATHS),
            "rootfsPropagation": "private",
        },
    }


def _with_kernel_file_systems(tree: Sequence[Object]) -> list[Object]:
    """The root first, then /proc, /dev and /sys, so that a volume may lie anywhere above them but not on
    them.
    """

    def mount(kind: str, destination: str, *options: str) -> Object:
        return {"destination": destination, "type": kind, "source": kind, "options": list(options)}

    kernel = [
        mount("proc", "/proc", "nosuid", "noexec", "nodev"),
        mount("tmpfs", "/dev", "nosuid", "noexec", "strictatime", "mode=755", "size=64k"),
        mount("devpts", "/dev/pts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        mount("tmpfs", "/dev/shm", "nosuid", "noexec", "nodev", "mode=1777", "size=64m"),
        mount("mqueue", "/dev/mqueue", "nosuid", "noexec", "nodev"),
        mount("sysfs", "/sys", "nosuid", "noexec", "nodev", "ro"),
    ]
    return [tree[0], *kernel, *tree[1:]]


def _resources(container: Object) -> Object:
    """Limits as the kubelet sets them: memory in bytes, cpu as quota in a period of 100 ms, requests as
    shares.
    """
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    rows: Object = {
        "devices": [
            {"allow": False, "access": "rwm"},
            *(
                {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rw"}
                for _, major, minor in _DEVICES
            ),
        ],
        "pids": {"limit": _PROCESSES},
    }
    if "memory" in limits:
        rows["memory"] = {"limit": int(parse(limits["memory"]))}
    shares = requests.get("cpu", limits.get("cpu"))
    cpu: dict[str, int] = {}
    if shares is not None:
        cpu["shares"] = max(2, int(parse(shares) * 1024))
    if "cpu" in limits:
        cpu |= {"period": 100_000, "quota": max(1000, int(parse(limits["cpu"]) * 100_000))}
    if cpu:
        rows["cpu"] = cpu
    return rows
