"""The lab's world, running: `python -m lab.world start|stop`, or `with running(world, instance):`.

One process inside the world's namespace serves DNS and HTTPS on all its addresses. It is known by pid and
start time in `world.json` below the instance's root, so that `stop` needs nothing but the
instance. `stop` is idempotent, and a start that fails takes away what it had made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab import dns, netns, web
from lab.host import Process, environment
from lab.names import BOTH, World, page_world, random_world
from namewall.model.instance import Instance

_REPOSITORY = Path(__file__).resolve().parent.parent


def namespace(instance: Instance) -> str:
    """The name of the world's namespace and of the host's end of the cable."""
    return f"{instance.link_prefix}world"


def start(world: World, instance: Instance) -> Process:
    """Returns when every server listens. Raises RuntimeError with the reason where that cannot be."""
    name, directory = namespace(instance), _directory(instance)
    if netns.exists(name):
        raise RuntimeError(f"a world runs already in the namespace {name}; stop it first")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    (directory / "world.pickle").write_bytes(pickle.dumps(world))
    try:
        netns.create(name, world)
        return _serve_apart(name, directory)
    except BaseException:
        stop(instance)
        raise


def stop(instance: Instance) -> None:
    directory = _directory(instance)
    with suppress(OSError, ValueError, KeyError):
        known = json.loads((directory / "world.json").read_text())
        Process(known["pid"], known["startTime"]).end()
    netns.remove(namespace(instance))
    for file in directory.glob("*"):
        file.unlink()
    with suppress(OSError):
        directory.rmdir()


@contextmanager
def running(world: World, instance: Instance) -> Iterator[World]:
    start(world, instance)
    try:
        yield world
    finally:
        stop(instance)


def _directory(instance: Instance) -> Path:
    """Not in the run directory: `namewall down` removes that."""
    return Path(f"{instance.root}/world" if instance.root else "/run/namewall-world")


def _serve_apart(name: str, directory: Path) -> Process:
    """`ip netns exec` execs, so the pid is the server's own. It writes `ready` when it listens."""
    ready, wrote = os.pipe()
    with open(directory / "world.log", "wb") as log:
        child = subprocess.Popen(
            [
                "ip",
                "netns",
                "exec",
                name,
                sys.executable,
                "-m",
                "lab.world",
                "serve",
                str(directory),
                str(wrote),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=_REPOSITORY,
            env=environment(PYTHONPATH=str(_REPOSITORY / "src")),
            pass_fds=(wrote,),
            start_new_session=True,
        )
    os.close(wrote)
    process = Process.of(child.pid)
    child.returncode = 0  # it is known by pid file from here on; Popen must not warn that it still runs
    (directory / "world.json").write_text(json.dumps({"pid": process.pid, "startTime": process.start_time}))
    with os.fdopen(ready, "rb") as pipe:
        if pipe.read() != b"ready":  # empty when the server died: its end of the pipe closed
            words = (directory / "world.log").read_text(errors="replace").strip().splitlines()
            raise RuntimeError(f"the world's servers did not start: {words[-1] if words else 'no words'}")
    return process


async def _serve(directory: Path, ready: int) -> None:
    world: World = pickle.loads((directory / "world.pickle").read_bytes())
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await dns.serve(world)
    serving = asyncio.create_task(web.serve(world, directory, stopped))
    while not serving.done() and not await _listens(world):
        await asyncio.sleep(0.01)
    if not serving.done():
        os.write(ready, b"ready")
    os.close(ready)
    await serving


async def _listens(world: World) -> bool:
    """Whether the last address the web server binds answers."""
    address = str([a for site in world.sites for a in site.addresses][-1])
    try:
        _, writer = await asyncio.open_connection(address, world.port)
    except OSError:
        return False
    writer.close()
    return True


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(_serve(Path(sys.argv[2]), int(sys.argv[3])))
        return
    parser = argparse.ArgumentParser(prog="python -m lab.world", description=__doc__)
    parser.add_argument("verb", choices=("start", "stop"))
    parser.add_argument(
        "--slot", type=int, help="which share of the documentation ranges (default: a free one)"
    )
    parser.add_argument("--seed", type=int, help="draw names, addresses and port from this seed")
    parser.add_argument("--family", type=int, choices=BOTH, help="only this IP version")
    options = parser.parse_args()
    instance = Instance(os.environ.get("NAMEWALL_ROOT", ""))
    if options.verb == "stop":
        stop(instance)
        return
    families = (options.family,) if options.family else BOTH
    slot = netns.free_slot() if options.slot is None else options.slot
    drawn = page_world(slot, families) if options.seed is None else random_world(options.seed, slot, families)
    try:
        start(drawn, instance)
    except RuntimeError as error:
        sys.exit(f"lab: {error}")
    for site in drawn.sites:
        print(f"{site.name:<32} {site.alias or ' '.join(map(str, site.addresses))}")
    print(f"dns upstream: {drawn.upstream}; https port: {drawn.port}")


if __name__ == "__main__":
    main()
