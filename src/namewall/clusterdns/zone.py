"""Question → answer for the names of the cluster: Kubernetes' DNS-Based Service Discovery, version 1.1.0.

    SERVICE.NS.svc.DOMAIN              A/AAAA: ClusterIPs, or a headless Service's ready endpoints; or CNAME
    HOST.SERVICE.NS.svc.DOMAIN         A/AAAA of one endpoint: its hostname, else its address with dashes
    _PORT._PROTO.SERVICE.NS.svc.DOMAIN SRV: the Service's port, or each endpoint's
    10-0-0-1.NS.pod.DOMAIN             A/AAAA, only where such a pod lives in NS
    REVERSE.in-addr.arpa / ip6.arpa    PTR of ClusterIPs and of headless endpoints
    dns-version.DOMAIN                 TXT

The pod names are checked against the pods there are (CoreDNS' `pods verified`): made up from the question
they would let anybody have any address under a name that a `matchPattern: "*.cluster.local"` allows.

Pure. All owner names stand in one table with their empty ancestors, so that NXDOMAIN and NODATA are what the
table says: the name is not there, or it has not that type. Outside our zones the answer is None: forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdataclass import IN
from dns.rdatatype import AAAA, ANY, CNAME, NS, PTR, SOA, SRV, TXT, A, RdataType
from dns.rdtypes.ANY import CNAME as cname
from dns.rdtypes.ANY import NS as ns
from dns.rdtypes.ANY import PTR as ptr
from dns.rdtypes.ANY import SOA as soa
from dns.rdtypes.ANY import TXT as txt
from dns.rdtypes.IN import AAAA as aaaa
from dns.rdtypes.IN import SRV as srv
from dns.rdtypes.IN import A as a

from namewall.clusterdns.records import Port, Records, Service
from namewall.model.net import Address, Network

STABLE_TTL = 30
"""Seconds; ClusterIPs stay as they are for their Service's life."""
QUICK_TTL = 5
"""Seconds; endpoints come and go. Also how long a name that is not there may be taken for missing."""
SCHEMA = "1.1.0"

# What a name has of one type: seconds to live, and values: an address, a target's key, or port and target.
Value = str | tuple[int, str]
Node = dict[RdataType, tuple[int, list[Value]]]


@dataclass(slots=True)
class Answer:
    """`chase`: the alias whose target's records the caller has to add: stub resolvers follow no alias."""

    rcode: int = dns.rcode.NOERROR
    answer: list[dns.rrset.RRset] = field(default_factory=list)
    authority: list[dns.rrset.RRset] = field(default_factory=list)
    additional: list[dns.rrset.RRset] = field(default_factory=list)
    chase: dns.name.Name | None = None


class Unknown:
    """The zone before any records were read: its names fail (they may exist), all others are forwarded."""

    def __init__(self, domain: str) -> None:
        self._domain = dns.name.from_text(domain)

    def answer(self, name: dns.name.Name, rdtype: RdataType, turn: int = 0) -> Answer | None:
        return Answer(dns.rcode.SERVFAIL) if name.is_subdomain(self._domain) else None


