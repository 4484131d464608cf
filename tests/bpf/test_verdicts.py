"""The conformance data through the programs: every verdict is what policy says, by bytes (issue 4, proof 1).

Each query is sent by `from_endpoint` of its source and received by `to_endpoint` of its destination, on its own
connection. A question's own verdict is seen from two packets: one that is no DNS message passes only where names
are not judged; the question itself is answered with REFUSED where they are and its name may not be asked.
"""

from __future__ import annotations

import itertools
from ipaddress import ip_address
from typing import Any

import dns.message
import pytest
from bpf_lab import Lab, Pod
from packets import L4, PASS, REDIRECT, SHOT, Bench, from_pod, icmp4, icmp6, ip, sctp_init, tcp, to_pod, udp
from worlds import OTHERS, PROTOCOLS, World, play_scenario, rows

from namewall.datapath import libbpf
from namewall.model.flow import DropReason
from namewall.model.net import Address, Direction, Protocol
from namewall.policy.lookup import Lookup, cidr_classes, dns_passes, granted_selectors, lookup
from namewall.policy.map_state import FqdnPeer

NO_DNS = b"no question at all, but longer than the header of one"
PARTS = 8
PODS = 11
"""The most that a scenario has."""


class Wire:
    """The world of a scenario by its packets."""

    def __init__(self, lab: Lab) -> None:
        self.world = World(lab, PODS)
        self.bench = Bench(lab)
        self._ports = itertools.cycle(range(20000, 60000))
        self._counters = lab.datapath._objects.maps["counters"]  # type: ignore[union-attr]

    def addresses(self, who: str) -> tuple[Address, ...]:
        if who in self.world.pods:
            return self.world.tables.endpoints[self.world.pods[who].number].addresses
        if who in OTHERS:
            return OTHERS[who][1:]
        return (ip_address(who),)

    def pairs(self, query: dict[str, Any]) -> list[tuple[Address, Address]]:
        """Source and destination, in each family that both have."""
        return [
            (source, target)
            for source in self.addresses(query["from"])
            for target in self.addresses(query["to"])
            if source.version == target.version
        ]

    def answer(self, query: dict[str, Any], source: Address, target: Address) -> dict[str, str | None]:
        result: dict[str, str | None] = {"egress": None, "ingress": None, "l7dns": None}
        if query["from"] in self.world.pods:
            result["egress"], result["l7dns"] = self.egress(query, source, target)
        if query["to"] in self.world.pods:
            pod = self.world.pods[query["to"]]
            packet = ip(source, target, self.l4(query))
            passed = self._run("to_endpoint", pod, to_pod(pod, packet), local=query["from"] == "host") == PASS
            result["ingress"] = "allow" if passed else "deny"
        denied = "deny" in result.values()
        return {**result, "verdict": "deny" if denied else "allow"}

    def egress(self, query: dict[str, Any], source: Address, target: Address) -> tuple[str, str | None]:
        """The verdict of L3/L4 and that of names."""
        pod = self.world.pods[query["from"]]
        name = query.get("dns")

        def sends(l4: L4) -> int:
            return self._run("from_endpoint", pod, from_pod(pod, ip(source, target, l4)))

        if query["protocol"] == "UDP":
            before = self._dropped(DropReason.DNS_MALFORMED)
            plain = sends(self.l4(query, NO_DNS))
            if self._dropped(DropReason.DNS_MALFORMED) > before:
                if name is None:
                    return "allow", "redirect"
                action = sends(self.l4(query, dns.message.make_query(name, "A").to_wire()))
                return "allow", {PASS: "allow", REDIRECT: "deny"}[action]
        else:
            before = self._dropped(DropReason.PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL)
            plain = sends(self.l4(query))
            proxied = self._dropped(DropReason.PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL) > before
            # To where every name may be asked TCP passes by itself.
            may_ask = self.policy(query, target).dns
            if proxied or (plain == PASS and may_ask == "any"):
                if name is None:
                    return "allow", "redirect"
                return "allow", "allow" if dns_passes(may_ask, name) else "deny"
        if plain == SHOT:
            return "deny", None
        assert plain == PASS
        if name is None:
            return "allow", None
        action = sends(self.l4(query, dns.message.make_query(name, "A").to_wire()))
        assert action == PASS
        return "allow", "none"

    def policy(self, query: dict[str, Any], target: Address) -> Lookup:
        """What the proxy's judge reads: the compiled policy at this destination."""
        state = self.world.state(query["from"])
        peers = self.world.tables.ipcache
        row = max((net for net in peers if target in net), key=lambda net: net.prefixlen)
        selectors = {key.peer.selector for key in state.entries if isinstance(key.peer, FqdnPeer)}
        return lookup(
            state,
            Direction.EGRESS,
            peers[row].identity,
            cidr_classes(target, self.world.tables.prefixes, peers[row].inside),
            granted_selectors(self.world.names.get(target, ()), selectors),
            PROTOCOLS[query["protocol"]],
            query["port"],
        )

    def l4(self, query: dict[str, Any], payload: bytes = b"") -> L4:
        port, source = query["port"], next(self._ports)
        match PROTOCOLS[query["protocol"]]:
            case Protocol.TCP:
                return tcp(source, port)
            case Protocol.UDP:
                return udp(source, port, payload)
            case Protocol.SCTP:
                return sctp_init(source, port)
            case Protocol.ICMP:
                return icmp4(port, source)
            case Protocol.ICMPV6:
                return icmp6(port, source)
        raise AssertionError(query)

    def _run(self, program: str, pod: Pod, frame: bytes, local: bool = False) -> int:
        return self.bench.run(program, pod, frame, local=local)[0]

    def _dropped(self, reason: DropReason) -> int:
        return libbpf.lookup_per_cpu(self._counters, int(reason).to_bytes(4, "little"))


@pytest.fixture(scope="module")
def wire(shared_lab: Lab) -> Wire:
    return Wire(shared_lab)


@pytest.mark.parametrize("part", range(PARTS), ids=lambda part: f"part{part}")
def test_every_query_has_the_verdict_of_policy(wire: Wire, part: int) -> None:
    count, wrong = 0, []
    for row in itertools.islice(rows("verdicts.jsonl"), part, None, PARTS):
        play_scenario(wire.world, row)
        for query in row["queries"]:
            expected = query["expect"]
            sides: tuple[str, ...] = tuple(expected)
            if _has_empty_label(query.get("dns", "x")):
                # No DNS message can carry this name: what is left of the row is the connection.
                query = {key: value for key, value in query.items() if key != "dns"}
                sides = ("egress", "ingress")
            for source, target in wire.pairs(query):
                count += 1
                result = wire.answer(query, source, target)
                if any(result[side] != expected[side] for side in sides):
                    wrong.append((row["id"], query, str(source), str(target), result))
    assert not wrong, f"{len(wrong)} of {count} differ, first: {wrong[:3]}"
    assert count > 10_000 // PARTS


def _has_empty_label(name: str) -> bool:
    return "" in name.removesuffix(".").split(".")
