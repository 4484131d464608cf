"""A host, pods and an outside as network namespaces, with real sockets in one test process.

A socket stays in the namespace it was made in, so a test enters a namespace only to make one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread (and what it starts) is in the namespace meanwhile."""
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Net:
    """`host` forwards; each pod has a routed veth as the runtime makes it; `outside` is a plain neighbour.

    Pods: 10.77.1.N and 2001:db8:77:1::N. Outside: 203.0.113.2 and 2001:db8:99::2; the host .1 and ::1 there.
    """

    def __init__(self, prefix: str, pods: int) -> None:
        self.prefix = prefix
        self.host = f"{prefix}-host"
        self.outside = f"{prefix}-out"
        self.pods = [f"{prefix}-p{number}" for number in range(1, pods + 1)]

    def __enter__(self) -> Net:
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for namespace in (*self.pods, self.outside, self.host):
            if os.path.exists(f"/run/netns/{namespace}"):
                ip("netns", "del", namespace)

    def _make(self) -> None:
        for namespace in (self.host, self.outside, *self.pods):
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        with inside(self.host):
            for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                with open(f"/proc/sys/net/{path}", "w") as file:
                    file.write("1")
        for number, pod in enumerate(self.pods, 1):
            link = f"pod{number}"
            self._pair(link, pod)
            for address in ("169.254.1.1/32", "fe80::1/64"):
                ip("-n", self.host, "addr", "add", address, "dev", link, *_nodad(address))
            for address, gateway, family in (
                (f"10.77.1.{number}/32", "169.254.1.1", "-4"),
                (f"2001:db8:77:1::{number}/128", "fe80::1", "-6"),
            ):
                ip("-n", pod, "addr", "add", address, "dev", "eth0", *_nodad(address))
                ip("-n", self.host, "route", "add", address, "dev", link)
                if family == "-4":
                    ip("-n", pod, "route", "add", gateway, "dev", "eth0")
                ip("-n", pod, family, "route", "add", "default", "via", gateway, "dev", "eth0")
        self._pair("out", self.outside)
        for number, namespace, link in ((1, self.host, "out"), (2, self.outside, "eth0")):
            for address in (f"203.0.113.{number}/24", f"2001:db8:99::{number}/64"):
                ip("-n", namespace, "addr", "add", address, "dev", link, *_nodad(address))
        # As a host has it: whatever is not known goes out. Outside knows no way back to pods or Services.
        for family, gateway in (("-4", "203.0.113.2"), ("-6", "2001:db8:99::2")):
            ip("-n", self.host, family, "route", "add", "default", "via", gateway)

    def _pair(self, link: str, namespace: str) -> None:
        ip("-n", self.host, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        ip("-n", self.host, "link", "set", link, "up")
        ip("-n", namespace, "link", "set", "eth0", "up")

    inside = staticmethod(inside)
    ip = staticmethod(ip)

    def udp(self, namespace: str, address: str = "", port: int = 0, timeout: float = 2.0) -> socket.socket:
        """Bound where an address is given, of that family."""
        with inside(namespace):
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(timeout)
        sock.bind((address, port))
        return sock

    def listener(self, namespace: str, address: str, port: int) -> socket.socket:
        with inside(namespace):
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(2.0)
        sock.bind((address, port))
        sock.listen(64)
        return sock

    def connect(self, namespace: str, address: str, port: int, timeout: float = 2.0) -> socket.socket:
        with inside(namespace):
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect((address, port))
        except OSError:
            sock.close()
            raise
        return sock


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    """Three pods; the same for all tests of a file."""
    with Net(f"nwt{os.getpid() % 100000}", pods=3) as net:
        yield net


def _nodad(address: str) -> list[str]:
    return ["nodad"] if ":" in address else []
