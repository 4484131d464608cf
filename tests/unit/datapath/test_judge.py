"""What the tables say of a question, without the kernel; tests/bpf says the same with it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import dns.message

from namewall.datapath.judge import Judge
from namewall.fqdn.message import NXDOMAIN, REFUSED, Question, read_asking
from namewall.model.net import Direction
from namewall.policy.map_state import AnyPeer, FqdnPeer, IdentityPeer, MapState, PolicyEntry, PolicyKey
from namewall.state.tables import DnsSettings, EndpointRow, IpcacheRow, NodeTables, ServiceBackend, VipKey

CLIENT, SERVER, OTHER, VIP = map(ip_address, ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.1.0.10"))
OUTSIDE = ip_address("192.0.2.53")
TCP = 6


def row(number: int, policy: int) -> EndpointRow:
    address = ip_address(f"10.0.0.{number}")
    return EndpointRow(
        number, number, f"e{number}", number, bytes(6), bytes(6), (address,), 1000 + number, policy
    )


def egress(**ports: object) -> MapState:
    entries = {
        PolicyKey(Direction.EGRESS, AnyPeer(), TCP, int(port[1:]), 16): PolicyEntry(dns=dns)  # type: ignore[arg-type]
        for port, dns in ports.items()
    }
    return MapState(False, True, entries)


def judge(state: MapState, server: MapState | None = None, **more: object) -> Judge:
    tables = NodeTables(
        endpoints={1: row(1, 1), 2: row(2, 2), 3: row(3, 3)},
        policies={1: state, 2: server or MapState(False, False, {}), 3: MapState(False, False, {})},
        ipcache={ip_network(f"10.0.0.{n}"): IpcacheRow(1000 + n, inside=True) for n in (1, 2, 3)},
        services={VipKey(VIP, 53, TCP): (ServiceBackend(SERVER, 53), ServiceBackend(OTHER, 5353))},
    )
    return Judge(replace(tables, **more))  # type: ignore[arg-type]


def question(name: str, kind: str = "A") -> Question:
    return read_asking(dns.message.make_query(name, kind).to_wire())


def test_a_name_is_passed_refused_or_dropped() -> None:
    here = judge(egress(p53=frozenset({"a.example."})))
    assert here.question(row(1, 1), OUTSIDE, 53, question("A.example")).teaches
    refused = here.question(row(1, 1), OUTSIDE, 53, question("b.example"))
    assert (refused.verdict, refused.code) == ("refuse", REFUSED)
    assert here.question(row(1, 1), OUTSIDE, 54, question("a.example")).verdict == "drop"
    assert here.question(row(1, 1), OUTSIDE, 53, None).verdict == "drop"


def test_at_a_service_every_backend_s_rules_count() -> None:
    both = frozenset({"a.example.", "b.example."})
    here = judge(egress(p53=both, p5353=frozenset({"a.example."})))
    assert here.question(row(1, 1), VIP, 53, question("a.example")).verdict == "pass"
    assert here.question(row(1, 1), VIP, 53, question("b.example")).verdict == "refuse"
    assert judge(egress(p53=both)).question(row(1, 1), VIP, 53, question("a.example")).verdict == "drop"
    nobody = judge(egress(p53=both), services={VipKey(VIP, 53, TCP): ()})
    assert nobody.question(row(1, 1), VIP, 53, question("a.example")).verdict == "drop"


def test_without_rules_a_trusted_resolver_teaches() -> None:
    plain = egress(p53=None)
    ruling = judge(plain).question(row(1, 1), OUTSIDE, 53, question("a.example"))
    assert (ruling.verdict, ruling.teaches, ruling.judged) == ("pass", False, False)
    trusting = judge(plain, trusted_resolvers=frozenset({OUTSIDE}))
    assert trusting.question(row(1, 1), OUTSIDE, 53, question("a.example")).teaches
    assert trusting.question(row(1, 1), OUTSIDE, 53, None).verdict == "pass"


def test_a_server_that_was_itself_learned_by_name() -> None:
    entry = {
        PolicyKey(Direction.EGRESS, FqdnPeer("dns.example."), TCP, 53, 16): PolicyEntry(
            dns=frozenset({"a.example."})
        )
    }
    here = judge(MapState(False, True, entry))
    assert here.question(row(1, 1), OUTSIDE, 53, question("a.example")).verdict == "drop"
    assert here.question(row(1, 1), OUTSIDE, 53, question("a.example"), ["dns.example."]).verdict == "pass"
    assert here.question(row(1, 1), OUTSIDE, 53, question("b.example"), ["dns.example."]).verdict == "refuse"


def test_the_code_of_a_refusal() -> None:
    state = egress(p53=frozenset({"a.example.", "in.cluster.local.#A"}))
    asker = replace(row(1, 1), search=("cluster.local.",))

    def code(name: str, refusal: str = "auto", kind: str = "A") -> int:
        here = judge(state, dns=DnsSettings(refusal=refusal))  # type: ignore[arg-type]
        ruling = here.question(asker, OUTSIDE, 53, question(name, kind))
        assert ruling.verdict == "refuse"
        return ruling.code

    assert code("x.cluster.local") == NXDOMAIN
    assert code("in.cluster.local", kind="TXT") == REFUSED
    assert code("cluster.local") == REFUSED
    assert code("b.example") == REFUSED
    assert code("x.cluster.local", "refused") == REFUSED
    assert code("b.example", "nxdomain") == NXDOMAIN


def test_long_labels() -> None:
    here = judge(egress(p53="any"), dns=DnsSettings(longest_label=5))
    assert here.question(row(1, 1), OUTSIDE, 53, question("aaaaa.example")).verdict == "refuse"
    assert here.question(row(1, 1), OUTSIDE, 53, question("a.test")).verdict == "pass"
    free = judge(MapState(False, False, {}), dns=DnsSettings(longest_label=5))
    assert free.question(row(1, 1), OUTSIDE, 53, question("aaaaaa.example")).verdict == "pass"


def test_whom_a_server_lets_in() -> None:
    only = {PolicyKey(Direction.INGRESS, IdentityPeer(1001), TCP, 53, 16): PolicyEntry()}
    here = judge(egress(p53="any"), MapState(True, False, only))
    assert here.admits(ServiceBackend(SERVER, 53), TCP, row(1, 1))
    assert not here.admits(ServiceBackend(SERVER, 54), TCP, row(1, 1))
    assert not here.admits(ServiceBackend(SERVER, 53), TCP, row(3, 3))
    assert here.admits(ServiceBackend(OTHER, 53), TCP, row(1, 1))
    assert here.admits(ServiceBackend(OUTSIDE, 53), TCP, row(1, 1))
    assert here.admits(ServiceBackend(SERVER, 53), TCP, row(2, 2)), "a pod always reaches itself"
