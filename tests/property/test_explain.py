"""Explanations over generated worlds: the verdict is decide's, and every denial is patched or its reason said."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from namewall.model.net import Direction, Protocol
from namewall.policy.decide import PeerFacts
from namewall.policy.explain.anatomy import Catalog
from namewall.policy.explain.case import Case
from namewall.policy.explain.flow import Leg, document, explain
from tests.property.policies import ADDRESSES, CLUSTER_PORTS, INIT, NAMES, PODS, PORT_NUMBERS, raw_policies

SUBJECTS = {**PODS, "init": INIT}
KNOWN = [pod.labels for pod in PODS.values()]


@st.composite
def peers(draw: st.DrawFn) -> tuple[str, PeerFacts]:
    kind = draw(st.sampled_from(("pod", "outside", "outside", "host", "closed")))
    if kind == "pod":
        name = draw(st.sampled_from(sorted(PODS)))
        return name, PeerFacts(PODS[name].labels, PODS[name].address)
    if kind == "host":
        return "host", PeerFacts.reserved(1)
    from ipaddress import ip_address

    address = ip_address(draw(st.sampled_from(ADDRESSES)))
    if kind == "closed":
        return str(address), PeerFacts(frozenset(), address, closed=True)
    return str(address), PeerFacts.outside(address, draw(st.lists(st.sampled_from(NAMES), max_size=2)))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    who = draw(st.sampled_from(sorted(SUBJECTS)))
    direction = draw(st.sampled_from((Direction.EGRESS, Direction.EGRESS, Direction.INGRESS)))
    whom, peer = draw(peers())
    protocol = draw(st.sampled_from((Protocol.TCP, Protocol.UDP, Protocol.UDP, Protocol.ICMP)))
    port = draw(st.sampled_from((0, 8) if protocol is Protocol.ICMP else PORT_NUMBERS))
    asks = direction is Direction.EGRESS and protocol is Protocol.UDP and draw(st.booleans())
    return Case(
        who,
        SUBJECTS[who].labels,
        direction,
        whom,
        peer,
        protocol,
        port,
        draw(st.sampled_from(NAMES)) if asks else None,
        SUBJECTS[who].own_ports if direction is Direction.INGRESS else {},
        CLUSTER_PORTS,
    )


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=300)
@given(raw_policies(), cases())
def test_every_flow_is_explained_and_every_denial_patched_or_its_reason_said(
    raws: list[dict[str, Any]], case: Case
) -> None:
    catalog = Catalog(raws)
    decision = case.decided(catalog.policies)
    explanation = explain(catalog, [Leg("connection", (case,))], KNOWN)
    told = document(catalog, explanation)
    assert told["verdict"] == decision.verdict
    assert told["reason"] == decision.reason
    assert [(r["policy"], r["rule"]) for r in told["rules"]] == [(r.name, r.rule) for r in decision.rules]
    assert explanation.steps[-1].kind == "verdict"
    if decision.verdict == "allow":
        assert explanation.patch is None
        assert explanation.nearest is None
        return
    event(f"{decision.reason}: {'patched' if explanation.patch else explanation.no_patch[:30]}")
    if explanation.patch is None:
        assert explanation.no_patch
        open_question = case.peer.closed or decision.reason == "POLICY_DENY"
        assert open_question or case.who == "init", explanation.no_patch
        return
    after = Catalog(explanation.patch.after)
    assert len(after.policies) == len(explanation.patch.after), "a patched policy is valid"
    assert case.decided(after.policies).verdict == "allow"
    assert len(explanation.patch.changes) == 1
