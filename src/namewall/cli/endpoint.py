"""`namewall endpoint list|get`: workloads under policy. The kernel's rows where the agent is dead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import click

from namewall.cli.agent_client import AgentAway, AgentClient, AgentError
from namewall.cli.context import fail, instance
from namewall.cli.near_group import NearGroup
from namewall.cli.node_output import Column, Row, document, output_option, show

NOT_FOUND = 1

_COLUMNS: Sequence[Column] = (
    ("ENDPOINT", lambda row: row["id"]),
    ("POD", lambda row: f"{row['namespace']}/{row['pod']}"),
    ("INGRESS", lambda row: _enforced(row, "ingress")),
    ("EGRESS", lambda row: _enforced(row, "egress")),
    ("IDENTITY", lambda row: row["identity"]),
    ("IPV4", lambda row: row["ipv4"]),
    ("IPV6", lambda row: row["ipv6"]),
    ("NAMES", lambda row: row["names"]),
    ("DNS", lambda row: {True: "reachable", False: "unreachable"}.get(row["dnsReachable"])),
    ("STATE", lambda row: row["state"]),
)
_PINNED: Sequence[Column] = (
    ("ENDPOINT", lambda row: row["id"]),
    ("POD", lambda row: row["pod"]),
    ("INGRESS", lambda row: _enforced(row, "ingress")),
    ("EGRESS", lambda row: _enforced(row, "egress")),
    ("IDENTITY", lambda row: row["identity"]),
    ("ADDRESSES", lambda row: row["addresses"]),
    ("POLICY", lambda row: row["policy"]),
)


def _enforced(row: Row, direction: str) -> str:
    """Cilium's words of `endpoint list`."""
    return "Enabled" if row["enforcement"] in (direction, "both") else "Disabled"


@click.group("endpoint", cls=NearGroup)
def endpoint_command() -> None:
    """Show the workloads under policy."""


@endpoint_command.command("list")
@output_option
def list_(output: str) -> None:
    """All endpoints of this node."""
    try:
        rows = AgentClient(instance()).items("/v1/endpoints")
    except (AgentAway, AgentError) as error:
        show(_pinned(error), _PINNED, output)
    else:
        show(rows, _COLUMNS, output)


@endpoint_command.command("get")
@click.argument("which", metavar="ID|NS/POD|pod/NAME")
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json", "table"]), default="yaml", show_default=True
)
def get(which: str, output: str) -> None:
    """One endpoint: its labels, addresses, policies, and whether DNS reaches it. pod/NAME is of `default`."""
    if which.startswith("pod/"):
        which = which.replace("pod", "default", 1)
    columns = _COLUMNS
    try:
        row: dict[str, Any] = AgentClient(instance()).get(f"/v1/endpoints/{quote(which)}")
    except AgentError as error:
        fail(str(error), NOT_FOUND)
    except AgentAway as away:
        found = [each for each in _pinned(away) if which in (str(each["id"]), each["pod"])]
        if not found:
            fail(f"no endpoint `{which}`; give an id or ns/pod", NOT_FOUND)
        row, columns = found[0], _PINNED
    if output == "table":
        show([row], columns, output)
    else:
        click.echo(document(row, output))


def _pinned(error: Exception) -> list[Row]:
    from namewall.cli.node_tables import pins, pod_names, say_dead
    from namewall.datapath.views import endpoint_rows

    here = instance()
    with pins(here) as opened:
        say_dead(error)
        return endpoint_rows(opened, pod_names(here))
