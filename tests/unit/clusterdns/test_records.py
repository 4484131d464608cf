from __future__ import annotations

import json
from ipaddress import ip_address, ip_network

import pytest

from namewall.clusterdns.records import Endpoint, Port, Records, Service, from_json, to_json
from namewall.model.cluster import Resolver

RECORDS = Records(
    upstreams=(Resolver(ip_address("198.51.100.53")), Resolver(ip_address("2001:db8::53"), 5353)),
    ranges=(ip_network("10.220.0.0/16"), ip_network("fd4e::/112")),
    services=(
        Service("a", "b", (ip_address("10.220.0.1"),), (Port("x", "TCP", 1),)),
        Service("a", "c", endpoints=(Endpoint(ip_address("10.219.0.1"), "h", (Port("", "UDP", 2),)),)),
        Service("a", "d", external_name="example.com"),
    ),
    pods={"a": (ip_address("10.219.0.1"),)},
)


def test_there_and_back_is_home() -> None:
    assert from_json(to_json(RECORDS)) == RECORDS
    assert from_json(to_json(Records())) == Records()


def test_a_newer_agent_may_add_fields() -> None:
    document = json.loads(to_json(RECORDS))
    document["more"] = document["services"][0]["more"] = 1
    assert from_json(json.dumps(document)) == RECORDS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "no records document of version 1"),
        ({"upstreams": ["dns.example"]}, "`dns.example` is no resolver"),
        ({"ranges": ["10.0.0.1/8"]}, "host bits"),
        ({"services": [{"namespace": "a"}]}, "lacks the field `name`"),
        ({"services": 3}, "wrong type"),
        ({"pods": []}, "wrong type"),
    ],
)
def test_a_bad_document_is_refused_with_a_sentence(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(json.dumps({**json.loads(to_json(RECORDS)), **change}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}'])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(text)
