"""A pod's namespaces and its routed veth.

    pod: eth0, /32 and /128, default via 169.254.1.1 and fe80::1  <->  host: a link, host routes to the pod

No bridge: every packet between pods is routed by the host, past both pods' programs. Gateways are known to
the pod by permanent neighbour entries, so that nothing depends on an answer; they are answered all the same
(a proxy entry for 169.254.1.1 only, and fe80::1 as the link's own address). The host side is created down
and stays so until `open_link`: until then the pod has no carrier.

The namespaces are kept by bind mounts in the pod's directory, not in /run/netns: they are nobody else's, and
`ip netns` of the host stays as it was.

`ip -batch` rather than pyroute2: importing that takes 140 ms and 24 MB (measured), a batch 2 ms and no
memory.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from namewall.model.net import Address
from namewall.runtime import syscalls

GATEWAY4 = "169.254.1.1"
GATEWAY6 = "fe80::1"

NAMESPACES = {"net": syscalls.CLONE_NEWNET, "ipc": syscalls.CLONE_NEWIPC, "uts": syscalls.CLONE_NEWUTS}

# What `rp_filter` checks the datapath checks too; it stands here for the moment in which a link is open and
# its programs were taken away.
_HOST_SYSCTLS = {
    4: {"forwarding": "1", "rp_filter": "1", "send_redirects": "0", "accept_redirects": "0"},
    6: {
        "forwarding": "1",
        "accept_ra": "0",
        "accept_dad": "0",
        "addr_gen_mode": "1",
        "accept_redirects": "0",
    },
}
# No link-local address in the pod: it would send from it what the datapath must drop.
_POD_SYSCTLS = {
    4: {"accept_redirects": "0"},
    6: {"accept_ra": "0", "accept_dad": "0", "addr_gen_mode": "1", "accept_redirects": "0", "autoconf": "0"},
}

_T = TypeVar("_T")


class NetworkError(Exception):
    """`ip` or the kernel refused; the text is theirs."""


def mac_addresses(uid: str, ifname: str) -> tuple[bytes, bytes]:
    """The pod's and the host side's: local unicast ones, the same for the same pod and link."""
    digest = hashlib.sha256(f"{uid} {ifname}".encode()).digest()
    return b"\x0a\x58" + digest[:4], b"\x0a\x59" + digest[4:8]


def create_namespaces(directory: str, hostname: str) -> None:
    """Make the pod's network, IPC and UTS namespaces and keep them as `directory`/net, /ipc and /uts."""

    def make() -> None:
        syscalls.unshare(sum(NAMESPACES.values()))
        syscalls.sethostname(hostname)
        for name in NAMESPACES:
            path = f"{directory}/{name}"
            with open(path, "ab"):
                pass
            syscalls.mount(f"/proc/thread-self/ns/{name}", path, None, syscalls.MS_BIND)

    _in_a_thread(make)


def remove_namespaces(directory: str) -> None:
    """Idempotent; the namespaces end when no process is in them either."""
    for name in NAMESPACES:
        path = f"{directory}/{name}"
        with suppress(OSError):
            syscalls.umount(path)
        with suppress(FileNotFoundError):
            os.unlink(path)


def is_namespace(path: str) -> bool:
    """Whether a namespace is mounted there (a plain file is what a lost mount leaves)."""
    try:
        return os.stat(path).st_dev == os.stat("/proc/self/ns/net").st_dev
    except OSError:
        return False


def inside(path: str, function: Callable[[], _T]) -> _T:
    """Call it in a thread that is in the network namespace at `path`; processes it starts are in it too."""

    def enter() -> _T:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(fd, syscalls.CLONE_NEWNET)
        finally:
            os.close(fd)
        return function()

    return _in_a_thread(enter)


