"""What the resolver need not do again."""

from __future__ import annotations

from namewall.policy.map_state import IdentityPeer
from namewall.policy.metadata import of_subject
from namewall.policy.resolver import Resolver
from namewall.policy.rules import Options
from tests.unit.policy.build import Raw, cnp, good, pod

FROM_WEB: Raw = {"fromEndpoints": [{"matchLabels": {"app": "web"}}], "toPorts": [{"ports": [{"port": "80"}]}]}


def resolver(*policies: Raw) -> Resolver:
    made = Resolver()
    made.set_identities({256: pod(app="db"), 257: pod(app="web")})
    made.set_policies(map(good, policies))
    return made


def protects(app: str, **more: object) -> Raw:
    return cnp({"endpointSelector": {"matchLabels": {"app": app}}, "ingress": [FROM_WEB]}, **more)


def test_endpoints_with_the_same_rules_share_one_map_state() -> None:
    made = resolver(protects("db"))
    one, two = pod(app="db", rev="1"), pod(app="db", rev="2")
    assert made.resolve(one) is made.resolve(two)
    assert made.resolve(one) is not made.resolve(pod(app="web"))


def test_an_identity_changes_only_its_own_entries_and_only_where_it_is_selected() -> None:
    made = resolver(protects("db"), protects("web", name="q"))
    made.set_policy(good(cnp({"endpointSelector": {"matchLabels": {"app": "x"}}, "egress": [{}]}, name="r")))
    before, apart = made.resolve(pod(app="db")), made.resolve(pod(app="x"))
    made.add_identity(300, pod(app="web", rev="2"))
    after = made.resolve(pod(app="db"))
    new = {key for key in after.entries if key not in before.entries}
    assert {key.peer for key in new} == {IdentityPeer(300)}
    assert len(new) == 3  # TCP, UDP and SCTP
    assert made.resolve(pod(app="x")) is apart
    made.add_identity(301, pod(app="nobody"))
    assert made.resolve(pod(app="db")) is after


def test_a_policy_leaves_others_alone() -> None:
    made = resolver(protects("db"), protects("web", name="q"))
    db, web = made.resolve(pod(app="db")), made.resolve(pod(app="web"))
    made.remove_policy(("CiliumNetworkPolicy", "default", "q"))
    assert made.resolve(pod(app="db")) is db
    assert made.resolve(pod(app="web")) != web


def test_own_ports_count_only_where_rules_name_ports() -> None:
    named: Raw = {"toPorts": [{"ports": [{"port": "http"}]}]}
    made = resolver(protects("db"), cnp({"endpointSelector": {}, "ingress": [named]}, namespace="other"))
    assert made.resolve(pod(app="db"), {("http", 6): frozenset({80})}) is made.resolve(pod(app="db"))  # type: ignore[dict-item]
    there = pod("other", app="db")
    assert made.resolve(there, {("http", 6): frozenset({80})}) != made.resolve(there)  # type: ignore[dict-item]


def test_what_annotations_say_is_kept_with_the_rules() -> None:
    def annotated(name: str, **said: str) -> Raw:
        obj = protects("db", name=name)
        annotations = {f"namewall.io/{key.replace('_', '-')}": value for key, value in said.items()}
        obj["metadata"] = {**obj["metadata"], "annotations": annotations}
        return obj

    policies = [
        protects("web", name="plain"),
        annotated("guarded", rebinding_guard="strict", min_ttl="100"),
        annotated("longer", min_ttl="300"),
    ]
    made = resolver(*policies)
    for subject in (pod(app="db"), pod(app="web"), pod(app="db", rev="2")):
        assert made.options(subject) == of_subject(map(good, policies), subject)
    assert made.options(pod(app="db")) == Options(strict=True, min_ttl=300)
    made.set_policy(good(annotated("longer")))
    assert made.options(pod(app="db")) == Options(strict=True, min_ttl=100)
