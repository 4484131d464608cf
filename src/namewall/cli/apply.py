"""`namewall apply`: creates or changes objects from manifests, as kubectl does.

Client-side apply keeps the same annotation and field manager as kubectl, so that both may be used on the
same objects in turn. An object's failure does not stop those after it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from namewall.cli.files import Manifest, locate, read
from namewall.cli.kubectl import (
    Failure,
    KubectlCommand,
    OptionalValue,
    Problems,
    Session,
    connection_options,
    named,
)
from namewall.cli.output import Printer, printer
from namewall.kube import request as requests
from namewall.kube.errors import ApiError
from namewall.kube.jsonpath import go_json
from namewall.kube.merge import LAST_APPLIED, STRATEGIC_GROUPS, annotated, last_applied, three_way
from namewall.kube.request import PatchKind, Query
from namewall.kube.resources import Resource

Object = dict[str, Any]

CLIENT_SIDE_MANAGER = "kubectl-client-side-apply"
SERVER_SIDE_MANAGER = "kubectl"
ATTEMPTS = 5
"""How often a patch is computed again when the object changed meanwhile (409), as kubectl."""

_CONFLICT_HINT = """\
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"""


@click.command("apply", cls=KubectlCommand)
@connection_options
@click.option(
    "-f", "--filename", multiple=True, metavar="FILE", help="A file, a folder, or - for standard input."
)
@click.option("-R", "--recursive", is_flag=True, help="Folders with all below them.")
@click.option(
    "--dry-run",
    cls=OptionalValue,
    bare="client",
    default="none",
    type=click.Choice(["none", "client", "server"]),
    help="Change nothing; `server` asks the server what it would do.",
)
@click.option("--server-side", is_flag=True, help="Let the server merge (fields have managers).")
@click.option("--force-conflicts", is_flag=True, help="Take fields over from other managers.")
@click.option("--field-manager", default="", metavar="NAME", help="Who manages the fields applied.")
@click.option(
    "--validate",
    cls=OptionalValue,
    bare="strict",
    default="strict",
    type=click.Choice(["strict", "warn", "ignore", "true", "false"]),
    help="What becomes of unknown fields.",
)
@click.option("-o", "--output", default="", metavar="FORMAT", help="name, json, yaml or jsonpath=….")
@click.option("--show-managed-fields", is_flag=True, help="Keep managedFields in json and yaml.")
def apply_command(
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    filename: tuple[str, ...],
    recursive: bool,
    dry_run: str,
    server_side: bool,
    force_conflicts: bool,
    field_manager: str,
    validate: str,
    output: str,
    show_managed_fields: bool,
) -> None:
    """Create or change objects from files, as kubectl does.

    \b
    namewall apply -f policy.yaml
    cat policy.yaml | namewall apply -f -
    """
    if not filename:
        raise Failure("error: must specify one of -f and -k: `-f FILE`, `-f FOLDER` or `-f -`", 2)
    if force_conflicts and not server_side:
        raise Failure("error: --force-conflicts only works with --server-side", 2)
    if dry_run == "client" and server_side:
        raise Failure(
            "error: --dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)",
            2,
        )
    show = printer(output, show_managed_fields=show_managed_fields) if output not in ("", "wide") else None
    validation = {"true": "Strict", "false": "Ignore"}.get(validate, validate.capitalize())
    manager = field_manager or (SERVER_SIDE_MANAGER if server_side else CLIENT_SIDE_MANAGER)
    with Session.open(kubeconfig, context, namespace) as session:
        applier = _Applier(session, dry_run, manager, validation)
        one = applier.server_side if server_side else applier.client_side
        _run(
            session,
            filename,
            recursive,
            validation != "Ignore",
            show,
            dry_run,
            lambda *what: one(*what, force=force_conflicts),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done to an object, and the object after it."""

    verb: str
    object: Object


def _run(
    session: Session,
    filenames: tuple[str, ...],
    recursive: bool,
    validate: bool,
    show: Printer | None,
    dry_run: str,
    one: Callable[[Manifest, Resource, str | None], Outcome],
) -> None:
    problems = Problems()
    seen = False
    printed: list[Object] = []
    work = _located(session, filenames, recursive, validate, problems)
    for manifest, resource, namespace in work:
        seen = True
        try:
            outcome = one(manifest, resource, namespace)
        except _Problem as problem:
            problems.add(problem.error, problem.doing)
            continue
        if show is None:
            suffix = {"server": " (server dry run)", "client": " (dry run)"}.get(dry_run, "")
            click.echo(f"{named(resource, manifest.name)} {outcome.verb}{suffix}")
        else:
            printed.append(outcome.object)
    if show is not None and printed:
        whole = printed[0] if len(printed) == 1 else _list(printed)
        sys.stdout.write(show(whole))
    problems.end()
    if not seen:
        raise Failure("error: no objects passed to apply")


def _located(
    session: Session, filenames: tuple[str, ...], recursive: bool, validate: bool, problems: Problems
) -> list[tuple[Manifest, Resource, str | None]]:
    """All objects first, then the work, as kubectl: a broken file is told after the good ones are applied."""
    work: list[tuple[Manifest, Resource, str | None]] = []
    broken = False
    for filename in filenames:
        try:
            for manifest in read((filename,), recursive, validate=validate):
                try:
                    resource, namespace = locate(session, manifest)
                except Failure as failure:
                    problems.add(failure.message)
                    broken = True
                    continue
                work.append((manifest, resource, namespace))
        except Failure as failure:
            problems.add(failure.message)
            broken = True
    if broken and not work:
        problems.end()
    return work


