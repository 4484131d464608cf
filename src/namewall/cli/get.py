"""`namewall get`: lists objects with kubectl's arguments and output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from namewall.cli.kubectl import Failure, KubectlCommand, Problems, Session, connection_options
from namewall.cli.output import Printer, printer
from namewall.cli.output_table import Layout, TablePrinter, by, ordered
from namewall.kube import request as requests
from namewall.kube.errors import ApiError
from namewall.kube.request import JSON, TABLE, Request
from namewall.kube.resources import Resource

Object = dict[str, Any]
LIMIT = 500
"""Objects asked for at a time, as kubectl's --chunk-size."""


@dataclass(frozen=True, slots=True)
class Target:
    """One request to make: a collection, or one object of it."""

    resource: Resource
    namespace: str | None
    name: str = ""


@click.command("get", cls=KubectlCommand)
@click.argument("words", nargs=-1, metavar="TYPE[,TYPE…] [NAME…] | TYPE/NAME…")
@connection_options
@click.option("-A", "--all-namespaces", is_flag=True, help="Objects of all namespaces.")
@click.option("-l", "--selector", default="", metavar="SELECTOR", help="Only objects with these labels.")
@click.option(
    "--field-selector", default="", metavar="SELECTOR", help="Only objects with these field values."
)
@click.option("-f", "--filename", multiple=True, metavar="FILE", help="The objects this manifest names.")
@click.option("-R", "--recursive", is_flag=True, help="Folders with all below them.")
@click.option(
    "-o",
    "--output",
    default="",
    metavar="FORMAT",
    help="wide, json, yaml, name, jsonpath=… or custom-columns=….",
)
@click.option("-w", "--watch", is_flag=True, help="Go on with every change.")
@click.option("--watch-only", is_flag=True, help="Only changes, without the list.")
@click.option("--show-labels", is_flag=True, help="Labels as the last column.")
@click.option("-L", "--label-columns", multiple=True, metavar="LABEL", help="A column for this label.")
@click.option("--show-kind", is_flag=True, help="The type before each name.")
@click.option("--no-headers", is_flag=True, help="No line of column names.")
@click.option("--sort-by", default="", metavar="PATH", help="Sort by this JSONPath.")
@click.option("--ignore-not-found", is_flag=True, help="Say nothing and exit 0 for what does not exist.")
@click.option("--show-managed-fields", is_flag=True, help="Keep managedFields in json and yaml.")
@click.option("--raw", default="", metavar="PATH", help="Print what the server answers at this path.")
def get_command(
    words: tuple[str, ...],
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    raw: str,
    filename: tuple[str, ...],
    recursive: bool,
    all_namespaces: bool,
    selector: str,
    field_selector: str,
    output: str,
    watch: bool,
    watch_only: bool,
    show_labels: bool,
    label_columns: tuple[str, ...],
    show_kind: bool,
    no_headers: bool,
    sort_by: str,
    ignore_not_found: bool,
    show_managed_fields: bool,
) -> None:
    """List objects, as kubectl does.

    \b
    namewall get pods -l app=backend -o jsonpath='{.items[0].metadata.name}'
    namewall get cnp,netpol -A
    """
    table = output in ("", "wide")
    show = None if table else printer(output, show_managed_fields=show_managed_fields, headers=not no_headers)
    with Session.open(kubeconfig, context, namespace) as session:
        if raw:
            sys.stdout.buffer.write(session.client.send_raw(Request("GET", raw, (), {"Accept": "*/*"})))
            return
        wanted = (
            file_targets(session, filename, recursive)
            if filename
            else targets(session, words, all_namespaces)
        )
        if selector and any(target.name for target in wanted):
            raise Failure("error: name cannot be provided when a selector is specified")
        several = len({target.resource for target in wanted}) > 1
        layout = Layout(
            wide=output == "wide",
            headers=not no_headers,
            show_labels=show_labels,
            label_columns=tuple(label for entry in label_columns for label in entry.split(",")),
            show_kind=show_kind or several or any(_is_category(word) for word in words[:1]),
        )
        getter = _Getter(session, selector, field_selector, ignore_not_found, all_namespaces)
        if watch or watch_only:
            if len(wanted) > 1:
                raise Failure("error: you may only specify a single resource type")
            getter.watch(wanted[0], layout, show, watch_only)
        elif show is not None:
            getter.print_objects(wanted, show, sort_by)
        else:
            getter.print_tables(wanted, layout, sort_by)


