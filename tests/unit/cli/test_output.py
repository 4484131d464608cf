"""Formats and tables, without a server. tests/compat/cli compares whole outputs with kubectl's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.cli import describe_cluster
from namewall.cli.files import parse
from namewall.cli.kubectl import Failure, error_text
from namewall.cli.output import go_syntax, printer, to_json, to_yaml
from namewall.cli.output_table import Layout, TablePrinter, by, ordered
from namewall.cli.output_tabs import Table, align
from namewall.kube.errors import ApiError
from namewall.kube.resources import PODS


def test_columns_are_as_wide_as_their_widest_cell_and_the_last_is_not_padded() -> None:
    assert Table().lines([["NAME", "AGE"], ["a-long-name", "2s"]]) == [
        "NAME          AGE",
        "a-long-name   2s",
    ]
    assert Table().lines([["A", ""], ["b", "c"]]) == ["A     ", "b     c"]


def test_a_watched_column_stays_wide() -> None:
    table = Table()
    table.lines([["longer-than", "x"]])
    assert table.lines([["a", "y"]]) == ["a             y"]


def test_blocks_are_aligned_apart() -> None:
    text = "Name:\tx\nLabels:\ta\n\tb\nSpec:\n  A:\t1\n  Longer:\t2"
    assert align(text).split("\n") == [
        "Name:    x",
        "Labels:  a",
        "         b",
        "Spec:",
        "  A:       1",
        "  Longer:  2",
    ]


TABLE: dict[str, Any] = {
    "columnDefinitions": [{"name": "Name"}, {"name": "Wide", "priority": 1}, {"name": "Valid"}],
    "rows": [
        {
            "cells": ["a", "w", None],
            "object": {"metadata": {"name": "a", "namespace": "n", "labels": {"x/app": "1", "b": "2"}}},
        },
        {"cells": ["b\nc", "w", "\x1b[31mTrue"], "object": {"metadata": {"name": "b", "namespace": "n"}}},
    ],
}


@pytest.mark.parametrize(
    ("layout", "namespaces", "first", "second", "third"),
    [
        (Layout(), False, "NAME   VALID", "a      ", "b...   ^[[31mTrue"),
        (Layout(wide=True), False, "NAME   WIDE   VALID", "a      w      ", "b...   w      ^[[31mTrue"),
        (Layout(), True, "NAMESPACE   NAME   VALID", "n           a      ", "n           b...   ^[[31mTrue"),
        (
            Layout(label_columns=("x/app",), show_kind=True),
            False,
            "NAME       VALID       APP",
            "pod/a                  1",
            "pod/b...   ^[[31mTrue   ",
        ),
    ],
)
def test_tables(layout: Layout, namespaces: bool, first: str, second: str, third: str) -> None:
    lines = TablePrinter(layout, PODS, namespaces).lines(TABLE)
    assert lines[0] == first if "APP" not in first else lines[0].split() == first.split()
    assert lines[1].split() == second.split()
    assert lines[2].split() == third.split()


def test_labels_and_headers() -> None:
    lines = TablePrinter(Layout(show_labels=True, headers=False), PODS).lines(TABLE)
    assert [line.split()[-1] for line in lines] == ["b=2,x/app=1", "<none>"]


def test_later_frames_have_no_header() -> None:
    table = TablePrinter(Layout(), PODS)
    assert len(table.lines(TABLE)) == 3
    assert len(table.lines({"rows": TABLE["rows"][:1]})) == 1


def test_sorting_knows_quantities_and_puts_what_is_missing_first() -> None:
    objects = [({"v": value} if value else {}, value) for value in ("2Gi", "100Mi", None, "b", "a-10", "a-2")]
    assert ordered(objects, by(".v")) == [None, "100Mi", "2Gi", "a-10", "a-2", "b"]
    with pytest.raises(Failure, match="couldn't find any field"):
        ordered(objects, by("{.nosuch}"))


OBJECT: dict[str, Any] = {
    "kind": "Deployment",
    "apiVersion": "apps/v1",
    "metadata": {"name": "x", "managedFields": [{}]},
}


def test_names_and_managed_fields() -> None:
    assert printer("name")(OBJECT) == "deployment.apps/x\n"
    assert "managedFields" not in printer("json")(OBJECT)
    assert "managedFields" in printer("yaml", show_managed_fields=True)(OBJECT)


@pytest.mark.parametrize("output", ["foo", "json=x", "jsonpath", "custom-columns=", "custom-columns=NAME"])
def test_other_formats_are_refused(output: str) -> None:
    with pytest.raises(Failure):
        printer(output)


def test_custom_columns() -> None:
    show = printer("custom-columns=NAME:.metadata.name,X:nosuch,ALL:{.metadata}")
    assert show(OBJECT) == "NAME   X        ALL\nx      <none>   map[managedFields:[map[]] name:x]\n"


def test_json_is_gos() -> None:
    assert to_json({"b": "<é>", "a": []}) == '{\n    "a": [],\n    "b": "\\u003cé\\u003e"\n}\n'
    assert go_syntax({"a": [None, 1, "x"]}) == (
        'map[string]interface {}{"a":[]interface {}{interface {}(nil), 1, "x"}}'
    )


TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        "yes",
        "n",
        "1",
        "0x1f",
        "1e3",
        "~",
        "",
        "2020-01-01",
        "a: b",
        "12:30:45",
        "- x",
        "#x",
        "<<",
        " x",
        "x\ny\n",
    ]
)


@given(st.dictionaries(TEXTS.filter(lambda key: key.isprintable()), TEXTS | st.integers() | st.booleans()))
def test_yaml_is_read_back_as_it_was(data: dict[str, Any]) -> None:
    def sane(value: Any) -> bool:
        return not isinstance(value, str) or all(c.isprintable() or c == "\n" for c in value)

    if not all(map(sane, data.values())):
        return
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "data": data}
    assert [manifest.object for manifest in parse("x", to_yaml(obj).encode())] == [obj]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("toFQDNs", "To Fqd Ns"),
        ("apiVersion", "API Version"),
        ("matchName", "Match Name"),
        ("uid", "UID"),
        ("k8s-app", "k8s-app"),
        ("a.b", "a.b"),
        ("endpointSelector", "Endpoint Selector"),
    ],
)
def test_labels_of_any_kind(name: str, shown: str) -> None:
    assert describe_cluster.label(name) == shown


def test_errors_read_as_kubectls() -> None:
    assert error_text(ApiError(404, "NotFound", 'pods "x" not found')) == (
        'Error from server (NotFound): pods "x" not found'
    )
    causes = [{"field": "spec.a", "message": "bad"}, {"field": "spec.b", "message": "worse"}]
    invalid = ApiError(422, "Invalid", "m", {"kind": "Pod", "name": "x", "causes": causes[:1]})
    assert error_text(invalid) == 'The Pod "x" is invalid: spec.a: bad'
    invalid.details["causes"] = causes
    assert error_text(invalid) == 'The Pod "x" is invalid: \n* spec.a: bad\n* spec.b: worse'
    assert error_text(ApiError(401, "Unauthorized", "m")).startswith("error: You must be logged in")
