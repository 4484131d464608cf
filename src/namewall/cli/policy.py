"""`namewall policy get [name]`: policies as the agent enforces them, and why one is not."""

from __future__ import annotations

from collections.abc import Sequence

import click

from namewall.cli.agent_client import AgentAway, AgentClient, AgentError
from namewall.cli.context import fail, instance
from namewall.cli.near_group import NearGroup
from namewall.cli.node_output import Column, Row, document, show

NOT_FOUND = 1

_COLUMNS: Sequence[Column] = (
    ("KIND", lambda row: row["kind"]),
    ("NAMESPACE", lambda row: row["namespace"]),
    ("NAME", lambda row: row["name"]),
    ("GENERATION", lambda row: row["generation"]),
    ("ENFORCED", lambda row: "audit" if row["audit"] else row["enforced"]),
    ("RULES", lambda row: len(row["rules"])),
    ("ENDPOINTS", lambda row: row["endpoints"]),
    ("ERROR", lambda row: row["error"]),
)


@click.group("policy", cls=NearGroup)
def policy_command() -> None:
    """Show the policies in force."""


@policy_command.command("get")
@click.argument("name", required=False, metavar="[[NAMESPACE/]NAME]")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), help="[table; yaml for one policy]"
)
def get(name: str | None, output: str | None) -> None:
    """All policies of the node, or one of them with its rules, and the endpoints it selects."""
    try:
        rows = AgentClient(instance()).items("/v1/policies")
    except AgentAway as away:
        fail(f"{away}; `namewall bpf policy list` shows what the kernel enforces meanwhile")
    except AgentError as error:
        fail(str(error))
    if name is not None:
        rows = [row for row in rows if _is(row, name)]
        if not rows:
            fail(f"no policy `{name}`; give a name or namespace/name", NOT_FOUND)
        output = output or "yaml"
    if output in ("json", "yaml"):
        click.echo(document(rows[0] if name is not None and len(rows) == 1 else rows, output))
    else:
        show(rows, _COLUMNS, "table")


def _is(row: Row, name: str) -> bool:
    return name in (row["name"], f"{row['namespace']}/{row['name']}")
