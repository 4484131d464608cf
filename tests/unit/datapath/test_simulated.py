"""The twin in memory does what tests/bpf shows the kernel doing."""

from __future__ import annotations

import select
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from namewall.datapath.base import Datapath
from namewall.datapath.simulated import SimulatedDatapath
from namewall.model.flow import Dropped, DropReason, Learned, Refused
from namewall.model.net import Direction
from namewall.policy.map_state import AnyPeer, FqdnPeer, IdentityPeer, MapState, PolicyEntry, PolicyKey
from namewall.state.tables import EndpointRow, IpcacheRow, KnownName, NodeTables, ServiceBackend, VipKey

SERVER, SITE, OTHER = ip_address("198.51.100.53"), ip_address("203.0.113.1"), ip_address("203.0.113.2")


def state(*names: str) -> MapState:
    entries = {PolicyKey(Direction.EGRESS, AnyPeer(), 17, 53, 16): PolicyEntry(dns=frozenset(names))}
    for name in names:
        entries[PolicyKey(Direction.EGRESS, FqdnPeer(name), 6, 443, 16)] = PolicyEntry()
    return MapState(False, True, entries)


ROW = EndpointRow(1, 101, "nw1", 7, bytes(6), bytes(6), (ip_address("10.99.0.2"),), 300, 1)
INSIDE = {ip_network("10.99.0.0/16"): IpcacheRow(15, inside=True)}


def tables(policy: MapState, **more: object) -> NodeTables:
    return NodeTables(endpoints={1: ROW}, policies={1: policy}, ipcache=INSIDE, **more)  # type: ignore[arg-type]


@pytest.fixture
def datapath() -> SimulatedDatapath:
    made = SimulatedDatapath()
    made.load()
    return made


def test_it_is_a_datapath(datapath: SimulatedDatapath) -> None:
    seam: Datapath = datapath
    assert seam.read_events() == []
    seam.unload()


def test_asked_learned_reached_and_ended(datapath: SimulatedDatapath) -> None:
    datapath.apply(tables(state("a.example.")))
    assert not datapath.connect(1, SITE, 443, now=10)
    assert datapath.ask(1, SERVER, "b.example.", now=10) == "refused"
    assert not datapath.answer(1, SERVER, "a.example.", [SITE], 5, now=10)
    assert datapath.ask(1, SERVER, "a.example.", now=10) == "pass"
    assert datapath.answer(1, SERVER, "a.example.", [SITE, ip_address("10.99.0.9")], 5, now=10)
    assert datapath.connect(1, SITE, 443, now=69)
    assert not datapath.connect(1, SITE, 443, now=71)
    assert select.select([datapath.events_fd()], [], [], 0)[0]
    dropped, refused, learned, _, late = datapath.read_events()
    assert isinstance(dropped, Dropped)
    assert isinstance(late, Dropped)
    assert dropped.reason is late.reason is DropReason.POLICY_DENIED
    assert isinstance(refused, Refused)
    assert isinstance(learned, Learned)
    assert (learned.addresses, learned.ttl, learned.granted) == ((SITE,), 60, True)
    assert not select.select([datapath.events_fd()], [], [], 0)[0]
    assert datapath.sweep(1000) == 0  # a connection needs it
    datapath.apply(tables(state("b.example.")))
    assert datapath.connections() == []
    assert datapath.sweep(1000) == 1
    datapath.close()


def test_a_known_name_is_granted_under_the_patterns_of_now(datapath: SimulatedDatapath) -> None:
    known = frozenset({KnownName(101, "a.example.", SITE, 100.0)})
    datapath.apply(tables(state("b.example."), known_names=known))
    assert not datapath.connect(1, SITE, 443, now=10)
    datapath.apply(tables(state("*.example."), known_names=known))
    assert datapath.connect(1, SITE, 443, now=10)
    datapath.close()


def test_a_service_needs_every_backend(datapath: SimulatedDatapath) -> None:
    policy = MapState(False, True, {PolicyKey(Direction.EGRESS, IdentityPeer(9)): PolicyEntry()})
    vip = VipKey(ip_address("10.98.0.1"), 80, 6)
    good, bad = ServiceBackend(SITE, 8080), ServiceBackend(ip_address("10.99.0.9"), 8080)
    for backends, expected in (((good,), True), ((good, bad), False), ((), False)):
        datapath.apply(tables(policy, services={vip: backends}))
        assert datapath.connect(1, vip.address, 80, now=1) is expected
    datapath.close()


def test_again_changes_nothing(datapath: SimulatedDatapath) -> None:
    wanted = tables(state("a.example."))
    datapath.apply(wanted)
    datapath.apply(replace(wanted))
    assert datapath.applied == 1
    datapath.close()
