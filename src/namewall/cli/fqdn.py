"""`namewall fqdn cache list`: what endpoints learned, until when it is good, and what still uses it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from namewall.cli.agent_client import AgentAway, AgentClient, AgentError
from namewall.cli.context import instance
from namewall.cli.near_group import NearGroup
from namewall.cli.node_output import Column, Row, output_option, show

_COLUMNS: Sequence[Column] = (
    ("ENDPOINT", lambda row: row["endpoint"]),
    ("POD", lambda row: row["pod"]),
    ("FQDN", lambda row: row["fqdn"]),
    ("SECONDS LEFT", lambda row: row["secondsLeft"]),
    ("IPS", lambda row: row["ips"]),
    ("GRANTED BY", lambda row: [form.removeprefix("fqdn:") for form in row["selectors"]]),
    ("CONNECTIONS", lambda row: row["connections"]),
)


@click.group("fqdn", cls=NearGroup)
def fqdn_command() -> None:
    """Show the DNS names that endpoints learned."""


@fqdn_command.group("cache")
def cache() -> None:
    """What was learned from DNS answers."""


@cache.command("list")
@click.option("--endpoint", "-e", metavar="ID|NS/POD", help="Only of this endpoint.")
@click.option(
    "--matchpattern", "-p", metavar="PATTERN", help="Only names that this pattern matches, as *.example.com."
)
@output_option
def list_(endpoint: str | None, matchpattern: str | None, output: str) -> None:
    """Names, their addresses, and the seconds they are good for."""
    if matchpattern is not None:
        _check(matchpattern)
    rows = _rows()
    if endpoint is not None:
        rows = [row for row in rows if endpoint in (str(row["endpoint"]), row["pod"])]
    if matchpattern is not None:
        rows = [row for row in rows if _matches(matchpattern, row["fqdn"])]
    show(rows, _COLUMNS, output)


def _rows() -> list[Row]:
    here = instance()
    try:
        return AgentClient(here).items("/v1/names")
    except (AgentAway, AgentError) as error:
        from namewall.cli.node_tables import boottime, known_names, pins, pod_names, say_dead
        from namewall.datapath.views import name_rows

        with pins(here) as opened:
            say_dead(error)
            return name_rows(opened, pod_names(here), known_names(here), boottime())


def _matches(pattern: str, name: str) -> bool:
    """As a policy's matchPattern would."""
    from namewall.policy.patterns import Pattern, normalize

    return Pattern(normalize(pattern)).passes(name)


def _check(pattern: str) -> None:
    from namewall.cli.context import WRONG_USAGE, fail
    from namewall.model.names import NAME_CHARACTERS

    if not pattern or not {*NAME_CHARACTERS, ".", "*"}.issuperset(pattern.lower()):
        fail(f"--matchpattern: `{pattern}` is no pattern of names; write as *.example.com", WRONG_USAGE)
