"""JSONPath templates. tests/compat/cli holds the same templates against kubectl itself."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.kube.jsonpath import JSONPathError, parse, relaxed

LIST: dict[str, Any] = {
    "kind": "List",
    "items": [
        {"kind": "Pod", "metadata": {"name": "a", "labels": {"x.y/z": "1"}}, "n": 1, "ok": True},
        {"kind": "Service", "metadata": {"name": "b"}, "n": 2, "list": [1, "two", None, 0.5]},
    ],
}


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{.items[0].metadata.name}", "a"),
        ("{.items[-1].metadata.name}", "b"),
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[0:1].kind}{.items[::2].kind}", "PodPod"),
        ('{range .items[*]}{.metadata.name}{"\\t"}{$.kind}{"\\n"}{end}', "a\tPod\nb\tService\n"),
        ("{range .items[*]}{range .list[*]}<{@}>{end}{end}", "<1><two><<nil>><0.5>"),
        ('{.items[?(@.kind=="Service")].metadata.name}', "b"),
        ("{.items[?(@.n>1)].kind}", "Service"),
        ("{.items[?(@.ok)].kind}{.items[?(@.ok==true)].kind}", "PodPod"),
        ("{.items[?(@.kind!='Pod')].kind}", "Service"),
        (r"{.items[0].metadata.labels.x\.y/z}", "1"),
        (r"{.items[0].metadata.labels['x\.y/z']}", "1"),
        ("{.items[0]['kind','metadata.name']}", "Pod a"),
        ("{.items[1,0].kind}", "Service Pod"),
        ("{.items[1].list}", '[1,"two",null,0.5]'),
        ("{.items..labels}", '{"x.y/z":"1"}'),
        ("{.nosuch.at.all}", ""),
        ("plain {.kind} text", "plain List text"),
        ('{\'q\'}{"\\""}', 'q"'),
        ("{.items[1:1]}", ""),
        ("no braces", "no braces"),
    ],
)
def test_rendering(template: str, printed: str) -> None:
    assert parse(template).render(LIST) == printed


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{.items[9].x}", "array index out of bounds: index 9, length 2"),
        ("{.kind[0]}", "string is not array or slice"),
        ("{end}", "not in range, nothing to end"),
        ("{kind}", "unrecognized identifier kind"),
        ("{.items[?(@.n=='1')].kind}", "incompatible types for comparison"),
    ],
)
def test_what_does_not_fit_the_object(template: str, why: str) -> None:
    parsed = parse(template)
    with pytest.raises(JSONPathError, match=why.replace("[", r"\[")):
        parsed.render(LIST)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{.items", "unclosed action"),
        ("{.items[x]}", "invalid array index x"),
        ('{.items["x"]}', "invalid array index"),
        ("{.items[0}", "unterminated array"),
        ("{'x}", "unterminated quoted string"),
        ('{.items[?(@.kind=~"P.*")]}', r"unrecognized character in action: U\+007E '~'"),
    ],
)
def test_what_cannot_be_read(template: str, why: str) -> None:
    with pytest.raises(JSONPathError, match=why):
        parse(template)


@given(st.text(alphabet="{}[]().*@$'\"\\ abn019:,?=<>!~-", max_size=30))
def test_any_text_is_a_template_or_a_jsonpath_error(template: str) -> None:
    with contextlib.suppress(JSONPathError):
        parse(template).render(LIST)


@pytest.mark.parametrize("expression", ["a.b", ".a.b", "{a.b}", "{.a.b}"])
def test_relaxed_expressions(expression: str) -> None:
    assert relaxed(expression) == "{.a.b}"


def test_a_relaxed_expression_is_one_path() -> None:
    with pytest.raises(JSONPathError, match="unexpected path string"):
        relaxed("{.a}{.b}")
