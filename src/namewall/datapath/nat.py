"""Service addresses and the way out: one nft table per instance that says where a packet really goes.

    pod → tc (sees the VIP) → prerouting: DNAT to a ready backend → routing → postrouting → tc of that pod

Lookups are constant: {VIP, protocol, port} is a key of one map whose verdict is a chain with one rule that
draws a backend; the ruleset grows with Services and backends alone. Policy is not made here: the pods' own
programs judge before and after.

What it does, v4 and v6, UDP and TCP alike:
 1. VIP:port to a ready backend, for forwarded packets and the host's own;
 2. what is still addressed to a VIP or to the Service range after that has no backend and is dropped, so it
    never leaves by the default route;
 3. a pod that reaches itself through a VIP sees a source that is not its own (from its own it would drop the
    packet); the datapath has to take HAIRPIN_SOURCES for the host, which may always enter;
 4. masquerade for pods' traffic to anywhere but pods, Services and nodes; all else keeps its source.

Invariants. The table is replaced as a whole in one transaction, and only where the kernel's is not the wanted
one (a digest of the ruleset stands in the table's comment). Nothing outside the table is touched. That has a
price: a host whose own firewall drops forwarded packets by default drops pods' packets too, and no accept of
ours can overrule a drop of another table; `forward_obstacles` names such chains, for the user to hear of.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Any

from namewall.datapath.nat_conntrack import forget_stale
from namewall.model.errors import Cannot
from namewall.model.instance import Instance
from namewall.model.net import Address, Network, Protocol
from namewall.state.tables import ServiceBackend, VipKey

HAIRPIN_SOURCES: tuple[Address, ...] = (ip_address("169.254.1.1"), ip_address("fd4e:5741::1"))
"""Who a pod meets when it meets itself: the gateway; for IPv6 an address that is nobody's, because a server's
answer to the gateway's own, fe80::1, would come from the pod's link-local address. Neither need be anywhere:
the answers go to the default gateway and are turned back before they are routed."""
_ENVIRONMENT = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
"""`nft` is not on every user's own PATH."""
_PROTOCOLS = {Protocol.TCP: "tcp", Protocol.UDP: "udp", Protocol.SCTP: "sctp"}


@dataclass(frozen=True, slots=True)
class NatTables:
    """What the nft table shall do. A VIP with no backends is dropped, as is the rest of `service_ranges`."""

    services: Mapping[VipKey, tuple[ServiceBackend, ...]] = field(default_factory=dict)
    sticky: frozenset[VipKey] = frozenset()
    """VIPs whose backend follows from the client's address (sessionAffinity: ClientIP)."""
    pod_ranges: tuple[Network, ...] = ()
    service_ranges: tuple[Network, ...] = ()
    nodes: tuple[Address, ...] = ()
    hairpin_sources: tuple[Address, ...] = HAIRPIN_SOURCES


def ruleset(table: str, wanted: NatTables, exempt: int = 0) -> str:
    """Input for `nft -f -` that makes the table what is wanted, whatever it was.

    Packets marked `exempt` are for sockets of this host (datapath/transparent.py) and stay as they are.
    """
    body = "\n".join(_body(wanted, exempt))
    digest = hashlib.sha256(body.encode()).hexdigest()
    # The first line makes the table where it is missing, so that deleting it cannot fail.
    head = f"table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n"
    return f'{head}comment "{digest}"\n{body}\n}}\n'


def _body(wanted: NatTables, exempt: int) -> Iterator[str]:
    served = {vip: backends for vip, backends in sorted(wanted.services.items(), key=_order) if backends}
    closed = [*wanted.service_ranges, *(ip_network(vip.address) for vip in wanted.services)]
    inside = [*wanted.pod_ranges, *closed, *(ip_network(node) for node in wanted.nodes)]
    for version, address_type in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        vips = [vip for vip in served if vip.address.version == version]
        verdicts = [
            f"{vip.address} . {_PROTOCOLS[Protocol(vip.protocol)]} . {vip.port} : goto {_chain(vip)}"
            for vip in vips
        ]
        selves = sorted({str(backend.address) for vip in vips for backend in served[vip]})
        key = f"{address_type} . inet_proto . inet_service"
        yield f"map services{version} {{ type {key} : verdict;{_in(verdicts)} }}"
        pairs = _in(f"{address} . {address}" for address in selves)
        yield f"set selves{version} {{ type {address_type} . {address_type};{pairs} }}"
        for name, networks in (("pods", wanted.pod_ranges), ("inside", inside), ("closed", closed)):
            ranges = _ranges(networks, version)
            yield f"set {name}{version} {{ type {address_type}; flags interval;{_in(ranges)} }}"
    for vip, backends in served.items():
        yield _service_chain(vip, backends, vip in wanted.sticky)
    yield "chain services {"
    yield "  ip daddr . meta l4proto . th dport vmap @services4"
    yield "  ip6 daddr . meta l4proto . th dport vmap @services6"
    yield "}"
    # -100 is dstnat: its name is not known in the output hook of every nft.
    for hook in ("prerouting", "output"):
        passes = f" meta mark {exempt:#x} accept;" if exempt and hook == "prerouting" else ""
        yield f"chain {hook} {{ type nat hook {hook} priority -100; policy accept;{passes} jump services; }}"
        yield f"chain closed-{hook} {{ type filter hook {hook} priority -90; policy accept;{passes}"
        yield "  ip daddr @closed4 drop"
        yield "  ip6 daddr @closed6 drop"
        yield "}"
    yield "chain postrouting { type nat hook postrouting priority 100; policy accept;"
    for ip, version in (("ip", 4), ("ip6", 6)):
        for source in wanted.hairpin_sources:
            if source.version == version:
                yield f"  ct status dnat {ip} saddr . {ip} daddr @selves{version} snat {ip} to {source}"
        yield f"  {ip} saddr @pods{version} {ip} daddr != @inside{version} masquerade fully-random"
    yield "}"


