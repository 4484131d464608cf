"""What a datapath is: the seam between what is wanted and what enforces it.

`KernelDatapath` is the real one; `SimulatedDatapath` behaves like it in memory. The contract:

  - `apply` is idempotent and complete: what the tables do not name is removed. It never opens, in between,
    what neither the old nor the new tables allow, and never closes what both allow. If it raises, what was
    enforced still is, and applying again goes on from there.
  - an endpoint's row, policy and programs are in when `apply` returns: its link may then come up.
  - everything that `apply` made goes on working without this process; `load` takes up what is there.
  - events may be lost, never enforcement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from namewall.model.flow import Event
from namewall.model.net import Address, Direction
from namewall.state.tables import NodeTables


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes of the maps, in entries; memory is taken as entries come, but for connections and the rings.

    The defaults are for a small node: about 1.7 MB for each endpoint and 5 MB besides.
    """

    endpoints: int = 256
    connections: int = 8192
    """Of each endpoint; preallocated, 128 bytes each. The least recently used one goes first."""
    grants: int = 16384
    """Pages of four names of an address, of each endpoint: its quota; what was granted longest ago makes room.
    16 bytes each, 128 more when used."""
    ipcache: int = 131072
    prefixes: int = 65536
    policies: int = 262144
    """Rows of all policies together."""
    dns_rules: int = 65536
    services: int = 16384
    event_bytes: int = 1 << 20
    """A power of two."""


@dataclass(frozen=True, slots=True)
class Grant:
    """An address learned for a scope: the toFQDNs and DNS selectors of its names, as `fqdn:…` and `dns:…`."""

    scope: int
    address: Address
    selectors: frozenset[str]
    deadline: int
    """Seconds of CLOCK_BOOTTIME."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an answer said to an endpoint over TCP. `name` is canonical, `server` an address and a port."""

    endpoint: int
    name: str
    addresses: tuple[Address, ...]
    ttl: int
    query_type: int
    server: tuple[Address, int]
    time: float


@dataclass(frozen=True, slots=True)
class Connection:
    """A live connection of an endpoint. `direction` says who began it: EGRESS, the endpoint did."""

    endpoint: int
    direction: Direction
    protocol: int
    local: Address
    remote: Address
    local_port: int
    remote_port: int
    created: int
    expires: int


class Datapath(Protocol):
    """See the module's docstring. Times are seconds of CLOCK_BOOTTIME."""

    def load(self) -> None:
        """Programs and maps into the kernel, or take up those that are pinned. First of all calls."""

    def apply(self, tables: NodeTables) -> None:
        """Make the kernel agree with the tables."""

    def recheck(self) -> None:
        """The next `apply` looks at what others may have removed: the programs at interfaces."""

    def lead_to(self, ports: Mapping[int, int]) -> None:
        """DNS over TCP goes to this process's listeners: IP version → port (see `transparent.listen`)."""

    def learn(self, lesson: Lesson) -> None:
        """Grant what an answer teaches, as the programs do; it holds when this returns. Told of as `Learned`."""

    def tell(self, event: Event) -> None:
        """What was seen elsewhere stands among the events, to be read with them."""

    def events_fd(self) -> int:
        """Readable when events wait. Wake-ups are rare by design: read slowly (every 100 ms or so) besides."""

    def read_events(self) -> Sequence[Event]:
        """All events that wait, oldest first."""

    def sweep(self, now: float) -> int:
        """Free grants that ended and that no live connection needs; returns how many."""

    def grants(self) -> list[Grant]: ...

    def connections(self) -> list[Connection]: ...

    def memory_bytes(self) -> int:
        """Kernel memory of all maps."""

    def close(self) -> None:
        """Let go of file descriptors; everything stays in force."""

    def unload(self) -> None:
        """Take everything out of the kernel. Opens what was closed, so the links should be gone by then."""
