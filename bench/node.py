"""What the datapath's benches share: a node in miniature with quick ends, interleaved runs, tables.

The node is that of the datapath's tests (tests/bpf/bpf_lab.py): a workload behind a routed veth in a namespace of
its own, the node's namespace with the real programs, a world. The ends that must be quick are bench/load.c.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bpf_lab import Lab, Pod, ip, sysctl

from namewall.agent.learned import Learner
from namewall.datapath import libbpf
from namewall.datapath.base import Options
from namewall.datapath.kernel import KernelDatapath, check_support
from namewall.state.tables import NodeTables

ROOT = Path(__file__).resolve().parent.parent


SERVER4, SERVER6 = "198.51.100.54", "2001:db8:1::54"
"""The world's quick DNS server; the slow one of the tests has another address."""
FRESH = "2001:db8:c::"
"""A /48 of addresses that all are the world's."""
Result = TypeVar("Result")
STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
CLIENT_CPU, SERVER_CPU = "0", str((os.cpu_count() or 1) - 1)


def cannot() -> str | None:
    """Why no bench can run here."""
    if os.geteuid() != 0:
        return "needs root, since it makes network namespaces and loads BPF programs"
    return "; ".join(check_support()) or None


class Node:
    def __init__(self, root: str, options: Options) -> None:
        self.lab = Lab(root)
        self.lab.datapath = KernelDatapath(self.lab.instance, options)
        self.lab.load()
        self.pod: Pod = self.lab.pod(1)
        self._processes: list[subprocess.Popen[str]] = []
        self._agent: asyncio.AbstractEventLoop | None = None
        self._load = f"{root}/load"
        clang = ["clang", "-O2", "-Wall", "-o", self._load, str(ROOT / "bench/load.c")]
        subprocess.run(clang, check=True)
        world = self.lab.world
        ip(world, f"addr add {SERVER4}/24 dev eth0", f"addr add {SERVER6}/64 dev eth0 nodad")
        ip(world, f"-6 route add local {FRESH}/48 dev lo")
        ip(self.lab.node, f"-6 route add {FRESH}/48 via 2001:db8:1::53")
        sysctl(world, "net.ipv6.conf.all.forwarding", 0)

    @property
    def datapath(self) -> KernelDatapath:
        return self.lab.datapath

    def in_agent(self, work: Callable[[], Result]) -> Result:
        """In the agent's thread, where there is one: a datapath is for one thread."""
        if self._agent is None:
            return work()
        done: concurrent.futures.Future[Result] = concurrent.futures.Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

        self._agent.call_soon_threadsafe(run)
        return done.result(120)

    def apply(self, tables: NodeTables) -> None:
        self.in_agent(lambda: self.lab.apply(tables))

    def pods(self, count: int) -> list[Pod]:
        return [self.lab.pod(number) for number in range(1, count + 1)]

    def command(self, namespace: str, *words: str, cpu: str | None = None) -> list[str]:
        pinned = ["taskset", "-c", cpu] if cpu is not None else []
        return ["nsenter", f"--net=/run/netns/{namespace}", *pinned, *words]

    def attempt(
        self, namespace: str, *words: str, cpu: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        command = self.command(namespace, *words, cpu=cpu)
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)

    def run(self, namespace: str, *words: str, cpu: str | None = None, timeout: float = 60) -> str:
        made = self.attempt(namespace, *words, cpu=cpu, timeout=timeout)
        if made.returncode:
            raise RuntimeError(f"`{' '.join(words)}`: {made.stderr.strip() or made.stdout.strip()}")
        return made.stdout

    def load(self, namespace: str, *words: str, timeout: float = 60) -> str:
        return self.run(namespace, self._load, *words, cpu=CLIENT_CPU, timeout=timeout)

    def start(self, namespace: str, *words: str, cpu: str | None = SERVER_CPU) -> subprocess.Popen[str]:
        made = subprocess.Popen(
            self.command(namespace, *words, cpu=cpu),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(made)
        return made

    def serve(self, *words: str) -> subprocess.Popen[str]:
        """One of bench/load.c's servers, in the world."""
        made = self.start(self.lab.world, self._load, *words)
        time.sleep(0.1)
        if made.poll() is not None:
            raise RuntimeError(f"`{' '.join(words)}`: {made.stderr.read() if made.stderr else ''}")
        return made

    def stop(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()
        self._processes.remove(process)

    def cpu_seconds(self) -> float:
        """Of this process, of what it ran to its end, and of the servers that run: all that a question costs."""
        own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        total = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
        for process in self._processes:
            with open(f"/proc/{process.pid}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0]) / 1e9
        return total

    def program_times(self) -> dict[str, tuple[int, int]]:
        """Runs and nanoseconds of each program so far, where the kernel counts them."""
        opened = self.datapath._loaded()
        found = {}
        for name, fd in opened.programs.items():
            info = libbpf.program_info(fd)
            found[name] = (info.run_cnt, info.run_time_ns)
        return found

    @contextlib.contextmanager
    def timed(self) -> Iterator[dict[str, float]]:
        """Nanoseconds a run of each program meanwhile, with the kernel's own timing on."""
        figures: dict[str, float] = {}
        with stats(True):
            before = self.program_times()
            yield figures
            after = self.program_times()
        for name, (runs, spent) in after.items():
            runs, spent = runs - before[name][0], spent - before[name][1]
            if runs:
                figures[name] = spent / runs

    @contextlib.contextmanager
    def consumer(self, min_ttl: int = 60) -> Iterator[Learner]:
        """The agent's own hearing of events, in a thread."""
        learner = Learner(self.lab.instance, self.datapath, min_ttl)
        loop = asyncio.new_event_loop()
        task = loop.create_task(learner.run())
        failed: list[BaseException] = []

        def hear() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                try:
                    loop.run_until_complete(task)
                except Exception as error:
                    failed.append(error)

        thread = threading.Thread(target=hear)
        thread.start()
        self._agent = loop
        try:
            yield learner
        finally:
            self._agent = None
            loop.call_soon_threadsafe(task.cancel)
            thread.join()
            loop.close()
        if failed:
            raise failed[0]

    def close(self) -> None:
        for process in list(self._processes):
            self.stop(process)
        self.lab.close()


@contextlib.contextmanager
def node(**sizes: int) -> Iterator[Node]:
    root = tempfile.mkdtemp(prefix="nw-", dir="/tmp")
    subprocess.run([sys.executable, ROOT / "scripts/build_bpf.py"], check=True)
    made = None
    try:
        made = Node(root, Options(**sizes))
        yield made
    finally:
        if made is not None:
            made.close()
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def stats(on: bool) -> Iterator[None]:
    """The kernel's timing of programs, which costs each run two looks at the clock."""
    before = STATS.read_text()
    STATS.write_text("1" if on else "0")
    try:
        yield
    finally:
        STATS.write_text(before)


@dataclass(slots=True)
class Series:
    """One measured thing: a value for each round."""

    name: str
    unit: str
    aim: float | None = None
    """The least ratio to the control that is wanted."""
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def ratio(self, control: Series) -> float:
        """The median of the rounds' ratios: a control of the same moment is the fairest."""
        return statistics.median(a / b for a, b in zip(self.values, control.values, strict=True))


def rounds(count: int, cases: Mapping[str, Callable[[], None]]) -> None:
    """All cases, `count` times, each time in another order: what disturbs the machine disturbs all alike."""
    order, dice = list(cases.values()), random.Random(1)
    for turn in range(count):
        dice.shuffle(order)
        for case in order:
            case()
        print(f"round {turn + 1} of {count} done", file=sys.stderr, flush=True)


def print_series(title: str, series: Sequence[Series], control: Series) -> list[dict[str, Any]]:
    print(f"\n{title:<44}{'median':>12}{'lowest':>12}{'highest':>12}  unit {'ratio':>6} {'aim':>6}")
    found = []
    for one in series:
        ratio = one.ratio(control) if one.values and control.values else 0.0
        aim = f"{one.aim:.2f}" if one.aim is not None else ""
        low, high = min(one.values), max(one.values)
        print(
            f"{one.name:<44}{one.median:>12,.1f}{low:>12,.1f}{high:>12,.1f}  {one.unit:<5}{ratio:>6.3f} {aim:>6}"
        )
        found.append(
            {
                "name": one.name,
                "unit": one.unit,
                "median": round(one.median, 2),
                "low": round(low, 2),
                "high": round(high, 2),
                "ratio": round(ratio, 4),
                "aim": one.aim,
                "runs": len(one.values),
            }
        )
    return found


def print_json(bench: str, **figures: Any) -> None:
    print(json.dumps({"bench": bench, "kernel": os.uname().release, "cpus": os.cpu_count(), **figures}))
