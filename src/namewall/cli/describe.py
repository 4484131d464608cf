"""`namewall describe`: one object or several, with their events, laid out as kubectl lays them out."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from namewall.cli import describe_cluster, describe_network, describe_pods
from namewall.cli.describe_text import Text
from namewall.cli.get import Target, file_targets, targets
from namewall.cli.kubectl import Failure, KubectlCommand, Problems, Session, connection_options
from namewall.kube import request as requests
from namewall.kube import resources as types
from namewall.kube.errors import ApiError, KubeError
from namewall.kube.resources import Resource

Object = dict[str, Any]


@click.command("describe", cls=KubectlCommand)
@click.argument("words", nargs=-1, metavar="TYPE [NAME…] | TYPE/NAME…")
@connection_options
@click.option("-A", "--all-namespaces", is_flag=True, help="Objects of all namespaces.")
@click.option("-l", "--selector", default="", metavar="SELECTOR", help="Only objects with these labels.")
@click.option("-f", "--filename", multiple=True, metavar="FILE", help="The objects this manifest names.")
@click.option("-R", "--recursive", is_flag=True, help="Folders with all below them.")
@click.option(
    "--show-events", is_flag=True, default=True, help="With events (default); --show-events=false without."
)
def describe_command(
    words: tuple[str, ...],
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    all_namespaces: bool,
    selector: str,
    filename: tuple[str, ...],
    recursive: bool,
    show_events: bool,
) -> None:
    """Show one object and its events, as kubectl does.

    \b
    namewall describe pod backend
    namewall describe cnp
    """
    if not words and not filename:
        raise Failure(
            "error: You must specify the type of resource to describe, for example `namewall describe pods`",
            2,
        )
    with Session.open(kubeconfig, context, namespace) as session:
        wanted = (
            file_targets(session, filename, recursive)
            if filename
            else targets(session, words, all_namespaces)
        )
        if selector and any(target.name for target in wanted):
            raise Failure("error: name cannot be provided when a selector is specified")
        problems = Problems()
        describer = _Describer(session, show_events)
        shown = 0
        for resource, obj, exact in _objects(session, wanted, words, selector, problems):
            text = describer.text(resource, obj)
            # kubectl divides exact matches by two lines, and ends each of the others with one.
            sys.stdout.write(("\n\n" if shown and exact else "") + text + ("" if exact else "\n"))
            shown += 1
        problems.end()
        if not shown:
            where = next((target.namespace for target in wanted), None)
            click.echo(
                f"No resources found in {where} namespace." if where else "No resources found", err=True
            )


def _objects(
    session: Session, wanted: list[Target], words: tuple[str, ...], selector: str, problems: Problems
) -> list[tuple[Resource, Object, bool]]:
    """With whether the object is one asked for, and not only one whose name begins so."""
    found: list[tuple[Resource, Object, bool]] = []
    for target in wanted:
        try:
            if target.name:
                asked = requests.get(target.resource, target.namespace, target.name)
                found.append((target.resource, session.client.send(asked), True))
            else:
                found += [(target.resource, obj, True) for obj in _all(session, target, selector)]
        except ApiError as error:
            beginning = _beginning(session, target) if error.code == 404 and len(words) == 2 else []
            if not beginning:
                problems.add(error)
            found += [(target.resource, obj, False) for obj in beginning]
    return found


def _all(session: Session, target: Target, selector: str = "") -> list[Object]:
    asked = requests.list_(target.resource, target.namespace, label_selector=selector)
    kind = {"apiVersion": target.resource.api_version, "kind": target.resource.kind}
    return [{**kind, **item} for item in session.client.send(asked).get("items") or ()]


def _beginning(session: Session, target: Target) -> list[Object]:
    """`describe pod back` means every pod whose name begins so, where none has that very name."""
    every = _all(session, Target(target.resource, target.namespace))
    return [obj for obj in every if obj["metadata"]["name"].startswith(target.name)]


class _Describer:
    def __init__(self, session: Session, show_events: bool) -> None:
        self._session = session
        self._show_events = show_events

    def text(self, resource: Resource, obj: Object) -> str:
        text, metadata = Text(time.time()), obj["metadata"]
        namespace = metadata.get("namespace")
        if resource == types.NETWORK_POLICIES:
            describe_network.network_policy(text, obj)
            return str(text)
        if resource == types.NAMESPACES:
            name = metadata["name"]
            quotas, limits = (self._maybe(plural, kind, name) for plural, kind in _NAMESPACE_PARTS)
            describe_cluster.namespace(text, obj, quotas, limits)
            return str(text)
        events = self._events(obj) if self._show_events else None
        match resource:
            case types.PODS:
                describe_pods.pod(text, obj, events)
            case types.DEPLOYMENTS:
                selector = _labels(obj["spec"].get("selector") or {})
                owned = self._list(types.REPLICA_SETS, namespace, label_selector=selector)
                describe_pods.deployment(text, obj, events, owned)
            case types.REPLICA_SETS:
                selector = _labels(obj["spec"].get("selector") or {})
                pods = self._list(types.PODS, namespace, label_selector=selector)
                describe_pods.replica_set(text, obj, events, pods)
            case types.SERVICES:
                mine = f"kubernetes.io/service-name={metadata['name']}"
                slices = self._list(types.ENDPOINT_SLICES, namespace, label_selector=mine)
                describe_network.service(text, obj, events, slices)
            case types.ENDPOINTS:
                describe_network.endpoints(text, obj, events)
            case types.ENDPOINT_SLICES:
                describe_network.endpoint_slice(text, obj, events)
            case types.NODES:
                pods = self._list(types.PODS, None, field_selector=f"spec.nodeName={metadata['name']}")
                describe_cluster.node(text, obj, events, pods)
            case types.SERVICE_ACCOUNTS:
                describe_cluster.service_account(text, obj, events)
            case types.CONFIG_MAPS:
                describe_cluster.config_map(text, obj, events)
            case _:
                describe_cluster.anything(text, obj, events)
        return str(text)

    def _events(self, obj: Object) -> list[Object]:
        metadata = obj["metadata"]
        fields = {
            "involvedObject.name": metadata["name"],
            "involvedObject.namespace": metadata.get("namespace", ""),
            "involvedObject.kind": obj.get("kind", ""),
            "involvedObject.uid": metadata.get("uid", ""),
        }
        if obj.get("kind") == "Node":
            fields["involvedObject.uid"] = ""  # the node's agent reports by name, as the kubelet does
        selector = ",".join(f"{key}={value}" for key, value in fields.items() if value)
        return self._list(types.EVENTS, metadata.get("namespace"), field_selector=selector)

    def _list(
        self, resource: Resource, namespace: str | None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Object]:
        """What belongs to the object; what the server refuses is left out, as in kubectl."""
        asked = requests.list_(
            resource, namespace, label_selector=label_selector, field_selector=field_selector
        )
        try:
            return list(self._session.client.send(asked).get("items") or ())
        except ApiError:
            return []

    def _maybe(self, plural: str, kind: str, namespace: str) -> list[Object] | None:
        """None where the server does not have the type."""
        try:
            asked = requests.list_(Resource("", "v1", plural, kind, True), namespace)
            return list(self._session.client.send(asked).get("items") or ())
        except KubeError:
            return None


_NAMESPACE_PARTS = (("resourcequotas", "ResourceQuota"), ("limitranges", "LimitRange"))


def _labels(selector: Object) -> str:
    """A label selector in the query's form."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for item in selector.get("matchExpressions") or ():
        values = ",".join(item.get("values") or ())
        parts.append(
            {
                "In": f"{item['key']} in ({values})",
                "NotIn": f"{item['key']} notin ({values})",
                "Exists": item["key"],
            }.get(item["operator"], f"!{item['key']}")
        )
    return ",".join(parts)
