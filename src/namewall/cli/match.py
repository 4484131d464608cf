"""`namewall match`: does a name fit a pattern of toFQDNs, and of a DNS rule."""

from __future__ import annotations

import sys
from typing import Any

import click

from namewall.cli.context import WRONG_USAGE, fail
from namewall.cli.inputs import BadRow, Row, batch, dumped, table
from namewall.model.errors import Problem
from namewall.policy.parse import parse
from namewall.policy.patterns import Kind, Pattern
from namewall.review.complaints import clean

KEYS = ("valid_tofqdns", "valid_dns_rule", "match_tofqdns", "match_dns_rule")


def problems(kind: Kind, text: str, *, dns: bool) -> list[Problem]:
    """What is wrong with an item of toFQDNs, or with `dns` of `rules.dns`: what a policy with it would be told."""
    item = {kind: text}
    ports = [{"ports": [{"port": "53"}], "rules": {"dns": [item]}}]
    rule: dict[str, Any] = {"toPorts": ports} if dns else {"toFQDNs": [item]}
    policy = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "match"},
        "spec": {"endpointSelector": {}, "egress": [rule]},
    }
    return parse(policy)[1]


def answer(row: Row) -> Row:
    kind, text, name = row.get("kind", "matchPattern"), row.get("pattern"), row.get("name")
    if kind not in ("matchPattern", "matchName"):
        raise BadRow("kind: must be matchPattern or matchName")
    for key, value in (("pattern", text), ("name", name)):
        if not isinstance(value, str):
            raise BadRow(f"{key}: must be a string")
    assert isinstance(text, str)
    assert isinstance(name, str)
    pattern = Pattern.of(text, kind)
    fqdns, rule = not problems(kind, text, dns=False), not problems(kind, text, dns=True)
    found = (fqdns, rule, pattern.matches(name) if fqdns else None, pattern.passes(name) if rule else None)
    return dict(zip(KEYS, found, strict=True))


@click.command("match")
@click.argument("pattern", required=False)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--exact", is_flag=True, help="PATTERN is a matchName, not a matchPattern.")
@click.option(
    "--batch", "batch_file", metavar="FILE", help="JSON lines {id, kind, pattern, name}; - is stdin."
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing; exit 1 unless toFQDNs matches every name.")
def match_command(
    pattern: str | None, names: tuple[str, ...], exact: bool, batch_file: str | None, output: str, quiet: bool
) -> None:
    """Say for each NAME whether PATTERN matches it, in toFQDNs and in a DNS rule.

    Exit codes: 0 answered; 1 with --quiet, not every name matches; 2 the pattern is not valid.
    """
    if batch_file is not None:
        if pattern is not None:
            raise click.UsageError("give PATTERN and NAMEs or --batch, not both")
        sys.exit(0 if batch(batch_file, KEYS, answer) else WRONG_USAGE)
    if pattern is None or not names:
        raise click.UsageError("give PATTERN and at least one NAME, or --batch FILE")
    kind: Kind = "matchName" if exact else "matchPattern"
    found = [answer({"kind": kind, "pattern": pattern, "name": name}) for name in names]
    if not (found[0]["valid_tofqdns"] or found[0]["valid_dns_rule"]):
        fail(clean(f"`{pattern}` is no {kind}: {problems(kind, pattern, dns=False)[0].message}"), WRONG_USAGE)
    if not quiet and output != "table":
        each = [{"name": name, **row} for name, row in zip(names, found, strict=True)]
        click.echo(dumped({"kind": kind, "pattern": pattern, "names": each}, output), nl=False)
    elif not quiet:
        rows = [["NAME", "TOFQDNS", "DNS RULE"]]
        rows += [
            [clean(name), _word(row["match_tofqdns"]), _word(row["match_dns_rule"])]
            for name, row in zip(names, found, strict=True)
        ]
        click.echo(table(rows))
        if Pattern.of(pattern, kind).inert:
            click.echo("namewall: over 255 characters with its trailing dot: inert in toFQDNs", err=True)
    if quiet and not all(row["match_tofqdns"] for row in found):
        sys.exit(1)


def _word(matches: bool | None) -> str:
    return "not valid" if matches is None else "yes" if matches else "no"
