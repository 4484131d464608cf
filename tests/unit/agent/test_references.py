"""Services and CIDR groups as policies see them."""

from ipaddress import ip_address, ip_network
from typing import Any

from namewall.agent.references import cidr_groups, service_facts
from namewall.policy.expand import CidrGroup


def service(name: str, selector: dict[str, str] | None = None, ip: str = "None") -> dict[str, Any]:
    spec = {"clusterIP": ip, "ports": [{"port": 80}]} | ({"selector": selector} if selector else {})
    return {"metadata": {"name": name, "namespace": "data", "labels": {"tier": name}}, "spec": spec}


def addresses_of(name: str, *ready: tuple[str, bool]) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name + "-x",
            "namespace": "data",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": yes}} for address, yes in ready],
        "ports": [{"port": 80}],
    }


def test_a_service_without_a_selector_is_its_written_addresses_also_when_headless() -> None:
    services = [service("old"), service("db", {"app": "db"}, "10.96.0.9")]
    slices = [
        addresses_of("old", ("203.0.113.7", True), ("203.0.113.8", False)),
        addresses_of("db", ("10.1.0.5", True)),
    ]
    old, db = service_facts(services, slices)
    assert (old.namespace, old.name, old.selector) == ("data", "old", {})
    assert old.addresses == {ip_address("203.0.113.7")}
    assert (db.selector, db.addresses, db.labels) == ({"app": "db"}, frozenset(), {"tier": "db"})


def test_groups_are_in_one_order() -> None:
    objects = [
        {"metadata": {"name": "b", "labels": {"site": "x"}}, "spec": {"externalCIDRs": ["203.0.113.0/24"]}},
        {"metadata": {"name": "a"}, "spec": {"externalCIDRs": ["2001:db8::7/32"]}},
    ]
    known = cidr_groups(objects)
    assert known == cidr_groups(reversed(objects))
    assert known == [
        CidrGroup("a", {}, frozenset({ip_network("2001:db8::/32")})),
        CidrGroup("b", {"site": "x"}, frozenset({ip_network("203.0.113.0/24")})),
    ]
