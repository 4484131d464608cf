"""What the API server is told at its start, by `namewall up`. What the machine can tell is not an option."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from namewall.model.instance import Instance


@dataclass(frozen=True, slots=True)
class ServerConfig:
    instance: Instance
    """Paths of the database, the credentials and the kubeconfig."""
    host: str = "127.0.0.1"
    """Loopback only: whoever holds the kubeconfig is the administrator."""
    port: int = 7443
    """0 takes the port of the kubeconfig written before, where that is still free, else any."""
    node_name: str = "localhost"
    """The one Node that the scheduler binds pods to."""
    service_cidrs: tuple[IPv4Network | IPv6Network, ...] = (IPv4Network("10.96.0.0/16"),)
    """One range per address family, in order of preference: the first is a Service's default family."""
    cluster_domain: str = "cluster.local"
