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
from namewall.datapath.judge import Judge
from namewall.fqdn.message import read_asking
from namewall.model.flow import DropReason
from namewall.model.net import Address, Protocol
from namewall.policy.map_state import DnsRules

NO_DNS = b"no question at all, but longer than the header of one"
PARTS = 24
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
            before = self._dropped(DropReason.SOCKET_LOOKUP_FAILED)
            plain = sends(self.l4(query))
            if query["protocol"] == "TCP":
                proxied = self._dropped(DropReason.SOCKET_LOOKUP_FAILED) > before
                rules = self.rules(query, target)
                # To where every name may be asked TCP passes by itself.
                assert proxied == (plain != PASS and rules is not None and rules != "any")
                if rules is not None and (proxied or plain == PASS):
                    return "allow", "redirect" if name is None else self.proxy_says(query, target)
        if plain == SHOT:
            return "deny", None
        assert plain == PASS
        if name is None:
            return "allow", None
        action = sends(self.l4(query, dns.message.make_query(name, "A").to_wire()))
        assert action == PASS
        return "allow", "none"

    def rules(self, query: dict[str, Any], target: Address) -> DnsRules | None:
        """What policy lets be asked over TCP there, as the proxy's judge reads the tables."""
        row = self.world.tables.endpoints[self.world.pods[query["from"]].number]
        names = self.world.names.get(target, ())
        (found,) = Judge(self.world.tables).egress(row, target, Protocol.TCP, query["port"], names)
        return found.dns

    def proxy_says(self, query: dict[str, Any], target: Address) -> str:
        row = self.world.tables.endpoints[self.world.pods[query["from"]].number]
        asked = read_asking(dns.message.make_query(query["dns"], "A").to_wire())
        ruling = Judge(self.world.tables).question(
            row, target, query["port"], asked, self.world.names.get(target, ())
        )
        return {"pass": "allow", "refuse": "deny"}[ruling.verdict]

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
