"""Packets of interfaces that come and go."""

from __future__ import annotations

from namewall.agent.forwarded import Forwarded, read_counter


def test_what_an_endpoint_had_counts_on_when_it_has_gone() -> None:
    links = [(1, "a"), (2, "b")]
    counters = {
        ("a", "rx_packets"): 10,
        ("a", "tx_packets"): 5,
        ("b", "rx_packets"): 1,
        ("b", "tx_packets"): 2,
    }
    forwarded = Forwarded(lambda: links, lambda name, counter: counters.get((name, counter)))
    assert forwarded.count() == {"INGRESS": 7, "EGRESS": 11}
    counters["a", "rx_packets"] = 12
    assert forwarded.count() == {"INGRESS": 7, "EGRESS": 13}
    links[:] = [(2, "b"), (3, "a")]  # the name again, another interface
    counters["a", "rx_packets"], counters["a", "tx_packets"] = 1, 1
    assert forwarded.count() == {"INGRESS": 8, "EGRESS": 14}
    assert forwarded.count() == {"INGRESS": 8, "EGRESS": 14}


def test_an_interface_that_is_gone_is_none() -> None:
    assert read_counter("nonesuch0", "rx_packets") is None
    assert read_counter("lo", "rx_packets") is not None
