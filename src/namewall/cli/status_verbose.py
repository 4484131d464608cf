"""The long part of `namewall status --verbose`: from the agent where it answers, tables from the kernel where not."""

from __future__ import annotations

import time
from typing import Any

import click

from namewall.cli.agent_client import AgentAway, AgentClient, AgentError
from namewall.cli.node_output import Row, cell, show
from namewall.model.errors import Cannot
from namewall.model.instance import Instance


def details(here: Instance) -> tuple[Row | None, list[Row]]:
    """The agent's own account (None where it is away) and the sizes of the kernel's tables."""
    try:
        agent: Row | None = AgentClient(here).get("/v1/status")
    except (AgentAway, AgentError):
        agent = None
    if agent is not None:
        tables: list[Row] = agent.pop("tables")
        return agent, tables
    from namewall.datapath.reading import Pins
    from namewall.datapath.views import size_rows

    try:
        with Pins(here) as pins:
            return None, size_rows(pins)
    except Cannot:
        return None, []


def print_details(agent: Row | None, tables: list[Row]) -> None:
    if agent is None:
        click.echo("\nagent       away; what the kernel holds stays in force")
    else:
        _print_agent(agent)
    if tables:
        click.echo()
        show(
            tables,
            (
                ("TABLE", lambda row: row["table"]),
                ("USED", lambda row: row["used"]),
                ("MOST", lambda row: row["most"]),
                ("PRESSURE", lambda row: f"{row['pressure']:.2f}%"),
                ("BYTES", lambda row: row["bytes"]),
            ),
            "table",
        )


def _print_agent(agent: Row) -> None:
    flows = agent["flows"]
    lost = sum(flows["lost"].values())
    last = agent["lastReconcile"]
    ago = "never"
    if last:
        ago = f"{max(0.0, time.time() - last):.0f} s ago, took {agent['lastReconcileSeconds'] * 1000:.0f} ms"
    lines: list[tuple[str, Any]] = [
        ("uptime", f"{agent['uptimeSeconds']} s"),
        ("reconciled", f"{ago} ({agent['reconciles']} passes, {agent['reconcileFailures']} failed)"),
        ("identities", agent["identities"]),
        (
            "flows",
            f"{flows['kept']} of {flows['most']} kept, {flows['seen']} seen, {flows['followers']} followers",
        ),
        ("events lost", f"{lost}" + (f" ({_counts(flows['lost'])})" if lost else "")),
        (
            "drops",
            _counts({f"{d['reason']} {d['direction']}": d["packets"] for d in agent["drops"]}) or "none",
        ),
    ]
    for condition in agent["conditions"]:
        message = f": {condition['message']}" if condition["message"] else ""
        lines.append((condition["type"], condition["status"] + message))
    for error in agent["errors"]:
        lines.append(("error", error))
    click.echo()
    for name, value in lines:
        click.echo(f"{name:<14}{cell(value)}")
    if agent["endpoints"]:
        click.echo()
        show(
            agent["endpoints"],
            (
                ("ENDPOINT", lambda row: row["id"]),
                ("POD", lambda row: f"{row['namespace']}/{row['pod']}"),
                ("ENFORCEMENT", lambda row: row["enforcement"]),
                ("DNSREACHABLE", lambda row: {True: "True", False: "False"}.get(row["dnsReachable"])),
                ("STATE", lambda row: row["state"]),
            ),
            "table",
        )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count)