class Zone:
    def __init__(self, records: Records) -> None:
        self._domain = records.domain
        self._zones = {
            records.domain,
            *(zone for network in records.ranges for zone in reverse_zones(network)),
        }
        self._nodes: dict[str, Node] = {zone: {} for zone in self._zones}
        self._put(f"dns-version.{self._domain}", TXT, STABLE_TTL, [SCHEMA])
        for parent in ("svc", "pod"):
            self._node(f"{parent}.{self._domain}")
        for service in records.services:
            self._add_service(service)
        for namespace, pods in records.pods.items():
            for pod in pods:
                self._put_addresses(f"{dashed(pod)}.{namespace}.pod.{self._domain}", QUICK_TTL, [pod])
        if (server := f"kube-dns.kube-system.svc.{self._domain}") in self._nodes:
            self._put(self._domain, NS, STABLE_TTL, [server])

    def answer(self, name: dns.name.Name, rdtype: RdataType, turn: int = 0) -> Answer | None:
        """None where the name is not ours. `turn` rotates several addresses, so that clients spread."""
        key = _key(name)
        zone = self._zone_of(key)
        if zone is None:
            return None
        node = self._nodes.get(key)
        if node is None:
            return Answer(dns.rcode.NXDOMAIN, authority=[self._soa(zone)])
        answer = Answer()
        if rdtype == SOA and key == zone:
            answer.answer.append(self._soa(zone))
        elif CNAME in node and rdtype != CNAME:
            rrset = self._rrset(name, CNAME, node, 0)
            answer.answer.append(rrset)
            answer.chase = rrset[0].target
        else:
            answer.answer.extend(
                self._rrset(name, kind, node, turn)
                for kind in (node if rdtype == ANY else (rdtype,))
                if kind in node
            )
        if rdtype == SRV and SRV in node:
            answer.additional = self._glue(node, turn)
        if not answer.answer:
            answer.authority.append(self._soa(zone))
        return answer

    def _zone_of(self, key: str) -> str | None:
        while key:
            if key in self._zones:
                return key
            key = key.partition(".")[2]
        return None

    def _add_service(self, service: Service) -> None:
        base = f"{service.name}.{service.namespace}.svc.{self._domain}".lower()
        self._node(base)
        if service.external_name:
            self._put(base, CNAME, QUICK_TTL, [service.external_name])
        elif service.addresses:
            self._put_addresses(base, STABLE_TTL, service.addresses)
            self._put_srv(base, STABLE_TTL, [(port, base) for port in service.ports])
            for address in service.addresses:
                self._put_reverse(address, STABLE_TTL, base)
        else:
            for endpoint in service.endpoints:
                host = f"{endpoint.hostname or dashed(endpoint.address)}.{base}".lower()
                self._put_addresses(base, QUICK_TTL, [endpoint.address])
                self._put_addresses(host, QUICK_TTL, [endpoint.address])
                self._put_srv(base, QUICK_TTL, [(port, host) for port in endpoint.ports])
                self._put_reverse(endpoint.address, QUICK_TTL, host)

    def _node(self, key: str) -> Node:
        """The name's own, made with its ancestors where it is new. Only below one of our zones."""
        node = self._nodes.setdefault(key, {})
        parent = key.partition(".")[2]
        while parent not in self._nodes:
            self._nodes[parent] = {}
            parent = parent.partition(".")[2]
        return node

    def _put(self, key: str, rdtype: RdataType, ttl: int, values: Iterable[Value]) -> None:
        _, there = self._node(key).setdefault(rdtype, (ttl, []))
        there.extend(value for value in values if value not in there)

    def _put_addresses(self, key: str, ttl: int, addresses: Iterable[Address]) -> None:
        for address in addresses:
            self._put(key, A if address.version == 4 else AAAA, ttl, [str(address)])

    def _put_srv(self, base: str, ttl: int, ports: Iterable[tuple[Port, str]]) -> None:
        for port, target in ports:
            if port.name:
                self._put(f"_{port.name}._{port.protocol}.{base}".lower(), SRV, ttl, [(port.port, target)])

    def _put_reverse(self, address: Address, ttl: int, target: str) -> None:
        key = address.reverse_pointer
        if self._zone_of(key) is not None:
            self._put(key, PTR, ttl, [target])

    def _glue(self, node: Node, turn: int) -> list[dns.rrset.RRset]:
        glue = []
        for target in dict.fromkeys(value[1] for value in node[SRV][1] if isinstance(value, tuple)):
            there = self._nodes.get(target, {})
            glue += [self._rrset(_name(target), kind, there, turn) for kind in (A, AAAA) if kind in there]
        return glue

    def _rrset(
        self,
        owner: dns.name.Name,
        rdtype: RdataType,
        node: Mapping[RdataType, tuple[int, list[Value]]],
        turn: int,
    ) -> dns.rrset.RRset:
        ttl, values = node[rdtype]
        start = turn % len(values)
        rrset = dns.rrset.RRset(owner, IN, rdtype)
        for value in values[start:] + values[:start]:
            rrset.add(_rdata(rdtype, value, len(values)), ttl)
        return rrset

    def _soa(self, zone: str) -> dns.rrset.RRset:
        rrset = dns.rrset.RRset(_name(zone), IN, SOA)
        server, person = _name(f"ns.dns.{self._domain}"), _name(f"hostmaster.{self._domain}")
        rrset.add(_MAKE[SOA](IN, SOA, server, person, 1, 7200, 1800, 86400, QUICK_TTL), QUICK_TTL)
        return rrset


def dashed(address: Address) -> str:
    """An address as one label: `10-0-0-1`, `2001-db8--1`."""
    return str(address).replace(".", "-").replace(":", "-")


def reverse_zones(network: Network) -> list[str]:
    """The names below which a network's reverse names lie: several where it ends inside an octet (nibble)."""
    step = 8 if isinstance(network, IPv4Network) else 4
    aligned = max(step, -(-network.prefixlen // step) * step)
    zones = []
    for part in network.subnets(new_prefix=aligned) if aligned > network.prefixlen else [network]:
        labels = part.network_address.reverse_pointer.split(".")
        zones.append(".".join(labels[(part.max_prefixlen - aligned) // step :]))
    return zones


def _key(name: dns.name.Name) -> str:
    """Lower case, without the last dot. A dot inside a label must not look like one between labels."""
    labels = (label.decode("latin-1").replace(".", "\\") for label in name.canonicalize().labels)
    return ".".join(labels).removesuffix(".")


def _name(key: str) -> dns.name.Name:
    return dns.name.from_text(key)


_MAKE: dict[RdataType, Callable[..., dns.rdata.Rdata]] = {
    A: a.A,
    AAAA: aaaa.AAAA,
    CNAME: cname.CNAME,
    NS: ns.NS,
    PTR: ptr.PTR,
    SOA: soa.SOA,
    SRV: srv.SRV,
    TXT: txt.TXT,
}


def _rdata(rdtype: RdataType, value: Value, siblings: int) -> dns.rdata.Rdata:
    if isinstance(value, tuple):
        # Weights as CoreDNS gives them: all alike, a hundred together.
        return _MAKE[SRV](IN, SRV, 0, max(1, 100 // siblings), value[0], _name(value[1]))
    if rdtype in (A, AAAA):
        return _MAKE[rdtype](IN, rdtype, value)
    if rdtype == TXT:
        return _MAKE[TXT](IN, TXT, [value.encode()])
    return _MAKE[rdtype](IN, rdtype, _name(value))
