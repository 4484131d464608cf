"""The real datapath: NodeTables into pinned BPF maps, in an order that is safe at every step.

An edited policy gets a new number with rows of its own; an endpoint changes over to it by one write, so no
packet ever meets a half-written policy, and a crash leaves the old one whole. Around that write the order is:
facts and rows that only add come first, what nothing refers to any more goes last, and the generation, which
has every connection judged again, is raised after the change.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

from namewall.datapath import layout, libbpf, objects, rows
from namewall.datapath.attach import Attachments
from namewall.datapath.base import Connection, Grant, Lesson, Options
from namewall.datapath.events import EventReader
from namewall.datapath.maps import PerEndpoint, Table, memory
from namewall.datapath.names import Names
from namewall.datapath.numbers import read_numbers, write_numbers
from namewall.datapath.policies import Policies
from namewall.datapath.slots import Slots
from namewall.datapath.succession import Succession, succeed
from namewall.datapath.support import check_support
from namewall.datapath.transparent import route, unroute
from namewall.model.errors import Cannot
from namewall.model.flow import DropReason, Event, Flow, Learned, MatchType
from namewall.model.instance import Instance
from namewall.model.net import Direction, Network, Protocol, is_private
from namewall.policy.map_state import RuleOrigin
from namewall.state.tables import EndpointRow, NodeTables, VipKey

__all__ = ["KernelDatapath", "Options", "check_support"]

log = logging.getLogger("namewall.datapath")

GATEWAY4, GATEWAY6 = IPv4Address("169.254.1.1"), IPv6Address("fe80::1")
"""What every workload's default route points at (design.md section 5, Addresses)."""
SWEEP_EVERY = 10.0
"""Seconds: sweeping reads all grants."""
SEARCH = list(layout.ENDPOINT.fields).index("search")
TABLES = ("endpoints", "ipcache", "cidrs", "policies", "dns_rules", "services", "trusted")


