"""Services and EndpointSlices → what the policy map and nft are told."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from namewall.agent.services import cluster_ips, nat_tables, service_tables
from namewall.state.tables import ServiceBackend, VipKey

Object = dict[str, Any]
TCP, UDP = 6, 17


def service(*ips: str, ports: list[Object], name: str = "db", namespace: str = "prod", **spec: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "clusterIP": ips[0] if ips else "None",
            "clusterIPs": list(ips) or ["None"],
            "ports": ports,
            **spec,
        },
    }


def slice_(
    *endpoints: tuple[str, bool | None], ports: list[Object], name: str = "db", namespace: str = "prod"
) -> Object:
    return {
        "metadata": {
            "name": f"{name}-x",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv6" if endpoints and ":" in endpoints[0][0] else "IPv4",
        "endpoints": [
            {"addresses": [address], "conditions": {} if ready is None else {"ready": ready}}
            for address, ready in endpoints
        ],
        "ports": ports,
    }


def vip(address: str, port: int, protocol: int = TCP) -> VipKey:
    return VipKey(ip_address(address), port, protocol)


def backends(*pairs: tuple[str, int]) -> tuple[ServiceBackend, ...]:
    return tuple(ServiceBackend(ip_address(address), port) for address, port in pairs)


SQL = [{"name": "sql", "protocol": "TCP", "port": 5432, "targetPort": 6543}]
SQL_TARGET = [{"name": "sql", "protocol": "TCP", "port": 6543}]


def test_a_port_leads_to_the_ready_endpoints_of_its_name_and_protocol() -> None:
    ports = [*SQL, {"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "port": 53}]
    there = slice_(
        ("10.0.0.2", True),
        ("10.0.0.1", None),
        ("10.0.0.3", False),
        ports=[*SQL_TARGET, {"name": "dns", "protocol": "UDP", "port": 5353}],
    )
    assert service_tables([service("10.1.0.1", ports=ports)], [there]) == {
        vip("10.1.0.1", 5432): backends(("10.0.0.1", 6543), ("10.0.0.2", 6543)),
        vip("10.1.0.1", 53, UDP): backends(("10.0.0.1", 5353), ("10.0.0.2", 5353)),
        vip("10.1.0.1", 53): (),
    }


def test_each_family_has_its_own_backends() -> None:
    tables = service_tables(
        [service("10.1.0.1", "fd00::1", ports=SQL)],
        [slice_(("10.0.0.1", True), ports=SQL_TARGET), slice_(("fd01::1", True), ports=SQL_TARGET)],
    )
    assert tables == {
        vip("10.1.0.1", 5432): backends(("10.0.0.1", 6543)),
        vip("fd00::1", 5432): backends(("fd01::1", 6543)),
    }


def test_several_slices_are_one_service_and_say_each_backend_once() -> None:
    tables = service_tables(
        [service("10.1.0.1", ports=SQL)],
        [
            slice_(("10.0.0.2", True), ("10.0.0.1", True), ports=SQL_TARGET),
            slice_(("10.0.0.1", True), ports=SQL_TARGET),
            slice_(("10.0.0.9", True), ports=SQL_TARGET, namespace="other"),
        ],
    )
    assert tables == {vip("10.1.0.1", 5432): backends(("10.0.0.1", 6543), ("10.0.0.2", 6543))}


def test_named_target_ports_may_differ_from_slice_to_slice() -> None:
    other = [{"name": "sql", "protocol": "TCP", "port": 7000}]
    tables = service_tables(
        [service("10.1.0.1", ports=SQL)],
        [slice_(("10.0.0.1", True), ports=SQL_TARGET), slice_(("10.0.0.2", True), ports=other)],
    )
    assert tables == {vip("10.1.0.1", 5432): backends(("10.0.0.1", 6543), ("10.0.0.2", 7000))}


def test_no_slice_is_a_vip_that_drops() -> None:
    assert service_tables([service("10.1.0.1", ports=SQL)], []) == {vip("10.1.0.1", 5432): ()}


def test_headless_services_and_external_names_have_no_vip() -> None:
    headless = service(ports=SQL)
    external = service("10.1.0.1", ports=SQL, type="ExternalName")
    assert cluster_ips(headless) == cluster_ips(external) == ()
    assert service_tables([headless, external], [slice_(("10.0.0.1", True), ports=SQL_TARGET)]) == {}


def test_objects_from_before_dual_stack_have_only_cluster_ip() -> None:
    old = {
        "metadata": {"name": "a", "namespace": "b"},
        "spec": {"clusterIP": "10.1.0.7", "ports": [{"port": 80}]},
    }
    unnamed = slice_(
        ("10.0.0.1", True), ports=[{"name": "", "protocol": "TCP", "port": 8080}], name="a", namespace="b"
    )
    assert service_tables([old], [unnamed]) == {vip("10.1.0.7", 80): backends(("10.0.0.1", 8080))}


def test_nat_and_policy_are_told_the_same() -> None:
    services = [
        service("10.1.0.1", ports=SQL),
        service("10.1.0.2", ports=SQL, name="web", sessionAffinity="ClientIP"),
    ]
    slices = [slice_(("10.0.0.1", True), ports=SQL_TARGET)]
    ranges = (ip_network("10.0.0.0/16"),), (ip_network("10.1.0.0/16"),)
    nat = nat_tables(iter(services), iter(slices), pod_ranges=ranges[0], service_ranges=ranges[1])
    assert nat.services == service_tables(services, slices)
    assert nat.sticky == {vip("10.1.0.2", 5432)}
    assert (nat.pod_ranges, nat.service_ranges) == ranges
