"""Requests as values: where they go and what they carry."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.kube import request as requests
from namewall.kube.resources import DEPLOYMENTS, NODES, PODS


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (requests.path(PODS), "/api/v1/pods"),
        (requests.path(PODS, "x"), "/api/v1/namespaces/x/pods"),
        (requests.path(PODS, "x", "y", "exec"), "/api/v1/namespaces/x/pods/y/exec"),
        (requests.path(DEPLOYMENTS, "x", "y"), "/apis/apps/v1/namespaces/x/deployments/y"),
        (requests.path(NODES, "ignored", "y"), "/api/v1/nodes/y"),
    ],
)
def test_paths(made: str, wanted: str) -> None:
    assert made == wanted


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_name_never_leaves_its_segment(namespace: str, name: str) -> None:
    if namespace in (".", "..") or name in (".", ".."):
        with pytest.raises(ValueError, match="cannot be a name"):
            requests.get(PODS, namespace, name)
        return
    try:
        target = requests.get(PODS, namespace, name).target
    except UnicodeEncodeError:  # a lone surrogate is no text
        return
    assert target.count("/") == 6
    assert not urlsplit(target).query


def test_an_empty_name_is_not_the_collection() -> None:
    for make in (requests.get, requests.delete):
        with pytest.raises(ValueError, match="name may not be empty"):
            make(PODS, "x", "")


def test_a_watch_asks_for_bookmarks_and_an_end() -> None:
    asked = requests.watch(PODS, resource_version="7", label_selector="a in (b,c)", timeout_seconds=9)
    assert dict(parse_qsl(urlsplit(asked.target).query)) == {
        "labelSelector": "a in (b,c)",
        "watch": "true",
        "resourceVersion": "7",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "9",
    }


def test_only_apply_patches_say_force() -> None:
    apply = requests.patch(PODS, "x", "y", {}, kind="apply", field_manager="me", force=True)
    assert apply.query == (("fieldManager", "me"), ("force", "true"))
    assert apply.headers["Content-Type"] == "application/apply-patch+yaml"
    merge = requests.patch(PODS, "x", "y", {}, kind="merge", force=True)
    assert merge.query == ()


def test_deletion_options_are_in_the_body() -> None:
    asked = requests.delete(
        PODS, "x", "y", grace_period_seconds=0, propagation="Background", uid="u", dry_run=True
    )
    assert asked.body is not None
    assert json.loads(asked.body) == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u"},
        "dryRun": ["All"],
    }
