"""The three-way merge of apply."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.apiserver import patch as server_patch
from namewall.apiserver import registry, schema
from namewall.kube.merge import MERGE_KEYS, RETAIN_KEYS, annotated, last_applied, three_way

JSON = st.recursive(
    st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


def includes(live: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            key in live and includes(live[key], wanted[key]) for key in wanted
        )
    return bool(live == wanted)


@given(OBJECTS, OBJECTS, OBJECTS)
def test_a_merge_patch_brings_what_is_wanted_and_a_second_one_is_empty(
    original: dict[str, Any], wanted: dict[str, Any], live: dict[str, Any]
) -> None:
    before = copy.deepcopy((original, wanted, live))
    patch = three_way(original, wanted, live, strategic=False)
    after = server_patch.merge(live, patch)
    assert includes(after, wanted)
    assert three_way(wanted, wanted, after, strategic=False) == {}
    assert before == (original, wanted, live)


@given(OBJECTS, OBJECTS)
def test_what_was_never_applied_stays(wanted: dict[str, Any], live: dict[str, Any]) -> None:
    after = server_patch.merge(live, three_way({}, wanted, live, strategic=False))
    assert all(after[key] == value for key, value in live.items() if key not in wanted)


NAMES = st.lists(st.sampled_from("abcd"), unique=True, max_size=4)


def deployment(names: list[str], image: str = "i", extra: str = "") -> dict[str, Any]:
    containers = [{"name": name, "image": image, **({extra: "x"} if extra else {})} for name in names]
    return {"kind": "Deployment", "spec": {"template": {"spec": {"containers": containers}}}}


@given(NAMES, NAMES, NAMES)
def test_a_strategic_patch_touches_only_what_was_applied(
    before: list[str], now: list[str], others: list[str]
) -> None:
    """Live has what was applied, with defaults, and containers that others put in."""
    live = deployment(before + [name for name in others if name not in before], extra="imagePullPolicy")
    wanted = deployment(now, image="new")
    patch = three_way(deployment(before), wanted, live, strategic=True)
    node = schema.of(next(one for one in registry.RESOURCES if one.kind == "Deployment"))
    after = server_patch.strategic(node, live, patch)["spec"]["template"]["spec"]["containers"]
    found = {container["name"]: container for container in after}
    assert set(found) == set(now) | (set(others) - set(before))
    for name in now:
        assert found[name]["image"] == "new"
        assert (found[name].get("imagePullPolicy") == "x") is (name in before or name in others)


def test_nothing_to_do_is_an_empty_patch() -> None:
    live = deployment(["a", "b"], extra="imagePullPolicy")
    assert three_way(deployment(["a", "b"]), deployment(["a", "b"]), live, strategic=True) == {}


def test_the_patch_kubectl_makes() -> None:
    """Taken from kubectl 1.35 with -v=8."""
    patch = three_way(
        deployment(["a", "b"]), deployment(["a"], image="new"), deployment(["a", "b"]), strategic=True
    )
    assert patch["spec"]["template"]["spec"] == {
        "$setElementOrder/containers": [{"name": "a"}],
        "containers": [{"image": "new", "name": "a"}, {"$patch": "delete", "name": "b"}],
    }


def test_the_annotation_says_what_was_applied() -> None:
    obj = {"kind": "X", "metadata": {"name": "n", "annotations": {"a": "b"}}, "spec": {"t": "<é>"}}
    sent = annotated(obj)
    assert last_applied(sent) == obj
    assert annotated(sent) == sent
    assert last_applied(obj) is None
    assert sent["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] == (
        '{"kind":"X","metadata":{"annotations":{"a":"b"},"name":"n"},"spec":{"t":"\\u003cé\\u003e"}}\n'
    )


def list_places(node: dict[str, Any], above: str, seen: set[int]) -> list[tuple[tuple[str, str], str | None]]:
    """Every list below a schema: (the member above, the member) and its merge key, None for an atomic one."""
    found: list[tuple[tuple[str, str], str | None]] = []
    for name, raw in (node.get("properties") or {}).items():
        below = schema.resolve(raw)
        is_list = below.get("type") == "array"
        if is_list:
            merges = "merge" in str(below.get("x-kubernetes-patch-strategy", ""))
            found.append(
                ((above, name), str(below.get("x-kubernetes-patch-merge-key", "")) if merges else None)
            )
        inner = schema.items(below) if is_list else below
        if inner is not schema.OPEN and id(inner) not in seen:
            found += list_places(inner, name, seen | {id(inner)})
    return found


@pytest.mark.parametrize(
    "resource", [r for r in registry.RESOURCES if r.strategic], ids=lambda r: str(r.kind)
)
def test_the_merge_keys_are_kubernetes_own(resource: Any) -> None:
    node = schema.of(resource)
    node = {**node, "properties": {k: v for k, v in node["properties"].items() if k != "status"}}
    if resource.kind == "Namespace":
        node["properties"].pop("spec")  # its finalizers are not for apply
    places = list_places(node, str(resource.kind), set())
    assert places
    for place, key in places:
        assert MERGE_KEYS.get(place) == key, place


def test_members_of_one_kind_only_have_their_keys_listed() -> None:
    before = {"kind": "Deployment", "spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}}
    wanted = {"kind": "Deployment", "spec": {"strategy": {"type": "Recreate"}}}
    assert three_way(before, wanted, before, strategic=True)["spec"]["strategy"] == {
        "$retainKeys": ["type"],
        "type": "Recreate",
        "rollingUpdate": None,
    }
    assert ("spec", "strategy") in RETAIN_KEYS
