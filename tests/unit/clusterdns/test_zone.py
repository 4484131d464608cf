"""Question → answer, row by row as the Kubernetes DNS specification 1.1.0 has them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.clusterdns.records import Endpoint, Port, Records, Service
from namewall.clusterdns.zone import Answer, Unknown, Zone, dashed, reverse_zones

SQL = Port("sql", "TCP", 5432)
RECORDS = Records(
    ranges=(ip_network("10.220.0.0/16"), ip_network("10.219.0.0/16"), ip_network("fd4e:5741:2::/112")),
    services=(
        Service(
            "default",
            "web",
            (ip_address("10.220.0.7"), ip_address("fd4e:5741:2::7")),
            (Port("http", "TCP", 80), Port("", "UDP", 9)),
        ),
        Service(
            "prod",
            "db",
            endpoints=(
                Endpoint(ip_address("10.219.0.4"), "db-0", (SQL,)),
                Endpoint(ip_address("10.219.0.5"), "", (SQL,)),
                Endpoint(ip_address("fd4e:5741:2::99"), "db-0", (SQL,)),
            ),
        ),
        Service("prod", "empty"),
        Service("default", "shop", external_name="shop.example.com"),
        Service("default", "alias", external_name="web.default.svc.cluster.local"),
        Service("kube-system", "kube-dns", (ip_address("10.220.0.10"),), (Port("dns", "UDP", 53),)),
    ),
    pods={"default": (ip_address("10.219.0.4"), ip_address("2001:db8::5"))},
)
ZONE = Zone(RECORDS)


def ask(name: str, rdtype: str, zone: Zone | Unknown = ZONE, turn: int = 0) -> Answer | None:
    return zone.answer(dns.name.from_text(name), dns.rdatatype.from_text(rdtype), turn)


def texts(name: str, rdtype: str, turn: int = 0) -> list[str]:
    answer = ask(name, rdtype, turn=turn)
    assert answer is not None
    assert answer.rcode == dns.rcode.NOERROR
    return [rdata.to_text() for rrset in answer.answer for rdata in rrset]


@pytest.mark.parametrize(
    ("name", "rdtype", "values"),
    [
        # A Service with a ClusterIP.
        ("web.default.svc.cluster.local.", "A", ["10.220.0.7"]),
        ("web.default.svc.cluster.local.", "AAAA", ["fd4e:5741:2::7"]),
        ("WEB.Default.SVC.cluster.LOCAL.", "A", ["10.220.0.7"]),
        ("web.default.svc.cluster.local.", "ANY", ["10.220.0.7", "fd4e:5741:2::7"]),
        ("_http._tcp.web.default.svc.cluster.local.", "SRV", ["0 100 80 web.default.svc.cluster.local."]),
        ("7.0.220.10.in-addr.arpa.", "PTR", ["web.default.svc.cluster.local."]),
        # A headless one.
        ("db.prod.svc.cluster.local.", "A", ["10.219.0.4", "10.219.0.5"]),
        ("db.prod.svc.cluster.local.", "AAAA", ["fd4e:5741:2::99"]),
        ("db-0.db.prod.svc.cluster.local.", "A", ["10.219.0.4"]),
        ("10-219-0-5.db.prod.svc.cluster.local.", "A", ["10.219.0.5"]),
        (
            "_sql._tcp.db.prod.svc.cluster.local.",
            "SRV",
            ["0 50 5432 db-0.db.prod.svc.cluster.local.", "0 50 5432 10-219-0-5.db.prod.svc.cluster.local."],
        ),
        ("4.0.219.10.in-addr.arpa.", "PTR", ["db-0.db.prod.svc.cluster.local."]),
        # An external name, pods, and the zone's own.
        ("shop.default.svc.cluster.local.", "A", ["shop.example.com."]),
        ("shop.default.svc.cluster.local.", "CNAME", ["shop.example.com."]),
        ("10-219-0-4.default.pod.cluster.local.", "A", ["10.219.0.4"]),
        ("2001-db8--5.default.pod.cluster.local.", "AAAA", ["2001:db8::5"]),
        ("dns-version.cluster.local.", "TXT", ['"1.1.0"']),
        ("cluster.local.", "NS", ["kube-dns.kube-system.svc.cluster.local."]),
        ("cluster.local.", "SOA", ["ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5"]),
    ],
)
def test_records_of_the_specification(name: str, rdtype: str, values: list[str]) -> None:
    assert texts(name, rdtype) == values


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("web.default.svc.cluster.local.", "TXT"),
        ("web.default.svc.cluster.local.", "HTTPS"),
        ("kube-dns.kube-system.svc.cluster.local.", "AAAA"),
        ("empty.prod.svc.cluster.local.", "A"),
        # Names that only have names below them.
        ("_tcp.web.default.svc.cluster.local.", "A"),
        ("default.svc.cluster.local.", "A"),
        ("svc.cluster.local.", "A"),
        ("pod.cluster.local.", "A"),
        ("cluster.local.", "A"),
        ("220.10.in-addr.arpa.", "PTR"),
        ("0.220.10.in-addr.arpa.", "PTR"),
        ("web.default.svc.cluster.local.", "SOA"),
    ],
)
def test_a_name_without_that_type_is_nodata_with_soa(name: str, rdtype: str) -> None:
    answer = ask(name, rdtype)
    assert answer is not None
    assert (answer.rcode, answer.answer) == (dns.rcode.NOERROR, [])
    (soa,) = answer.authority
    assert (soa.rdtype, soa.ttl, soa[0].minimum) == (dns.rdatatype.SOA, 5, 5)
    assert dns.name.from_text(name).is_subdomain(soa.name)


@pytest.mark.parametrize(
    "name",
    [
        "kubernetes.io.default.svc.cluster.local.",
        "kubernetes.io.svc.cluster.local.",
        "kubernetes.io.cluster.local.",
        "web.prod.svc.cluster.local.",
        "x.web.default.svc.cluster.local.",
        "_https._tcp.web.default.svc.cluster.local.",
        # The pod is in another namespace; nobody has this address; nobody may make up one.
        "10-219-0-4.prod.pod.cluster.local.",
        "10-219-0-9.default.pod.cluster.local.",
        "198-51-100-1.default.pod.cluster.local.",
        "8.0.220.10.in-addr.arpa.",
        "1.0.0.220.10.in-addr.arpa.",
    ],
)
def test_anything_else_of_the_cluster_is_nxdomain_at_once(name: str) -> None:
    answer = ask(name, "A")
    assert answer is not None
    assert answer.rcode == dns.rcode.NXDOMAIN
    assert len(answer.authority) == 1


@pytest.mark.parametrize(
    "name",
    [
        "kubernetes.io.",
        "local.",
        ".",
        "xcluster.local.",
        "x\\.cluster.local.",
        "10.in-addr.arpa.",
        "1.0.0.11.in-addr.arpa.",
    ],
)
def test_other_names_are_not_ours(name: str) -> None:
    assert ask(name, "A") is None


def test_an_alias_is_to_be_followed_unless_it_was_asked_for() -> None:
    answer = ask("alias.default.svc.cluster.local.", "A")
    assert answer is not None
    assert answer.chase == dns.name.from_text("web.default.svc.cluster.local.")
    answer = ask("alias.default.svc.cluster.local.", "CNAME")
    assert answer is not None
    assert answer.chase is None


def test_srv_answers_bring_the_addresses_of_their_targets() -> None:
    answer = ask("_sql._tcp.db.prod.svc.cluster.local.", "SRV")
    assert answer is not None
    assert sorted(rdata.to_text() for rrset in answer.additional for rdata in rrset) == [
        "10.219.0.4",
        "10.219.0.5",
        "fd4e:5741:2::99",
    ]


def test_several_addresses_take_turns() -> None:
    assert texts("db.prod.svc.cluster.local.", "A", turn=1) == ["10.219.0.5", "10.219.0.4"]


def test_ttls_are_short_for_what_comes_and_goes() -> None:
    for name, ttl in (("web.default.svc", 30), ("db.prod.svc", 5), ("10-219-0-4.default.pod", 5)):
        answer = ask(f"{name}.cluster.local.", "A")
        assert answer is not None
        assert answer.answer[0].ttl == ttl


def test_before_the_first_records_the_clusters_names_fail_and_others_go_on() -> None:
    zone = Unknown("cluster.local")
    answer = ask("web.default.svc.cluster.local.", "A", zone)
    assert answer is not None
    assert answer.rcode == dns.rcode.SERVFAIL
    assert ask("kubernetes.io.", "A", zone) is None


@pytest.mark.parametrize(
    ("network", "zones"),
    [
        ("10.0.0.0/8", ["10.in-addr.arpa"]),
        ("10.96.0.0/15", ["96.10.in-addr.arpa", "97.10.in-addr.arpa"]),
        ("10.1.2.0/24", ["2.1.10.in-addr.arpa"]),
        ("fd00::/8", ["d.f.ip6.arpa"]),
        ("fd00::/7", ["c.f.ip6.arpa", "d.f.ip6.arpa"]),
    ],
)
def test_reverse_zones(network: str, zones: list[str]) -> None:
    assert reverse_zones(ip_network(network, strict=False)) == zones


@given(st.ip_addresses(), st.integers(1, 128))
def test_an_address_of_a_network_lies_in_one_of_its_reverse_zones(address, length) -> None:  # type: ignore[no-untyped-def]
    network = ip_network((address, min(length, address.max_prefixlen)), strict=False)
    assert (
        sum(
            address.reverse_pointer.endswith(f".{zone}") or address.reverse_pointer == zone
            for zone in reverse_zones(network)
        )
        == 1
    )


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_dashed_names_are_one_label_and_tell_addresses_apart(one, other) -> None:  # type: ignore[no-untyped-def]
    assert "." not in dashed(one)
    assert (dashed(one) == dashed(other)) == (one == other)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), st.integers(1, 300))
def test_no_name_below_the_zone_is_an_error_or_somebody_elses(labels: list[bytes], rdtype: int) -> None:
    name = dns.name.Name((*labels, b"cluster", b"local", b""))
    answer = ZONE.answer(name, dns.rdatatype.RdataType.make(rdtype))
    assert answer is not None
    assert answer.answer or answer.authority
