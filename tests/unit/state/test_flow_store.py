"""The ring of packed flows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.model.flow import DropReason, MatchType
from namewall.model.net import Direction
from namewall.state.flow_store import FlowStore, Pool
from namewall.state.observed import Dns, EventKind, Observed, Verdict
from tests.unit.state.flows import BACKEND, FRONTEND, SITE, WORLD6, allowed, answer, denied, ingress, refused

ADDRESSES = st.ip_addresses()


@st.composite
def flows(draw: st.DrawFn) -> Observed:
    dns = None
    if draw(st.booleans()):
        dns = Dns(
            draw(st.text(max_size=300).filter(lambda t: t.encode("utf-8", "ignore").decode() == t)),
            draw(st.integers(0, 65535)),
            draw(st.booleans()),
            tuple(draw(st.lists(ADDRESSES, max_size=5))),
            draw(st.integers(0, 2**32 - 1)),
            draw(st.integers(0, 255)),
        )
    return allowed(
        time=draw(st.integers(0, 2**62)),
        kind=draw(st.sampled_from(EventKind)),
        verdict=draw(st.sampled_from(Verdict)),
        direction=draw(st.sampled_from(Direction)),
        protocol=draw(st.integers(0, 255)),
        source=draw(st.sampled_from([BACKEND, SITE])),
        destination=draw(st.sampled_from([FRONTEND, WORLD6])),
        source_ip=draw(ADDRESSES),
        destination_ip=draw(ADDRESSES),
        source_port=draw(st.integers(0, 65535)),
        destination_port=draw(st.integers(0, 65535)),
        reason=draw(st.sampled_from([None, *DropReason])),
        match=draw(st.sampled_from(MatchType)),
        tcp_flags=draw(st.integers(0, 255)),
        icmp_type=draw(st.integers(0, 255)),
        reply=draw(st.sampled_from([None, True, False])),
        times=draw(st.integers(1, 2**32 - 1)),
        dns=dns,
    )


@given(flows())
def test_what_is_kept_comes_back_as_it_was(flow: Observed) -> None:
    store = FlowStore(3)
    assert _mapped(store.get(store.add(flow))) == _mapped(flow)


def _mapped(flow: Observed) -> Observed:
    """::ffff:a.b.c.d and a.b.c.d are one address to the kernel's tables, so to the store."""
    ips = tuple(getattr(ip, "ipv4_mapped", None) or ip for ip in (flow.dns.ips if flow.dns else ()))
    return replace(
        flow,
        source_ip=getattr(flow.source_ip, "ipv4_mapped", None) or flow.source_ip,
        destination_ip=getattr(flow.destination_ip, "ipv4_mapped", None) or flow.destination_ip,
        dns=replace(flow.dns, ips=ips) if flow.dns else None,
    )


def test_the_oldest_goes_and_numbers_go_on() -> None:
    store = FlowStore(2)
    assert (store.first, store.last, len(store)) == (1, 0, 0)
    assert [store.add(flow) for flow in (allowed(), denied(), ingress())] == [1, 2, 3]
    assert (store.first, store.last, len(store)) == (2, 3, 2)
    assert store.get(2) == denied()
    assert store.get(3) == ingress()
    with pytest.raises(KeyError):
        store.get(1)
    assert list(store.flows()) == [denied(), ingress()]


def test_shared_parts_go_with_the_last_flow_that_names_them() -> None:
    store = FlowStore(2)
    store.add(ingress(source=replace(FRONTEND, pod="gone")))
    store.add(allowed())
    assert store.shared() == (3, 2)
    for _ in range(2):
        store.add(allowed())
    assert store.shared() == (2, 1)


def test_a_number_of_a_pool_is_free_again_when_nothing_refers_to_it() -> None:
    pool: Pool[str] = Pool()
    one, same, other = pool.take("a"), pool.take("a"), pool.take("b")
    assert (one == same, one == other, len(pool)) == (True, False, 2)
    pool.drop(one)
    assert pool.value(one) == "a"
    pool.drop(one)
    assert len(pool) == 1


def test_since_finds_the_first_flow_that_is_not_older() -> None:
    store = FlowStore(4)
    for time in (10, 20, 30, 40, 50):
        store.add(allowed(time=time))
    assert [store.since(time) for time in (0, 20, 21, 30, 50, 51)] == [2, 2, 3, 3, 5, 6]
    assert store.time_of(3) == 30


def test_a_flow_costs_little() -> None:
    """The figure that docs/observe.md states; the shared parts come on top, once each."""
    store = FlowStore()
    for flow in (allowed(), denied(), ingress(), refused()):
        store.add(flow)
    assert max(len(raw) for raw in store._ring) < 100
    store.add(answer())
    assert len(store._ring[-1]) < 150
