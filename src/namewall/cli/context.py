"""What every command of ours that steers the node needs: the instance, its cluster document, one way to fail."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

import click

from namewall.model.cluster import Cluster
from namewall.model.instance import Instance

CANNOT = 3
WRONG_USAGE = 2


def instance() -> Instance:
    """The instance of `$NAMEWALL_ROOT`; the default one where it is unset or empty."""
    root = os.environ.get("NAMEWALL_ROOT", "")
    return Instance(os.path.realpath(root) if root else "")


def fail(message: str, code: int = CANNOT) -> NoReturn:
    """End with one sentence on stderr."""
    click.echo(f"namewall: {message}", err=True)
    sys.exit(code)


def need_root(verb: str) -> None:
    if os.geteuid() != 0:
        fail(
            f"`{verb}` needs root, since it loads BPF programs and makes network namespaces; run it with sudo"
        )


@contextlib.contextmanager
def if_alone(here: Instance) -> Iterator[bool]:
    """While `up` starts something or `down` stops it, no other may. Whether nobody else does."""
    os.makedirs(here.run_dir, mode=0o700, exist_ok=True)
    with open(f"{here.run_dir}/up.lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextlib.contextmanager
def only_one(here: Instance) -> Iterator[None]:
    """As `if_alone`, and ends where somebody else does."""
    with if_alone(here) as alone:
        if not alone:
            fail("another `namewall up` or `down` of this instance is at work; wait for it")
        yield


def cluster_file(instance: Instance) -> str:
    return f"{instance.state_dir}/cluster.json"


def load_cluster(instance: Instance) -> Cluster | None:
    """The cluster of the last `up`, None where there never was one."""
    try:
        with open(cluster_file(instance), encoding="utf-8") as file:
            return Cluster.from_dict(json.load(file))
    except FileNotFoundError:
        return None
    except PermissionError:
        fail(f"may not read `{cluster_file(instance)}`: it is root's; run it with sudo")
    except (ValueError, KeyError, TypeError) as error:
        fail(
            f"{cluster_file(instance)} is damaged ({error}); remove it and run `namewall up` with the options wanted"
        )


def save_cluster(instance: Instance, cluster: Cluster) -> None:
    path = cluster_file(instance)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(cluster.to_dict(), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)
