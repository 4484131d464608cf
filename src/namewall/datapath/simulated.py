"""A datapath in memory that behaves like the kernel's, for tests and for simulation.

It holds no packets: `ask`, `answer` and `connect` are what a workload and its servers do, and give what the
programs in bpf/ would. Verdicts come from `policy.lookup`, classes from the same automaton; grants, deadlines,
events and the order of an `apply` follow bpf/. The clock is an argument.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from namewall.datapath import rows
from namewall.datapath.base import Connection, Grant, Lesson
from namewall.datapath.judge import Judge
from namewall.fqdn.automaton import Automaton, build, selectors_of
from namewall.model.flow import Dropped, DropReason, Event, Flow, Learned, MatchType, Refused
from namewall.model.net import Address, Direction, Protocol, is_private, never_granted
from namewall.policy.lookup import Lookup, union
from namewall.state.tables import EndpointRow, NodeTables

Answer = Literal["pass", "refused", "drop"]
CONNECTION_LIFE = 60


class SimulatedDatapath:
    """See `base.Datapath`. `applied` counts the tables that changed something."""

    def __init__(self) -> None:
        self.tables = NodeTables()
        self._tables_say = Judge(self.tables)
        self.applied = 0
        self.loaded = False
        self._automaton: Automaton = build({})
        self._names: dict[tuple[int, Address], dict[str, int]] = {}
        """Scope and address → names and deadlines; classes are found when they are asked for."""
        self._connections: dict[tuple[int, Address, int, int], Connection] = {}
        self._asked: set[tuple[int, Address, str]] = set()
        self._events: list[Event] = []
        self._wake: tuple[int, int] | None = None

    # What any datapath does.

    def load(self) -> None:
        self.loaded = True
        if self._wake is None:
            self._wake = os.pipe()

    def close(self) -> None:
        if self._wake is not None:
            for fd in self._wake:
                os.close(fd)
            self._wake = None

    def unload(self) -> None:
        self.close()
        self.__init__()  # type: ignore[misc]

    def recheck(self) -> None:
        """Nobody else is in this one."""

    def apply(self, tables: NodeTables) -> None:
        automaton = build(selectors_of(*rows.name_forms(tables)))
        for row in tables.endpoints.values():
            if row.policy not in tables.policies:
                raise ValueError(f"endpoint {row.id} names policy {row.policy}, which is not there")
        if tables == self.tables:
            return
        self._automaton = automaton
        self.tables = tables
        self._tables_say = Judge(tables)
        self.applied += 1
        scopes = {row.scope for row in tables.endpoints.values()}
        self._names = {key: names for key, names in self._names.items() if key[0] in scopes}
        for known in tables.known_names:
            if known.scope in scopes and not self._never(known.address):
                held = self._names.setdefault((known.scope, known.address), {})
                held[known.name] = max(int(known.deadline), held.get(known.name, 0))
        # Judged again with the next packet; who is not allowed any more has no connection.
        self._connections = {
            key: connection
            for key, connection in self._connections.items()
            if key[0] in tables.endpoints and self._still(connection)
        }

    def lead_to(self, ports: Mapping[int, int]) -> None:
        """Nothing comes over TCP here."""

    def learn(self, lesson: Lesson) -> None:
        row = self.tables.endpoints.get(lesson.endpoint)
        if row is not None:
            self._learn(row, lesson)

    def tell(self, event: Event) -> None:
        self._tell(event)

    def events_fd(self) -> int:
        if self._wake is None:
            raise RuntimeError("the datapath is not loaded")
        return self._wake[0]

    def read_events(self) -> Sequence[Event]:
        if self._events and self._wake is not None:
            os.read(self._wake[0], 65536)
        events, self._events = self._events, []
        return events

    def sweep(self, now: float) -> int:
        live = {(connection.endpoint, connection.remote) for connection in self._connections.values()}
        endpoints = {row.scope: row.id for row in self.tables.endpoints.values()}
        freed = 0
        for (scope, address), names in list(self._names.items()):
            if (endpoints.get(scope), address) in live:
                continue
            for name in [name for name, deadline in names.items() if deadline < now]:
                del names[name]
                freed += 1
        return freed

    def grants(self) -> list[Grant]:
        return [
            Grant(scope, address, self._automaton.match(name), deadline)
            for (scope, address), names in self._names.items()
            for name, deadline in names.items()
            if self._grants(name)
        ]

    def connections(self) -> list[Connection]:
        return list(self._connections.values())

    def memory_bytes(self) -> int:
        return 0

    # What workloads and servers do.

    def ask(self, endpoint: int, server: Address, name: str, now: float, port: int = 53) -> Answer:
        """A question over UDP; `name` canonical."""
        row = self.tables.endpoints[endpoint]
        found = self._judge(row, server, Protocol.UDP, port, now)
        if found is None or found.verdict == "deny":
            self._tell_drop(row, server, Protocol.UDP, port, _reason(found), now)
            return "drop"
        if not found.passes(name):
            self._tell(Refused(now, endpoint, row.scope, name, 1, server, port, 0))
            return "refused"
        teaches = found.dns is not None or server in self.tables.trusted_resolvers
        if teaches:
            self._asked.add((endpoint, server, name))
        return "pass"

    def answer(
        self, endpoint: int, server: Address, name: str, addresses: Iterable[Address], ttl: int, now: float
    ) -> bool:
        """Whether it taught: only what was asked does."""
        row = self.tables.endpoints[endpoint]
        if (endpoint, server, name) not in self._asked:
            return False
        self._asked.discard((endpoint, server, name))
        return self._learn(row, Lesson(endpoint, name, tuple(addresses), ttl, 1, (server, 53), now))

    def connect(
        self, endpoint: int, remote: Address, port: int, now: float, protocol: int = Protocol.TCP
    ) -> bool:
        """A new connection that the endpoint begins."""
        row = self.tables.endpoints[endpoint]
        found = self._judge(row, remote, protocol, port, now)
        if found is None or found.verdict == "deny":
            self._tell_drop(row, remote, protocol, port, _reason(found), now)
            return False
        self._tell(Flow(*_flow(row, remote, protocol, port, now)))
        self._connections[endpoint, remote, protocol, port] = Connection(
            endpoint,
            Direction.EGRESS,
            protocol,
            row.addresses[0],
            remote,
            40000,
            port,
            int(now),
            int(now) + CONNECTION_LIFE,
        )
        return True

    # Inside.

    def _learn(self, row: EndpointRow, lesson: Lesson) -> bool:
        floor = self.tables.min_ttl if row.min_ttl is None else row.min_ttl
        ttl = max(lesson.ttl, floor) + self.tables.dns.grace
        learned = tuple(
            one for one in lesson.addresses if not self._never(one) and not (row.strict and is_private(one))
        )
        for address in learned:
            held = self._names.setdefault((row.scope, address), {})
            held[lesson.name] = max(int(lesson.time) + ttl, held.get(lesson.name, 0))
        if learned:
            grants = self._grants(lesson.name)
            what = (lesson.time, row.id, row.scope, lesson.name, learned, ttl, lesson.query_type)
            self._tell(Learned(*what, *lesson.server, granted=grants, full=False))
        return bool(learned)

    def _judge(
        self, row: EndpointRow, remote: Address, protocol: int, port: int, now: float
    ) -> Lookup | None:
        """None: a service without a ready backend."""
        held = self._names.get((row.scope, remote), {})
        names = [name for name, deadline in held.items() if deadline >= now]
        found = self._tables_say.egress(row, remote, protocol, port, names)
        if not found:
            return None
        denied = next((one for one in found if one.verdict == "deny"), None)
        return denied or Lookup("allow", found[0].reason, union([one.dns for one in found]))

    def _never(self, address: Address) -> bool:
        return never_granted(address) or self._tables_say.identity(address).inside

    def _grants(self, name: str) -> bool:
        return any(selector.startswith("fqdn:") for selector in self._automaton.match(name))

    def _still(self, connection: Connection) -> bool:
        row = self.tables.endpoints[connection.endpoint]
        found = self._judge(
            row, connection.remote, connection.protocol, connection.remote_port, connection.created
        )
        return found is not None and found.verdict == "allow"

    def _tell(self, event: Event) -> None:
        if not self._events and self._wake is not None:
            os.write(self._wake[1], b"\0")
        self._events.append(event)

    def _tell_drop(
        self, row: EndpointRow, remote: Address, protocol: int, port: int, reason: DropReason, now: float
    ) -> None:
        self._tell(Dropped(*_flow(row, remote, protocol, port, now), reason, 0))


def _reason(found: Lookup | None) -> DropReason:
    return DropReason.SERVICE_BACKEND_NOT_FOUND if found is None else DropReason[found.reason]


def _flow(
    row: EndpointRow, remote: Address, protocol: int, port: int, now: float
) -> tuple[
    float, int, Direction, int, Address, Address, int, int, int, int, int, MatchType, int, int, int, int
]:
    local = next((one for one in row.addresses if one.version == remote.version), row.addresses[0])
    head = (now, row.id, Direction.EGRESS, protocol, local, remote, 40000, port)
    return (*head, 0, row.policy, 0, MatchType.NONE, 0, 0, 0, 0)
