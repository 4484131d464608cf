"""The other instances that run on this host, known by their daemons: two must not have the same addresses."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence

from namewall.cli.context import cluster_file
from namewall.model.cluster import Cluster, free_ranges, shared_ranges
from namewall.model.instance import Instance
from namewall.model.net import Network

Neighbours = Sequence[tuple[Instance, Cluster]]

_COMMANDS = (b"-m\0namewall\0apiserver\0", b"-m\0namewall\0agent\0", b"-m\0namewall.runtime.monitor\0")
_ROOT = b"NAMEWALL_ROOT="


def others(here: Instance, proc: str = "/proc") -> list[tuple[Instance, Cluster]]:
    """Those with a daemon alive, and what their last `up` chose."""
    roots = {os.fsdecode(root) for pid in os.listdir(proc) if (root := _root_of(f"{proc}/{pid}")) is not None}
    found = ((Instance(root), _cluster(Instance(root))) for root in sorted(roots - {here.root}))
    return [(instance, cluster) for instance, cluster in found if cluster is not None]


def _root_of(process: str) -> bytes | None:
    """$NAMEWALL_ROOT of a process that is a daemon of ours, None of any other."""
    try:
        with open(f"{process}/cmdline", "rb") as file:
            words = file.read()
        if not any(command in words for command in _COMMANDS):
            return None
        with open(f"{process}/environ", "rb") as file:
            given = [each for each in file.read().split(b"\0") if each.startswith(_ROOT)]
    except OSError:
        return None
    return given[0].removeprefix(_ROOT) if given else b""


def _cluster(instance: Instance) -> Cluster | None:
    try:
        with open(cluster_file(instance), encoding="utf-8") as file:
            return Cluster.from_dict(json.load(file))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def shared_problem(
    cluster: Cluster, neighbours: Neighbours, taken: Iterable[Network], *, stored: bool
) -> list[str]:
    """A sentence for each neighbour whose ranges ours overlap, with what to do. `taken` are the host's other ranges;
    `stored`: ours cannot be changed, since objects have addresses of them."""
    theirs = [each for _, other in neighbours for each in (*other.pod_cidrs, *other.service_cidrs)]
    taken = [*taken, *theirs]
    problems = []
    for instance, other in neighbours:
        shared = shared_ranges(cluster, other)
        if not shared:
            continue
        ranges = [f"{','.join(map(str, networks))} ({option})" for option, networks in shared.items()]
        if stored:
            cure = "`namewall down` that one, or `namewall down --purge` this one, which erases its objects"
        else:
            free = free_ranges(cluster, list(shared), taken)
            cure = "give others, as " + " ".join(f"{option} {text}" for option, text in free.items())
        verb = "overlaps" if sum(map(len, shared.values())) == 1 else "overlap"
        problems.append(f"{' and '.join(ranges)} {verb} the ranges of {_called(instance)}; {cure}")
    return problems


def _called(instance: Instance) -> str:
    return f"the instance with NAMEWALL_ROOT={instance.root}" if instance.root else "the default instance"
