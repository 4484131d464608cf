"""Ports: how specific a match is, and how a range falls into prefixes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.model.net import Protocol
from namewall.policy.ports import L4, PORT_BITS, block_bits, blocks


@pytest.mark.parametrize(
    ("l4", "port", "rank"),
    [
        (L4(Protocol.ANY, 0, 65535), 80, 0),
        (L4(Protocol.TCP, 0, 65535), 80, 1),
        (L4(Protocol.TCP, 0, 32767), 80, 2),
        (L4(Protocol.TCP, 80, 81), 80, 16),
        (L4(Protocol.TCP, 80, 80), 80, 17),
        (L4(Protocol.TCP, 79, 81), 79, 17),
        (L4(Protocol.TCP, 79, 81), 81, 16),
    ],
)
def test_how_specific_a_match_is(l4: L4, port: int, rank: int) -> None:
    assert l4.rank_at(port) == rank


@given(st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(sorted))
def test_a_range_is_the_fewest_prefixes_and_each_port_lies_in_one(ends: list[int]) -> None:
    first, last = ends
    made = list(blocks(first, last))
    assert len(made) <= 2 * PORT_BITS
    at = first
    for start, bits in made:
        assert start == at
        assert block_bits(first, last, start) == bits
        at += 1 << (PORT_BITS - bits)
    assert at == last + 1
    joined = itertools.pairwise(made)
    assert not any(a[1] == b[1] and a[0] >> (PORT_BITS - a[1]) & 1 == 0 for a, b in joined), (
        "two would be one"
    )


def test_a_range_that_is_empty_has_none() -> None:
    assert list(blocks(2, 1)) == []
    assert list(blocks(0, 65535)) == [(0, 0)]
