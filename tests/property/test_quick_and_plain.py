"""Where something is said twice, plainly and quickly, both say the same: schemas, and prefixes within prefixes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from namewall.model.net import Network
from namewall.policy.classes import Classes
from namewall.policy.identity_index import IdentityIndex
from namewall.policy.map_state import CidrPeer
from namewall.policy.schema import crd_schema, network_policy_schema
from namewall.policy.selectors import CidrSelector
from namewall.policy.structural import _validate, accepts, validate
from tests.property.examples import EXAMPLES, QUIET
from tests.property.policies import Raw, one, raw_policies

ODD = (None, True, 0, -1, 70000, 1.5, "", "80", "x" * 300, "a\x00", [], {}, [{}], {"a": {}}, [None], {1: 2})


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a document and every key in it."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


@QUIET
@given(raw_policies(), st.data())
def test_the_quick_yes_is_no_problems_found(raw: list[Raw], data: st.DataObject) -> None:
    for obj in raw:
        schema = network_policy_schema() if obj["kind"] == "NetworkPolicy" else crd_schema(obj["kind"])
        assert accepts(schema)(obj)
        changed = copy.deepcopy(obj)
        for _ in range(data.draw(st.integers(1, 2))):
            if not (known := list(places(changed))):
                break
            container, key = data.draw(st.sampled_from(known))
            match data.draw(one("replace", "replace", "remove", "add", "repeat")):
                case "replace":
                    container[key] = copy.deepcopy(data.draw(one(*ODD)))
                case "remove":
                    del container[key]
                case "add" if isinstance(container, dict):
                    key = data.draw(one("x", "toFQDNs", "nodeSelector", "specs", 7))
                    container[key] = copy.deepcopy(data.draw(one(*ODD)))
                case "repeat" if isinstance(container, list):
                    container *= 45
        problems = list(_validate(schema, changed, ""))
        assert accepts(schema)(changed) == (not problems)
        assert validate(schema, changed) == problems


PREFIXES: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.0.0.0/16",
            "10.0.0.0/32",
            "10.255.255.255/32",
            "11.0.0.0/8",
            "255.255.255.255/32",
            "::/0",
            "::/128",
            "2001:db8::/32",
            "2001:db8::/128",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
        ),
    )
)
selectors = st.builds(
    CidrSelector,
    one(*PREFIXES),
    st.lists(one(*PREFIXES), max_size=2).map(tuple),
    st.booleans(),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.one_of(selectors, st.tuples(st.booleans(), one(*PREFIXES))), min_size=1, max_size=20),
    st.sets(one(*PREFIXES)),
)
def test_prefixes_in_order_are_found_as_if_each_was_asked(
    happened: list[CidrSelector | tuple[bool, Network]], known: set[Network]
) -> None:
    """Also by selectors asked for before: they follow what comes and goes."""
    classes = Classes(IdentityIndex(), known)
    asked: set[CidrSelector] = set()
    for step in happened:
        if isinstance(step, CidrSelector):
            asked.add(step)
        else:
            comes, prefix = step
            told = classes.add_prefix(prefix) if comes else classes.remove_prefix(prefix)
            known = known | {prefix} if comes else known - {prefix}
            assert {s for s in asked if s.selects(prefix)} == set(told)
        for selector in asked:
            wanted = {CidrPeer(prefix, selector.pods) for prefix in known if selector.selects(prefix)}
            assert set(classes.cidrs(selector)) == wanted
    assert classes.prefixes() == known
