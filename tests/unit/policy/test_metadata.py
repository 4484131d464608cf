"""Annotations of ours on a policy."""

from __future__ import annotations

from typing import Any

import pytest

from namewall.policy import dns_types
from namewall.policy.lookup import dns_passes
from namewall.policy.metadata import of_subject, unknown_annotations
from namewall.policy.parse import parse
from namewall.policy.rules import Options, Policy, Verify


def policy(annotations: dict[str, Any] | None, dns: list[Any] | None = None, app: str = "a") -> Any:
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "p", "namespace": "default", "annotations": annotations},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": app}},
            "egress": [
                {
                    "toEndpoints": [{}],
                    "toPorts": [
                        {"ports": [{"port": "53"}], "rules": {"dns": dns or [{"matchName": "b.example"}]}}
                    ],
                }
            ],
        },
    }


def read(annotations: dict[str, Any] | None, **more: Any) -> Policy:
    found, problems = parse(policy(annotations, **more))
    assert found is not None, problems
    return found


def forms(found: Policy) -> object:
    (rule,) = found.rules
    return rule.ports[0].dns


def test_without_annotations_nothing_is_added() -> None:
    for nothing in (None, {}, {"example.com/x": "y"}):
        assert read(nothing).options == Options()
        assert forms(read(nothing)) == frozenset({"b.example."})


def test_types_limit_the_policy_s_own_rules() -> None:
    limited = forms(read({"namewall.io/dns-types": " aaaa, A"}))
    assert limited == frozenset({"b.example.#A,AAAA"})
    assert dns_passes(limited, "b.example.", 1)  # type: ignore[arg-type]
    assert not dns_passes(limited, "b.example.", 16)  # type: ignore[arg-type]
    assert not dns_passes(limited, "c.example.", 1)  # type: ignore[arg-type]
    every = forms(read({"namewall.io/dns-types": "PTR"}, dns=[{"matchPattern": "*"}]))
    assert every == frozenset({"*#PTR"})
    assert dns_passes(frozenset({"b.example.#A", "b.example."}), "b.example.", 16)


def test_bits_are_told_apart() -> None:
    assert len(set(dns_types.BITS.values())) == len(dns_types.NUMBERS) <= dns_types.OTHER_BIT
    assert dns_types.mask_of("x.#A,TXT") == 1 | 1 << dns_types.BITS[16]
    assert dns_types.mask_of("x.") == dns_types.EVERY_TYPE
    assert not dns_types.passes("x.#ANY", 4711)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("namewall.io/dns-types", "A,BANANA", "`BANANA` is no type of question known here"),
        ("namewall.io/dns-types", ",", "an empty list is no type"),
        ("namewall.io/rebinding-guard", "on", "`on` is no guard; write `strict`"),
        ("namewall.io/verify-name", "host", "`host` is no way to verify names; write `sni`, `audit`"),
        ("namewall.io/min-ttl", "-1", "`-1` is no number of seconds"),
        ("namewall.io/min-ttl", "1h", "`1h` is no number of seconds"),
        ("namewall.io/min-ttl", "604801", "from 0 to 604800"),
        ("namewall.io/min-ttl", "²", "is no number"),
    ],
)
def test_what_is_wrong_is_named(key: str, value: str, text: str) -> None:
    found, problems = parse(policy({key: value}))
    assert found is None
    assert [problem.path for problem in problems] == [f"metadata.annotations[{key}]"]
    assert text in problems[0].message


def test_what_is_not_said_is_as_without_annotations() -> None:
    said = Options(strict=False, min_ttl=None, verify=Verify.OFF)
    assert Policy("", "", "", "", ()) == Policy("", "", "", "", (), options=said, audit=False)


def test_options_of_all_policies_that_select_join() -> None:
    assert sorted(Verify) == [Verify.OFF, Verify.AUDIT, Verify.ENFORCE]
    one = read({"namewall.io/rebinding-guard": "strict", "namewall.io/min-ttl": "30"})
    two = read({"namewall.io/min-ttl": "300"})
    assert read({"namewall.io/verify-name": "sni"}).options.joined(two.options) == Options(
        min_ttl=300, verify=Verify.ENFORCE
    )
    told = read({"namewall.io/verify-name": "audit"}).options
    assert told == Options(verify=Verify.AUDIT)
    assert told.joined(Options(verify=Verify.ENFORCE)).verify is Verify.ENFORCE
    assert Options(verify=Verify.ENFORCE).joined(told).verify is Verify.ENFORCE
    other = read({"namewall.io/min-ttl": "900"}, app="b")
    subject = frozenset({"k8s:app=a", "k8s:io.kubernetes.pod.namespace=default"})
    assert of_subject([one, two, other], subject) == Options(strict=True, min_ttl=300)
    assert of_subject([other], subject) == Options()


def test_a_key_of_ours_that_means_nothing_is_told() -> None:
    given = {
        "namewall.io/audit": "true",
        "namewall.io/mode": "audit",
        "example.com/x": "",
        "namewall.io/dns-types": "A",
    }
    (problem,) = unknown_annotations({"annotations": given})
    assert (problem.path, problem.meant) == ("metadata.annotations[namewall.io/audit]", None)
    assert "namewall.io/mode" in problem.message
    (problem,) = unknown_annotations({"annotations": {"namewall.io/verfy-name": "sni"}})
    assert problem.meant == "namewall.io/verify-name"
    for nothing in ({}, {"annotations": None}, {"annotations": ["namewall.io/x"]}):
        assert unknown_annotations(nothing) == []


def test_a_policy_in_force_stays_so_whatever_an_unknown_key_of_ours_meant() -> None:
    assert read({"namewall.io/verfy-name": "sni"}).options == Options()
