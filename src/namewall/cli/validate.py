"""`namewall validate`: everything that is wrong with policies, each problem with its file, line and field.

Says what Cilium's API server and agent would say (`policy.parse`), and beside it what is valid but not enforceable
here: `apply` refuses that, `validate` reports it and counts it as valid.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import click

from namewall.cli.context import WRONG_USAGE
from namewall.cli.inputs import (
    BadRow,
    Complaint,
    Row,
    batch,
    complaint,
    documents,
    dumped,
    only_one,
    texts,
)
from namewall.cli.policy_objects import CIDR_GROUP, is_other, is_scenario, objects
from namewall.cli.scenarios import place
from namewall.model.documents import Document
from namewall.model.errors import Problem
from namewall.policy.parse import enforceable, parse
from namewall.policy.schema import crd_schema
from namewall.policy.structural import validate

KEYS = ("accepted", "error", "enforceable", "reason")


@dataclass(frozen=True)
class Verdict:
    """What is said of one object."""

    source: str
    line: int
    kind: Any
    namespace: Any
    name: Any
    problems: tuple[Complaint, ...]
    unenforceable: tuple[Complaint, ...]

    @property
    def accepted(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "line": self.line,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "accepted": self.accepted,
            "enforceable": not self.unenforceable if self.accepted else None,
            "problems": [one.to_dict() for one in self.problems],
            "unenforceable": [one.to_dict() for one in self.unenforceable],
        }


def judge(obj: Any) -> tuple[list[Problem], list[Problem]]:
    """The problems, and what cannot be enforced, of a policy or a CiliumCIDRGroup."""
    if isinstance(obj, dict) and obj.get("kind") == CIDR_GROUP:
        if obj.get("apiVersion") != "cilium.io/v2":
            text = f"`{obj.get('apiVersion')}` is no version of {CIDR_GROUP}; use cilium.io/v2"
            return [Problem("apiVersion", text, "schema")], []
        return validate(crd_schema(CIDR_GROUP), obj), []
    policy, problems = parse(obj)
    return problems, [] if policy is None else enforceable(policy)


def verdict(source: str, document: Document, path: str, obj: Any) -> Verdict:
    problems, unenforceable = judge(obj)
    row = obj if isinstance(obj, dict) else {}
    metadata = row.get("metadata") if isinstance(row.get("metadata"), dict) else {}
    assert isinstance(metadata, dict)
    return Verdict(
        source,
        document.line_of(path),
        row.get("kind"),
        metadata.get("namespace"),
        metadata.get("name"),
        _placed(source, document, path, problems),
        _placed(source, document, path, unenforceable),
    )


def scenario_verdict(source: str, document: Document) -> Verdict:
    """Of a test file that lies among policies: its shape, and the policies in it."""
    file = place(source, document)
    complaints = file.complaints if file.scenario is None else file.rejected()
    unenforceable = [] if file.scenario is None else file.unenforceable()
    return Verdict(
        source, document.line, "Scenario", None, file.name, tuple(complaints), tuple(unenforceable)
    )


def _placed(source: str, document: Document, path: str, problems: list[Problem]) -> tuple[Complaint, ...]:
    """In the order of the lines."""
    found = [complaint(source, document, problem, path) for problem in problems]
    return tuple(sorted(found, key=lambda one: one.line))


def answer(row: Row) -> Row:
    if "policy" not in row:
        raise BadRow("policy: a row needs one")
    problems, unenforceable = judge(row["policy"])
    return {
        "accepted": not problems,
        "error": "; ".join(map(str, problems)) or None,
        "enforceable": None if problems else not unenforceable,
        "reason": "; ".join(map(str, unenforceable)) or None,
    }


@click.command("validate")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--batch", "batch_file", metavar="FILE", help="JSON lines {id, policy}; - is stdin.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True
)
def validate_command(files: tuple[str, ...], batch_file: str | None, output: str) -> None:
    """Check policies in FILEs, folders or `-` (standard input), and say all that is wrong with them.

    Objects of Kubernetes that are no policies are left out. Exit codes: 0 all valid; 2 otherwise.
    """
    only_one(files, batch_file, "FILEs")
    if batch_file is not None:
        sys.exit(0 if batch(batch_file, KEYS, answer) else WRONG_USAGE)
    broken: list[Complaint] = []
    found: list[Verdict] = []
    others = 0
    for source, text in texts(files):
        for document in documents(source, text, broken):
            if is_scenario(document):
                found.append(scenario_verdict(source, document))
                if output == "text":
                    _say(found[-1])
                continue
            for path, obj in objects(document):
                if is_other(obj):
                    others += 1
                    continue
                one = verdict(source, document, path, obj)
                found.append(one)
                if output == "text":
                    _say(one)
        if output == "text" and broken and broken[-1].source == source:
            click.echo(str(broken[-1]))
    if output != "text":
        rows = {
            "policies": [one.to_dict() for one in found],
            "unreadable": [one.to_dict() for one in broken],
        }
        click.echo(dumped(rows, output), nl=False)
    invalid = sum(1 for one in found if not one.accepted) + len(broken)
    left = f", {others} other objects left out" if others else ""
    if not found and not broken:
        click.echo(f"namewall: no policy found{left}", err=True)
        sys.exit(WRONG_USAGE)
    refused = sum(1 for one in found if one.unenforceable)
    also = f", {refused} not enforceable here" if refused else ""
    click.echo(f"namewall: {len(found) + len(broken)} checked, {invalid} invalid{also}{left}", err=True)
    sys.exit(WRONG_USAGE if invalid else 0)


def _say(one: Verdict) -> None:
    lines = [str(problem) for problem in one.problems]
    lines += [f"{problem} (valid, but refused by apply)" for problem in one.unenforceable]
    if lines:
        click.echo("\n".join(lines))
