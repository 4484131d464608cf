"""Kubernetes Events for drops: what they say, and how rarely."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from namewall.agent.drop_events import KEPT, REFRESH, DropEvents, nearest, sentence
from namewall.model.flow import DropReason, MatchType
from namewall.model.net import Direction
from namewall.state.observed import Grounds, PolicyRef
from tests.unit.state.flows import BACKEND, DENIER, FRONTEND, RULE, SITE, a, allowed, denied, ingress, refused

POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "backend-7d4b9-x2x", "namespace": "default"}}
POLICY = {"kind": "CiliumNetworkPolicy", "metadata": {"name": "egress-fqdn", "namespace": "default"}}


class Written:
    """What was written; the clock is turned by hand."""

    def __init__(self, reason: str = "PolicyDenied") -> None:
        self.now = 0.0
        self.reason = reason
        self.events: list[tuple[str, str, int]] = []
        self.drops = DropEvents(self.write, lambda *_: POD, self.policy, lambda: self.now)

    def policy(self, ref: PolicyRef) -> dict[str, Any] | None:
        return POLICY if ref == DENIER else None

    async def write(
        self, involved: dict[str, Any], reason: str, message: str, type: str = "Normal", *, times: int = 1
    ) -> None:
        assert (reason, type) == (self.reason, "Warning")
        self.events.append((involved["kind"], message, times))

    async def flush(self) -> list[tuple[str, str, int]]:
        await self.drops.flush()
        events, self.events = self.events, []
        return events


SENTENCE = (
    "egress to cilium.io (203.0.113.7) port 443/TCP was dropped (Policy denied): "
    "no rule of CiliumNetworkPolicy default/egress-fqdn allows it"
)


async def test_the_pod_and_the_policy_hear_of_a_drop_at_once() -> None:
    written = Written()
    written.drops.take(denied())
    assert await written.flush() == [
        ("Pod", SENTENCE, 1),
        ("CiliumNetworkPolicy", f"pod default/backend-7d4b9-x2x: {SENTENCE}", 1),
    ]


async def test_the_same_again_is_counted_and_told_later() -> None:
    written = Written()
    written.drops.take(denied())
    await written.flush()
    written.drops.take(denied(times=3))
    written.drops.take(denied(destination_ip=a("203.0.113.8"), source_port=5))  # the same name and port
    assert await written.flush() == []
    written.now = REFRESH
    assert [(kind, times) for kind, _, times in await written.flush()] == [
        ("Pod", 4),
        ("CiliumNetworkPolicy", 4),
    ]
    assert await written.flush() == []


async def test_another_port_peer_or_direction_is_another_event() -> None:
    written = Written()
    for flow in (
        denied(),
        denied(destination_port=80),
        denied(destination=replace(SITE, names=("other.example.com",))),
        denied(direction=Direction.INGRESS, source=FRONTEND, destination=BACKEND),
        refused(),
    ):
        written.drops.take(flow)
    assert len([kind for kind, _, _ in await written.flush() if kind == "Pod"]) == 6


async def test_the_pod_that_was_kept_out_hears_of_it_but_not_whose_policy_it_was() -> None:
    written = Written()
    written.drops.take(
        denied(direction=Direction.INGRESS, source=FRONTEND, destination=BACKEND, destination_port=8080)
    )
    messages = [message for kind, message, _ in await written.flush() if kind == "Pod"]
    assert messages[0].startswith("ingress from pod web/frontend-5f6c8-aaa to port 8080/TCP was dropped")
    assert messages[1] == (
        "egress to pod default/backend-7d4b9-x2x port 8080/TCP was dropped by its ingress policy (Policy denied)"
    )


async def test_what_passes_or_is_no_word_of_policy_is_not_told() -> None:
    written = Written()
    written.drops.take(allowed())
    written.drops.take(denied(reason=DropReason.INVALID_SOURCE_IP))
    written.drops.take(denied(source=replace(BACKEND, pod="")))
    assert await written.flush() == []


async def test_what_was_not_seen_for_an_hour_is_new_again() -> None:
    written = Written()
    written.drops.take(denied())
    await written.flush()
    written.now = KEPT + 1
    assert await written.flush() == []
    written.drops.take(denied())
    assert [times for _, _, times in await written.flush()] == [1, 1]


async def test_an_explanation_is_added_once_and_its_failure_ends_nothing() -> None:
    written = Written()
    written.drops = DropEvents(
        written.write, lambda *_: POD, written.policy, lambda: written.now, lambda flow: "why"
    )
    written.drops.take(denied())
    written.drops.take(ingress(verdict=denied().verdict, reason=DropReason.POLICY_DENIED))
    messages = [message for kind, message, _ in await written.flush() if kind == "Pod"]
    assert messages[0] == f"{SENTENCE}; why"
    written.drops.take(denied())
    written.now = REFRESH
    assert (await written.flush())[0][1] == f"{SENTENCE}; why"

    def fails(flow: object) -> str:
        raise KeyError("x")

    written.drops = DropEvents(written.write, lambda *_: POD, written.policy, lambda: written.now, fails)
    written.drops.take(denied())
    assert (await written.flush())[0][1] == SENTENCE


def test_sentences() -> None:
    assert sentence(denied()) == SENTENCE
    assert sentence(refused()) == (
        "DNS question for `cilium.io` (AAAA) was refused: "
        "no DNS rule of CiliumNetworkPolicy default/egress-fqdn allows this name"
    )
    flow = ingress(verdict=denied().verdict, reason=DropReason.POLICY_DENY, match=MatchType.L3_L4)
    assert sentence(replace(flow, grounds=Grounds((RULE,)))) == (
        "ingress from pod web/frontend-5f6c8-aaa to port 8080/TCP was dropped (Policy denied by denylist): "
        "denied by CiliumNetworkPolicy default/egress-fqdn spec.egress[1]"
    )


async def test_a_limit_of_questions_has_a_reason_of_its_own() -> None:
    flow = denied(reason=DropReason.DNS_RATE_LIMITED, destination=refused().destination, destination_port=53)
    assert sentence(flow) == (
        "DNS questions to Service kube-system/kube-dns were dropped (DNS rate limited): "
        "the pod asks more than `--dns-rate` questions a second"
    )
    written = Written("DNSLimited")
    written.drops.take(flow)
    assert (await written.flush())[0][0] == "Pod"


def test_the_nearest_policy_is_the_one_that_denied() -> None:
    assert nearest(denied(grounds=Grounds((RULE,)))) == PolicyRef(RULE.kind, RULE.namespace, RULE.name)
    assert nearest(denied()) == DENIER
    assert nearest(denied(grounds=Grounds())) is None
