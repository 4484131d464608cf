"""MapStates entry by entry: the shapes that the kernel relies on."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from namewall.model.identity import Reserved
from namewall.model.net import Direction, Protocol
from namewall.policy.compile import ANY_PEER, compile
from namewall.policy.lookup import cidr_classes, lookup
from namewall.policy.map_state import ALLOW_ALL, CidrPeer, FqdnPeer, IdentityPeer, PolicyKey
from namewall.policy.ports import block_bits, blocks, named_ports
from namewall.policy.rules import policy_prefixes
from tests.unit.policy.build import Raw, cnp, egress, good, netpol, pod
from tests.unit.policy.test_parse import LAB

BACKEND = pod(app="backend")
DNS = pod("kube-system", k8s_app="kube-dns")
KNOWN = {256: BACKEND, 257: DNS}
OUT = Direction.EGRESS


def keys(*policies: Raw, subject: frozenset[str] = BACKEND) -> dict[tuple[object, ...], object]:
    state = compile(map(good, policies), subject, KNOWN)
    return {
        (key.peer, key.protocol, key.port, key.port_bits): "deny" if entry.deny else entry.dns
        for key, entry in state.entries.items()
        if key.direction is OUT and key.peer != IdentityPeer(Reserved.CLOSED)
    }


def test_no_policy_is_allow_all() -> None:
    assert compile([], BACKEND, KNOWN) == ALLOW_ALL
    assert compile([good(LAB)], DNS, KNOWN) == ALLOW_ALL


def test_the_lab_s_policy() -> None:
    assert keys(LAB) == {
        (IdentityPeer(257), Protocol.TCP, 53, 16): "any",
        (IdentityPeer(257), Protocol.UDP, 53, 16): "any",
        (IdentityPeer(257), Protocol.SCTP, 53, 16): "any",
        (FqdnPeer("kubernetes.io."), 0, 0, 0): None,
    }
    assert not compile([good(LAB)], BACKEND, KNOWN).enforce_ingress


def test_closed_ranges_are_denied_under_default_deny_whatever_allows() -> None:
    state = compile([good(egress({"toEntities": ["all"]}))], BACKEND, KNOWN)
    assert lookup(state, OUT, Reserved.CLOSED, (), (), Protocol.TCP, 80).reason == "POLICY_DENY"
    relaxed = egress({"toEntities": ["all"]}, enableDefaultDeny={"egress": False})
    state = compile([good(relaxed)], BACKEND, KNOWN)
    assert lookup(state, OUT, Reserved.CLOSED, (), (), Protocol.TCP, 80).verdict == "allow"


def test_the_host_comes_in_unless_denied() -> None:
    closed = cnp({"endpointSelector": {}, "ingress": [{}]})
    state = compile([good(closed)], BACKEND, KNOWN)
    assert lookup(state, Direction.INGRESS, Reserved.HOST, (), (), Protocol.TCP, 80).verdict == "allow"
    assert lookup(state, Direction.INGRESS, Reserved.REMOTE_NODE, (), (), Protocol.TCP, 80).verdict == "deny"
    shut = cnp({"endpointSelector": {}, "ingressDeny": [{"toPorts": [{"ports": [{"port": "80"}]}]}]})
    state = compile([good(shut)], BACKEND, KNOWN)
    assert lookup(state, Direction.INGRESS, Reserved.HOST, (), (), Protocol.TCP, 80).verdict == "deny"
    assert lookup(state, Direction.INGRESS, Reserved.HOST, (), (), Protocol.TCP, 81).verdict == "allow"


def test_an_allow_below_a_deny_of_its_peer_is_left_out() -> None:
    allow = {"toCIDR": ["203.0.113.0/24"], "toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}]}
    denied = egress(allow, egressDeny=[{"toCIDR": ["203.0.113.0/24"]}])
    assert keys(denied) == {(CidrPeer(ip_network("203.0.113.0/24")), 0, 0, 0): "deny"}


def test_cidr_entries_stand_at_every_known_prefix_inside() -> None:
    wide = egress({"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]})
    other = cnp(
        {
            "endpointSelector": {"matchLabels": {"app": "x"}},
            "egress": [{"toCIDR": ["10.2.3.4/32", "10.1.1.0/24"]}],
        },
        name="q",
    )
    peers = {key[0] for key in keys(wide, other)}
    assert peers == {CidrPeer(ip_network("10.0.0.0/8")), CidrPeer(ip_network("10.2.3.4/32"))}
    prefixes = policy_prefixes(map(good, (wide, other)))
    assert cidr_classes(ip_address("10.1.1.1"), prefixes, inside=False)[0].prefix == ip_network("10.1.1.0/24")


def test_ip_blocks_count_for_pods_and_cidrs_do_not() -> None:
    to = [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    block = netpol({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": to}]})
    for obj, verdict in ((block, "allow"), (egress({"toCIDR": ["10.0.0.0/8"]}), "deny")):
        policy = good(obj)
        state = compile([policy], BACKEND, KNOWN)
        classes = cidr_classes(ip_address("10.9.9.9"), policy_prefixes([policy]), inside=True)
        assert lookup(state, OUT, 257, classes, (), Protocol.TCP, 80).verdict == verdict


def test_wildcard_rules_with_names_speak_for_every_server() -> None:
    """Under one port, a plain allow for one server adds every name there; others keep the wildcard's."""
    udp = {"ports": [{"port": "53", "protocol": "UDP"}]}
    wild = {"toPorts": [{**udp, "rules": {"dns": [{"matchName": "a.com"}]}}]}
    plain = {
        "toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system"}}],
        "toPorts": [udp],
    }
    assert keys(egress(wild, plain)) == {
        (ANY_PEER, Protocol.UDP, 53, 16): frozenset({"a.com."}),
        (IdentityPeer(257), Protocol.UDP, 53, 16): "any",
    }


