"""The world as a value: what other parts of the lab rely on."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.names import BOTH, SLOTS, Network, Site, World, page_world, random_world, slot_networks

FAMILIES = st.sampled_from([(4,), (6,), BOTH])


def _inside(address: object, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


@given(st.integers(), st.integers(0, SLOTS - 1), FAMILIES)
def test_every_address_has_one_owner_and_lies_in_the_slot(
    seed: int, slot: int, families: tuple[int, ...]
) -> None:
    for world in (random_world(seed, slot, families), page_world(slot, families)):
        addresses = [address for site in world.sites for address in site.addresses]
        everybody = [*addresses, *world.host, *world.resolvers]
        assert len(everybody) == len(set(everybody))
        assert all(_inside(address, slot_networks(slot)) for address in everybody)
        assert {address.version for address in everybody} == set(families)
        assert all(address in site.addresses for site in world.sites for address in site.addresses)


@given(st.integers())
def test_a_seed_draws_the_same_world_again(seed: int) -> None:
    assert random_world(seed) == random_world(seed)


@given(st.integers(), FAMILIES)
def test_the_first_two_names_can_be_reached_over_every_ip_version(
    seed: int, families: tuple[int, ...]
) -> None:
    for site in random_world(seed, families=families).sites[:2]:
        assert {address.version for address in site.addresses} == set(families)


def test_slots_share_no_address() -> None:
    for one, other in combinations(range(SLOTS), 2):
        for mine in slot_networks(one):
            for theirs in slot_networks(other):
                assert mine.version != theirs.version or not mine.overlaps(theirs)


def test_a_slot_beyond_the_last_is_refused() -> None:
    with pytest.raises(ValueError, match="slot `8`: want 0 to 7"):
        slot_networks(SLOTS)


def test_the_page_world_has_several_addresses_for_its_names() -> None:
    site = page_world().site("kubernetes.io")
    assert site
    assert [sum(a.version == version for a in site.addresses) for version in BOTH] == [3, 2]


def test_a_renamed_world_keeps_its_aliases() -> None:
    world = page_world().renamed(lambda name: f"x-{name}")
    www = world.site("x-www.kubernetes.io")
    assert www is not None
    assert www.alias == "x-kubernetes.io"
    assert world.site("kubernetes.io") is None


def test_a_name_that_shows_some_addresses_shows_all_of_them_in_turn() -> None:
    site = page_world().site("registry.example.com")
    assert site
    seen = {address for step in range(9) for address in site.at(4, step * site.ttl)}
    assert len(site.at(4, 0)) == site.shown
    assert seen == {address for address in site.addresses if address.version == 4}


def test_the_upstream_is_of_a_family_the_world_has() -> None:
    assert World((Site("a.example"),), families=(6,)).upstream == "2001:db8::2"
