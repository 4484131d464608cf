"""Search domains as a pod's resolv.conf says them."""

from __future__ import annotations

import pytest

from namewall.agent.pod_resolv import cluster_first, search_domains


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("nameserver 192.0.2.1\n", ()),
        ("search A.example b.example.\n", ("a.example.", "b.example.")),
        ("search a.example\nsearch b.example\n", ("b.example.",)),
        ("domain a.example\n", ("a.example.",)),
        ("search x.a.example a.example\n", ("a.example.",)),
        ("search . bad!name ok.example\n", ("ok.example.",)),
        (cluster_first("default", "cluster.local", ()), ("cluster.local.",)),
    ],
)
def test_search_domains(text: str, expected: tuple[str, ...]) -> None:
    """Names below a domain are below what it lies in, so that one stands for both."""
    assert search_domains(text) == expected
