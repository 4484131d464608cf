"""`make bench-churn`: names whose addresses never stay, and floods of names.

  churn      an authoritative server gives eight addresses never seen before in each answer, TTL 1 to 5 s; a workload
             asks and connects at once to one of them. Wanted: no first packet is denied, whatever the quota of
             grants. `direct` is the same without programs: what the machine itself loses
  flood      one workload asks for as many names as there are under one wildcard, while another resolves and connects
             as ever. Wanted: kernel memory flat once the quota is reached, nothing of the other's denied
  names      10,000 patterns from nothing to the kernel, and one pattern more

The last line is one JSON object. `--long` is the issue's size: 100,000 lookups, a million names.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

from bpf_lab import RESOLVER4, TCP, UDP, WORLD4, Pod, allow, egress, names, tables

from bench.node import SERVER4, SERVER6, Node, cannot, node, print_json
from namewall.policy.map_state import FqdnPeer, MapState
from namewall.state.tables import NodeTables

PATTERNS, TCP_PORT = 10_000, "8443"
CHURN = "*.churn.example.com."


class Other(threading.Thread):
    """A workload that goes about its business: a lookup and a connection every 20 ms."""

    def __init__(self, made: Node, pod: Pod) -> None:
        super().__init__()
        self._pod = pod
        self._ended = threading.Event()
        self.tries = self.failures = 0
        made.lab.server.zone[("steady.example.org.", "A")] = [WORLD4[3]]

    def run(self) -> None:
        while not self._ended.wait(0.02):
            self.tries += 1
            answer = self._pod.ask("steady.example.org", server=RESOLVER4, timeout=1)
            if answer is None or not answer.answer or not self._pod.connects(WORLD4[3], timeout=1):
                self.failures += 1

    def end(self) -> None:
        self._ended.set()
        self.join()


def drops(made: Node) -> int:
    """Packets that our programs dropped so far."""
    return sum(made.in_agent(made.datapath.drops).values())


def churn(made: Node, lookups: int) -> list[dict[str, Any]]:
    rows = []
    processes = [made.serve("fresh", SERVER6, "53", "2001:db8:c::"), made.serve("accept", "::", TCP_PORT)]
    print(
        f"\n{'churn':<34}{'lookups':>10}{'connected':>10}{'denied':>8}{'unanswered':>11}{'dropped':>8}{'seconds':>9}"
    )
    for state in ("direct", "policy"):
        made.apply(NodeTables())
        before = drops(made)
        if state == "policy":
            policy = egress(
                allow(protocol=UDP, port=53, dns=frozenset({CHURN})),
                allow(FqdnPeer(CHURN), TCP, int(TCP_PORT)),
            )
            made.apply(tables(policy, made.pod.row()))
        said = made.load(made.pod.namespace, "churn", SERVER6, "53", str(lookups), TCP_PORT, timeout=900)
        connected, denied, unanswered, seconds = said.split()
        row = {
            "state": state,
            "lookups": lookups,
            "connected": int(connected),
            "denied": int(denied),
            "unanswered": int(unanswered),
            "seconds": round(float(seconds), 2),
            "dropped": drops(made) - before,
        }
        rows.append(row)
        print(
            f"{state:<34}{lookups:>10,}{connected:>10}{denied:>8}{unanswered:>11}"
            f"{row['dropped']:>8}{float(seconds):>9.1f}"
        )
    for process in processes:
        made.stop(process)
    return rows


def flood(made: Node, count: int) -> dict[str, Any]:
    """In five parts, so that the memory after each shows whether it grows."""
    first, second = made.pods(2)
    policies = {1: names("*.flood.example.com."), 2: names("steady.example.org.")}
    made.apply(tables(policies[1], first.row(1), second.row(2), policies=policies))
    process = made.serve("dns", SERVER4, "53")
    other = Other(made, second)
    other.start()
    print(f"\n{'flood':<34}{'names':>10}{'answers':>10}{'kernel MB':>11}{'grants':>8}{'agent MB':>10}")
    memory, answers = [], 0
    for part in range(5):
        said = made.load(first.namespace, "names", SERVER4, "53", str(count // 5), timeout=900)
        answers += int(said.split()[0])
        held = made.in_agent(
            lambda: sum(grant.scope == first.row().scope for grant in made.datapath.grants())
        )
        memory.append(made.in_agent(made.datapath.memory_bytes))
        agent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{f'after part {part + 1} of 5':<34}{(part + 1) * count // 5:>10,}{answers:>10,}"
            f"{memory[-1] / 1e6:>11.2f}{held:>8,}{agent:>10.0f}"
        )
    other.end()
    made.stop(process)
    print(f"{'the other workload':<34}{other.tries:>10,} lookups and connections, {other.failures} failed")
    return {
        "names": count,
        "answers": answers,
        "kernel_bytes": memory,
        "grants": held,
        "other_tries": other.tries,
        "other_failures": other.failures,
    }


def patterns(made: Node, runs: int = 5) -> dict[str, Any]:
    """From `apply` to its return: by then packets are judged by the new patterns."""
    first, second = made.pods(2)
    forms = [f"*.svc{n}.example.com." for n in range(PATTERNS)]
    took: dict[str, list[float]] = {
        "10,000 patterns": [],
        "one more, same policy": [],
        "one more, another": [],
    }

    def apply(title: str, large: MapState, small: MapState) -> None:
        wanted = tables(large, first.row(1), second.row(2), policies={1: large, 2: small})
        begun = time.perf_counter()
        made.apply(wanted)
        took[title].append(1000 * (time.perf_counter() - begun))

    for turn in range(runs):
        made.apply(NodeTables())
        large, small = names(*forms), names("a.example.org.")
        apply("10,000 patterns", large, small)
        large = names(*forms, f"*.more{turn}.example.com.")
        apply("one more, same policy", large, small)
        apply("one more, another", large, names("a.example.org.", f"*.more{turn}.example.org."))
    print(
        f"\n{'names: ms from tables to the kernel':<34}{'median':>10}{'lowest':>10}{'highest':>10}{'aim':>8}"
    )
    for (title, values), aim in zip(took.items(), (1000, 50, 50), strict=True):
        print(
            f"{title:<34}{statistics.median(values):>10.0f}{min(values):>10.0f}{max(values):>10.0f}{aim:>8}"
        )
    return {title: [round(value, 1) for value in values] for title, values in took.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.churn", description=__doc__)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--lookups", type=int)
    parser.add_argument("--names", type=int)
    arguments = parser.parse_args()
    reason = cannot()
    if reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 3
    lookups = arguments.lookups or (100_000 if arguments.long else 20_000)
    count = arguments.names or (1_000_000 if arguments.long else 200_000)
    try:
        with node() as made, made.consumer() as learner:
            churned = churn(made, lookups)
            flooded = flood(made, count)
            compiled = patterns(made)
            lost = learner.names.known()
    except subprocess.TimeoutExpired as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print_json("churn", churn=churned, flood=flooded, names=compiled, names_remembered=len(lost))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
