"""Reads the node's tables for the verbs: from the pins, so that they work while the agent is dead.

What only the agent knows for sure (names learned this second) is asked of it where it answers, and read from what
it left behind where it does not.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

from namewall.cli.context import fail
from namewall.datapath.reading import Pins
from namewall.model.errors import Cannot
from namewall.model.instance import Instance
from namewall.state.tables import KnownName


@contextmanager
def pins(here: Instance) -> Iterator[Pins]:
    """Ends the program with a sentence where there are none."""
    if os.geteuid() != 0:
        fail("reading the kernel's tables needs root; run it with sudo")
    try:
        opened = Pins(here)
    except Cannot as error:
        fail(str(error))
    with opened:
        yield opened


def pod_names(here: Instance) -> dict[int, str]:
    """Endpoint id → `ns/pod`, as the sandboxes on disk say."""
    from namewall.runtime import places, records

    found = {}
    for uid in records.pod_uids(here.run_dir):
        sandbox = records.read(f"{places.pod(here.run_dir, uid)}/sandbox.json")
        if sandbox and {"id", "namespace", "name"} <= sandbox.keys():
            found[int(sandbox["id"])] = f"{sandbox['namespace']}/{sandbox['name']}"
    return found


def known_names(here: Instance) -> list[KnownName]:
    """What the agent last wrote down; a few seconds old while it lives."""
    try:
        with open(f"{here.run_dir}/names.json", encoding="utf-8") as file:
            rows: list[list[Any]] = json.load(file)
        return [
            KnownName(int(scope), str(name), ip_address(str(address)), float(deadline))
            for scope, name, address, deadline in rows
        ]
    except (OSError, ValueError, TypeError):
        return []


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def say_dead(error: Exception) -> None:
    """Words on stderr when what is shown is what the agent left behind."""
    import click

    click.echo(f"namewall: {error}; showing what the kernel and the disk say", err=True)
