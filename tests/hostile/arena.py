"""Where the hostile tests fight: a lab that is up, workloads entered with the node's own full powers, and watchers.

An attacker here is stronger than a pod: a thread in the pod's network namespace with every capability, raw sockets
among them. What it sends carries a mark of random bytes; watchers at the places that must not be reached look for
the mark in whatever arrives there. So a test says "this was sent, and it came through nowhere".
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scapy.compat import raw
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from lab import world
from lab.cluster import Lab
from lab.names import World
from lab.play import Reader
from namewall.model.instance import Instance

CLONE_NEWNET = 0x40000000
SETTLE = 0.25
"""Seconds in which whatever passes has arrived: links here have no delay but the machine's load."""
PATIENCE = 0.6
"""Seconds after which a connection counts as dropped."""


@contextlib.contextmanager
def inside(path: str) -> Iterator[None]:
    """This thread in the network namespace at `path`."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor: int) -> None:
        if libc.setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {path}")

    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(path, os.O_RDONLY)
    try:
        enter(there)
        yield
    finally:
        enter(home)
        os.close(there)
        os.close(home)


@dataclass(frozen=True)
class Place:
    """A network namespace and an interface of it where packets are sent and watched."""

    name: str
    path: str
    interface: str

    def make_socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """It belongs to this namespace for good, whoever uses it."""
        with inside(self.path):
            return socket.socket(family, kind, protocol)

    def send(self, *frames: Packet | bytes) -> None:
        with self.make_socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
            out.bind((self.interface, 0))
            for frame in frames:
                with contextlib.suppress(OSError):  # larger than the MTU, or no buffer: then it was not sent
                    out.send(frame if isinstance(frame, bytes) else raw(frame))

    def run(self, *command: str) -> str:
        with inside(self.path):
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def listen(self, address: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = self.make_socket(family, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        if kind == socket.SOCK_STREAM:
            server.listen(16)
        return server

    def reaches(self, address: str, port: int, *, mark: int = 0, patience: float = PATIENCE) -> bool:
        """Does a TCP connection come about? `mark` is the socket's own."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.make_socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(patience)
            if mark:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark.to_bytes(4, "little"))
            try:
                client.connect((address, port))
            except OSError:
                return False
            return True


@dataclass(frozen=True)
class Pod(Place):
    """Addresses are text, v6 is "" in a cluster without it."""

    mac: str = ""
    gateway_mac: str = ""
    v4: str = ""
    v6: str = ""

    @property
    def ether(self) -> Ether:
        return Ether(src=self.mac, dst=self.gateway_mac)

    def packet(self, to: str, payload: Packet, *, source: str = "", **fields: Any) -> Packet:
        """From this pod to its gateway; `source` and `fields` are what a liar would write."""
        head = IPv6(src=source or self.v6, dst=to, **fields) if ":" in to else None
        return self.ether / (head or IP(src=source or self.v4, dst=to, **fields)) / payload


class Watcher:
    """Collects the frames that arrive at a place."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._socket = place.make_socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.bind((place.interface, 3))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self.frames: list[bytes] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._socket], [], [], 0.02)[0]:
                continue
            frame, origin = self._socket.recvfrom(65536)
            if origin[2] != socket.PACKET_OUTGOING:
                self.frames.append(frame)

    def saw(self, mark: bytes) -> bool:
        return any(mark in frame for frame in self.frames)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()


def mark() -> bytes:
    return b"hostile-" + os.urandom(12)


def payload(word: bytes) -> Packet:
    return Raw(word)


def udp(word: bytes, to: int, source: int = 40000) -> Packet:
    return UDP(sport=source, dport=to) / Raw(word)


@dataclass
class Arena:
    """The lab, its pods by name, the world outside and the host."""

    lab: Lab
    reader: Reader
    outside: World
    pods: dict[str, Pod] = field(default_factory=dict)

    @property
    def instance(self) -> Instance:
        return self.lab.instance

    @property
    def world(self) -> Place:
        return Place("world", f"/run/netns/{world.namespace(self.instance)}", "uplink")

    @property
    def host(self) -> Place:
        return Place("host", f"/proc/{os.getpid()}/ns/net", "lo")

    @property
    def world_link(self) -> str:
        """The host's end of the cable to the world."""
        return world.namespace(self.instance)

    def kubectl(self, line: str, text: str = "") -> str:
        if text:
            (self.reader.directory / "stdin.yaml").write_text(text)
            line += " -f stdin.yaml"
        outcome = self.reader.type(f"kubectl {line}", terminal=False)
        assert outcome.code == 0, f"{line}: {outcome.output}{outcome.errors}\n{self.lab.logs()}"
        return outcome.output

    def find_pods(self) -> None:
        for file in Path(self.instance.run_dir).glob("pods/*/sandbox.json"):
            document = json.loads(file.read_text())
            addresses = [str(address) for address in document["addresses"]]
            self.pods[document["name"]] = Pod(
                document["name"],
                str(file.with_name("net")),
                "eth0",
                mac=_mac(document["mac"]),
                gateway_mac=_mac(document["gateway_mac"]),
                v4=next((each for each in addresses if ":" not in each), ""),
                v6=next((each for each in addresses if ":" in each), ""),
            )

    def addresses(self, name: str, version: int = 4) -> list[str]:
        site = self.outside.site(name)
        assert site is not None
        return [str(address) for address in site.addresses if address.version == version]

    def service(self, namespace: str, name: str) -> list[str]:
        document = json.loads(self.kubectl(f"-n {namespace} get service {name} -o json"))
        return list(document["spec"]["clusterIPs"])

    def service_backend(self, namespace: str, name: str) -> str:
        """An IPv4 address behind it."""
        document = json.loads(self.kubectl(f"-n {namespace} get endpoints {name} -o json"))
        return str(document["subsets"][0]["addresses"][0]["ip"])

    @contextlib.contextmanager
    def watched(self, *names: str) -> Iterator[list[Watcher]]:
        """Watchers in the world and in these pods; all has arrived when the block has been left."""
        watchers = [Watcher(self.world), *(Watcher(self.pods[name]) for name in names)]
        try:
            yield watchers
            time.sleep(SETTLE)
        finally:
            for watcher in watchers:
                watcher.close()


def _mac(value: str) -> str:
    plain = value.replace(":", "")
    return ":".join(plain[at : at + 2] for at in range(0, 12, 2))