def create_link(
    netns: str, ifname: str, mac: bytes, gateway_mac: bytes, addresses: Sequence[Address], mtu: int
) -> int:
    """Make and configure the veth pair; the host side stays down. Returns the host side's interface index."""
    host = os.getpid()

    def configure() -> None:
        _ip(
            [
                "link set lo up",
                f"link add eth0 mtu {mtu} address {_text(mac)} type veth"
                f" peer name {ifname} mtu {mtu} address {_text(gateway_mac)} netns {host}",
            ]
        )
        _sysctls("eth0", _POD_SYSCTLS, addresses)
        batch = ["link set eth0 up"]
        for address in addresses:
            if address.version == 4:
                batch += [
                    f"addr add {address}/32 dev eth0",
                    f"neigh replace {GATEWAY4} lladdr {_text(gateway_mac)} dev eth0 nud permanent",
                    f"route add {GATEWAY4}/32 dev eth0 scope link",
                    f"route add default via {GATEWAY4} dev eth0 src {address}",
                ]
            else:
                batch += [
                    f"addr add {address}/128 dev eth0 nodad",
                    f"neigh replace {GATEWAY6} lladdr {_text(gateway_mac)} dev eth0 nud permanent",
                    f"route add default via {GATEWAY6} dev eth0 src {address}",
                ]
        _ip(batch)

    inside(netns, configure)
    _sysctls(ifname, _HOST_SYSCTLS, addresses)
    index = link_index(ifname)
    if index is None:
        raise NetworkError(f"the link {ifname} vanished while it was made")
    return index


def open_link(ifname: str, mac: bytes, addresses: Sequence[Address]) -> None:
    """Bring the host side up, and route the pod's addresses to it. Idempotent."""
    batch = [f"link set {ifname} up"]
    if any(address.version == 4 for address in addresses):
        batch.append(f"neigh replace proxy {GATEWAY4} dev {ifname}")
    if any(address.version == 6 for address in addresses):
        batch.append(f"addr replace {GATEWAY6}/64 dev {ifname} nodad")
    for address in addresses:
        batch += [
            f"neigh replace {address} lladdr {_text(mac)} dev {ifname} nud permanent",
            f"route replace {address}/{address.max_prefixlen} dev {ifname}"
            + (" scope link" if address.version == 4 else ""),
        ]
    _ip(batch)


def remove_link(ifname: str) -> None:
    """Idempotent; its routes and neighbours go with it."""
    if link_index(ifname) is None:
        return
    try:
        _ip([f"link del {ifname}"])
    except NetworkError:
        # It may have gone by itself, with the last process in the pod's namespace.
        if link_index(ifname) is not None:
            raise


def link_index(ifname: str) -> int | None:
    """The interface index in the namespace of this process, None where there is no such link."""
    try:
        with open(f"/sys/class/net/{ifname}/ifindex", encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return None


def uplink_mtu() -> int:
    """The least MTU of the links that carry a default route, 1500 at most: pods' packets then need no
    fragments.
    """
    found = [1500]
    with suppress(OSError), open("/proc/net/route", encoding="ascii") as file:
        for line in file.read().splitlines()[1:]:
            ifname, destination, *_ = line.split()
            if int(destination, 16) == 0:
                with open(f"/sys/class/net/{ifname}/mtu", encoding="ascii") as mtu:
                    found.append(int(mtu.read()))
    return max(1280, min(found))


def _text(mac: bytes) -> str:
    return mac.hex(":")


def _ip(lines: Sequence[str]) -> None:
    done = subprocess.run(
        ["ip", "-batch", "-"], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NetworkError(f"ip: {done.stderr.strip() or done.stdout.strip()}")


def _sysctls(ifname: str, wanted: dict[int, dict[str, str]], addresses: Sequence[Address]) -> None:
    for version in {address.version for address in addresses}:
        for name, value in wanted[version].items():
            # Not every kernel has every one of them; IPv6 may be off as a whole.
            with (
                suppress(FileNotFoundError),
                open(f"/proc/sys/net/ipv{version}/conf/{ifname}/{name}", "w", encoding="ascii") as file,
            ):
                file.write(value)


def _in_a_thread(function: Callable[[], _T]) -> _T:
    """Namespaces are a thread's own: this thread ends with the call, and nothing else ever runs in it."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="namespace")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
