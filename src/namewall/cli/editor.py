"""`namewall editor`: the policy editor in a browser, for files and, where there is one, for the running cluster."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from namewall.cli.context import CANNOT, WRONG_USAGE, cluster_file, fail, instance, load_cluster
from namewall.cli.editor_daemon import PORT, Address
from namewall.cli.inputs import texts
from namewall.model.instance import Instance
from namewall.review.complaints import clean

if TYPE_CHECKING:
    from namewall.editor.live import Live

MOST = 4 * 1024 * 1024
"""Bytes of all files: what one request may hold."""


@click.command("editor")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes any free one."
)
@click.option("--kubeconfig", metavar="FILE", help="The cluster to show. [$KUBECONFIG, or Namewall's own]")
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
def editor_command(files: tuple[str, ...], port: int, kubeconfig: str | None, no_open: bool) -> None:
    """Edit policies in a browser: FILEs, folders or `-`, read when it starts. Needs neither root nor a cluster.

    Serves on this machine alone, until Ctrl-C.
    """
    import secrets

    from namewall.editor.app import Settings
    from namewall.editor.main import listen, serve
    from namewall.model.errors import Cannot

    given = _read(files)
    cluster = _cluster(kubeconfig)
    token = secrets.token_urlsafe(32)
    try:
        listener = listen(port)
    except Cannot as error:
        fail(str(error), CANNOT)
    number = listener.getsockname()[1]
    address = Address(number, token).url

    def started() -> None:
        print(address, flush=True)
        if not no_open:
            _browse(address)

    with contextlib.suppress(KeyboardInterrupt):
        serve(listener, Settings(number, token, given, cluster), started)


def _cluster(kubeconfig: str | None) -> Callable[[], Live] | None:
    """What connects to the cluster of a kubeconfig, or of $KUBECONFIG, or of this instance; None where none is."""
    here = instance()
    chosen = [path for path in os.environ.get("KUBECONFIG", "").split(":") if os.path.exists(path)]
    path = kubeconfig or next(iter(chosen), here.kubeconfig)
    if kubeconfig is None and not os.access(path, os.R_OK):
        return None
    if kubeconfig is not None:
        from namewall.kube.config import KubeConfig
        from namewall.kube.errors import ConfigError

        try:
            KubeConfig.load(kubeconfig)
        except ConfigError as error:
            fail(f"--kubeconfig: {error}", WRONG_USAGE)
    return connection(here, path)


def connection(here: Instance, path: str) -> Callable[[], Live]:
    """Connects when it is first called. The agent is asked where the kubeconfig is this instance's."""

    def opened() -> Live:
        from namewall.editor.live import Live
        from namewall.kube.config import KubeConfig

        own = os.path.realpath(path) == os.path.realpath(here.kubeconfig)
        cluster = load_cluster(here) if own and os.access(cluster_file(here), os.R_OK) else None
        strict = cluster is not None and cluster.strict_dns_rules
        return Live(KubeConfig.load(path), f"{here.run_dir}/agent.sock" if own else None, strict)

    return opened


def _read(files: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = []
    for source, content in texts(files):
        try:
            found.append((source, content.decode()))
        except UnicodeDecodeError:
            fail(f"{clean(source)} is no UTF-8", WRONG_USAGE)
    if sum(len(text) for _, text in found) > MOST:
        fail(f"the files are larger than {MOST >> 20} MB together; name fewer", WRONG_USAGE)
    return tuple(found)


def _browse(address: str) -> None:
    """Through a file that only we may read: arguments of a process are seen by everybody on the machine."""
    import html
    import tempfile
    import webbrowser

    graphic = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not graphic or os.geteuid() == 0 or not sys.stdout.isatty():
        return
    with tempfile.NamedTemporaryFile("w", prefix="namewall-", suffix=".html", delete=False) as file:
        file.write(f'<meta http-equiv="refresh" content="0;url={html.escape(address)}">')
    webbrowser.open(f"file://{file.name}")
