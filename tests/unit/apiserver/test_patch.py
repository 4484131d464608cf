"""The three patches: RFC 7396's and RFC 6902's own examples, and strategic merge by the documents' rules."""

from __future__ import annotations

from typing import Any

import pytest

from namewall.apiserver import patch, schema
from namewall.apiserver.errors import ApiError
from namewall.apiserver.registry import BY_KEY

DEPLOYMENT = schema.of(BY_KEY["deployments.apps"])
POD = schema.of(BY_KEY["pods"])


@pytest.mark.parametrize(
    ("target", "change", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_rfc_7396(target: Any, change: Any, result: Any) -> None:
    assert patch.merge(target, change) == result


@pytest.mark.parametrize(
    ("target", "operations", "result"),
    [
        ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": "qux"}], {"foo": ["bar", "qux"]}),
        ({"foo": ["a", "b", "c"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["a", "c"]}),
        ({"a/b": 1}, [{"op": "replace", "path": "/a~1b", "value": 3}], {"a/b": 3}),
        ({"c~d": 2}, [{"op": "remove", "path": "/c~0d"}], {}),
        ({"foo": {"x": 1}, "q": {}}, [{"op": "move", "from": "/foo/x", "path": "/q/y"}], {"foo": {}, "q": {"y": 1}}),
        ({"foo": {"x": 1}}, [{"op": "copy", "from": "/foo", "path": "/bar"}], {"foo": {"x": 1}, "bar": {"x": 1}}),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1}),
    ],
)  # fmt: skip
def test_json_patch_follows_rfc_6902(target: Any, operations: Any, result: Any) -> None:
    before = repr(target)
    assert patch.json_patch(target, operations) == result
    assert repr(target) == before


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "remove", "path": "/none"}],
        [{"op": "replace", "path": "/none", "value": 1}],
        [{"op": "add", "path": "/list/7", "value": 1}],
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "test", "path": "/a", "value": 1}, {"op": "frobnicate", "path": "/a"}],
        [{"op": "add", "path": "no-slash", "value": 1}],
        {"op": "add"},
        [{"op": "add"}],
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused_as_a_whole(operations: Any) -> None:
    with pytest.raises(ApiError):
        patch.json_patch({"a": 1, "list": []}, operations)


def _pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


def test_lists_with_a_merge_key_merge_by_it() -> None:
    live = _pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"})
    changed = patch.strategic(POD, live, _pod({"name": "b", "image": "2"}))
    assert changed == _pod({"name": "a", "image": "1"}, {"name": "b", "image": "2"})


def test_a_patch_adds_before_what_was_there_as_kubernetes_does() -> None:
    changed = patch.strategic(POD, _pod({"name": "a"}), _pod({"name": "new"}))
    assert [item["name"] for item in changed["spec"]["containers"]] == ["new", "a"]


def test_set_element_order_decides() -> None:
    order = {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}
    changed = patch.strategic(POD, _pod({"name": "a"}), {"spec": {**order, "containers": [{"name": "b"}]}})
    assert [item["name"] for item in changed["spec"]["containers"]] == ["b", "a"]


def test_directives_delete_replace_and_retain() -> None:
    live = _pod({"name": "a"}, {"name": "b"})
    assert patch.strategic(POD, live, _pod({"name": "a", "$patch": "delete"})) == _pod({"name": "b"})
    assert patch.strategic(POD, live, _pod({"name": "c"}, {"$patch": "replace"})) == _pod({"name": "c"})
    recreate = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    rolling = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    assert patch.strategic(DEPLOYMENT, rolling, recreate) == {"spec": {"strategy": {"type": "Recreate"}}}
    whole = {"spec": {"strategy": {"$patch": "replace", "type": "Recreate"}}}
    assert patch.strategic(DEPLOYMENT, rolling, whole) == {"spec": {"strategy": {"type": "Recreate"}}}


def test_lists_of_plain_values_grow_and_shrink() -> None:
    live = {"metadata": {"finalizers": ["a/b", "c/d"]}}
    assert patch.strategic(POD, live, {"metadata": {"finalizers": ["e/f"]}}) == {
        "metadata": {"finalizers": ["e/f", "a/b", "c/d"]}
    }
    less = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"]}}
    assert patch.strategic(POD, live, less) == {"metadata": {"finalizers": ["c/d"]}}


def test_lists_without_a_merge_key_are_replaced_and_null_deletes() -> None:
    live = _pod({"name": "a", "command": ["x", "y"], "image": "i"})
    changed = patch.strategic(POD, live, _pod({"name": "a", "command": ["z"], "image": None}))
    assert changed == _pod({"name": "a", "command": ["z"]})


def test_an_item_without_its_merge_key_is_refused() -> None:
    with pytest.raises(ApiError, match="merge key: name"):
        patch.strategic(POD, _pod({"name": "a"}), _pod({"image": "x"}))
