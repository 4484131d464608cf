"""A Namewall of the lab's own: instance, address ranges, world and scratch directory, gone without trace
after.

It has its own $NAMEWALL_ROOT and ranges that no route of the host overlaps, so an instance that runs
already is not disturbed. A lab that was killed leaves `lab.json` with its process behind: the next one
clears up after it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from lab import netns, world
from lab.host import Process, environment
from lab.kubectl import NAMEWALL
from lab.names import BOTH, Network, World
from namewall.model.instance import Instance

_PREFIX = "nwlab-"
_TMP = Path("/tmp")


class CannotStart(Exception):
    """`namewall up` said no; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Lab:
    """`root` is $NAMEWALL_ROOT; everything the lab writes lies below it."""

    root: Path
    pods: tuple[Network, ...] = ()
    services: tuple[Network, ...] = ()

    @property
    def instance(self) -> Instance:
        return Instance(str(self.root))

    @property
    def kubeconfig(self) -> Path:
        return Path(self.instance.kubeconfig)

    @property
    def scratch(self) -> Path:
        """Where the page's files lie and its commands are typed."""
        return self.root / "page"

    @property
    def environment(self) -> dict[str, str]:
        """For the commands of a reader: which server, and no cache or preferences of another's."""
        return environment(
            NAMEWALL_ROOT=str(self.root),
            KUBECONFIG=str(self.kubeconfig),
            KUBECACHEDIR=str(self.root / "kube-cache"),
            KUBERC="off",
        )

    def namewall(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [NAMEWALL, *arguments], capture_output=True, text=True, check=False, env=self.environment
        )

    def up(self, *more: str) -> None:
        """Start it, or start again what died of it. Raises CannotStart."""
        pods, services = (",".join(map(str, networks)) for networks in (self.pods, self.services))
        done = self.namewall(
            "up", "--detach", "--listen", "127.0.0.1:0", "--pod-cidr", pods, "--service-cidr", services, *more
        )
        if done.returncode != 0:
            raise CannotStart(done.stderr.strip() or f"`namewall up` ended with exit code {done.returncode}")

    def down(self) -> None:
        """Raises RuntimeError where something would be left behind."""
        done = self.namewall("down", "--purge")
        if done.returncode != 0:
            raise RuntimeError(f"`namewall down` failed: {done.stderr.strip()}")

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.namewall("status", "-o", "json").stdout)
        return document

    def logs(self, lines: int = 15) -> str:
        """The daemons' last words, for a reader who wants to know why."""
        texts = []
        for file in sorted((Path(self.instance.run_dir) / "daemons").glob("*.log")):
            tail = file.read_text(errors="replace").splitlines()[-lines:]
            texts += [f"--- {file.stem}", *tail] if tail else []
        return "\n".join(texts)


@contextmanager
def lab(
    outside: World | None = None,
    *,
    families: tuple[int, ...] | None = None,
    start: bool = True,
    more: tuple[str, ...] = (),
) -> Iterator[Lab]:
    """A lab in `outside` (None: the host's uplink is its world), up unless `start` is False.

    `more` are further options of `namewall up`. Raises CannotStart. Leaves nothing behind, come what may.
    """
    slot = outside.slot if outside else netns.free_slot()
    families = families or (outside.families if outside else BOTH)
    here = Lab(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_TMP)), *_ranges(slot, families))
    me = Process.of(os.getpid())
    (here.root / "lab.json").write_text(json.dumps({"pid": me.pid, "startTime": me.start_time}))
    try:
        if outside:
            world.start(outside, here.instance)
            more = ("--dns-upstream", outside.upstream, *more)
        if start:
            here.up(*more)
        yield here
    except BaseException:
        with suppress(RuntimeError):  # why it failed matters more than that it could not be cleared up
            _remove(here)
        raise
    _remove(here)


def sweep() -> list[Path]:
    """Clear up after labs whose process is dead. Returns their roots."""
    swept = []
    for root in _TMP.glob(f"{_PREFIX}*"):
        if root.stat().st_uid != os.geteuid():
            continue
        with suppress(OSError, ValueError, KeyError):
            known = json.loads((root / "lab.json").read_text())
            if not Process(known["pid"], known["startTime"]).alive:
                _remove(Lab(root))
                swept.append(root)
    return swept


def _remove(here: Lab) -> None:
    """What `down` could not remove keeps its root, so that the next lab can try again."""
    try:
        here.down()
    finally:
        world.stop(here.instance)
    if not _mounts_below(here.root):
        shutil.rmtree(here.root, ignore_errors=True)


def _mounts_below(root: Path) -> list[str]:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [mount for mount in mounts if mount.startswith(f"{root}/")]


def _ranges(slot: int, families: tuple[int, ...]) -> tuple[tuple[Network, ...], tuple[Network, ...]]:
    """Private ranges that no route of the host overlaps; those of two slots never overlap."""
    for number in range(231, 255):
        pods: tuple[Network, ...] = (
            IPv4Network(f"10.{number}.{2 * slot}.0/24"),
            IPv6Network(f"fd4e:5741:{number:x}:{2 * slot:x}::/112"),
        )
        services: tuple[Network, ...] = (
            IPv4Network(f"10.{number}.{2 * slot + 1}.0/24"),
            IPv6Network(f"fd4e:5741:{number:x}:{2 * slot + 1:x}::/112"),
        )
        if not netns.routed((*pods, *services)):
            break
    return (
        tuple(network for network in pods if network.version in families),
        tuple(network for network in services if network.version in families),
    )