def _service_chain(vip: VipKey, backends: tuple[ServiceBackend, ...], sticky: bool) -> str:
    ip = "ip" if vip.address.version == 4 else "ip6"
    draw = f"jhash {ip} saddr" if sticky else "numgen random"
    choices = ", ".join(f"{number} : {each.address} . {each.port}" for number, each in enumerate(backends))
    rule = f"dnat {ip} to {draw} mod {len(backends)} map {{ {choices} }}"
    return f"chain {_chain(vip)} {{ meta l4proto {_PROTOCOLS[Protocol(vip.protocol)]} {rule}; }}"


def _chain(vip: VipKey) -> str:
    """A name without colons, which nft does not take."""
    address = str(vip.address) if vip.address.version == 4 else vip.address.packed.hex()
    return f"service-{address}-{_PROTOCOLS[Protocol(vip.protocol)]}-{vip.port}"


def _in(elements: Iterable[str]) -> str:
    """The elements of a set; nft knows no empty list of them."""
    joined = ", ".join(elements)
    return f" elements = {{ {joined} }};" if joined else ""


def _ranges(networks: Iterable[Network], version: int) -> list[str]:
    """Without overlaps, which an interval set refuses."""
    if version == 4:
        return [
            str(net) for net in collapse_addresses(net for net in networks if isinstance(net, IPv4Network))
        ]
    return [str(net) for net in collapse_addresses(net for net in networks if isinstance(net, IPv6Network))]


def _order(item: tuple[VipKey, Any]) -> tuple[int, bytes, int, int]:
    vip = item[0]
    return vip.address.version, vip.address.packed, vip.protocol, vip.port


class Nat:
    """The table of one instance. Blocks for some milliseconds, some tens where the table is written."""

    def __init__(self, instance: Instance) -> None:
        self.table = instance.name
        self._exempt = instance.proxy_mark
        self._applied: NatTables | None = None

    def apply(self, wanted: NatTables) -> bool:
        """Makes the kernel's table the wanted one; whether it had to be written. Raises Cannot.

        Looks at the kernel each time: `nft flush ruleset`, which reloading a host's firewall does, takes our
        table with it.
        """
        text = ruleset(self.table, wanted, self._exempt)
        if self._comment() in text.splitlines():
            return False
        _nft("-f", "-", text=text)
        # Only now: an entry forgotten earlier could have been made anew from the old rules.
        gone = self._applied.services if self._applied else {}
        forget_stale({**dict.fromkeys(gone, ()), **wanted.services})
        self._applied = wanted
        return True

    def remove(self) -> None:
        """Takes the table away; nothing happens where there is none."""
        _nft("-f", "-", text=f"table inet {self.table}\ndelete table inet {self.table}\n")
        self._applied = None

    def _comment(self) -> str:
        """The line with the digest in the kernel's table, "" where that is missing. (JSON leaves it out.)"""
        lines = _run("-t", "list", "table", "inet", self.table).stdout.splitlines()
        return next((line.strip() for line in lines if line.strip().startswith("comment ")), "")


def forward_obstacles() -> list[str]:
    """A sentence for each chain of the host's that drops forwarded packets by default, pods' too."""
    run = _run("-j", "-t", "list", "chains")
    if run.returncode != 0:
        return []
    chains = [item["chain"] for item in json.loads(run.stdout)["nftables"] if "chain" in item]
    return [
        f"chain `{chain['name']}` of nft table `{chain['family']} {chain['table']}` drops forwarded packets "
        "by default: pods reach one another and the outside only as far as it accepts their addresses"
        for chain in chains
        if chain.get("hook") == "forward" and chain.get("policy") == "drop"
    ]


def _nft(*arguments: str, text: str = "") -> None:
    run = _run(*arguments, text=text)
    if run.returncode != 0:
        message = (run.stderr.strip().splitlines() or ["no message"])[0]
        raise Cannot(f"nft refused the table of Services: {message}")


def _run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["nft", *arguments], input=text, capture_output=True, text=True, check=False, env=_ENVIRONMENT
        )
    except FileNotFoundError:
        raise Cannot("the program `nft` is missing; install the package nftables") from None
