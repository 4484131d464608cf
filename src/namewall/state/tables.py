"""The desired state of one node's kernel tables: the whole contract between the agent and the datapath.

The agent computes a NodeTables from what it watches; `datapath.apply` diffs it against what is pinned and
writes the difference, in an order that never opens what neither the old nor the new state allows. Applying
the same state twice changes nothing. What a state does not name is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from namewall.model.cluster import Refusal
from namewall.model.net import Address, Network
from namewall.policy.map_state import MapState
from namewall.policy.rules import Verify


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """One attached workload.

    `scope` owns its grants: a number of its own that survives policy edits, label changes and restarts and
    is not used again while grants of it may live. `mac` is the workload's, `gateway_mac` the host side's.
    """

    id: int
    scope: int
    ifname: str
    ifindex: int
    mac: bytes
    gateway_mac: bytes
    addresses: tuple[Address, ...]
    identity: int
    policy: int
    """Key into NodeTables.policies."""
    min_ttl: int | None = None
    """Seconds; None is the node's."""
    strict: bool = False
    """Private addresses are not granted either (`namewall.io/rebinding-guard: strict`)."""
    verify: Verify = Verify.OFF
    """TLS on port 443 must ask for a name that is granted at its address (`namewall.io/verify-name`)."""
    search: tuple[str, ...] = ()
    """The search domains of its resolv.conf, canonical."""
    audit: int = 0
    """Key of what all its policies say together, those in audit too; 0 where none is."""


@dataclass(frozen=True, slots=True)
class ServiceBackend:
    """What policy must allow for traffic at a VIP to pass: this peer address on this target port."""

    address: Address
    port: int


@dataclass(frozen=True, slots=True)
class VipKey:
    address: Address
    port: int
    protocol: int


@dataclass(frozen=True, slots=True)
class IpcacheRow:
    """`identity` as in model.identity. `inside` is True for pods, nodes and closed ranges: never granted,

    never matched by a CIDR rule of Cilium's kinds. The CIDR class is found by the datapath from the prefixes
    that the policies name.
    """

    identity: int
    inside: bool


@dataclass(frozen=True, slots=True)
class KnownName:
    """A name learned for one scope earlier, to be granted again under the patterns of now.

    `deadline` in seconds of CLOCK_BOOTTIME.
    """

    scope: int
    name: str
    address: Address
    deadline: float


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Of the whole node. A limit of 0 is none."""

    refusal: Refusal = "auto"
    """`auto`: NXDOMAIN below a search domain of the endpoint, so that its resolver goes on with its list, else
    REFUSED."""
    grace: int = 0
    """Seconds a grant lives beyond its TTL."""
    rate: int = 0
    """Questions a second of one endpoint; twice as many may come at once."""
    longest_label: int = 0
    """Octets of a label in a question."""


@dataclass(frozen=True, slots=True)
class NodeTables:
    endpoints: Mapping[int, EndpointRow] = field(default_factory=dict)
    policies: Mapping[int, MapState] = field(default_factory=dict)
    ipcache: Mapping[Network, IpcacheRow] = field(default_factory=dict)
    services: Mapping[VipKey, tuple[ServiceBackend, ...]] = field(default_factory=dict)
    trusted_resolvers: frozenset[Address] = frozenset()
    known_names: frozenset[KnownName] = frozenset()
    prefixes: frozenset[Network] = frozenset()
    """Every prefix and except that a policy names (`policy.rules.policy_prefixes`): the CIDR classes. An excepted
    prefix is no peer in any MapState, but what lies in it must not be found under the prefix around it."""
    min_ttl: int = 60
    """Seconds; a grant lives at least this long."""
    dns: DnsSettings = DnsSettings()
