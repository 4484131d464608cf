from __future__ import annotations

import pytest

from namewall.apiserver import selectors
from namewall.apiserver.errors import ApiError


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "c"}, False),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a in (b, c)", {"a": "c"}, True),
        ("a notin (b,c),d", {"a": "x", "d": ""}, True),
        ("a notin (b,c)", {}, True),
        ("!a", {"a": ""}, False),
        ("a", {"a": ""}, True),
        ("app.kubernetes.io/name=web,tier!=db", {"app.kubernetes.io/name": "web"}, True),
        ("a=", {"a": ""}, True),
    ],
)
def test_label_selectors(text: str, labels: dict[str, str], matches: bool) -> None:
    assert selectors.parse_label_selector(text).matches(labels) is matches


@pytest.mark.parametrize("text", ["a=b=c", "a in b", "=x", "a in (b", "a b", "-a=b", "a=b,,"])
def test_what_is_no_label_selector_is_a_400(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        selectors.parse_label_selector(text)
    assert caught.value.code == 400


def test_objects_selectors_an_absent_one_selects_nothing() -> None:
    assert selectors.from_object(None) is None
    everything = selectors.from_object({})
    assert everything is not None
    assert everything.matches({"any": "thing"})
    expression = {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}
    chosen = selectors.from_object({"matchLabels": {"x": "y"}, **expression})
    assert chosen is not None
    assert chosen.matches({"x": "y"})
    assert not chosen.matches({"x": "y", "a": "b"})


def test_field_selectors_know_their_fields() -> None:
    pod = {"metadata": {"name": "x"}, "spec": {"nodeName": "n", "hostNetwork": False}}
    fields = ("spec.nodeName", "spec.hostNetwork")
    assert selectors.parse_field_selector("spec.nodeName=n,metadata.name!=y", fields).matches(pod)
    assert selectors.parse_field_selector("spec.hostNetwork=false", fields).matches(pod)
    assert selectors.parse_field_selector("metadata.name=x", ()).name() == "x"
    with pytest.raises(ApiError, match=r"field label not supported: spec\.other"):
        selectors.parse_field_selector("spec.other=1", fields)
