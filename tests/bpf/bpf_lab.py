"""A node in miniature for the datapath's tests: namespaces of their own, nothing on the host but their names.

`Lab` has a node namespace (the datapath attaches there), pods behind routed veths, and a world with a DNS server
and TCP listeners. Sockets belong to the namespace they are made in, so everything runs in this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from namewall.datapath.kernel import KernelDatapath
from namewall.model.instance import Instance
from namewall.model.net import Address, Direction
from namewall.policy.map_state import AnyPeer, DnsRules, FqdnPeer, MapState, Peer, PolicyEntry, PolicyKey
from namewall.state.tables import EndpointRow, IpcacheRow, NodeTables

CLONE_NEWNET = 0x40000000
TCP, UDP = 6, 17
POD4, POD6 = "10.99.0.2", "2001:db8:99::2"
RESOLVER4, RESOLVER6 = "198.51.100.53", "2001:db8:1::53"
WORLD4 = [f"203.0.113.{n}" for n in range(1, 9)]
WORLD6 = [f"2001:db8:2::{n}" for n in range(1, 9)]


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread in a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(path: str) -> None:
        fd = os.open(path, os.O_RDONLY)
        try:
            if libc.setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), path)
        finally:
            os.close(fd)

    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        enter(f"/run/netns/{namespace}")
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)


def run(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True, text=True)


def ip(namespace: str, *commands: str) -> None:
    for command in commands:
        run(f"ip -n {namespace} {command}")


def sysctl(namespace: str, key: str, value: int) -> None:
    with inside(namespace), open(f"/proc/sys/{key.replace('.', '/')}", "w", encoding="ascii") as file:
        file.write(str(value))


class Server:
    """Sockets of the world: DNS over UDP on port 53, echo of one line over TCP."""

    def __init__(self, namespace: str) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        """(name, type) → records, `name ttl IN type data` or data alone (TTL 1)."""
        self.asked: list[str] = []
        self.clients: list[str] = []
        """Who connected for DNS over TCP."""
        self.rewrite: Callable[[dns.message.Message], list[bytes]] | None = None
        self._sockets: list[socket.socket] = []
        self._namespace = namespace

    def serve_dns(self, address: str, port: int = 53) -> None:
        with inside(self._namespace):
            server = socket.socket(_family(address), socket.SOCK_DGRAM)
            server.bind((address, port))
        self._start(server, self._dns)

    def serve_tcp(self, address: str, port: int) -> None:
        with inside(self._namespace):
            server = socket.socket(_family(address), socket.SOCK_STREAM)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if ":" in address:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind((address, port))
            server.listen(64)
        self._start(server, self._tcp)

    def serve_dns_stream(self, address: str, port: int = 53) -> None:
        with inside(self._namespace):
            server = socket.socket(_family(address), socket.SOCK_STREAM)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            server.listen(64)
        self._start(server, self._dns_stream)

    def _dns_stream(self, server: socket.socket) -> None:
        while True:
            client, _ = server.accept()
            self.clients.append(client.getpeername()[0])
            threading.Thread(target=self._guard, args=(self._dns_talk, client), daemon=True).start()

    def _dns_talk(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as file:
            while head := file.read(2):
                for answer in self.answer(file.read(int.from_bytes(head, "big"))):
                    client.sendall(len(answer).to_bytes(2, "big") + answer)

    def _start(self, server: socket.socket, loop: Callable[[socket.socket], None]) -> None:
        self._sockets.append(server)
        threading.Thread(target=self._guard, args=(loop, server), daemon=True).start()

    def _guard(self, loop: Callable[[socket.socket], None], server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            loop(server)

    def _dns(self, server: socket.socket) -> None:
        while True:
            packet, client = server.recvfrom(4096)
            if not packet:
                return  # closed
            for answer in self.answer(packet):
                server.sendto(answer, client)

    def answer(self, packet: bytes) -> list[bytes]:
        query = dns.message.from_wire(packet)
        question = query.question[0]
        name = str(question.name).lower()
        self.asked.append(name)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        records = self.zone.get((name, dns.rdatatype.to_text(question.rdtype)))
        if records is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        for record in records or []:
            if " " not in record:
                record = f"{question.name} 1 IN {dns.rdatatype.to_text(question.rdtype)} {record}"
            owner, ttl, klass, kind, data = record.split(" ", 4)
            response.answer.append(dns.rrset.from_text(owner, int(ttl), klass, kind, data))
        if self.rewrite is not None:
            return self.rewrite(response)
        return [response.to_wire(max_size=65535)]

    def _tcp(self, server: socket.socket) -> None:
        while True:
            client, _ = server.accept()
            threading.Thread(target=self._echo, args=(client,), daemon=True).start()

    def _echo(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while line := client.recv(100):
                client.sendall(line)

    def close(self) -> None:
        for server in self._sockets:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Pod:
    """A workload behind a routed veth."""

    def __init__(self, lab: Lab, number: int) -> None:
        self.number = number
        self.namespace = f"{lab.tag}p{number}"
        self.ifname = f"{lab.tag}h{number}"
        self.ipv4, self.ipv6 = f"10.99.0.{number + 1}", f"2001:db8:99::{number + 1}"
        run(f"ip netns add {self.namespace}")
        ip(lab.node, f"link add {self.ifname} type veth peer name eth0 netns {self.namespace}")
        for key in ("net.ipv6.conf.eth0.accept_dad", "net.ipv6.conf.eth0.accept_ra"):
            sysctl(self.namespace, key, 0)
        sysctl(lab.node, f"net.ipv6.conf.{self.ifname}.accept_dad", 0)
        ip(
            lab.node,
            f"link set {self.ifname} up",
            f"addr add 169.254.1.1/32 dev {self.ifname}",
            f"addr add fe80::1/64 dev {self.ifname} nodad",
            f"route add {self.ipv4}/32 dev {self.ifname}",
            f"route add {self.ipv6}/128 dev {self.ifname}",
        )
        ip(
            self.namespace,
            "link set lo up",
            "link set eth0 up",
            f"addr add {self.ipv4}/32 dev eth0",
            f"addr add {self.ipv6}/128 dev eth0 nodad",
            "route add 169.254.1.1/32 dev eth0",
            "route add default via 169.254.1.1 dev eth0",
            "route add default via fe80::1 dev eth0",
        )
        with inside(self.namespace):
            self.mac = bytes.fromhex(_address_of("eth0").replace(":", ""))
        with inside(lab.node):
            self.gateway_mac = bytes.fromhex(_address_of(self.ifname).replace(":", ""))
            self.ifindex = socket.if_nametoindex(self.ifname)

    def row(self, policy: int = 1, scope: int | None = None, identity: int | None = None) -> EndpointRow:
        return EndpointRow(
            id=self.number,
            scope=scope if scope is not None else 100 + self.number,
            ifname=self.ifname,
            ifindex=self.ifindex,
            mac=self.mac,
            gateway_mac=self.gateway_mac,
            addresses=(ip_address(self.ipv4), ip_address(self.ipv6)),
            identity=identity if identity is not None else 1000 + self.number,
            policy=policy,
        )

    def socket(self, address: str, kind: int) -> socket.socket:
        with inside(self.namespace):
            return socket.socket(_family(address), kind)

    def exchange(self, packet: bytes, server: str, timeout: float = 0.4, port: int = 53) -> bytes | None:
        with self.socket(server, socket.SOCK_DGRAM) as client:
            client.settimeout(timeout)
            client.connect((server, port))
            client.send(packet)
            try:
                return client.recv(65535)
            except TimeoutError:
                return None

    def ask(
        self, name: str, kind: str = "A", server: str = RESOLVER4, timeout: float = 0.4, edns: bool = False
    ) -> dns.message.Message | None:
        """The answer; None where there was none in time."""
        query = dns.message.make_query(name, kind, use_edns=0 if edns else False)
        wire = self.exchange(query.to_wire(), server, timeout)
        return dns.message.from_wire(wire) if wire is not None else None

    def connects(self, address: str, port: int = 443, timeout: float = 0.25) -> bool:
        connection = self.open(address, port, timeout)
        if connection is not None:
            connection.close()
        return connection is not None

    def open(self, address: str, port: int = 443, timeout: float = 0.25) -> socket.socket | None:
        client = self.socket(address, socket.SOCK_STREAM)
        client.settimeout(timeout)
        try:
            client.connect((address, port))
        except OSError:
            client.close()
            return None
        return client


def _address_of(ifname: str) -> str:
    out = subprocess.run(["ip", "-o", "link", "show", ifname], check=True, capture_output=True, text=True)
    return out.stdout.split("link/ether ")[1].split()[0]


class Lab:
    def __init__(self, root: str) -> None:
        self.instance = Instance(root)
        self.tag = f"t{self.instance.tag}"
        self.node, self.world = f"{self.tag}n", f"{self.tag}w"
        self.pods: dict[int, Pod] = {}
        run(f"ip netns add {self.node}")
        run(f"ip netns add {self.world}")
        sysctl(self.node, "net.ipv4.ip_forward", 1)
        sysctl(self.node, "net.ipv6.conf.all.forwarding", 1)
        for namespace in (self.node, self.world):
            sysctl(namespace, "net.ipv6.conf.default.accept_dad", 0)
            ip(namespace, "link set lo up")
        ip(self.node, f"link add world type veth peer name eth0 netns {self.world}", "link set world up")
        ip(self.world, "link set eth0 up")
        ip(
            self.node,
            "addr add 198.51.100.1/24 dev world",
            "addr add 2001:db8:1::1/64 dev world nodad",
            "route add 203.0.113.0/24 via 198.51.100.53",
            f"route add 2001:db8:2::/64 via {RESOLVER6}",
        )
        ip(
            self.world,
            f"addr add {RESOLVER4}/24 dev eth0",
            f"addr add {RESOLVER6}/64 dev eth0 nodad",
            "route add default via 198.51.100.1",
            "route add default via 2001:db8:1::1",
        )
        for address in WORLD4:
            ip(self.world, f"addr add {address}/32 dev lo")
        for address in WORLD6:
            ip(self.world, f"addr add {address}/128 dev lo nodad")
        self.server = Server(self.world)
        for address in (RESOLVER4, RESOLVER6):
            self.server.serve_dns(address)
            self.server.serve_dns_stream(address)
        for address in ("0.0.0.0", "::"):
            self.server.serve_tcp(address, 443)
            self.server.serve_tcp(address, 80)
        self.datapath = KernelDatapath(self.instance)

    def pod(self, number: int = 1) -> Pod:
        if number not in self.pods:
            self.pods[number] = Pod(self, number)
        return self.pods[number]

    def load(self) -> None:
        with inside(self.node):
            self.datapath.load()

    def restart(self) -> None:
        """The agent dies and another one starts."""
        self.datapath.close()
        self.datapath = KernelDatapath(self.instance)
        self.load()

    def apply(self, tables: NodeTables) -> None:
        with inside(self.node):
            self.datapath.apply(tables)

    def close(self) -> None:
        self.server.close()
        with contextlib.suppress(Exception):
            self.datapath.close()
        names = [self.node, self.world, *(pod.namespace for pod in self.pods.values())]
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        KernelDatapath(self.instance).unload()


# Short words for tables.

ANY = AnyPeer()


def key(
    peer: Peer = ANY, protocol: int = 0, port: int = 0, direction: Direction = Direction.EGRESS
) -> PolicyKey:
    return PolicyKey(direction, peer, protocol, port, 16 if port else 0)


def allow(
    peer: Peer = ANY, protocol: int = 0, port: int = 0, dns: DnsRules | None = None, **more: Direction
) -> tuple[PolicyKey, PolicyEntry]:
    return key(peer, protocol, port, **more), PolicyEntry(dns=dns)


def deny(
    peer: Peer = ANY, protocol: int = 0, port: int = 0, **more: Direction
) -> tuple[PolicyKey, PolicyEntry]:
    return key(peer, protocol, port, **more), PolicyEntry(deny=True)


def egress(*entries: tuple[PolicyKey, PolicyEntry]) -> MapState:
    return MapState(enforce_ingress=False, enforce_egress=True, entries=dict(entries))


def names(*forms: str, ask: DnsRules | None = None) -> MapState:
    """May ask for `ask` (default: the same names), and go to port 443 of what these are."""
    asked = ask if ask is not None else frozenset(forms)
    return egress(
        allow(protocol=UDP, port=53, dns=asked),
        *(allow(FqdnPeer(form), TCP, 443) for form in forms),
    )


def tables(state: MapState, *rows: EndpointRow, **more: object) -> NodeTables:
    """All endpoints under one policy; the node's own ranges are inside."""
    inside_rows = {
        ip_network("10.99.0.0/16"): IpcacheRow(15, inside=True),
        ip_network("2001:db8:99::/48"): IpcacheRow(15, inside=True),
        ip_network("198.51.100.1/32"): IpcacheRow(1, inside=True),
    }
    values: dict[str, object] = {
        "endpoints": {row.id: row for row in rows},
        "policies": {1: state},
        "ipcache": inside_rows,
    }
    values.update(more)
    return NodeTables(**values)  # type: ignore[arg-type]


def eventually(condition: Callable[[], bool], seconds: float = 2.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def a(text: str) -> Address:
    address = ip_address(text)
    assert isinstance(address, IPv4Address | IPv6Address)
    return address