class _Getter:
    def __init__(
        self,
        session: Session,
        selector: str,
        field_selector: str,
        ignore_not_found: bool,
        all_namespaces: bool,
    ) -> None:
        self._session = session
        self._selector = selector
        self._field_selector = field_selector
        self._ignore_not_found = ignore_not_found
        self._all_namespaces = all_namespaces
        self._problems = Problems()

    def print_tables(self, targets: list[Target], layout: Layout, sort_by: str) -> None:
        path = by(sort_by) if sort_by else None
        current: TablePrinter | None = None
        pending: list[Object] = []
        printed = namespaces = False

        def flush() -> None:
            nonlocal printed
            rows = [row for answer in pending for row in answer.get("rows") or ()]
            if current is None or not rows:
                return
            if path is not None:
                rows = ordered([(row.get("object") or {}, row) for row in rows], path)
            if printed:
                click.echo()
            definitions = next(a["columnDefinitions"] for a in pending if a.get("columnDefinitions"))
            _echo_lines(current.lines({"columnDefinitions": definitions, "rows": rows}))
            printed = True

        for target in targets:
            if current is None or current.resource != target.resource:
                flush()
                # As in kubectl, the column stays once a namespaced type had it.
                namespaces = namespaces or (self._all_namespaces and target.resource.namespaced)
                current, pending = TablePrinter(layout, target.resource, namespaces), []
            pending += self._pages(target, TABLE, "Object" if sort_by else "")
        flush()
        self._problems.end()
        if not printed and not self._ignore_not_found:
            # Only where nothing was asked for by name: a name that is missing is an error of its own.
            where = targets[0].namespace if targets else None
            message = f"No resources found in {where} namespace." if where else "No resources found"
            click.echo(message, err=True)

    def print_objects(self, targets: list[Target], show: Printer, sort_by: str) -> None:
        single = len(targets) == 1 and bool(targets[0].name)
        items: list[Object] = []
        for target in targets:
            for page in self._pages(target, JSON, ""):
                if target.name:
                    items.append(page)
                else:
                    kind = {"apiVersion": target.resource.api_version, "kind": target.resource.kind}
                    items += [{**kind, **item} for item in page.get("items") or ()]
        if sort_by:
            items = ordered([(item, item) for item in items], by(sort_by))
        if single and not items:
            self._problems.end()
            return
        whole = items[0] if single else _list(items)
        _echo(show(whole))
        self._problems.end()

    def watch(self, target: Target, layout: Layout, show: Printer | None, only: bool) -> None:
        accept = TABLE if show is None else JSON
        resource = target.resource
        fields = f"metadata.name={target.name}" if target.name else self._field_selector
        table = TablePrinter(layout, resource, self._all_namespaces and resource.namespaced)
        version = ""
        for page in self._pages(target, accept, ""):
            version = str((page.get("metadata") or {}).get("resourceVersion", ""))
            if target.name and show is None:
                rows = page.get("rows") or [{}]
                version = (rows[0].get("object") or {}).get("metadata", {}).get("resourceVersion", version)
            if only:
                continue
            if show is None:
                _echo_lines(table.lines(page))
            else:
                kind = {"apiVersion": resource.api_version, "kind": resource.kind}
                for item in [page] if target.name else page.get("items") or ():
                    _echo(show({**kind, **item}))
        self._problems.end()
        asked = requests.watch(
            resource,
            target.namespace,
            resource_version=version,
            label_selector=self._selector,
            field_selector=fields,
            bookmarks=False,
            accept=accept,
        )
        for event in self._session.client.watch(asked):
            if event.type == "BOOKMARK":
                continue
            if show is None:
                _echo_lines(table.lines(event.object))
            else:
                _echo(show(event.object))

    def _pages(self, target: Target, accept: str, include_object: str) -> Iterator[Object]:
        """The answers for one target; its problem is noted and the rest goes on."""
        continue_ = ""
        try:
            while True:
                if target.name:
                    asked = requests.get(target.resource, target.namespace, target.name, accept=accept)
                    if include_object:
                        query = (("includeObject", include_object),)
                        asked = Request(asked.method, asked.path, query, asked.headers)
                else:
                    asked = requests.list_(
                        target.resource,
                        target.namespace,
                        label_selector=self._selector,
                        field_selector=self._field_selector,
                        limit=0 if include_object else LIMIT,
                        continue_=continue_,
                        accept=accept,
                        include_object=include_object,
                    )
                page = self._session.client.send(asked)
                yield page
                continue_ = (page.get("metadata") or {}).get("continue") or ""
                if target.name or not continue_:
                    return
        except ApiError as error:
            if error.reason == "NotFound" and not error.details.get("name"):
                raise Failure(
                    f'error: the server doesn\'t have a resource type "{target.resource.plural}"'
                ) from error
            if not (error.reason == "NotFound" and self._ignore_not_found):
                self._problems.add(self._explained(error, target))

    def _explained(self, error: ApiError, target: Target) -> ApiError:
        """A list with a selector that the server refuses is told with the selector, as kubectl does."""
        if target.name or error.reason not in ("BadRequest", "NotFound"):
            return error
        if not self._selector and not self._field_selector:
            return error
        resource = target.resource
        message = (
            f'Unable to find "{resource.group}/{resource.version}, Resource={resource.plural}" that match '
            f'label selector "{self._selector}", field selector "{self._field_selector}": {error.message}'
        )
        return ApiError(error.code, error.reason, message, error.details)


