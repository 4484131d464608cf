"""What the kernel's tables say, without the kernel: pure look-ups over NodeTables, as bpf/policy.h makes them.

For the proxy of DNS over TCP, which judges messages, and for the simulated datapath, which judges everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from namewall.datapath import rows
from namewall.fqdn.message import NXDOMAIN, REFUSED, Question
from namewall.model.identity import Reserved
from namewall.model.net import Address, Direction, Protocol
from namewall.policy.lookup import Lookup, cidr_classes, dns_passes, granted_selectors, lookup
from namewall.policy.map_state import ALLOW_ALL, DnsRules, FqdnPeer, MapState
from namewall.policy.patterns import Pattern
from namewall.state.tables import EndpointRow, IpcacheRow, NodeTables, ServiceBackend, VipKey

Verdict = Literal["pass", "refuse", "drop"]


@dataclass(frozen=True, slots=True)
class Ruling:
    """Of one question. `code` is what a refused one is answered with; `judged` False: any octets may pass."""

    verdict: Verdict
    teaches: bool = False
    judged: bool = True
    code: int = REFUSED


class Judge:
    """The tables of one moment."""

    def __init__(self, tables: NodeTables) -> None:
        self._tables = tables
        self._endpoints = {address: row for row in tables.endpoints.values() for address in row.addresses}
        self._identities = rows.Prefixes(tables.ipcache)
        self._prefixes = rows.Prefixes({prefix: prefix for prefix in rows.prefixes_of(tables)})

    @property
    def tables(self) -> NodeTables:
        return self._tables

    def endpoint(self, address: Address) -> EndpointRow | None:
        """The workload of this node that has the address."""
        return self._endpoints.get(address)

    def identity(self, address: Address) -> IpcacheRow:
        found = self._identities.find(address)
        if found is not None:
            return found
        return IpcacheRow(Reserved.WORLD_IPV4 if address.version == 4 else Reserved.WORLD_IPV6, inside=False)

    def backends(self, server: Address, protocol: int, port: int) -> tuple[ServiceBackend, ...]:
        """Who is behind an address and port: itself, or a Service's ready backends; none: it is dropped."""
        found = self._tables.services.get(VipKey(server, port, protocol))
        return (ServiceBackend(server, port),) if found is None else found

    def egress(
        self, row: EndpointRow, server: Address, protocol: int, port: int, names: Iterable[str] = ()
    ) -> list[Lookup]:
        """What its policy says of a new flow: of each backend where a Service is, and all of them count.

        `names`: those under which the endpoint learned the address, still granted.
        """
        state = self._tables.policies.get(row.policy, ALLOW_ALL)
        known = list(names)
        return [
            self._look_up(state, Direction.EGRESS, one.address, protocol, one.port, known)
            for one in set(self.backends(server, protocol, port))
        ]

    def admits(self, server: ServiceBackend, protocol: int, client: EndpointRow) -> bool:
        """Does the server, if it is a workload of this node, let this client in?"""
        row = self._endpoints.get(server.address)
        if row is None or row.id == client.id:
            return True
        state = self._tables.policies.get(row.policy, ALLOW_ALL)
        address = next((one for one in client.addresses if one.version == server.address.version), None)
        if address is None:
            return False
        found = self._look_up(state, Direction.INGRESS, address, protocol, server.port, [])
        return found.verdict == "allow"

    def question(
        self,
        row: EndpointRow,
        server: Address,
        port: int,
        question: Question | None,
        names: Iterable[str] = (),
        protocol: int = Protocol.TCP,
    ) -> Ruling:
        """May it be asked there. `question` None: one that cannot be read."""
        found = self.egress(row, server, protocol, port, names)
        if not found or any(one.verdict == "deny" for one in found):
            return Ruling("drop")
        settings = self._tables.dns
        enforced = self._tables.policies.get(row.policy, ALLOW_ALL).enforce_egress
        if question and enforced and 0 < settings.longest_label < question.longest_label:
            return Ruling("refuse", code=self._code(row, question, []))
        rules = [one.dns for one in found if one.dns is not None]
        if not rules:
            return Ruling("pass", teaches=server in self._tables.trusted_resolvers, judged=False)
        if question is None:
            return Ruling("drop")
        if all(dns_passes(dns, question.name, question.type) for dns in rules):
            return Ruling("pass", teaches=True)
        return Ruling("refuse", code=self._code(row, question, rules))

    def _code(self, row: EndpointRow, question: Question, rules: list[DnsRules]) -> int:
        """bpf/endpoint.bpf.c, `refuse`."""
        if self._tables.dns.refusal != "auto":
            return NXDOMAIN if self._tables.dns.refusal == "nxdomain" else REFUSED
        for dns in rules:
            if dns != "any" and any(Pattern(form).passes(question.name) for form in dns):
                return REFUSED  # the name is one it may ask for, only not for this type
        below = any(question.name.endswith(f".{domain}") for domain in row.search)
        return NXDOMAIN if below else REFUSED

    def _look_up(
        self,
        state: MapState,
        direction: Direction,
        peer: Address,
        protocol: int,
        port: int,
        names: list[str],
    ) -> Lookup:
        known = self.identity(peer)
        forms = {key.peer.selector for key in state.entries if isinstance(key.peer, FqdnPeer)}
        granted = granted_selectors(names, forms) if names and not known.inside else frozenset()
        prefix = self._prefixes.find(peer)
        cidrs = cidr_classes(peer, [prefix] if prefix is not None else [], known.inside)
        return lookup(state, direction, known.identity, cidrs, granted, protocol, port)