def test_names_of_several_selectors_are_a_union() -> None:
    def rule(selector: Raw, name: str) -> Raw:
        port = {"ports": [{"port": "53", "protocol": "UDP"}], "rules": {"dns": [{"matchName": name}]}}
        return {"toEndpoints": [selector], "toPorts": [port]}

    namespace = {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system"}}
    app = {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}
    union = frozenset({"a.com.", "b.com."})
    assert keys(egress(rule(namespace, "a.com"), rule(app, "B.com"))) == {
        (IdentityPeer(257), Protocol.UDP, 53, 16): union
    }


def _port(port: str, name: str = "", **more: object) -> Raw:
    item: Raw = {"ports": [{"port": port, "protocol": "UDP", **more}]}
    return item | (
        {"rules": {"dns": [{"matchName" if name != "*" else "matchPattern": name}]}} if name else {}
    )


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        (_port("53", "a.test"), _port("53", endPort=54), {"a.test."}),
        (_port("dns", "a.test"), _port("domain", "b.test"), {"a.test.", "b.test."}),
        (_port("dns", "a.test"), _port("domain", "*"), "any"),
        (_port("53", "a.test"), _port("dns", "b.test"), {"b.test."}),
    ],
)
def test_of_ports_that_share_a_block_the_judged_stand_together(
    one: Raw, other: Raw, names: object, turned: bool
) -> None:
    """But by a name alone, where both a name and the number have DNS rules (Cilium's behaviour)."""
    server = [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}]
    both = [other, one] if turned else [one, other]
    policy = good(egress(*({"toEndpoints": server, "toPorts": [ports]} for ports in both)))
    known = named_ports([("dns", "UDP", 53), ("domain", "UDP", 53)])
    state = compile([policy], BACKEND, KNOWN, cluster_ports=known)
    assert state.entries[PolicyKey(OUT, IdentityPeer(257), Protocol.UDP, 53, 16)].dns == names


def test_named_ports_of_the_cluster_must_be_one_number() -> None:
    policy = good(
        egress({"toEntities": ["cluster"], "toPorts": [{"ports": [{"port": "web", "protocol": "TCP"}]}]})
    )

    def ports(*known: tuple[str, str, int]) -> set[int]:
        state = compile([policy], BACKEND, KNOWN, cluster_ports=named_ports(known))
        return {key.port for key, entry in state.entries.items() if not entry.deny}

    assert ports() == set()
    assert ports(("Web", "TCP", 80), ("web", "TCP", 80), ("web", "UDP", 9)) == {80}
    assert ports(("web", "TCP", 80), ("web", "TCP", 81)) == set()


@pytest.mark.parametrize(
    ("first", "last"), [(0, 65535), (1, 65535), (80, 80), (1000, 2000), (53, 54), (65535, 65535)]
)
def test_a_range_is_its_blocks(first: int, last: int) -> None:
    covered = [p for port, bits in blocks(first, last) for p in range(port, port + (1 << (16 - bits)))]
    assert covered == list(range(first, last + 1))
    for port, bits in blocks(first, last):
        assert block_bits(first, last, port) == bits


def test_keys_carry_no_bits_beyond_their_prefix() -> None:
    state = compile(
        [good(egress({"toPorts": [{"ports": [{"port": "1000", "endPort": 2000}]}]}))], BACKEND, KNOWN
    )
    for key in state.entries:
        assert key.port & ((1 << (16 - key.port_bits)) - 1) == 0
        assert isinstance(key, PolicyKey)
        assert key.protocol or not key.port_bits


def test_a_lookup_names_the_rules_that_decided() -> None:
    """The longer match alone; of equally long ones those of the peer, of every selector that selects it."""
    to_dns = {"toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system"}}]}
    tcp, one = {"protocol": "TCP", "port": "0"}, {"protocol": "TCP", "port": "80"}
    policy = good(
        egress(
            {},
            {"toPorts": [{"ports": [tcp]}]},
            to_dns,
            {**to_dns, "toPorts": [{"ports": [one]}]},
            {"toEntities": ["cluster"], "toPorts": [{"ports": [one]}]},
        )
    )
    state = compile([policy], BACKEND, KNOWN)

    def rules(protocol: Protocol, port: int) -> list[str]:
        entries = lookup(state, OUT, 257, (), (), protocol, port).entries
        assert all(origin[:3] == policy.key for entry in entries for origin in entry.origins)
        return [origin.rule for entry in entries for origin in entry.origins]

    assert rules(Protocol.UDP, 80) == ["spec.egress[2]"]
    assert rules(Protocol.TCP, 81) == ["spec.egress[1]"]
    assert rules(Protocol.TCP, 80) == ["spec.egress[3]", "spec.egress[4]"]


def test_a_protocol_without_ports_is_one_key() -> None:
    state = compile(
        [good(netpol({"podSelector": {}, "ingress": [{"ports": [{"protocol": "TCP"}]}]}))], BACKEND, KNOWN
    )
    assert PolicyKey(Direction.INGRESS, ANY_PEER, Protocol.TCP) in state.entries
    assert len(state.entries) == 3  # and the host's, and the closed ranges'
