"""`namewall down`: everything that runs ends, and what was made in the kernel goes.

The objects stay stored, so that the next `up` brings the same cluster back; `--purge` erases them too. Every
step is idempotent and none stops the ones after it: what cannot be removed is named, and the exit code is 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable

import click

from namewall.cli import processes
from namewall.cli.context import fail, instance, need_root, only_one
from namewall.model.instance import Instance


@click.command("down")
@click.option("--purge", is_flag=True, help="Erase the stored objects and credentials too.")
def down_command(purge: bool) -> None:
    """Stop everything and leave nothing behind but the stored objects."""
    need_root("namewall down")
    here = instance()
    with only_one(here):
        problems = tear_down(here)
    if purge:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(here.state_dir)
    if problems:
        fail("\nnamewall: ".join(problems))


def tear_down(here: Instance) -> list[str]:
    """Remove all that `up` and its daemons made; what could not be removed, a sentence each."""
    from namewall.datapath.kernel import KernelDatapath
    from namewall.datapath.nat import Nat
    from namewall.runtime.host import restore_host
    from namewall.runtime.pods import PodRuntime

    steps: list[tuple[str, Callable[[], object]]] = [
        # The `up` that watches would start again what is stopped. It ends by itself, since it is noted no longer.
        ("the watch", lambda: processes.forget(here, processes.WATCHER)),
        # The agent first: it would bring back what is taken away. The monitor last of the daemons: it reaps.
        ("the agent", lambda: processes.stop(here, "agent")),
        ("the editor", lambda: processes.stop(here, processes.EDITOR)),
        ("the API server", lambda: processes.stop(here, "apiserver")),
        ("the pods", lambda: asyncio.run(PodRuntime(here).remove_all())),
        ("the monitor", lambda: processes.stop(here, "monitor")),
        ("the BPF programs and maps", lambda: KernelDatapath(here).unload()),
        ("the nft table", lambda: Nat(here).remove()),
        ("the host's settings", lambda: restore_host(here)),
        ("the run directory", lambda: _remove_run_dir(here)),
    ]
    problems = []
    for what, step in steps:
        try:
            step()
        except Exception as error:
            problems.append(f"could not remove {what}: {error}")
    return problems


def _remove_run_dir(here: Instance) -> None:
    if os.path.isdir(here.run_dir):
        shutil.rmtree(here.run_dir)
