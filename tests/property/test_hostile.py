"""Whatever object comes: problems with paths, or a policy; never an exception, in time linear in its size."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.policy.parse import enforceable, parse
from namewall.policy.rule_schema import rule
from namewall.policy.schema import crd_schema, network_policy_schema
from spec import oracle
from tests.property.examples import QUIET
from tests.property.policies import Raw, raw_policies

HEADS = (
    {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy"},
    {"apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy"},
    {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"},
)


def words_of(schema: Any) -> Iterator[str]:
    """Every field name and every allowed word of a schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
        yield from (word for word in schema.get("enum", ()) if isinstance(word, str))
        for child in schema.values():
            yield from words_of(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from words_of(child)


FIELDS = sorted({*words_of(rule()), *words_of(network_policy_schema()), "typo", "", "\0", "a.b[0]"})
TEXTS = (
    "",
    "\0",
    "a\0b",
    "80",
    "-1",
    "0x10",
    "65536",
    "*",
    "**.",
    "a..b",
    "1.2.3.4",
    "::/0",
    "10.0.0.0/99",
    "x" * 300,
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70000),
    st.integers(),
    st.floats(),
    st.sampled_from(TEXTS),
    st.sampled_from(FIELDS),
    st.text(max_size=6),
)
keys = st.one_of(st.sampled_from(FIELDS), st.sampled_from(FIELDS), st.text(max_size=3), st.integers(0, 2))
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def judged(obj: Any) -> None:
    before = copy.deepcopy(obj)
    policy, problems = parse(obj)
    assert repr(obj) == repr(before)  # it is read, never changed
    assert (policy is None) == bool(problems)
    for problem in problems:
        assert isinstance(problem.path, str)
        assert problem.message
        assert str(problem).isprintable()
        assert problem.path or obj == [] or not isinstance(obj, dict) or "`" in problem.message, problem
    if policy is not None:
        assert all(problem.path for problem in enforceable(policy))
        assert oracle.World([obj]) is not None  # what is valid can be read by others too


@QUIET
@given(st.sampled_from(HEADS), anything, anything)
def test_invented_objects(head: Raw, spec: Any, metadata: Any) -> None:
    judged({**head, "metadata": metadata, "spec": spec})
    judged({**head, "metadata": {"name": "p"}, "spec": spec, "specs": metadata})
    judged(spec)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    for key, child in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(child, (*at, key))


@QUIET
@given(raw_policies(), st.data())
def test_valid_objects_with_something_put_in_taken_out_or_doubled(
    raw: list[Raw], data: st.DataObject
) -> None:
    obj = copy.deepcopy(raw[0])
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(list(places(obj))))
        parent = obj
        for key in way:
            parent = parent[key]
        what = data.draw(st.sampled_from(("put", "put", "take", "double", "field")))
        if what == "take":
            del parent[last]
            if not obj:
                return
        elif what == "double" and isinstance(parent[last], list):
            parent[last] = parent[last] * 2
        elif what == "field" and isinstance(parent[last], dict):
            parent[last][data.draw(keys)] = data.draw(anything)
        else:
            parent[last] = data.draw(anything)
    judged(obj)


def _egress(**item: Any) -> Raw:
    spec = {"endpointSelector": {}, "egress": [item]}
    return {**HEADS[0], "metadata": {"name": "p"}, "spec": spec}


def _nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"matchLabels": value}
    return value


FRESH = itertools.count()
"""Names that nobody asked about yet: `parse` remembers what it said of short texts."""

HUGE: dict[str, Callable[[int], Any]] = {
    "names": lambda n: _egress(toFQDNs=[{"matchName": f"{next(FRESH)}.example.com"} for _ in range(n)]),
    "one long name": lambda n: _egress(toFQDNs=[{"matchName": "a." * n}]),
    "one long pattern": lambda n: _egress(toFQDNs=[{"matchPattern": "*a" * n + "!"}]),
    "long refused names": lambda n: _egress(toFQDNs=[{"matchName": "a-" * 60 + "!"} for _ in range(n // 10)]),
    "ranges": lambda n: _egress(toCIDR=["10.0.0.0/8"] * n),
    "no ranges": lambda n: _egress(toCIDR=["10.0.0.0/88"] * n),
    "exceptions": lambda n: _egress(toCIDRSet=[{"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"] * n}]),
    "labels": lambda n: _egress(toEndpoints=[{"matchLabels": {f"k{i}": "v" for i in range(n)}}]),
    "bad labels": lambda n: _egress(toEndpoints=[{"matchLabels": {f"k {i}": "v v" for i in range(n)}}]),
    "conditions": lambda n: _egress(
        toEndpoints=[{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"] * 9}] * (n // 9)}]
    ),
    "one long key": lambda n: _egress(toEndpoints=[{"matchLabels": {"a." * n: "v"}}]),
    "one long source": lambda n: _egress(toEndpoints=[{"matchLabels": {":" * n: "v"}}]),
    "ports": lambda n: _egress(toPorts=[{"ports": [{"port": "80"}] * 40}] * (n // 40)),
    "one long port": lambda n: _egress(toPorts=[{"ports": [{"port": "1" * n}]}]),
    "types": lambda n: _egress(icmps=[{"fields": [{"type": 8}] * 40}] * (n // 40)),
    "one long type": lambda n: _egress(icmps=[{"fields": [{"type": "9" * n}]}]),
    "unknown fields": lambda n: _egress(**{f"x{next(FRESH)}": 1 for _ in range(n)}),
    "expressions": lambda n: _egress(
        toPorts=[{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"path": "([" * n}]}}]
    ),
    "specs": lambda n: {
        **HEADS[0],
        "metadata": {"name": "p"},
        "specs": [{"endpointSelector": {}}] * (n // 4),
    },
    "a long kind": lambda n: {"kind": "x" * n},
    "nulls": lambda n: _egress(toFQDNs=[{"matchName": None} for _ in range(n)]),
    "wrong types": lambda n: _egress(toCIDR=[7, "10.0.0.0/88"] * (n // 2)),
    "wrong types and one long key": lambda n: _egress(
        toCIDR=[7], toEndpoints=[{"matchLabels": {"a.[" * n: "v v"}}] * 2
    ),
}


@pytest.mark.parametrize("what", HUGE)
def test_time_is_linear(what: str) -> None:
    """Twenty times as much takes about twenty times as long: quadratic work would be four hundred."""

    def seconds(size: int) -> float:
        obj = HUGE[what](size)
        began = time.process_time()
        parse(obj)
        return time.process_time() - began

    seconds(400)
    small, large = min(seconds(400) for _ in range(3)), min(seconds(8000) for _ in range(2))
    assert large < 20 * 4 * max(small, 0.001), (small, large)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head["kind"])
def test_depth_is_no_danger(head: Raw) -> None:
    for where in ("spec", "metadata", "status", "unknown"):
        obj = {**head, "metadata": {"name": "p"}, "spec": {}, where: _nested(100_000)}
        assert parse(obj)[0] is None
    selector = {"endpointSelector": _nested(100_000), "podSelector": _nested(100_000), "ingress": [{}]}
    assert parse({**head, "metadata": {"name": "p"}, "spec": selector})[0] is None


def test_the_schemas_name_the_fields_that_are_mutated() -> None:
    assert {"toFQDNs", "matchPattern", "cidrGroupSelector", "policyTypes", "ipBlock"} <= set(FIELDS)
    assert set(words_of(crd_schema("CiliumNetworkPolicy"))) > set(words_of(rule()))
