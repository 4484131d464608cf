"""Words a user types, and the types they mean."""

from __future__ import annotations

import pytest

from namewall.kube import resources
from namewall.kube.resources import KNOWN, Resource, by_kind, find


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("pods", resources.PODS),
        ("pod", resources.PODS),
        ("po", resources.PODS),
        ("Pod", resources.PODS),
        ("cnp", resources.CILIUM_NETWORK_POLICIES),
        ("ciliumnp", resources.CILIUM_NETWORK_POLICIES),
        ("netpol", resources.NETWORK_POLICIES),
        ("deployments.apps", resources.DEPLOYMENTS),
        ("deploy.v1.apps", resources.DEPLOYMENTS),
        ("pods.v1.", resources.PODS),
        ("ccnp", resources.CILIUM_CLUSTERWIDE_NETWORK_POLICIES),
    ],
)
def test_words_mean_types(word: str, meant: Resource) -> None:
    assert find(word, KNOWN) == meant


@pytest.mark.parametrize("word", ["", "podz", "deployments.batch", "pods.v2.", "cnp.v2alpha1.cilium.io"])
def test_other_words_mean_nothing(word: str) -> None:
    assert find(word, KNOWN) is None


def test_a_kind_needs_its_own_version_and_spelling() -> None:
    assert by_kind("apps/v1", "Deployment", KNOWN) == resources.DEPLOYMENTS
    assert by_kind("v1", "Deployment", KNOWN) is None
    assert by_kind("apps/v1", "deployment", KNOWN) is None


def test_no_two_types_share_a_word() -> None:
    words = [word for one in KNOWN for word in {one.plural, one.singular, *one.short_names}]
    assert len(words) == len(set(words))