def targets(session: Session, words: tuple[str, ...], all_namespaces: bool) -> list[Target]:
    if not words:
        raise Failure(
            "error: Required resource not specified: say which type, for example `namewall get pods`", 2
        )
    if any("/" in word for word in words):
        return [_slashed(session, word, all_namespaces) for word in words]
    if len(words) > 1 and all_namespaces:
        raise Failure("error: a resource cannot be retrieved by name across all namespaces")
    found = []
    for resource in session.resources(words[0]):
        scope = session.scope(resource, all_namespaces)
        found += [Target(resource, scope, name) for name in words[1:] or ("",)]
    return found


def _slashed(session: Session, word: str, all_namespaces: bool) -> Target:
    kind, slash, name = word.partition("/")
    if not slash:
        raise Failure(
            "error: there is no need to specify a resource type as a separate argument when passing "
            "arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of "
            "'kubectl get resource resource/<resource_name>'"
        )
    if not kind or not name or "/" in name:
        raise Failure("error: arguments in resource/name form must have a single resource and name")
    if all_namespaces:
        raise Failure("error: a resource cannot be retrieved by name across all namespaces")
    resource = session.resource(kind)
    return Target(resource, session.scope(resource), name)


def file_targets(session: Session, filenames: tuple[str, ...], recursive: bool) -> list[Target]:
    from namewall.cli.files import locate, read

    found = []
    for manifest in read(filenames, recursive):
        resource, namespace = locate(session, manifest)
        found.append(Target(resource, namespace, manifest.name))
    return found


def _is_category(word: str) -> bool:
    from namewall.cli.kubectl import CATEGORIES

    return word in CATEGORIES


def _list(items: list[Object]) -> Object:
    return {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}


def _echo(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _echo_lines(lines: list[str]) -> None:
    if lines:
        _echo("".join(f"{line}\n" for line in lines))
