"""How the verbs that show the node's tables print them: -o table, json or yaml; cells from workloads are escaped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from namewall.cli.flow_text import escaped
from namewall.cli.output_tabs import Table

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], Any]]

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="How it is printed.",
)


def show(rows: Sequence[Row], columns: Sequence[Column], output: str) -> None:
    """`rows` whole as JSON or YAML, else their columns as a table."""
    if output != "table":
        click.echo(document(list(rows), output))
        return
    lines = [tuple(name for name, _ in columns)]
    lines += [tuple(cell(value(row)) for _, value in columns) for row in rows]
    for line in Table(2, 3).lines(lines):
        click.echo(line.rstrip())


def document(value: Any, output: str) -> str:
    if output == "yaml":
        import yaml

        return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=False)).rstrip()
    return json.dumps(value, indent=2)


def cell(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return escaped(",".join(map(str, value)))
    return escaped(str(value))
