"""What the resolver need not do again, and that nothing is left of what is gone."""

from __future__ import annotations

import pickle
from ipaddress import ip_network

from namewall.model.labels import Labels
from namewall.model.net import Protocol
from namewall.policy.compile import compile
from namewall.policy.expand import CidrGroup, expand
from namewall.policy.map_state import CidrPeer, IdentityPeer
from namewall.policy.metadata import of_subject
from namewall.policy.resolver import Resolver
from namewall.policy.rules import Options
from tests.unit.policy.build import Raw, cnp, egress, good, netpol, pod

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


def test_a_class_that_comes_or_goes_with_one_policy_is_an_entry_of_the_others() -> None:
    """10.1.0.0/16 within 10.0.0.0/8: the longer one is looked up there, for pods' addresses apart from others."""
    wide = cnp({"endpointSelector": {"matchLabels": {"app": "web"}}, "egress": [{"toCIDR": ["10.0.0.0/8"]}]})
    block = netpol(
        {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
        }
    )
    block["metadata"]["namespace"] = "other"
    narrow = cnp(
        {"endpointSelector": {"matchLabels": {"app": "x"}}, "egress": [{"toCIDR": ["10.1.0.0/16"]}]}, name="x"
    )
    made = resolver(wide, block)
    subjects = (pod(app="web"), pod("other", app="web"))
    before = [made.resolve(subject) for subject in subjects]
    made.set_policy(good(narrow))
    after = [made.resolve(subject) for subject in subjects]
    new = [
        {key.peer for key in now.entries.keys() - was.entries.keys()}
        for was, now in zip(before, after, strict=True)
    ]
    inner = ip_network("10.1.0.0/16")
    assert new == [{CidrPeer(inner, False)}, {CidrPeer(inner, True)}]
    made.remove_policy(good(narrow).key)
    assert [made.resolve(subject) for subject in subjects] == before


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


OFFICE = CidrGroup("office", {}, frozenset({ip_network("198.51.100.0/24")}))
TO_OFFICE = egress({"toCIDRSet": [{"cidrGroupRef": "office"}]}, {"toFQDNs": [{"matchName": "a.example"}]})


def test_it_tells_what_is_in_force() -> None:
    policies = [good(protects("db", name="q")), good(TO_OFFICE)]
    made = resolver(protects("db", name="q"), TO_OFFICE)
    made.set_references(groups=[OFFICE])
    assert set(made.policies) == set(expand(policies, groups=[OFFICE]))
    assert made.fqdn_selectors == {"a.example."}
    assert resolver().fqdn_selectors == frozenset()


def test_references_leave_others_alone() -> None:
    made = resolver(protects("db", name="q", namespace="other"), TO_OFFICE)
    here, there = made.resolve(pod(app="db")), made.resolve(pod("other", app="db"))
    made.set_references(groups=[OFFICE])
    assert made.resolve(pod(app="db")) != here
    assert made.resolve(pod("other", app="db")) is there


def test_identities_that_go_take_their_entries() -> None:
    made = resolver(protects("db"))
    web = {number: pod(app="web", rev=str(number)) for number in (256, 257, 258)}
    made.set_identities(web)
    assert made.resolve(pod(app="db")) == compile(made.policies, pod(app="db"), web)
    del web[256]
    made.set_identities(web)
    assert made.resolve(pod(app="db")) == compile(made.policies, pod(app="db"), web)


def test_ports_of_the_cluster_reach_only_rules_that_name_ports() -> None:
    named = cnp({"endpointSelector": {}, "egress": [{"toPorts": [{"ports": [{"port": "http"}]}]}]}, name="q")
    made = resolver(named, protects("db", namespace="other"))
    here, there = made.resolve(pod(app="db")), made.resolve(pod("other", app="db"))
    made.set_cluster_ports({("http", Protocol.TCP): frozenset({80})})
    assert made.resolve(pod(app="db")) != here
    assert made.resolve(pod("other", app="db")) is there


def test_a_prefix_is_known_while_any_policy_has_it() -> None:
    one, two = (cnp({"endpointSelector": {}, "egress": [{"toCIDR": ["10.0.0.0/8"]}]}, name=n) for n in "ab")
    made = resolver(one, two)
    made.remove_policy(good(one).key)
    assert made.prefixes == {ip_network("10.0.0.0/8")}
    made.remove_policy(good(two).key)
    assert made.prefixes == frozenset()


def test_what_no_endpoint_uses_is_forgotten_alone() -> None:
    made = resolver(protects("db"), protects("web", name="q"))
    db, web = made.resolve(pod(app="db")), made.resolve(pod(app="web"))
    made.keep_subjects([pod(app="web")])
    assert made.resolve(pod(app="web")) is web
    assert made.resolve(pod(app="db")) is not db


def test_nothing_is_left_of_what_is_gone() -> None:
    made = Resolver()

    def size_after(label: str) -> int:
        """Of all that it keeps, after policies, identities and endpoints of this label came and went."""
        here, there = ({"matchLabels": {label: value}} for value in ("here", "there"))
        spec: Raw = {
            "endpointSelector": here,
            "ingress": [{"fromEndpoints": [there]}, {"fromEndpoints": [{"matchLabels": {"all": "same"}}]}],
            "egress": [{"toCIDR": [f"198.51.100.{len(label)}/32"]}, {"toFQDNs": [{"matchName": label}]}],
        }
        audited = cnp({**spec, "endpointSelector": {}}, name="b")
        audited["metadata"]["annotations"] = {"namewall.io/mode": "audit"}
        subject: Labels = pod(**{label: "here"})
        made.set_policies([good(cnp(spec, name="a")), good(audited)])
        made.set_identities({256 + len(label): subject, 300: pod(**{label: "there", "all": "same"})})
        assert made.audit(subject) != made.resolve(subject)
        made.set_policies([])
        made.set_identities({})
        made.keep_subjects([])
        return len(pickle.dumps(made))

    assert len({size_after("x" * length) for length in (3, 4, 5)}) == 1
