"""Scenario files on disk: paths in `policyFiles` are relative to the file's folder, so that a test stands beside the
policies it is about."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import click

from namewall.cli.inputs import STDIN, texts
from namewall.model.documents import Document
from namewall.review import scenarios
from namewall.review.complaints import Complaint, documents
from namewall.review.objects import is_scenario
from namewall.review.scenarios import ScenarioFile


def place(source: str, document: Document) -> ScenarioFile:
    """One document as a scenario, with the policies of its files."""
    return scenarios.place(source, document, opened)


def read_scenarios(paths: Iterable[str], broken: list[Complaint]) -> Iterator[ScenarioFile]:
    """The scenarios of files, of `-`, and of folders; in folders other documents are left out. What could not be
    read is added to `broken`."""
    for path in paths:
        folder = path != "-" and os.path.isdir(path)
        for source, text in texts([path], broken):
            for document in documents(source, text, broken):
                if not folder or is_scenario(document):
                    yield place(source, document)


def say_of_policies(file: ScenarioFile) -> None:
    """On stderr, what is not in force as it is written, and why."""
    for complaint in file.rejected():
        click.echo(f"{complaint} (the policy is not accepted and has no effect)", err=True)
    for complaint in file.unenforceable():
        click.echo(f"{complaint} (accepted; this part has no effect)", err=True)
    for complaint in file.replaced():
        click.echo(str(complaint), err=True)


def opened(source: str, name: str, broken: list[Complaint]) -> Iterable[tuple[str, bytes]] | None:
    """The files of a path in `policyFiles`."""
    path = os.path.join("" if source == STDIN else os.path.dirname(source), name)
    if "\0" in path or not os.path.exists(path):
        return None
    return texts([path], broken)
