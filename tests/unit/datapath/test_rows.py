"""From tables to rows: what the kernel's longest match will find."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from namewall.datapath import layout, rows
from namewall.datapath.numbers import Numbers, read_numbers, write_numbers
from namewall.model.net import Direction
from namewall.policy.map_state import (
    AnyPeer,
    CidrPeer,
    FqdnPeer,
    IdentityPeer,
    MapState,
    Peer,
    PolicyEntry,
    PolicyKey,
)
from namewall.state.tables import IpcacheRow, NodeTables, ServiceBackend, VipKey

NET, HOST = ip_network("203.0.113.0/24"), ip_network("203.0.113.5/32")


def key(peer: Peer, protocol: int = 0, port: int = 0, bits: int | None = None) -> PolicyKey:
    return PolicyKey(
        Direction.EGRESS, peer, protocol, port, bits if bits is not None else (16 if port else 0)
    )


def built(
    entries: dict[PolicyKey, PolicyEntry], numbers: Numbers
) -> dict[tuple[int, int, int], tuple[int, int]]:
    """Peer, protocol, port → flags, bits."""
    state = MapState(False, True, entries)
    found = rows.policy_rows(state, 3, numbers, numbers.by_selector)
    read = {}
    for raw_key, raw in found.items():
        length, policy, peer, direction, protocol, port = layout.POLICY_KEY.unpack(raw_key)
        flags, bits, _, _ = layout.POLICY_ENTRY.unpack(raw)
        assert (policy, direction) == (3, 1)
        assert length == 72 + bits
        read[peer, protocol, int.from_bytes(port, "big")] = (flags, bits)
    return read


def test_a_selector_is_a_row_for_each_class_it_is_in() -> None:
    numbers = Numbers()
    one = numbers.of_class(frozenset({"fqdn:a.x.", "fqdn:*.x."}))
    two = numbers.of_class(frozenset({"fqdn:*.x.", "dns:*.x."}))
    numbers.of_class(frozenset({"dns:a.x."}))
    found = built(
        {key(FqdnPeer("*.x."), 6, 443): PolicyEntry(), key(FqdnPeer("a.x."), 6, 80): PolicyEntry()}, numbers
    )
    name = layout.PEER_NAME
    assert set(found) == {(name | one, 6, 443), (name | two, 6, 443), (name | one, 6, 80)}


def test_selectors_of_one_class_speak_together() -> None:
    numbers = Numbers()
    number = numbers.of_class(frozenset({"fqdn:a.x.", "fqdn:*.x."}))
    peer = (layout.PEER_NAME | number, 17, 53)
    rules = PolicyEntry(dns=frozenset({"b.x."}))
    found = built(
        {key(FqdnPeer("*.x."), 17, 53): rules, key(FqdnPeer("a.x."), 17, 53): PolicyEntry()}, numbers
    )
    assert found[peer] == (layout.POLICY_DNS | layout.POLICY_DNS_ANY, 24)


def test_an_ip_block_counts_inside_too_and_a_deny_beside_it_wins_outside() -> None:
    numbers = Numbers()
    found = built(
        {
            key(CidrPeer(NET, pods=True), 6, 443): PolicyEntry(),
            key(CidrPeer(NET)): PolicyEntry(deny=True),
        },
        numbers,
    )
    number = numbers.prefixes[NET]
    assert found == {
        (layout.PEER_CIDR | number, 0, 0): (layout.POLICY_DENY, 0),
        (layout.PEER_CIDR_INSIDE | number, 6, 443): (0, 24),
    }


def test_port_prefixes_keep_their_length() -> None:
    found = built(
        {key(AnyPeer(), 6, 8192, 3): PolicyEntry(), key(IdentityPeer(9), 6): PolicyEntry()}, Numbers()
    )
    assert found == {(0, 6, 8192): (0, 11), (9, 6, 0): (0, 8)}


def test_new_prefixes_inherit_from_what_lies_around_them() -> None:
    numbers = Numbers()
    state = MapState(False, True, {key(CidrPeer(NET), 6, 443): PolicyEntry()})
    held = rows.policy_rows(state, 3, numbers, {})
    assert rows.around(HOST, [NET, ip_network("0.0.0.0/0")]) == NET
    assert rows.around(NET, [NET, HOST]) is None
    more = rows.inherit(held, {numbers.of_prefix(HOST): numbers.of_prefix(NET)})
    assert [layout.POLICY_KEY.unpack(raw)[2] for raw in more] == [layout.PEER_CIDR | numbers.prefixes[HOST]]


def test_backends_that_policy_cannot_tell_apart_are_one() -> None:
    ipcache = {ip_network("10.0.0.0/8"): IpcacheRow(300, inside=True)}
    vip = VipKey(ip_address("10.98.0.1"), 53, 17)
    backends = tuple(ServiceBackend(ip_address(f"10.0.0.{n}"), 5353) for n in range(100))
    (value,) = rows.service_rows({vip: backends}, ipcache, {}).values()
    count, packed = layout.SERVICE.unpack(value)
    assert (count, layout.BACKEND.unpack(packed[:12])) == (1, (300, 0, 5353, 0))
    outside = (ServiceBackend(ip_address("203.0.113.5"), 80),)
    (value,) = rows.service_rows({vip: outside}, ipcache, {NET: 4}).values()
    assert layout.BACKEND.unpack(layout.SERVICE.unpack(value)[1][:12]) == (9, layout.PEER_CIDR | 4, 80, 0)


def test_the_ports_where_names_are_judged() -> None:
    state = MapState(False, True, {key(AnyPeer(), 17, 5353): PolicyEntry(dns="any")})
    vip = VipKey(ip_address("10.98.0.1"), 1053, 17)
    backends = (ServiceBackend(ip_address("10.0.0.1"), 5353),)
    tables = NodeTables(policies={1: state}, services={vip: backends})
    assert rows.dns_ports_of(tables) == {53, 5353, 1053}


def test_numbers_are_never_given_twice(tmp_path: object) -> None:
    numbers = Numbers()
    numbers.begin()
    first = numbers.of_class(frozenset({"fqdn:a."}))
    numbers.of_rules(frozenset({"a."}))
    numbers.of_prefix(NET)
    numbers.forget_classes([])
    path = f"{tmp_path}/run/numbers.json"
    write_numbers(path, numbers)
    again = read_numbers(path)
    assert again.dump() == numbers.dump()
    assert again.of_class(frozenset({"fqdn:a."})) == first + 1
    assert read_numbers(f"{tmp_path}/nothing").epoch == 0


def test_an_endpoint_with_too_many_addresses_is_refused() -> None:
    from namewall.policy.map_state import ALLOW_ALL
    from namewall.state.tables import EndpointRow

    addresses = tuple(ip_address(f"10.0.0.{n}") for n in range(9))
    row = EndpointRow(1, 1, "x", 1, bytes(6), bytes(6), addresses, 1, 1)
    with pytest.raises(ValueError, match="more than 8 addresses"):
        rows.endpoint_value(row, 0, (1, ALLOW_ALL))
