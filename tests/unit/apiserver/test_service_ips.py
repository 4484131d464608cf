from __future__ import annotations

import random
from ipaddress import ip_network
from typing import Any

import pytest

from namewall.apiserver import service_ips

V4, V6 = ip_network("10.9.0.0/24"), ip_network("fd09::/120")


def _assign(cidrs: Any, taken: set[str] | None = None, **spec: Any) -> tuple[dict[str, Any], list[str]]:
    service = {"spec": {"type": "ClusterIP", **spec}}
    causes = service_ips.assign(service, cidrs, taken or set(), random.Random(1).randrange)
    return service["spec"], [f"{cause.field}: {cause.message}" for cause in causes]


def test_the_first_range_is_the_default_family() -> None:
    spec, causes = _assign([V6, V4])
    assert not causes
    assert spec["ipFamilies"] == ["IPv6"]
    assert spec["ipFamilyPolicy"] == "SingleStack"
    assert spec["clusterIPs"] == [spec["clusterIP"]]


def test_prefer_dual_stack_takes_what_there_is() -> None:
    assert _assign([V4, V6], ipFamilyPolicy="PreferDualStack")[0]["ipFamilies"] == ["IPv4", "IPv6"]
    assert _assign([V4], ipFamilyPolicy="PreferDualStack")[0]["ipFamilies"] == ["IPv4"]
    assert "not configured for dual-stack" in _assign([V4], ipFamilyPolicy="RequireDualStack")[1][0]
    assert "not configured on this cluster" in _assign([V4], ipFamilies=["IPv6"])[1][0]


@pytest.mark.parametrize("address", ["10.9.0.10", "fd09::a"])
def test_a_fixed_address_is_kept_and_says_its_family(address: str) -> None:
    spec, causes = _assign([V4, V6], clusterIP=address)
    assert not causes
    assert spec["clusterIPs"] == [address]
    assert spec["ipFamilies"] == [service_ips.family(address)]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.8.0.1", "not in the valid range"),
        ("10.9.0.7", "already allocated"),
        ("x", "must be a valid IP address"),
    ],
)
def test_addresses_that_cannot_be_had(address: str, words: str) -> None:
    _, causes = _assign([V4, V6], {"10.9.0.7"}, clusterIP=address)
    assert words in causes[0]


def test_headless_services_have_no_address() -> None:
    spec, causes = _assign([V4], clusterIP="None")
    assert not causes
    assert spec["clusterIPs"] == ["None"]


def test_every_address_of_a_range_is_given_once_and_then_it_is_full() -> None:
    small = ip_network("10.9.0.0/28")
    taken: set[str] = set()
    for _ in range(14):
        spec, causes = _assign([small], taken)
        assert not causes
        taken.add(spec["clusterIP"])
    assert len(taken) == 14
    assert "is full" in _assign([small], taken)[1][0]


def test_low_addresses_are_left_to_those_that_ask_for_them() -> None:
    addresses = {_assign([V4])[0]["clusterIP"] for _ in range(50)}
    assert "10.9.0.10" not in addresses
