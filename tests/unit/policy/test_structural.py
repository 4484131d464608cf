"""The validator's own equivalents of the served patterns, and the schemas themselves."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from namewall.policy import rule_schema
from namewall.policy.schema import KINDS, crd_schema
from namewall.policy.structural import _SAFE, parse_cidr, pattern_check, validate


@pytest.mark.parametrize(
    ("pattern", "alphabet", "longest"),
    [
        (rule_schema.MATCH_NAME, "a-_.*!", 5),
        (rule_schema.MATCH_PATTERN, "a_.*!", 5),
        (rule_schema.PORT, "1a-6! ", 5),
        (rule_schema.LABEL_VALUE, "a.-_!", 5),
        (rule_schema.GROUP_NAME, "a.-A", 6),
    ],
)
def test_the_linear_check_says_what_the_served_pattern_says(
    pattern: str, alphabet: str, longest: int
) -> None:
    expression = re.compile(pattern)
    for length in range(longest + 1):
        for letters in itertools.product(alphabet, repeat=length):
            text = "".join(letters)
            assert pattern_check(pattern)(text) == bool(expression.search(text)), text


def patterns(node: Any) -> set[str]:
    found = set()
    if isinstance(node, dict):
        found |= {node["pattern"]} if isinstance(node.get("pattern"), str) else set()
        for child in node.values():
            found |= patterns(child)
    elif isinstance(node, list):
        for child in node:
            found |= patterns(child)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_served_pattern_is_checked_linearly(kind: str) -> None:
    plain = {rule_schema.ICMP_TYPE}  # an anchored list of words
    assert patterns(crd_schema(kind)) <= set(_SAFE) | plain


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_structural(kind: str) -> None:
    """Each node has a type (or is int-or-string), each property a place; what kubectl explain shows is described."""

    def walk(node: dict[str, Any], path: str) -> None:
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path
        for name, child in node.get("properties", {}).items():
            assert child.get("description") or name in ("enforcing",), f"{path}.{name}"
            walk(child, f"{path}.{name}")
        if "items" in node:
            walk(node["items"], f"{path}[]")
        if isinstance(node.get("additionalProperties"), dict):
            walk(node["additionalProperties"], f"{path}.*")

    schema = crd_schema(kind)
    walk(schema, kind)
    assert crd_schema(kind) is schema


def test_explain_has_the_field_the_issue_asks_for() -> None:
    spec = crd_schema("CiliumNetworkPolicy")["properties"]["spec"]
    names = spec["properties"]["egress"]["items"]["properties"]["toFQDNs"]
    assert "DNS" in names["description"]
    assert set(names["items"]["properties"]) == {"matchName", "matchPattern"}


def test_conditions_are_a_map_by_type() -> None:
    status = crd_schema("CiliumNetworkPolicy")["properties"]["status"]
    assert status["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_nulls_and_wrong_types_are_told_with_their_type() -> None:
    schema = crd_schema("CiliumCIDRGroup")
    problems = validate(schema, {"metadata": {}, "spec": {"externalCIDRs": [None, 1, "10.0.0.0/8", "x"]}})
    assert [p.path for p in problems] == [f"spec.externalCIDRs[{n}]" for n in (0, 1, 3)]
    assert '"null"' in problems[0].message


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/-1",
        "10.0.0.0/255.0.0.0",
        "fe80::%eth0/64",
        "/8",
        "10/8",
        "",
    ],
)
def test_not_a_cidr(text: str) -> None:
    assert parse_cidr(text) is None


def test_host_bits_are_masked() -> None:
    assert str(parse_cidr("203.0.113.7/24")) == "203.0.113.0/24"