class KernelDatapath:
    """See `base.Datapath`. One process at a time may have it loaded."""

    def __init__(self, instance: Instance, options: Options | None = None) -> None:
        self._instance = instance
        self._options = options or Options()
        self._pins = instance.pin_dir
        self._numbers_file = f"{instance.run_dir}/numbers.json"
        self._attachments = Attachments(f"{self._pins}/links")
        self._objects: objects.Objects | None = None
        self._led: tuple[int, ...] = ()
        """IP versions whose DNS over TCP is led to a proxy."""

    # Life: load, close, unload.

    def load(self) -> None:
        """Raises Cannot where this machine cannot."""
        problems = check_support()
        if problems:
            raise Cannot("\n".join(problems))
        self._mount()
        self._numbers = numbers = read_numbers(self._numbers_file)
        digest = objects.digest()
        adopted = objects.usable(self._pins, numbers)
        if not adopted:
            numbers.begin()
        replaced = numbers.program != digest
        if replaced:
            write_numbers(self._numbers_file, numbers)
            try:
                objects.make(self._pins, numbers, self._options)
            except OSError as error:
                raise Cannot(f"{error}; `namewall up` needs kernel 6.1 or later") from error
            numbers.program = digest
            write_numbers(self._numbers_file, numbers)
        self._objects = opened = objects.open_pins(self._pins, numbers.epoch, replaced)
        maps = opened.maps
        before = succeed(self._pins, numbers.epoch)
        gateways = GATEWAY4, GATEWAY6
        self._config = objects.Config.read(maps["config"], numbers.epoch, gateways, before.secret)
        self._tables = {name: Table(maps[name]) for name in TABLES}
        self._connections = PerEndpoint(maps["connections"])
        self._slots = Slots(self._options, self._connections, maps)
        self._slots.adopt(self._tables["endpoints"].rows)
        self._slots.succeed(before)
        self._names = Names(numbers, maps["automaton"], opened.programs["maintain"])
        self._events = EventReader(maps["events"])
        self._desired = NodeTables()
        self._policies = Policies(numbers, self._names)
        self._attached: set[int] = set()
        self._dns_ports = self._read_dns_ports()
        self._next_sweep = 0.0
        if adopted and replaced:
            for ifindex in self._attachments.attached() & set(self._realized_endpoints()):
                self._attachments.attach(ifindex, opened.programs)

    def _mount(self) -> None:
        where = self._instance.bpffs
        if not os.path.ismount(where):
            os.makedirs(where, exist_ok=True)
            try:
                libbpf.mount_bpffs(where)
            except OSError as error:
                raise Cannot(f"{error}; it needs root outside of a user namespace") from error
            with open(self._mounted_file(), "w", encoding="utf-8"):
                pass  # `unload` takes away only what was mounted here
        os.makedirs(f"{self._pins}/links", exist_ok=True)

    def _mounted_file(self) -> str:
        os.makedirs(self._instance.run_dir, exist_ok=True)
        return f"{self._instance.run_dir}/bpffs-mounted"

    def close(self) -> None:
        if self._objects is not None:
            self._events.close()
            self._slots.succeed(Succession())
            self._objects.close()
            self._objects = None

    def unload(self) -> None:
        """Works without `load`, and where nothing is."""
        self.close()
        unroute(self._instance)
        if os.path.isdir(self._pins):
            self._attachments.detach_all()
            objects.remove_tree(self._pins)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._numbers_file)
        with contextlib.suppress(FileNotFoundError):
            mounted = f"{self._instance.run_dir}/bpffs-mounted"
            os.unlink(mounted)
            libbpf.unmount(self._instance.bpffs)
            if self._instance.root:
                os.rmdir(self._instance.bpffs)

    # Apply.

    def apply(self, tables: NodeTables) -> None:
        """See `base.Datapath.apply`. Raises ValueError where names or addresses do not fit, before any change."""
        opened = self._loaded()
        changed_names = self._names.prepare(*rows.name_forms(tables))
        new_prefixes = rows.prefixes_of(tables)
        old_prefixes = self._known_prefixes()
        for prefix in new_prefixes:
            self._numbers.of_prefix(prefix)
        table, selectors = self._tables, self._numbers.by_selector
        running = {fields[0]: fields[4] for fields in self._realized_endpoints().values()}
        realized = self._policies.prepare(tables, selectors, table["policies"].rows, running)
        policies = {key: value for one in realized.values() for key, value in one.rows.items()}
        values = self._endpoint_values(tables, {name: one.number for name, one in realized.items()})
        # Of all sets known: those of the policies to be, and those that go with the rows that go.
        dns_rules = rows.dns_rule_rows(self._numbers, list(self._numbers.rules), selectors)
        ipcache = rows.ipcache_rows(tables.ipcache)
        services = rows.service_rows(
            tables.services, tables.ipcache, {p: self._numbers.prefixes[p] for p in new_prefixes}
        )
        cidrs = {
            layout.pack_prefix(prefix): layout.NUMBER.pack(self._numbers.prefixes[prefix])
            for prefix in new_prefixes
        }
        cidrs.setdefault(rows.ALL_IPV4, rows.NO_CLASS)
        trusted = {
            layout.pack_address(address): layout.NUMBER.pack(1) for address in tables.trusted_resolvers
        }
        if self._numbers.changed:
            write_numbers(self._numbers_file, self._numbers)

        self._policies.begin()
        changed = table["ipcache"].put(ipcache)
        # Prefixes that are new to the old policies count there as what lies around them did.
        changed |= table["policies"].put(
            rows.inherit(table["policies"].rows, self._heirs(new_prefixes, old_prefixes))
        )
        # (0.0.0.0/0 without a class only stops IPv4 at ::/0: it waits until the old policies are gone.)
        changed |= table["cidrs"].put(
            {
                key: value
                for key, value in cidrs.items()
                if value != rows.NO_CLASS or key not in table["cidrs"].rows
            }
        )
        table["dns_rules"].put(dns_rules)
        # And prefixes that go count in the new policies as what lies around them does.
        leaving = rows.inherit(policies, self._heirs(old_prefixes, new_prefixes))
        changed |= table["policies"].put({**policies, **leaving})
        self._write_dns_ports(self._dns_ports | rows.dns_ports_of(tables))
        table["trusted"].put(trusted)
        table["trusted"].prune(trusted)
        if changed_names:
            changed |= self._names.swap()
            self._config.bump()  # the classes of questions met before (bpf/recall.h) are of the old automaton
        changed |= table["services"].put(services)
        failed = self._put_endpoints(tables, values)
        self._names.grant(tables.known_names, self._slots.of_scopes())
        changed |= table["endpoints"].put(values)
        failed += self._attach(tables.endpoints.values(), opened)
        if self._config.dns != tables.dns:
            self._config.dns = tables.dns
            self._config.bump()
        if changed:
            self._config.bump()

        self._remove_endpoints(values)
        removed = table["services"].prune(services)
        removed |= table["ipcache"].prune(ipcache)
        removed |= table["cidrs"].put(cidrs)
        removed |= table["cidrs"].prune(cidrs)
        removed |= table["policies"].prune(policies)
        used = self._forget_rules()
        table["dns_rules"].prune({key for key in dns_rules if rows.rules_of(key) in used})
        self._write_dns_ports(rows.dns_ports_of(tables))
        if removed:
            self._config.bump()
        self._forget_prefixes(new_prefixes)
        self._policies.settle(realized)
        self._desired = tables
        objects.remove_other_epochs(self._pins, self._numbers.epoch)
        self._slots.succeed(Succession())
        if failed:
            raise OSError("; ".join(failed))

    def _loaded(self) -> objects.Objects:
        if self._objects is None:
            raise RuntimeError("the datapath is not loaded")
        return self._objects

    def _known_prefixes(self) -> set[Network]:
        held = self._tables["cidrs"].rows
        return {prefix for prefix in self._numbers.prefixes if layout.pack_prefix(prefix) in held}

    def _heirs(self, wanted: Iterable[Network], known: set[Network]) -> dict[int, int]:
        """Classes that are not in `known` → the class of what lies around them there."""
        found = {}
        for prefix in wanted:
            if prefix not in known:
                outer = rows.around(prefix, known)
                if outer is not None:
                    found[self._numbers.of_prefix(prefix)] = self._numbers.of_prefix(outer)
        return found

    def _forget_prefixes(self, used: set[Network]) -> None:
        """Nothing pinned refers to a CIDR class but rows, so that unused ones may go (not their numbers)."""
        self._numbers.prefixes = {p: n for p, n in self._numbers.prefixes.items() if p in used}

    def _forget_rules(self) -> set[int]:
        """The sets of DNS rules that some row refers to, which are kept."""
        values = set(self._tables["policies"].rows.values())  # few are different
        in_use = {layout.POLICY_ENTRY.unpack(value)[3] for value in values}
        in_use |= {fields[SEARCH] for fields in self._realized_endpoints().values()}
        self._numbers.forget_rules(forms for forms, number in self._numbers.rules.items() if number in in_use)
        return in_use

    def _endpoint_values(self, tables: NodeTables, numbers_of: Mapping[int, int]) -> rows.Rows:
        values: rows.Rows = {}
        for row in tables.endpoints.values():
            for name in filter(None, (row.policy, row.audit)):
                if name not in tables.policies:
                    raise ValueError(f"endpoint {row.id} names policy {name}, which is not there")
            policy = numbers_of[row.policy], tables.policies[row.policy]
            audit = (numbers_of[row.audit], tables.policies[row.audit]) if row.audit else rows.NO_AUDIT
            slot = self._slots.of(row)
            search = self._numbers.of_rules(rows.search_forms(row)) if row.search else 0
            values[row.ifindex.to_bytes(4, "little")] = rows.endpoint_value(
                row, slot, policy, audit, tables.min_ttl, search
            )
        return values

    def _put_endpoints(self, tables: NodeTables, values: rows.Rows) -> list[str]:
        """Maps of their own for endpoints that are new; those that cannot have them are left out."""
        failed = []
        for row in tables.endpoints.values():
            try:
                self._slots.make(row)
            except OSError as error:
                failed.append(f"endpoint {row.id} ({row.ifname}): {error}")
                values.pop(row.ifindex.to_bytes(4, "little"), None)
        return failed

    def recheck(self) -> None:
        """The next `apply` looks at each interface's links again. Others can remove them, and routing rules."""
        self._attached.clear()
        if self._led:
            try:
                route(self._instance, self._led)
            except Cannot as error:
                log.warning("DNS over TCP under `rules.dns` drops: %s", error)

    def _attach(self, endpoints: Iterable[EndpointRow], opened: objects.Objects) -> list[str]:
        failed = []
        for row in endpoints:
            if row.ifindex in self._attached:
                continue
            try:
                self._attachments.attach(row.ifindex, opened.programs)
                self._attached.add(row.ifindex)
            except OSError as error:
                failed.append(f"endpoint {row.id} ({row.ifname}): {error}")
        return failed

    def _remove_endpoints(self, values: rows.Rows) -> None:
        """The row first: from then on nothing passes; then the programs."""
        gone = [key for key in self._tables["endpoints"].rows if key not in values]
        self._tables["endpoints"].remove(gone)
        for ifindex in self._attachments.attached():
            if ifindex.to_bytes(4, "little") not in values:
                self._attachments.detach(ifindex)
                self._attached.discard(ifindex)
        self._slots.keep(int.from_bytes(key, "little") for key in values)

    def _realized_endpoints(self) -> dict[int, tuple[int, ...]]:
        """Interface index → the fields of its row."""
        return {
            int.from_bytes(key, "little"): layout.ENDPOINT.unpack(value)
            for key, value in self._tables["endpoints"].rows.items()
        }

    def _read_dns_ports(self) -> set[int]:
        fd = self._loaded().maps["dns_ports"]
        ports = set()
        for index in range(1024):
            raw = libbpf.lookup(fd, index.to_bytes(4, "little"), 8)
            bits = int.from_bytes(raw or b"", "little")
            ports |= {index * 64 + bit for bit in range(64) if bits >> bit & 1} if bits else set()
        return ports

    def _write_dns_ports(self, wanted: set[int]) -> None:
        fd = self._loaded().maps["dns_ports"]
        for index in {port >> 6 for port in wanted ^ self._dns_ports}:
            bits = sum(1 << (port & 63) for port in wanted if port >> 6 == index)
            libbpf.update(fd, index.to_bytes(4, "little"), bits.to_bytes(8, "little"))
        self._dns_ports = set(wanted)

    # The proxy of DNS over TCP.

    def lead_to(self, ports: Mapping[int, int]) -> None:
        """See `base.Datapath.lead_to`. Raises Cannot."""
        self._loaded()
        self._led = tuple(ports)
        route(self._instance, ports)
        self._config.marks = self._instance.proxy_mark, self._instance.socket_mark
        self._config.ports = ports.get(4, 0), ports.get(6, 0)
        self._config.write()

    def learn(self, lesson: Lesson) -> None:
        """See `base.Datapath.learn`."""
        row = self._desired.endpoints.get(lesson.endpoint)
        slot = self._slots.of_scopes().get(row.scope) if row is not None else None
        if row is None or slot is None:
            return
        floor = self._desired.min_ttl if row.min_ttl is None else row.min_ttl
        ttl = max(lesson.ttl, floor) + self._desired.dns.grace
        addresses = [one for one in lesson.addresses if not (row.strict and is_private(one))]
        granted, told, full = self._names.learn(slot, lesson.name, addresses, int(lesson.time) + ttl)
        if told:
            what = (lesson.time, row.id, row.scope, lesson.name, tuple(told), ttl, lesson.query_type)
            how = Learned(*what, *lesson.server, granted=granted, full=full, protocol=Protocol.TCP)
            self._events.tell(how)

    def tell(self, event: Event) -> None:
        self._events.tell(event)

    # Reading.

    def events_fd(self) -> int:
        return self._events.fileno()

    def read_events(self) -> Sequence[Event]:
        return self._events.read()

    def grants(self) -> list[Grant]:
        found = []
        by_number = {number: selectors for selectors, number in self._numbers.classes.items()}
        for scope, slot in self._slots.of_scopes().items():
            for key, value in self._slots.grants.dump(slot):
                address = layout.unpack_address(layout.GRANT_KEY.unpack(key)[0])
                for held in layout.unpack_grants(layout.GRANT_PAGE.unpack(value)[0]):
                    if held:
                        selectors = by_number.get(held >> 32, frozenset())
                        found.append(Grant(scope, address, selectors, held & 0xFFFFFFFF))
        return found

    def connections(self) -> list[Connection]:
        found = []
        for fields in self._realized_endpoints().values():
            for raw_key, raw in self._connections.dump(fields[2]):
                local, remote, local_port, remote_port, protocol, _ = layout.CONNECTION_KEY.unpack(raw_key)
                expires, created, _, _, direction, _, _ = layout.CONNECTION.unpack(raw)
                ends = layout.unpack_address(local), layout.unpack_address(remote)
                found.append(
                    Connection(
                        fields[0], direction, protocol, *ends, local_port, remote_port, created, expires
                    )
                )
        return found

    def drops(self) -> dict[DropReason, int]:
        """Packets dropped since the maps were made."""
        fd = self._loaded().maps["counters"]
        found = {}
        for reason in DropReason:
            total = libbpf.lookup_per_cpu(fd, int(reason).to_bytes(4, "little"))
            if total:
                found[reason] = total
        return found

    def lost_events(self) -> int:
        """Events that found the ring buffer full, since the maps were made."""
        return libbpf.lookup_per_cpu(self._loaded().maps["counters"], layout.COUNT_LOST)

    def rationed_events(self) -> int:
        """Events beyond an endpoint's ration (RATION of bpf/events.h), since the maps were made."""
        return libbpf.lookup_per_cpu(self._loaded().maps["counters"], layout.COUNT_LEFT_OUT)

    def origins(self, event: Flow) -> tuple[RuleOrigin, ...]:
        """The rules behind the entry that decided, as far as the tables of now still have it."""
        state = self._policies.state_of(event.policy)
        if state is None or event.match is MatchType.NONE:
            return ()
        ports: set[int] = set()
        if event.direction is Direction.EGRESS:
            vip = VipKey(event.remote, event.remote_port, event.protocol)
            ports = {backend.port for backend in self._desired.services.get(vip, ())}
        entries = rows.deciding(state, event, self._numbers, self._numbers.by_selector, ports)
        return tuple(dict.fromkeys(origin for entry in entries for origin in entry.origins))

    def sweep(self, now: float) -> int:
        """At most every SWEEP_EVERY seconds of `now`."""
        if now < self._next_sweep:
            return 0
        self._next_sweep = now + SWEEP_EVERY
        freed = 0
        used: set[int] = set()
        for fields in self._realized_endpoints().values():
            freed += self._names.sweep(fields[2], self._slots.grants, self._connections, int(now), used)
        self._names.forget(used)
        return freed

    def memory_bytes(self) -> int:
        opened = self._loaded()
        total = sum(memory(fd) for fd in opened.maps.values())
        for fields in self._realized_endpoints().values():
            for outer in (self._connections, self._slots.grants, self._slots.orders, self._slots.questions):
                fd = outer.open(fields[2])
                if fd is not None:
                    total += memory(fd)
                    os.close(fd)
        return total + self._names.memory()

    def run_counts(self) -> dict[str, int]:
        """How often each program ran, where `kernel.bpf_stats_enabled` is on."""
        programs = self._loaded().programs
        return {name: libbpf.program_info(fd).run_cnt for name, fd in programs.items()}
