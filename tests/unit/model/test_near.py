"""Which known word is meant by one that nobody knows."""

from __future__ import annotations

import time

import pytest

from namewall.model.near import near, nearest, or_meant
from namewall.policy.parse import API_VERSIONS
from namewall.policy.schema import crd_schema

RULE = crd_schema("CiliumNetworkPolicy")["properties"]["spec"]["properties"]
EGRESS = RULE["egress"]["items"]["properties"]
INGRESS = RULE["ingress"]["items"]["properties"]


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("toFQDN", EGRESS, "toFQDNs"),
        ("tofqdns", EGRESS, "toFQDNs"),
        ("toEndpoint", EGRESS, "toEndpoints"),
        ("toEntites", EGRESS, "toEntities"),
        ("fromEndpoints", EGRESS, "toEndpoints"),
        ("toCIDRs", EGRESS, "toCIDR"),
        ("toEndpoints", INGRESS, "fromEndpoints"),
        ("ports", EGRESS, "toPorts"),
        ("egres", RULE, "egress"),
        ("endpointSelectors", RULE, "endpointSelector"),
        ("podSelector", RULE, "endpointSelector"),
        ("egressDenny", RULE, "egressDeny"),
        ("matchLables", ["matchLabels", "matchExpressions"], "matchLabels"),
        ("tcp", ["TCP", "UDP", "SCTP"], "TCP"),
        ("TPC", ["TCP", "UDP", "SCTP"], "TCP"),
        ("ingress", ["Ingress", "Egress"], "Ingress"),
        ("worlds", ["world", "cluster", "host"], "world"),
        ("CiliumNetworkPolicyy", API_VERSIONS, "CiliumNetworkPolicy"),
        ("networkpolicy", API_VERSIONS, "NetworkPolicy"),
        ("CiliumClusterWideNetworkPolicy", API_VERSIONS, "CiliumClusterwideNetworkPolicy"),
        ("toEntity", EGRESS, "toEntities"),
        ("to_fqdns", EGRESS, "toFQDNs"),
        ("endpoint", RULE, "endpointSelector"),
        ("ingres", ["ingress", "ingressDeny"], "ingress"),
        ("prot", ["port", "protocol", "endPort"], None),  # either
        ("prot", ["protocol", "endPort"], "protocol"),
        ("foo", EGRESS, None),
        ("egress", RULE, None),
        ("GRE", ["TCP", "UDP", "SCTP"], None),
        ("Deployment", API_VERSIONS, None),
        ("", EGRESS, None),
        ("toFQDN" * 100_000, EGRESS, None),
        ("\ud800", EGRESS, None),
    ],
)
def test_a_near_word_is_found_and_a_far_one_is_not(word: str, known: list[str], meant: str | None) -> None:
    assert near(word, known) == meant


def test_several_may_be_meant() -> None:
    assert set(nearest("prot", ["port", "protocol", "endPort"])) == {"port", "protocol"}
    assert nearest("toFQDN", EGRESS) == ("toFQDNs",)
    assert nearest("foo", EGRESS) == ()


def test_what_is_there_already_is_not_meant() -> None:
    assert near("egres", RULE, {"egress"}) is None, "least of all egressDeny"
    assert near("prot", ["port", "protocol", "endPort"], {"port"}) == "protocol"


def test_the_question_ends_a_sentence() -> None:
    assert or_meant("unknown field", "egress") == "unknown field; did you mean `egress`?"
    assert or_meant("unknown field", None) == "unknown field"


def test_many_strange_words_cost_little() -> None:
    began = time.process_time()
    assert not any(near(f"strange{number}", EGRESS) for number in range(100_000))
    assert time.process_time() - began < 3
