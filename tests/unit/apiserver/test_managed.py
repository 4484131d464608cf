"""Field ownership and server-side apply, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from namewall.apiserver import apply, managed, schema
from namewall.apiserver.errors import ApiError
from namewall.apiserver.registry import BY_KEY

Object = dict[str, Any]
NODE = schema.of(BY_KEY["deployments.apps"])
CONFIG_MAP = schema.of(BY_KEY["configmaps"])


def _live(**fields: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "uid": "u"}, **fields}


def _applied(manager: str, live: Object, **fields: Any) -> Object:
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, **fields}
    return apply.apply(CONFIG_MAP, live, applied, manager, 0.0)


def _owners(obj: Object) -> dict[str, Object]:
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"]["managedFields"]}


def test_fields_v1_goes_there_and_back() -> None:
    fields = {
        ("f:spec",),
        ("f:spec", "f:a"),
        ("f:list", 'k:{"name":"x"}'),
        ("f:list", 'k:{"name":"x"}', "f:b"),
    }
    written = managed.to_fields_v1(fields)
    assert written == {"f:list": {'k:{"name":"x"}': {".": {}, "f:b": {}}}, "f:spec": {".": {}, "f:a": {}}}
    assert managed.from_fields_v1(written) == fields


def test_keyed_lists_atomic_lists_and_maps_have_their_own_paths() -> None:
    container = {"name": "c", "command": ["a", "b"], "ports": [{"containerPort": 80}]}
    obj = {
        "apiVersion": "apps/v1",
        "metadata": {"name": "n", "labels": {"app": "x"}},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"spec": {"containers": [container]}},
        },
    }
    paths = set(managed.flatten(NODE, obj))
    spec = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"c"}')
    assert ("f:metadata", "f:labels", "f:app") in paths
    assert ("f:spec", "f:selector") in paths, "a label selector is atomic"
    assert (*spec, "f:command") in paths
    assert (*spec, "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}', "f:containerPort") in paths
    assert not any("f:name" in path[:2] for path in paths if path[0] == "f:metadata")


def test_an_update_takes_what_it_changed_from_others() -> None:
    first = _live(data={"a": "1", "b": "1"})
    first["metadata"]["managedFields"] = managed.track_update(CONFIG_MAP, None, first, "one", 0)
    second = _live(data={"a": "2", "b": "1"})
    second["metadata"]["managedFields"] = managed.track_update(CONFIG_MAP, first, second, "two", 0)
    assert _owners(second) == {"one": {"f:data": {"f:b": {}}}, "two": {"f:data": {"f:a": {}}}}


def test_two_may_own_a_field_as_long_as_they_agree() -> None:
    obj = _applied("one", _live(), data={"a": "1"})
    obj = _applied("two", obj, data={"a": "1", "b": "2"})
    assert _owners(obj) == {"one": {"f:data": {"f:a": {}}}, "two": {"f:data": {"f:a": {}, "f:b": {}}}}
    with pytest.raises(ApiError) as caught:
        _applied("two", obj, data={"a": "3", "b": "2"})
    assert caught.value.code == 409
    assert caught.value.details == {
        "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.a"}]
    }


def test_what_is_left_out_goes_unless_another_owns_it() -> None:
    obj = _applied("one", _live(), data={"a": "1", "b": "1"})
    obj = _applied("two", obj, data={"b": "1"})
    obj = _applied("one", obj, data={})
    assert obj["data"] == {"b": "1"}


def test_items_of_keyed_lists_are_owned_one_by_one() -> None:
    def deployment(*containers: Object) -> Object:
        spec = {"template": {"spec": {"containers": list(containers)}}}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}

    live = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}
    obj = apply.apply(NODE, live, deployment({"name": "a", "image": "1"}), "one", 0)
    obj = apply.apply(NODE, obj, deployment({"name": "b", "image": "1"}), "two", 0)
    assert {c["name"] for c in obj["spec"]["template"]["spec"]["containers"]} == {"a", "b"}
    obj = apply.apply(NODE, obj, deployment(), "one", 0)
    assert [c["name"] for c in obj["spec"]["template"]["spec"]["containers"]] == ["b"]


def test_applying_again_changes_nothing() -> None:
    once = _applied("one", _live(), data={"a": "1"})
    assert _applied("one", once, data={"a": "1"}) == once