def _list(items: list[Object]) -> Object:
    return {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {}}


class _Problem(Exception):
    """What went wrong with one object, and while doing what."""

    def __init__(self, error: ApiError | str, doing: str = "") -> None:
        super().__init__(str(error))
        self.error = error
        self.doing = doing


class _Applier:
    def __init__(self, session: Session, dry_run: str, manager: str, validation: str) -> None:
        self._client = session.client
        self._dry_run = dry_run
        self._manager = manager
        self._query: Query = (("fieldManager", manager), ("fieldValidation", validation))
        if dry_run == "server":
            self._query = (("dryRun", "All"), *self._query)

    def client_side(
        self, manifest: Manifest, resource: Resource, namespace: str | None, *, force: bool
    ) -> Outcome:
        wanted = annotated(_placed(manifest.object, namespace))
        source = f'"{manifest.source}"'
        where = _where(manifest, resource, namespace)
        looking = f"error when retrieving current configuration of:\n{where}\nfrom server for: {source}"
        if not manifest.name:
            raise _Problem(f"error: {looking}: resource name may not be empty")
        try:
            live = self._client.send(requests.get(resource, namespace, manifest.name))
        except ApiError as error:
            if error.reason != "NotFound":
                raise _Problem(error, looking) from error
            if self._dry_run == "client":
                return Outcome("created", wanted)
            try:
                made = self._client.send(requests.create(resource, namespace, wanted, query=self._query))
            except ApiError as refused:
                raise _Problem(refused, f"error when creating {source}") from refused
            return Outcome("created", made)
        return self._patch(manifest, resource, namespace, wanted, live)

    def _patch(
        self, manifest: Manifest, resource: Resource, namespace: str | None, wanted: Object, live: Object
    ) -> Outcome:
        strategic = resource.group in STRATEGIC_GROUPS
        kind: PatchKind = "strategic" if strategic else "merge"
        for attempt in range(ATTEMPTS + 1):
            original = last_applied(live)
            if original is None and attempt == 0 and self._dry_run != "client":
                _warn_missing_annotation(resource, manifest.name)
            patch = three_way(original, wanted, live, strategic=strategic)
            if self._dry_run == "client":
                return Outcome("configured", live)  # kubectl does not look whether it would change
            if not patch:
                return Outcome("unchanged", live)
            if "resourceVersion" in (manifest.object.get("metadata") or {}):
                patch.setdefault("metadata", {})["resourceVersion"] = live["metadata"]["resourceVersion"]
            try:
                asked = requests.patch(
                    resource, namespace, manifest.name, patch, kind=kind, query=self._query
                )
                return Outcome("configured", self._client.send(asked))
            except ApiError as error:
                if error.reason != "Conflict" or attempt == ATTEMPTS:
                    raise _Problem(error, _patching(manifest, resource, namespace, patch)) from error
                time.sleep(0.1 * attempt)
                live = self._client.send(requests.get(resource, namespace, manifest.name))
        raise AssertionError("the last attempt returns or raises")

    def server_side(
        self, manifest: Manifest, resource: Resource, namespace: str | None, *, force: bool
    ) -> Outcome:
        wanted = _placed(manifest.object, namespace)
        if not manifest.name:
            raise _Problem("error: metadata.name is required to apply an object server-side")
        try:
            applied = self._client.send(
                requests.patch(
                    resource, namespace, manifest.name, wanted, kind="apply", force=force, query=self._query
                )
            )
        except ApiError as error:
            if error.reason == "Conflict":
                raise _Problem(f"error: {error.message}\n{_CONFLICT_HINT}") from error
            raise _Problem(error) from error
        return Outcome("serverside-applied", applied)


def _placed(obj: Object, namespace: str | None) -> Object:
    if namespace is None:
        return obj
    return {**obj, "metadata": {**(obj.get("metadata") or {}), "namespace": namespace}}


def _warn_missing_annotation(resource: Resource, name: str) -> None:
    sys.stdout.flush()
    click.echo(
        f"Warning: resource {resource.plural}/{name} is missing the {LAST_APPLIED} annotation which is required "
        "by kubectl apply. kubectl apply should only be used on resources created declaratively by either "
        "kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
        err=True,
    )


def _where(manifest: Manifest, resource: Resource, namespace: str | None) -> str:
    group_version = f"{resource.group}/{resource.version}"
    return (
        f'Resource: "{group_version}, Resource={resource.plural}", '
        f'GroupVersionKind: "{group_version}, Kind={resource.kind}"\n'
        f'Name: "{manifest.name}", Namespace: "{namespace or ""}"'
    )


def _patching(manifest: Manifest, resource: Resource, namespace: str | None, patch: Object) -> str:
    return (
        f"error when applying patch:\n{go_json(patch)}\nto:\n{_where(manifest, resource, namespace)}\n"
        f'for: "{manifest.source}": error when patching "{manifest.source}"'
    )
