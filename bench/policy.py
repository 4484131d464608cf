"""`make bench-policy`: the policy core at the size of a large cluster, beside Cilium's engine.

Cilium's figures are of the same kind of machine (2 vCPU, Debian 12) and the same generators (`bench.clusters`);
they are medians of three processes, and so are ours: each size runs in processes of its own, what is quick is
repeated within. Prints a table for each size and one for names; the last line is all of it as JSON.

    parse          JSON text → decode → validate → Policy, all policies
    load           identities, then all policies, into a Resolver
    resolve        the MapStates of local endpoints, every entry made; then 99 more, among them replicas of one app
    add policy     one policy for the app of the first endpoint, until every endpoint's MapState is there again
    add identity   one pod identity in the first endpoint's namespace, likewise. Cilium: ConsumeMapChanges of 100
    learn a name   one DNS answer: what the node remembers, and which classes the name is in. No MapState changes,
                   since grants are by class. Cilium: one FQDN identity, then ConsumeMapChanges of 100
    tables         state.desired for the 100 endpoints, as at every change on a node
    heap, RSS      traced allocations in a process of their own; resident memory at the end
    names          bench/names.py: all patterns of a node as one automaton
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

from bench import clusters, names
from namewall.fqdn.automaton import build, selectors_of
from namewall.model.labels import Labels
from namewall.policy.parse import parse
from namewall.policy.resolver import Resolver
from namewall.policy.rules import Policy, dns_selectors
from namewall.state.desired import EndpointFacts, NodeFacts, PolicyNumbers, desired
from namewall.state.names import NameCache

SIZES = ((1000, 1000), (5000, 10000))
PROCESSES = 3
REPEATS = 25

CILIUM = {
    (1000, 1000): {
        "parse": 83.0,
        "load": 22.2,
        "resolve 1": 0.86,
        "resolve 99 more": 19.0,
        "again, all 100": 18.0,
        "add policy: engine": 0.017,
        "add policy + endpoints": 0.57,
        "add identity: engine": None,
        "add identity + 100 endpoints": 0.088,
        "learn a name": 0.031,
        "heap": 11.1,
        "RSS": 73.0,
        "from scratch": 125.06,
    },
    (5000, 10000): {
        "parse": 561.0,
        "load": 231.0,
        "resolve 1": 19.0,
        "resolve 99 more": 228.0,
        "again, all 100": 132.0,
        "add policy: engine": 0.024,
        "add policy + endpoints": 21.0,
        "add identity: engine": None,
        "add identity + 100 endpoints": 0.22,
        "learn a name": 0.075,
        "heap": 53.1,
        "RSS": 154.0,
        "from scratch": 1039.0,
    },
}
"""Milliseconds and MB of ../shared/research/cilium-baselines.md, section b; load is identities + policies."""

UNITS = {"heap": "MB", "RSS": "MB"}

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Cell:
    name: str
    value: float
    least: float
    most: float
    cilium: float | None

    def row(self) -> str:
        unit = UNITS.get(self.name, "ms")
        spread = f"{self.least:.3g} to {self.most:.3g}"
        beside = f"{self.cilium:g}" if self.cilium is not None else ""
        ratio = f"{self.value / self.cilium:.2f}" if self.cilium else ""
        return f"| {self.name} | {self.value:.3g} {unit} | {spread} | {beside} | {ratio} |"


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds of this one thread's CPU, so that others on the machine count less; and what the work gave."""
    begun = time.process_time()
    result = work()
    return 1000 * (time.process_time() - begun), result


def _parsed(texts: list[str]) -> list[Policy]:
    found = []
    for text in texts:
        policy, problems = parse(json.loads(text))
        assert policy is not None, problems
        found.append(policy)
    return found


def measure(policy_count: int, identity_count: int) -> Figures:
    """One process's figures."""
    texts = [json.dumps(raw) for raw in clusters.policies(policy_count)]
    known = clusters.identities(identity_count)
    local, apart = clusters.endpoints(known), clusters.spread(known)
    figures: Figures = {}

    def load(resolver: Resolver, policies: list[Policy]) -> None:
        resolver.set_identities(known)
        resolver.set_policies(policies)

    figures["parse"], policies = timed(lambda: _parsed(texts))
    resolver = Resolver()
    figures["load"], _ = timed(lambda: load(resolver, policies))
    figures["resolve 1"], first = timed(lambda: resolver.resolve(local[0]))
    figures["entries"] = len(first.entries)

    def resolve(subjects: list[Labels]) -> int:
        return sum(len(resolver.resolve(subject).entries) for subject in subjects)

    figures["resolve 99 more"], _ = timed(lambda: resolve(local[1:]))
    figures["from scratch"] = sum(figures[name] for name in ("parse", "load", "resolve 1", "resolve 99 more"))
    figures |= _again(resolver, policies, local)
    figures |= _add_policies(resolver, local)
    figures |= _add_identities(resolver, local, max(known) + 1)
    figures |= _learn(resolver)
    figures["the node's tables anew"] = _tables(resolver, known, local)
    figures["RSS"] = _resident()
    fresh = Resolver()
    load(fresh, policies)
    resolver = fresh
    figures["resolve 100 that share nothing"], _ = timed(lambda: resolve(apart))
    shared_nothing = _add_identities(resolver, apart, max(known) + 1)
    figures["add identity + 100 that share nothing"] = shared_nothing["add identity + 100 endpoints"]
    return figures


def _again(resolver: Resolver, policies: list[Policy], local: list[Labels]) -> Figures:
    """Everything made for endpoints forgotten, what selectors select too: the most a revision bump can cost."""
    took = []
    for _ in range(3):
        resolver.keep_subjects(())
        took.append(timed(lambda: [resolver.resolve(subject) for subject in local])[0])
    return {"again, all 100": statistics.median(took)}


