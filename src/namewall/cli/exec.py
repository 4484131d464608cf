"""`namewall exec`: runs a command in a pod with kubectl's arguments; ends with the command's exit code."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from namewall.cli.chosen_pod import default_container, named_pod
from namewall.cli.kubectl import Failure, KubectlCommand, Session, connection_options, error_text
from namewall.kube import request as requests
from namewall.kube.errors import ApiError
from namewall.kube.request import Request
from namewall.kube.resources import PODS

Object = dict[str, Any]
COULD_NOT_START = 125


@click.command("exec", cls=KubectlCommand, context_settings={"allow_interspersed_args": True})
@click.argument("words", nargs=-1, metavar="POD | TYPE/NAME -- COMMAND…")
@connection_options
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Standard input is a terminal; give the command one.")
@click.option("-c", "--container", default="", metavar="NAME", help="Which container of the pod.")
@click.option("-q", "--quiet", is_flag=True, help="Only the command's own output.")
@click.pass_context
def exec_command(
    ctx: click.Context,
    words: tuple[str, ...],
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    stdin: bool,
    tty: bool,
    container: str,
    quiet: bool,
) -> None:
    """Run a command in a pod, as kubectl does.

    \b
    namewall exec -ti backend-7d4b9 -- curl -I https://kubernetes.io

    Exit code: the command's own; 125 where it could not be started.
    """
    command: list[str] = ctx.meta["after_dash"] or []
    if not words:
        raise Failure("error: pod or type/name must be specified", 2)
    if len(words) > 1:
        raise Failure(
            "error: exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead", 2
        )
    if not command:
        raise Failure("error: you must specify at least one command for the container", 2)
    with Session.open(kubeconfig, context, namespace) as session:
        pod = named_pod(session, words[0])
        phase = (pod.get("status") or {}).get("phase")
        if phase in ("Succeeded", "Failed"):
            raise Failure(f"error: cannot exec into a container in a completed pod; current phase is {phase}")
        container = container or default_container(pod, quiet)
        tty = tty and stdin
        if tty and not os.isatty(sys.stdin.fileno()):
            tty = False
            if not quiet:
                click.echo(
                    "Unable to use a TTY - input is not a terminal or the right kind of file", err=True
                )
        from namewall.cli import exec_stream

        asked = request(pod["metadata"], container, command, stdin=stdin, tty=tty)
        try:
            code, message = exec_stream.run(session.client, asked, exec_stream.Streams(stdin, tty))
        except ApiError as error:
            raise Failure(error_text(error), COULD_NOT_START) from error
    if message:
        click.echo(message, err=True)
    _leave(code)


def request(metadata: Object, container: str, command: list[str], *, stdin: bool, tty: bool) -> Request:
    """The upgrade request; only what is true is said, and a terminal has no stderr of its own. Pure."""
    query = [("command", word) for word in command] + [("container", container)]
    query += [("stdin", "true")] if stdin else []
    query += [("stdout", "true")]
    query += [("tty", "true")] if tty else [("stderr", "true")]
    path = requests.path(PODS, metadata["namespace"], metadata["name"], "exec")
    return Request("GET", path, tuple(query))


def _leave(code: int) -> None:
    """At once: a thread may still wait for a key, and nothing is left to be flushed but this."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
