"""What the cluster DNS is told, and how it gets there."""

from __future__ import annotations

import asyncio
import contextlib
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, cast

import pytest

from namewall.agent import dns_records
from namewall.agent.dns_records import RecordsWriter, host_resolvers, records
from namewall.clusterdns.records import Endpoint, Port, Records, Service, from_json, to_json
from namewall.kube.client import Client
from namewall.kube.errors import ApiError, Unreachable
from namewall.model.cluster import Resolver
from namewall.model.errors import Cannot

Object = dict[str, Any]
UPSTREAMS = (Resolver(ip_address("198.51.100.53")),)
RANGES = (ip_network("10.0.0.0/16"),)


def named(name: str, namespace: str = "prod", **fields: Any) -> Object:
    return {"metadata": {"name": name, "namespace": namespace}, **fields}


SERVICES = [
    named("web", spec={"clusterIPs": ["10.1.0.1", "fd00::1"], "ports": [{"name": "http", "port": 80}]}),
    named("db", spec={"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]}),
    named("shop", "default", spec={"type": "ExternalName", "externalName": "shop.example.com"}),
]
SLICES = [
    {
        "metadata": {"name": "db-1", "namespace": "prod", "labels": {"kubernetes.io/service-name": "db"}},
        "addressType": "IPv4",
        "ports": [{"name": "sql", "protocol": "TCP", "port": 5432}],
        "endpoints": [
            {"addresses": ["10.0.0.3"], "conditions": {"ready": True}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": True}, "hostname": "db-0"},
            {"addresses": ["10.0.0.4"], "conditions": {"ready": False}},
        ],
    }
]
PODS = [
    named("a", status={"phase": "Running", "podIPs": [{"ip": "fd01::2"}, {"ip": "10.0.0.2"}]}),
    named("b", "default", status={"phase": "Pending", "podIPs": [{"ip": "10.0.0.9"}]}),
    named("c", "default", status={"phase": "Succeeded", "podIPs": [{"ip": "10.0.0.8"}]}),
    named("d", "default", status={"phase": "Pending"}),
]
WANTED = Records(
    domain="cluster.local",
    upstreams=UPSTREAMS,
    ranges=RANGES,
    services=(
        Service("default", "shop", external_name="shop.example.com"),
        Service(
            "prod",
            "db",
            ports=(Port("sql", "TCP", 5432),),
            endpoints=(
                Endpoint(ip_address("10.0.0.2"), "db-0", (Port("sql", "TCP", 5432),)),
                Endpoint(ip_address("10.0.0.3"), "", (Port("sql", "TCP", 5432),)),
            ),
        ),
        Service("prod", "web", (ip_address("10.1.0.1"), ip_address("fd00::1")), (Port("http", "TCP", 80),)),
    ),
    pods={"default": (ip_address("10.0.0.9"),), "prod": (ip_address("10.0.0.2"), ip_address("fd01::2"))},
)


def test_the_document_follows_from_the_objects() -> None:
    found = records(SERVICES, SLICES, PODS, domain="cluster.local", upstreams=UPSTREAMS, ranges=RANGES)
    assert found == WANTED


def test_the_order_of_the_objects_does_not_matter() -> None:
    backwards = records(
        SERVICES[::-1], SLICES[::-1], PODS[::-1], domain="cluster.local", upstreams=UPSTREAMS, ranges=RANGES
    )
    assert to_json(backwards) == to_json(WANTED)


@pytest.mark.parametrize(
    ("text", "stub", "servers"),
    [
        ("nameserver 198.51.100.1\nnameserver 2001:db8::1\n", "", ["198.51.100.1", "2001:db8::1"]),
        ("# nameserver 198.51.100.9\nsearch x\nnameserver 198.51.100.1 # home\n", "", ["198.51.100.1"]),
        ("nameserver 127.0.0.53\n", "nameserver 198.51.100.2\n", ["198.51.100.2"]),
        ("nameserver 127.0.0.1\nnameserver 198.51.100.3\n", "nameserver 198.51.100.2\n", ["198.51.100.3"]),
        ("nameserver fe80::1%eth0\nnameserver 198.51.100.1\nnameserver what\n", "", ["198.51.100.1"]),
    ],
)
def test_the_hosts_resolvers(tmp_path: Path, text: str, stub: str, servers: list[str]) -> None:
    (tmp_path / "resolv.conf").write_text(text)
    (tmp_path / "resolved.conf").write_text(stub)
    found = host_resolvers(f"{tmp_path}/resolv.conf", f"{tmp_path}/resolved.conf")
    assert [str(each.address) for each in found] == servers


@pytest.mark.parametrize(
    "text", ["nameserver 127.0.0.1\n", "nameserver 127.0.0.53\n", "nameserver ::1\n", ""]
)
def test_only_loopback_servers_are_a_problem_with_a_cure(tmp_path: Path, text: str) -> None:
    (tmp_path / "resolv.conf").write_text(text)
    with pytest.raises(Cannot, match="--dns-upstream"):
        host_resolvers(f"{tmp_path}/resolv.conf", f"{tmp_path}/missing")


class Server:
    """An API server as far as one ConfigMap goes: holds it, and may be away."""

    def __init__(self) -> None:
        self.stored: Object | None = None
        self.writes = 0
        self.away = 0

    def _reach(self) -> None:
        if self.away:
            self.away -= 1
            raise Unreachable("away")

    async def get(self, resource: Any, namespace: str, name: str) -> Object:
        self._reach()
        if self.stored is None:
            raise ApiError(404, "NotFound", "not found")
        return self.stored

    async def create(self, resource: Any, namespace: str, obj: Object) -> Object:
        self._reach()
        assert (namespace, obj["metadata"]["name"]) == ("kube-system", "cluster-dns")
        self.stored, self.writes = obj, self.writes + 1
        return obj

    async def patch(self, resource: Any, namespace: str, name: str, body: Object) -> Object:
        self._reach()
        assert self.stored is not None
        self.stored["data"].update(body["data"])
        self.writes += 1
        return self.stored

    @property
    def records(self) -> Records | None:
        return None if self.stored is None else from_json(self.stored["data"]["records.json"])


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_config_map_follows_gathers_changes_and_survives_an_absent_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dns_records, "FIRST_RETRY", 0.01)
    server, wanted = Server(), Records()
    writer = RecordsWriter(cast(Client, server), lambda: wanted)
    task = asyncio.create_task(writer.run())
    try:
        writer.trigger()
        await until(lambda: server.records == Records())
        for number in range(20):
            wanted = Records(domain=f"d{number}")
            writer.trigger()
            await asyncio.sleep(0)
        await until(lambda: server.records == wanted)
        assert server.writes == 2
        server.away, wanted = 3, WANTED
        writer.trigger()
        await until(lambda: server.records == wanted)
        assert server.writes == 3
        # Somebody undoes it: the next look, here at once, does it again.
        server.stored = None
        writer.trigger()
        await until(lambda: server.records == wanted)
        assert not await writer.write()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
