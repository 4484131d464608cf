"""`namewall delete`: by file, by name, by label, or all; waits until they are gone, as kubectl does."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import click

from namewall.cli.duration import seconds
from namewall.cli.kubectl import (
    Failure,
    KubectlCommand,
    OptionalValue,
    Problems,
    Session,
    connection_options,
    named,
)
from namewall.kube import request as requests
from namewall.kube.errors import ApiError
from namewall.kube.resources import Resource

Object = dict[str, Any]
_CASCADE = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}
_IMMEDIATE = (
    "Immediate deletion does not wait for confirmation that the running resource has been terminated. "
    "The resource may continue to run on the cluster indefinitely."
)
LONGEST_WAIT = 7 * 24 * 3600.0
"""Seconds; what kubectl waits where --timeout is 0."""


@dataclass(frozen=True, slots=True)
class Doomed:
    resource: Resource
    namespace: str | None
    name: str
    source: str = ""
    """The manifest that names it."""


@click.command("delete", cls=KubectlCommand)
@click.argument("words", nargs=-1, metavar="TYPE NAME… | TYPE/NAME…")
@connection_options
@click.option("-f", "--filename", multiple=True, metavar="FILE", help="The objects this manifest names.")
@click.option("-R", "--recursive", is_flag=True, help="Folders with all below them.")
@click.option("-l", "--selector", default="", metavar="SELECTOR", help="Objects with these labels.")
@click.option("--field-selector", default="", metavar="SELECTOR", help="Objects with these field values.")
@click.option("--all", "every", is_flag=True, help="All objects of the type.")
@click.option("-A", "--all-namespaces", is_flag=True, help="In all namespaces.")
@click.option(
    "--wait", is_flag=True, default=True, help="Return when they are gone (default); --wait=false at once."
)
@click.option("--now", is_flag=True, help="One second of grace.")
@click.option("--force", is_flag=True, help="With --grace-period=0: at once.")
@click.option(
    "--grace-period", type=int, default=-1, metavar="SECONDS", help="Time to end; -1 leaves it to the object."
)
@click.option(
    "--timeout", default="0s", metavar="TIME", help="How long to wait, as in 30s; 0s for as long as it takes."
)
@click.option("--ignore-not-found", is_flag=True, help="What does not exist counts as deleted.")
@click.option(
    "--cascade",
    cls=OptionalValue,
    bare="background",
    default="background",
    type=click.Choice([*_CASCADE, "true", "false"]),
    help="What becomes of what the object owns.",
)
@click.option(
    "--dry-run",
    cls=OptionalValue,
    bare="client",
    default="none",
    type=click.Choice(["none", "client", "server"]),
    help="Change nothing.",
)
@click.option("-o", "--output", default="", metavar="FORMAT", help="name: only what was deleted.")
def delete_command(
    words: tuple[str, ...],
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    filename: tuple[str, ...],
    recursive: bool,
    selector: str,
    field_selector: str,
    every: bool,
    all_namespaces: bool,
    wait: bool,
    now: bool,
    force: bool,
    grace_period: int,
    timeout: str,
    ignore_not_found: bool,
    cascade: str,
    dry_run: str,
    output: str,
) -> None:
    """Delete objects, as kubectl does.

    \b
    namewall delete cnp backend-egress-allow-fqdn
    namewall delete -f policy.yaml
    """
    if output not in ("", "name"):
        raise Failure(f"error: unexpected -o output mode: {output}. We only support '-o name'")
    seconds = _seconds(timeout)
    if now:
        if grace_period != -1:
            raise Failure("error: --now and --grace-period cannot be specified together")
        grace_period = 1
    if grace_period == 0 and not force:
        # kubectl: to wait for the end, the least grace is one second.
        grace_period = 1
    elif force and grace_period < 0:
        grace_period = 0
    elif force and grace_period > 0:
        raise Failure("error: --force and --grace-period greater than 0 cannot be specified together")
    if every and selector:
        raise Failure("error: setting 'all' parameter but found a non empty selector. ")
    with Session.open(kubeconfig, context, namespace) as session:
        problems = Problems()
        bulk = every or bool(selector) or bool(field_selector)
        if filename:
            doomed = _from_files(session, filename, recursive)
        elif bulk:
            doomed = _matching(session, words, selector, field_selector, all_namespaces)
        else:
            doomed = _by_name(session, words)
        if force and dry_run == "none":
            _warn(_IMMEDIATE)
        deleter = _Deleter(session, dry_run, output, grace_period, force)
        propagation = {"true": "Background", "false": "Orphan"}.get(cascade) or _CASCADE[cascade]
        gone: list[tuple[Doomed, str]] = []
        deleted = 0
        for one in doomed:
            try:
                uid = deleter.delete(one, propagation)
            except ApiError as error:
                if error.reason == "NotFound" and (ignore_not_found or bulk):
                    continue
                problems.add(error, f'error when deleting "{one.source}"' if one.source else "")
                continue
            deleted += 1
            gone.append((one, uid))
        if not deleted and not output and (bulk or not doomed):
            click.echo("No resources found", err=False)
        if wait and dry_run == "none" and not (force and grace_period == 0):
            _wait(session, gone, seconds, problems)
        problems.end()


class _Deleter:
    def __init__(self, session: Session, dry_run: str, output: str, grace_period: int, force: bool) -> None:
        self._client = session.client
        self._dry_run = dry_run
        self._output = output
        self._grace = grace_period
        self._forced = force

    def delete(self, one: Doomed, propagation: str) -> str:
        """Returns the uid of what is going, "" where the server does not say."""
        uid = ""
        if self._dry_run == "client":
            self._client.send(requests.get(one.resource, one.namespace, one.name))
        else:
            answer = self._client.send(
                requests.delete(
                    one.resource,
                    one.namespace,
                    one.name,
                    grace_period_seconds=self._grace if self._grace >= 0 else None,
                    propagation=propagation,
                    dry_run=self._dry_run == "server",
                )
            )
            details = answer.get("details") if answer.get("kind") == "Status" else answer.get("metadata")
            uid = str((details or {}).get("uid", ""))
        self._print(one)
        return uid

    def _print(self, one: Doomed) -> None:
        if self._output == "name":
            click.echo(named(one.resource, one.name))
            return
        word = named(one.resource, "").rstrip("/")
        verb = "force deleted" if self._forced and self._grace == 0 else "deleted"
        where = f" from {one.namespace} namespace" if one.namespace else ""
        suffix = {"server": " (server dry run)", "client": " (dry run)"}.get(self._dry_run, "")
        click.echo(f'{word} "{one.name}" {verb}{where}{suffix}')


def _wait(session: Session, gone: list[tuple[Doomed, str]], seconds: float, problems: Problems) -> None:
    sys.stdout.flush()
    deadline = time.monotonic() + (seconds or LONGEST_WAIT)
    for one, uid in gone:
        try:
            _until_gone(session, one, uid, deadline)
        except TimeoutError:
            problems.add(f"error: timed out waiting for the condition on {one.resource.plural}/{one.name}")
        except ApiError as error:
            problems.add(error)


def _until_gone(session: Session, one: Doomed, uid: str, deadline: float) -> None:
    """Looks, and where it is still there watches until its end; looks again whenever the watch ends early."""
    while True:
        try:
            obj = session.client.send(requests.get(one.resource, one.namespace, one.name))
        except ApiError as error:
            if error.code == 404:
                return
            raise
        metadata = obj.get("metadata") or {}
        if uid and metadata.get("uid") != uid:
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        asked = requests.watch(
            one.resource,
            one.namespace,
            resource_version=str(metadata.get("resourceVersion", "")),
            field_selector=f"metadata.name={one.name}",
            timeout_seconds=max(1, min(300, int(left))),
            bookmarks=False,
        )
        try:
            for event in session.client.watch(asked, timeout=left):
                if event.type == "DELETED":
                    return
                if time.monotonic() > deadline:
                    raise TimeoutError
        except ApiError as error:
            if not error.expired:
                raise


def _by_name(session: Session, words: tuple[str, ...]) -> list[Doomed]:
    if not words:
        raise Failure(
            "error: You must provide one or more resources by argument or filename: `TYPE NAME`, `TYPE/NAME`, "
            "`-f FILE`, `-l SELECTOR` or `--all`",
            2,
        )
    found: list[Doomed] = []
    if "/" in words[0]:
        for word in words:
            kind, slash, name = word.partition("/")
            if not slash or not kind or not name or "/" in name:
                raise Failure("error: arguments in resource/name form must have a single resource and name")
            resource = session.resource(kind)
            found.append(Doomed(resource, session.scope(resource), name))
        return found
    resources = session.resources(words[0])
    if len(words) == 1:
        raise Failure("error: resource(s) were provided, but no name was specified")
    if any("/" in word for word in words[1:]):
        raise Failure(
            "error: there is no need to specify a resource type as a separate argument when passing "
            "arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of "
            "'kubectl get resource resource/<resource_name>'"
        )
    for resource in resources:
        found += [Doomed(resource, session.scope(resource), name) for name in words[1:]]
    return found


def _matching(
    session: Session, words: tuple[str, ...], selector: str, field_selector: str, all_namespaces: bool
) -> list[Doomed]:
    if not words:
        raise Failure(
            "error: a selector or `--all` needs a type, for example `namewall delete pods --all`", 2
        )
    if len(words) > 1:
        raise Failure("error: name cannot be provided when a selector is specified")
    found: list[Doomed] = []
    for resource in session.resources(words[0]):
        asked = requests.list_(
            resource,
            session.scope(resource, all_namespaces),
            label_selector=selector,
            field_selector=field_selector,
        )
        for item in session.client.send(asked).get("items") or ():
            metadata = item["metadata"]
            found.append(Doomed(resource, metadata.get("namespace"), metadata["name"]))
    return found


def _from_files(session: Session, filenames: tuple[str, ...], recursive: bool) -> list[Doomed]:
    from namewall.cli.files import locate, read

    found = []
    for manifest in read(filenames, recursive):
        resource, namespace = locate(session, manifest)
        found.append(Doomed(resource, namespace, manifest.name, manifest.source))
    return found


def _seconds(text: str) -> float:
    """A Go duration (`30s`, `1m30s`), or a number of seconds."""
    if text.isdigit():
        return float(text)
    found = seconds(text)
    if found is None:
        raise click.UsageError(
            f"invalid argument `{text}` for `--timeout`: it must be a time like 30s or 1m30s"
        )
    return found


def _warn(text: str) -> None:
    sys.stdout.flush()
    click.echo(f"Warning: {text}", err=True)
