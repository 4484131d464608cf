"""Which pod and container are meant by the words of `exec` and `logs`."""

from __future__ import annotations

from typing import Any

import click

from namewall.cli.kubectl import Failure, Session
from namewall.kube import request as requests
from namewall.kube.errors import ApiError
from namewall.kube.resources import NAMESPACES, PODS, Resource

Object = dict[str, Any]
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def named_pod(session: Session, word: str) -> Object:
    """Of `POD` or `TYPE/NAME`, as kubectl finds it."""
    kind, slash, name = word.partition("/")
    resource = session.resource(kind) if slash else PODS
    name = name if slash else kind
    try:
        obj = session.client.send(requests.get(resource, session.scope(resource), name))
    except ApiError as error:
        if error.reason == "NotFound":
            # As kubectl: where even the namespace is missing, that is what is told.
            session.client.send(requests.get(NAMESPACES, None, session.namespace))
        raise
    return obj if resource == PODS else _pod_of(session, resource, obj)


def _pod_of(session: Session, resource: Resource, owner: Object) -> Object:
    """A pod that the object selects, a running one if there is one."""
    selector = (owner.get("spec") or {}).get("selector") or {}
    labels = selector.get("matchLabels", {}) if "matchLabels" in selector else selector
    if not labels or not all(isinstance(value, str) for value in labels.values()):
        raise Failure(f"error: cannot find a pod of {resource.qualified}/{owner['metadata']['name']}")
    asked = requests.list_(
        PODS, session.namespace, label_selector=",".join(f"{key}={value}" for key, value in labels.items())
    )
    pods = session.client.send(asked).get("items") or []
    pods.sort(key=lambda pod: (pod.get("status") or {}).get("phase") != "Running")
    if not pods:
        raise Failure(f"error: {resource.qualified}/{owner['metadata']['name']} has no pods")
    found: Object = pods[0]
    return found


def default_container(pod: Object, quiet: bool) -> str:
    """The one its annotation names, else the first; which it is, is said where there are several."""
    spec = pod["spec"]
    names = [container["name"] for container in spec["containers"]]
    wanted = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER)
    others = [f"{item['name']} (ephem)" for item in spec.get("ephemeralContainers") or ()]
    others += [f"{item['name']} (init)" for item in spec.get("initContainers") or ()]
    if wanted in names:
        return str(wanted)
    if len(names) + len(others) > 1 and not quiet:
        click.echo(f'Defaulted container "{names[0]}" out of: {", ".join(names + others)}', err=True)
    return str(names[0])
