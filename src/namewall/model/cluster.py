"""What one embedded cluster is made of: chosen by `namewall up`, read by every daemon.

Pure: `to_dict` and `from_dict` are each other's inverse; the CLI keeps the document in the state directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Literal

from namewall.model.net import Address, Network

Refusal = Literal["auto", "refused", "nxdomain"]


@dataclass(frozen=True, slots=True)
class Resolver:
    """An upstream DNS server. Written `IP`, `IP:PORT` or `[IP6]:PORT`."""

    address: Address
    port: int = 53

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Resolver:
        """Raises ValueError with a sentence that says what would be right."""
        host, port = text, "53"
        if text.startswith("["):
            host, _, rest = text[1:].partition("]")
            port = rest.removeprefix(":") or "53"
        elif text.count(":") == 1:
            host, port = text.split(":")
        try:
            number = int(port)
            if not 0 < number < 65536:
                raise ValueError
            return cls(ip_address(host), number)
        except ValueError:
            raise ValueError(
                f"`{text}` is no resolver; write IP, IP:PORT or [IPv6]:PORT, as 198.51.100.53 or [2001:db8::53]:5353"
            ) from None


@dataclass(frozen=True, slots=True)
class Cluster:
    """CIDRs: at most one of each family; a family absent from `pod_cidrs` is off for pods and Services alike."""

    node_name: str
    listen_host: str = "127.0.0.1"
    listen_port: int = 7443
    pod_cidrs: tuple[Network, ...] = (ip_network("10.219.0.0/16"), ip_network("fd4e:5741:1::/112"))
    service_cidrs: tuple[Network, ...] = (ip_network("10.220.0.0/16"), ip_network("fd4e:5741:2::/112"))
    dns_upstreams: tuple[Resolver, ...] = ()
    """Where the cluster DNS forwards; empty: the host's own resolvers."""
    domain: str = "cluster.local"
    min_ttl: int = 60
    """Seconds a learned name stays granted at least."""
    strict_dns_rules: bool = False
    """Only answers to questions that a `rules.dns` let through teach, as in Cilium."""
    dns_refusal: Refusal = "auto"
    grace: int = 0
    dns_rate: int = 5000
    dns_max_label: int = 0
    """These four as in state.tables.DnsSettings."""
    editor_port: int | None = None
    """Where the editor answers, 0 for none; None as the instance has it."""

    @property
    def dns_addresses(self) -> tuple[Address, ...]:
        """The kube-dns Service's: the tenth address of each service CIDR, as Kubernetes installers have it."""
        return tuple(cidr[10] for cidr in self.service_cidrs)

    def to_dict(self) -> dict[str, Any]:
        return {
            "nodeName": self.node_name,
            "listen": {"host": self.listen_host, "port": self.listen_port},
            "podCIDRs": [str(cidr) for cidr in self.pod_cidrs],
            "serviceCIDRs": [str(cidr) for cidr in self.service_cidrs],
            "dnsUpstreams": [str(resolver) for resolver in self.dns_upstreams],
            "domain": self.domain,
            "minTTL": self.min_ttl,
            "strictDNSRules": self.strict_dns_rules,
            "dnsRefusal": self.dns_refusal,
            "grace": self.grace,
            "dnsRate": self.dns_rate,
            "dnsMaxLabel": self.dns_max_label,
            "editorPort": self.editor_port,
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Cluster:
        return cls(
            node_name=document["nodeName"],
            listen_host=document["listen"]["host"],
            listen_port=document["listen"]["port"],
            pod_cidrs=tuple(ip_network(cidr) for cidr in document["podCIDRs"]),
            service_cidrs=tuple(ip_network(cidr) for cidr in document["serviceCIDRs"]),
            dns_upstreams=tuple(Resolver.parse(text) for text in document["dnsUpstreams"]),
            domain=document["domain"],
            min_ttl=document["minTTL"],
            strict_dns_rules=document["strictDNSRules"],
            dns_refusal=document.get("dnsRefusal", "auto"),
            grace=document.get("grace", 0),
            dns_rate=document.get("dnsRate", 5000),
            dns_max_label=document.get("dnsMaxLabel", 0),
            editor_port=document.get("editorPort"),
        )


def parse_cidrs(text: str, option: str) -> tuple[Network, ...]:
    """`10.1.0.0/16,fd00:1::/112`: one or two networks of different families.

    Raises ValueError that names the option and what would be right.
    """
    networks: list[Network] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        try:
            network = ip_network(part)
        except ValueError as error:
            raise ValueError(f"{option}: `{part}` is no network ({error}); write as 10.219.0.0/16") from None
        smallest = 28 if isinstance(network, IPv4Network) else 120
        if network.prefixlen > smallest:
            raise ValueError(f"{option}: `{part}` has too few addresses; use /{smallest} or wider")
        if any(network.version == other.version for other in networks):
            raise ValueError(
                f"{option}: `{part}` is a second IPv{network.version} network; give one of each family"
            )
        networks.append(network)
    if not networks:
        raise ValueError(
            f"{option}: no network given; write as 10.219.0.0/16 or 10.219.0.0/16,fd4e:5741:1::/112"
        )
    return tuple(networks)


def overlaps(networks: tuple[Network, ...], taken: dict[str, Network]) -> list[str]:
    """Sentences for each network that overlaps one that something else on the host has (`taken`: who → network)."""
    problems = []
    for network in networks:
        found = [
            (owner, other) for owner, other in taken.items() if other.prefixlen and _meet(network, other)
        ]
        if found:
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            problems.append(f"{network} overlaps {found[0][1]}, which {found[0][0]} has{more}")
    return problems


def _meet(one: Network, other: Network) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def _ranges(cluster: Cluster) -> dict[str, tuple[Network, ...]]:
    """By the option that gives them."""
    return {"--pod-cidr": cluster.pod_cidrs, "--service-cidr": cluster.service_cidrs}


def shared_ranges(cluster: Cluster, other: Cluster) -> dict[str, list[Network]]:
    """Option → those of its ranges that overlap one of the other's. Two instances share neither pods' addresses nor
    Services': either one's table of Services drops what it does not know of its ranges."""
    theirs = [network for networks in _ranges(other).values() for network in networks]
    found = {
        option: [network for network in networks if any(_meet(network, each) for each in theirs)]
        for option, networks in _ranges(cluster).items()
    }
    return {option: networks for option, networks in found.items() if networks}


def free_ranges(cluster: Cluster, options: Iterable[str], taken: Iterable[Network]) -> dict[str, str]:
    """For each option ranges of the families it has now, that overlap nothing of `taken` and not each other."""
    used = [network for network in taken if network.prefixlen]
    used += [
        network for option, ranges in _ranges(cluster).items() if option not in options for network in ranges
    ]
    found = {}
    for option in options:
        texts = []
        for network in _ranges(cluster)[option]:
            free = (
                each for each in _candidates(network.version) if not any(_meet(each, one) for one in used)
            )
            if (chosen := next(free, None)) is not None:
                used.append(chosen)
            texts.append(str(chosen or "CIDR"))
        found[option] = ",".join(texts)
    return found


def _candidates(version: int) -> Iterator[Network]:
    for number in range(1, 35):
        yield ip_network(f"10.{218 + number}.0.0/16" if version == 4 else f"fd4e:5741:{number:x}::/112")
