"""The resolver patches what it made; whatever happens to a node, it says what a compiler that begins anew says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from namewall.model.labels import Labels
from namewall.policy.compile import compile
from namewall.policy.expand import expand
from namewall.policy.resolver import Resolver
from namewall.policy.rules import Policy, policy_prefixes
from namewall.policy.selector_index import SelectorIndex
from namewall.policy.selectors import LabelSelector
from tests.property.examples import QUIET
from tests.property.policies import Raw, one, raw_policies
from tests.property.worlds import PODS, parsed

NUMBERS = range(256, 262)
LABELS = [*(pod.labels for pod in PODS.values()), frozenset({"k8s:app=web", "k8s:x=y"}), None]
"""What a number may stand for from one moment to the next; None is for nobody."""

steps = st.one_of(
    raw_policies(),
    st.tuples(one(*NUMBERS), one(*LABELS)),
    st.sets(one("p0", "p1", "p2", "p3"), min_size=1),
    st.sets(one(*PODS), min_size=1),
)


@QUIET
@given(st.lists(steps, min_size=2, max_size=8))
def test_whatever_happens_it_is_as_if_made_anew(happened: list[object]) -> None:
    """Policies come, identities get other labels, policies go, endpoints go: after each, every pod is right."""
    resolver = Resolver()
    policies: dict[tuple[str, str, str], Policy] = {}
    identities: dict[int, Labels] = {}
    for step in happened:
        if isinstance(step, list):
            policies |= {policy.key: policy for policy in parsed(step)}
            resolver.set_policies(policies.values())
        elif isinstance(step, tuple):
            number, labels = step
            identities.pop(number, None)
            identities |= {number: labels} if labels is not None else {}
            resolver.set_identities(identities)
        elif step & PODS.keys():
            resolver.keep_subjects(PODS[name].labels for name in step)
        else:
            policies = {key: policy for key, policy in policies.items() if key[2] not in step}
            resolver.set_policies(policies.values())
        expanded = expand(policies.values())
        assert resolver.prefixes == policy_prefixes(expanded)
        for pod in PODS.values():
            anew = compile(expanded, pod.labels, identities, own_ports=pod.own_ports)
            assert resolver.resolve(pod.labels, pod.own_ports) == anew
            assert resolver.resolve(pod.labels, pod.own_ports) is resolver.resolve(pod.labels, pod.own_ports)


def selectors_in(raw: list[Raw]) -> set[LabelSelector]:
    rules = [rule for policy in parsed(raw) for rule in policy.rules]
    peers = {peer for rule in rules for peer in rule.peers if isinstance(peer, LabelSelector)}
    return peers | {rule.subject for rule in rules}


@QUIET
@given(raw_policies(), raw_policies())
def test_an_index_finds_what_asking_each_would_find(kept: list[Raw], gone: list[Raw]) -> None:
    index, wanted, unwanted = SelectorIndex(), selectors_in(kept), selectors_in(gone)
    for selector in [*wanted, *unwanted]:
        index.add(selector)
    for selector in unwanted:
        index.discard(selector)
    wanted -= unwanted
    assert set(index) == wanted
    for labels in [*(pod.labels for pod in PODS.values()), frozenset({"reserved:host"})]:
        found = index.selecting(labels)
        assert len(found) == len(set(found))
        assert set(found) == {selector for selector in wanted if selector.matches(labels)}