def _add_policies(resolver: Resolver, local: list[Labels]) -> Figures:
    alone, whole = [], []
    for index in range(REPEATS):
        policy, _ = parse(clusters.extra_policy(index))
        assert policy is not None
        added = timed(lambda policy=policy: resolver.set_policy(policy))[0]  # type: ignore[misc]
        resolved = timed(lambda: [resolver.resolve(subject) for subject in local])[0]
        alone.append(added)
        whole.append(added + resolved)
        resolver.remove_policy(policy.key)
        for subject in local:
            resolver.resolve(subject)
    return {
        "add policy: engine": statistics.median(alone),
        "add policy + endpoints": statistics.median(whole),
    }


def _add_identities(resolver: Resolver, local: list[Labels], number: int) -> Figures:
    alone, whole = [], []
    for index in range(REPEATS):
        labels = clusters.new_identity(f"new{index}")
        before = [resolver.resolve(subject) for subject in local]
        added = timed(lambda n=number + index, have=labels: resolver.add_identity(n, have))[0]  # type: ignore[misc]
        resolved, after = timed(lambda: [resolver.resolve(subject) for subject in local])
        assert any(new is not old for new, old in zip(after, before, strict=True)), "it reaches nobody"
        alone.append(added)
        whole.append(added + resolved)
    for index in range(REPEATS):
        resolver.remove_identity(number + index)
    return {
        "add identity: engine": statistics.median(alone),
        "add identity + 100 endpoints": statistics.median(whole),
    }


def _learn(resolver: Resolver) -> Figures:
    cache, took = NameCache(), []
    automaton = build(selectors_of(resolver.fqdn_selectors, dns_selectors(resolver.policies)))
    for index in range(1000):
        name, address = f"x{index}.svc{4 * (index % 200)}.example.org.", ip_address(0xCB007100 + index % 256)

        def learn(name: str = name, address: Any = address) -> frozenset[str]:
            cache.learn(1, name, (address,), 60.0)
            return automaton.match(name)

        spent, found = timed(learn)
        assert found
        took.append(spent)
    return {"learn a name": statistics.median(took)}


def _tables(resolver: Resolver, known: dict[int, Labels], local: list[Labels]) -> float:
    """What the agent computes at each change, here at one that changes nothing."""
    number_of = {labels: number for number, labels in known.items()}
    endpoints = tuple(
        EndpointFacts(
            id=index,
            scope=index,
            ifname=f"nw{index}",
            ifindex=index,
            mac=bytes(6),
            gateway_mac=bytes(6),
            addresses=(ip_address(0x0A000000 + index),),
            labels=labels,
            identity=number_of[labels],
        )
        for index, labels in enumerate(local, 1)
    )
    facts = NodeFacts(endpoints, (), (), {}, frozenset(), frozenset(), 60)
    numbers = PolicyNumbers()
    desired(facts, resolver, numbers)
    return statistics.median(timed(lambda: desired(facts, resolver, numbers))[0] for _ in range(REPEATS))


def _resident() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def heap(policy_count: int, identity_count: int) -> Figures:
    """MB that identities, policies and 100 resolved endpoints hold."""
    texts = [json.dumps(raw) for raw in clusters.policies(policy_count)]
    known = clusters.identities(identity_count)
    tracemalloc.start()
    resolver = Resolver()
    marks = [0]

    def mark() -> None:
        gc.collect()
        marks.append(tracemalloc.get_traced_memory()[0])

    known = clusters.identities(identity_count)
    resolver.set_identities(known)
    mark()
    resolver.set_policies(_parsed(texts))
    mark()
    for subject in clusters.endpoints(known):
        resolver.resolve(subject)
    mark()
    parts = [(after - before) / 1e6 for before, after in pairwise(marks)]
    return {"heap": marks[-1] / 1e6, **dict(zip(("identities", "policies", "endpoints"), parts, strict=True))}


def _child(what: str, size: tuple[int, int]) -> Figures:
    command = [sys.executable, "-m", "bench.policy", what, *map(str, size)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: Figures = json.loads(lines)
    return found


def _cells(size: tuple[int, int], runs: list[Figures], held: Figures) -> list[Cell]:
    beside = CILIUM[size]
    cells = []
    for name in [*runs[0], "heap"]:
        if name == "entries":
            continue
        values = [held["heap"]] if name == "heap" else [run[name] for run in runs]
        cells.append(Cell(name, statistics.median(values), min(values), max(values), beside.get(name)))
    return cells


def main(arguments: list[str]) -> int:
    if arguments:
        what, policy_count, identity_count = arguments[0], int(arguments[1]), int(arguments[2])
        print(json.dumps((heap if what == "heap" else measure)(policy_count, identity_count)))
        return 0
    result: dict[str, Any] = {"python": sys.version.split()[0]}
    for size in SIZES:
        runs = [_child("measure", size) for _ in range(PROCESSES)]
        held = _child("heap", size)
        cells = _cells(size, runs, held)
        print(f"### {size[0]:,} policies, {size[1]:,} identities\n")
        print("| figure | namewall | least to most | Cilium | ratio |\n|---|---|---|---|---|")
        for cell in cells:
            print(cell.row())
        parts = ", ".join(f"{name} {held[name]:.1f}" for name in ("identities", "policies", "endpoints"))
        print(f"\nHeap: {parts} MB. The first endpoint has {runs[0]['entries']:.0f} map entries.\n")
        result[f"{size[0]}x{size[1]}"] = [asdict(cell) for cell in cells]
    result["names"] = names.main()
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
