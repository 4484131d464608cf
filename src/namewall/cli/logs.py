"""`namewall logs`: what a container wrote, with kubectl's arguments."""

from __future__ import annotations

import math
import sys
from typing import Any

import click

from namewall.cli.chosen_pod import default_container, named_pod
from namewall.cli.duration import seconds
from namewall.cli.kubectl import Failure, KubectlCommand, Session, connection_options
from namewall.kube import request as requests
from namewall.kube.request import Request
from namewall.kube.resources import PODS

Object = dict[str, Any]


@click.command("logs", cls=KubectlCommand)
@click.argument("words", nargs=-1, metavar="POD | TYPE/NAME [CONTAINER]")
@connection_options
@click.option("-c", "--container", default="", metavar="NAME", help="Which container of the pod.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("-p", "--previous", is_flag=True, help="Of the container's last run before this one.")
@click.option("--tail", type=int, default=-1, metavar="N", help="Only the last N lines.")
@click.option(
    "--since", default="", metavar="DURATION", help="Only what is newer than this, as 5s, 2m or 3h."
)
@click.option("--since-time", default="", metavar="TIME", help="Only what was written after this (RFC 3339).")
@click.option("--timestamps", is_flag=True, help="Each line with its time.")
@click.option("--limit-bytes", type=int, default=0, metavar="N", help="At most so many bytes.")
def logs_command(
    words: tuple[str, ...],
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    container: str,
    **asked: Any,
) -> None:
    """Print the logs of a container, as kubectl does.

    \b
    namewall logs -f deployment/backend
    """
    if not 1 <= len(words) <= 2:
        raise Failure("error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'", 2)
    if len(words) == 2 and container:
        raise Failure("error: only one of -c or an inline [CONTAINER] arg is allowed", 2)
    container = container or "".join(words[1:])
    query = tuple(_query(**asked))
    with Session.open(kubeconfig, context, namespace) as session:
        pod = named_pod(session, words[0])
        chosen = container or default_container(pod, quiet=False)
        where = requests.path(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], "log")
        for piece in session.client.stream(Request("GET", where, (("container", chosen), *query))):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


def _query(
    *,
    follow: bool,
    previous: bool,
    tail: int,
    since: str,
    since_time: str,
    timestamps: bool,
    limit_bytes: int,
) -> list[tuple[str, str]]:
    """The options of PodLogOptions (core/v1) that are given."""
    if since and since_time:
        raise Failure("error: at most one of `sinceTime` or `sinceSeconds` may be specified", 2)
    if tail < -1:
        raise Failure("error: --tail must be greater than or equal to -1", 2)
    if limit_bytes < 0:
        raise Failure("error: --limit-bytes must be greater than 0", 2)
    flags = {"follow": follow, "previous": previous, "timestamps": timestamps}
    found = [(name, "true") for name, given in flags.items() if given]
    if tail >= 0:
        found.append(("tailLines", str(tail)))
    if since:
        found.append(("sinceSeconds", str(_since(since))))
    if since_time:
        found.append(("sinceTime", since_time))
    if limit_bytes:
        found.append(("limitBytes", str(limit_bytes)))
    return found


def _since(text: str) -> int:
    """Whole seconds, as the server counts, rounded up. Raises Failure."""
    found = seconds(text)
    if not found:
        raise Failure(f'error: invalid argument "{text}" for "--since" flag: write it as 5s, 2m or 1h30m', 2)
    return math.ceil(found)
