"""The cluster document is its own inverse; bad options say what would be right."""

from ipaddress import ip_network

import pytest

from namewall.model.cluster import Cluster, Resolver, free_ranges, overlaps, parse_cidrs, shared_ranges


def test_to_dict_and_from_dict_are_inverse() -> None:
    cluster = Cluster(node_name="n", dns_upstreams=(Resolver.parse("[2001:db8::1]:5353"),), min_ttl=5)
    assert Cluster.from_dict(cluster.to_dict()) == cluster


def test_the_dns_service_is_the_tenth_address() -> None:
    cluster = Cluster(node_name="n", service_cidrs=parse_cidrs("10.96.0.0/16,fd01::/112", "--service-cidr"))
    assert [str(address) for address in cluster.dns_addresses] == ["10.96.0.10", "fd01::a"]


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("198.51.100.53", "198.51.100.53", 53),
        ("198.51.100.53:5353", "198.51.100.53", 5353),
        ("2001:db8::53", "2001:db8::53", 53),
        ("[2001:db8::53]:54", "2001:db8::53", 54),
    ],
)
def test_resolvers(text: str, address: str, port: int) -> None:
    resolver = Resolver.parse(text)
    assert (str(resolver.address), resolver.port) == (address, port)


@pytest.mark.parametrize(
    "text", ["", "dns.example", "198.51.100.53:0", "198.51.100.53:x", "198.51.100.53:70000"]
)
def test_no_resolver(text: str) -> None:
    with pytest.raises(ValueError, match="is no resolver; write IP"):
        Resolver.parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10.1.0.0/16,10.2.0.0/16", "second IPv4 network"),
        ("10.1.0.0/30", "too few addresses"),
        ("10.1.0.1/16", "is no network"),
        ("", "no network given"),
    ],
)
def test_bad_ranges_name_the_option(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_cidrs(text, "--pod-cidr")
    assert str(caught.value).startswith("--pod-cidr: ")


def test_overlaps_name_the_owner_and_default_routes_do_not_count() -> None:
    taken = {
        "eth0": ip_network("10.0.0.0/8"),
        "everything": ip_network("0.0.0.0/0"),
        "v6": ip_network("fd00::/8"),
    }
    assert overlaps((ip_network("10.1.0.0/16"),), taken) == [
        "10.1.0.0/16 overlaps 10.0.0.0/8, which eth0 has"
    ]
    assert overlaps((ip_network("192.168.0.0/16"),), taken) == []
    taken["eth1"] = taken["eth2"] = ip_network("10.1.2.0/24")
    assert overlaps((ip_network("10.1.0.0/16"),), taken) == [
        "10.1.0.0/16 overlaps 10.0.0.0/8, which eth0 has, and 2 more"
    ]


def test_what_two_clusters_share_and_what_is_free_for_one_of_them() -> None:
    one, other = Cluster(node_name="n"), Cluster(node_name="n")
    shared = shared_ranges(one, other)
    assert shared == {"--pod-cidr": list(one.pod_cidrs), "--service-cidr": list(one.service_cidrs)}
    free = free_ranges(
        one, list(shared), [*other.pod_cidrs, *other.service_cidrs, ip_network("10.221.7.0/24")]
    )
    assert free == {
        "--pod-cidr": "10.222.0.0/16,fd4e:5741:3::/112",
        "--service-cidr": "10.223.0.0/16,fd4e:5741:4::/112",
    }
    moved = Cluster(
        "n",
        **{
            option.removeprefix("--").replace("-", "_") + "s": parse_cidrs(text, option)
            for option, text in free.items()
        },
    )
    assert shared_ranges(moved, other) == {}
    only4 = Cluster("n", pod_cidrs=(ip_network("10.219.3.0/24"),), service_cidrs=(ip_network("10.9.0.0/16"),))
    assert shared_ranges(only4, other) == {"--pod-cidr": [ip_network("10.219.3.0/24")]}
    assert free_ranges(only4, ["--pod-cidr"], other.pod_cidrs)["--pod-cidr"].count(",") == 0
    crossed = Cluster("n", pod_cidrs=other.service_cidrs, service_cidrs=other.pod_cidrs)
    assert list(shared_ranges(crossed, other)) == ["--pod-cidr", "--service-cidr"]
    everything = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
    assert free_ranges(one, ["--pod-cidr"], everything) == {"--pod-cidr": "CIDR,CIDR"}
