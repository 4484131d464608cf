"""Messages and frames through the programs by BPF_PROG_TEST_RUN, beside what the oracles say of them.

A disagreement is a sentence. Whatever opens something that its oracle does not is one, and so is a drop of what
the oracle calls common.
"""

from __future__ import annotations

import os
import random
import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network

import dns.name
from bpf_lab import RESOLVER4, TCP, UDP, Lab, Pod, a, allow, inside, tables
from packets import PASS, REDIRECT, SHOT, from_pod, ip, to_pod, udp

from namewall.datapath import layout, libbpf
from namewall.fqdn import message
from namewall.model.net import Address
from namewall.policy.map_state import FqdnPeer, MapState
from namewall.policy.patterns import Pattern, granted
from tests.fuzz import oracle
from tests.fuzz.messages import Maker

PATTERNS = ("a.example.", "*.svc.test.", "**.deep.test.", "sub-*.cdn.test.", "*.*.example.")
MIN_TTL = 60
BATCH = 500
"""After so many answers the whole map of grants must be empty: what was expected has been taken out."""
INSIDE = [ip_network(text) for text in ("10.99.0.0/16", "2001:db8:99::/48", "198.51.100.1/32")]
"""As bpf_lab.tables has it."""


@dataclass
class Result:
    counts: Counter[str] = field(default_factory=Counter)
    found: list[tuple[str, str]] = field(default_factory=list)
    """What differed, and the case as found/*.txt has it."""

    def add(self, about: str, case: str) -> None:
        self.found.append((about, case))


class Messages:
    """One pod that may ask for PATTERNS, and is granted what their answers say."""

    def __init__(self, lab: Lab, pod: Pod) -> None:
        self.lab, self.pod, self.result = lab, pod, Result()
        asked = allow(protocol=UDP, port=53, dns=frozenset(PATTERNS))
        state = MapState(True, True, dict([asked, *(allow(FqdnPeer(form), TCP, 443) for form in PATTERNS)]))
        lab.apply(tables(state, pod.row(), min_ttl=MIN_TTL))
        opened = lab.datapath._objects
        assert opened is not None
        self._programs = opened.programs
        self._names, self._numbers = lab.datapath._names, lab.datapath._numbers
        slot = lab.datapath._slots.of_scopes()[pod.row().scope]
        grants = lab.datapath._slots.grants.open(slot)
        assert grants is not None
        self._grants = grants
        self._ports = _cycle(1024, 65000)
        self._context = bytearray(192)
        struct.pack_into("<II", self._context, 36, 1, pod.ifindex)
        self._since: list[str] = []

    def close(self) -> None:
        os.close(self._grants)

    def run(self, count: int, seed: int) -> Result:
        """`count` messages: two questions alone for three answers to one question."""
        maker = Maker(random.Random(seed))
        with inside(self.lab.node):
            while self.result.counts["messages"] < count:
                self.ask(maker.asking(maker.question()))
                self.ask(maker.asking(maker.question()))
                question = maker.question(may=0.9)
                asking = struct.pack("!HHHHHH", question.id, 0x0100, 1, 0, 0, 0) + question.wire()
                for _ in range(3):
                    self.answer(asking, maker.answering(question))
            self.check_empty()
        return self.result

    # One message.

    def ask(self, wire: bytes) -> None:
        action = self._send(wire, next(self._ports))
        asked = oracle.read_asking(wire)
        self.result.counts["messages"] += 1
        self.result.counts["questions"] += 1
        self.result.counts[f"questions {ACTIONS.get(action, str(action))}"] += 1
        problem = self._judge_question(asked, _read_asking(wire), action)
        if problem:
            self.result.add(problem, f"ask {wire.hex()}")

    def _judge_question(
        self, asked: oracle.Asked | None, read: message.Question | None, action: int
    ) -> str | None:
        if action not in ACTIONS:
            return f"a question ends in action {action}"
        if read is not None and (asked is None or (read.id, read.type) != (asked.id, asked.type)):
            return "the proxy reads a question that is none"
        if read is not None and asked is not None and read.labels != _labels(asked.name):
            return f"the proxy reads `{read.name}`"
        if read is None and asked is not None and asked.common:
            return "the proxy does not read a common question"
        if asked is None:
            return "what is no question passes" if action == PASS else None
        may = any(Pattern(form).passes(oracle.text(asked.name)) for form in PATTERNS)
        if action == PASS and not may:
            return f"`{asked.name}` may not be asked and passes"
        if action == REDIRECT and may and not oracle.strange(asked.name):
            return f"`{asked.name}` may be asked and is refused"
        if asked.common and action != (PASS if may else REDIRECT):
            return f"a common question for `{asked.name}` is dropped"
        return None

    def answer(self, asking: bytes, wire: bytes) -> None:
        """The answer to a question that was just asked; where that may not be asked it is one to nothing."""
        port = next(self._ports)
        asked = oracle.read_asking(asking)
        noted = self._send(asking, port) == PASS
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        frame = to_pod(self.pod, ip(a(RESOLVER4), a(self.pod.ipv4), udp(53, port, wire)))
        action = self._run("to_endpoint", frame)
        self.result.counts["messages"] += 1
        self.result.counts["answers"] += 1
        taught = oracle.read_answering(wire, asked) if asked is not None and noted else oracle.UNASKED
        case = f"ask {asking.hex()}\nanswer {wire.hex()}"
        self._since.append(case)
        problem = self._judge_answer(asked, taught, action, int(began))
        if problem is None and asked is not None and not oracle.strange(asked.name):
            problem = _judge_reader(asked, oracle.read_answering(wire, asked), wire)
        if problem:
            self.result.add(problem, case)
        if len(self._since) >= BATCH:
            self.check_empty()

    def _judge_answer(
        self, asked: oracle.Asked | None, taught: oracle.Taught, action: int, began: int
    ) -> str | None:
        held = {address: slots for address in taught.mentioned if (slots := self._take(address))}
        self.result.counts["grants"] += len(held)
        if action not in (PASS, SHOT):
            return f"an answer ends in action {action}"
        if not taught.passes:
            if held:
                return f"{sorted(map(str, held))} granted by what is no answer"
            return "what is no answer passes" if action == PASS and taught.must else None
        assert asked is not None or not taught.upper
        upper = set()
        name_class = 0
        if asked is not None:
            name = oracle.text(asked.name)
            if any(granted(form, name) for form in PATTERNS):
                upper = {x for x in taught.upper if not any(x in net for net in INSIDE)}
                name_class = self._numbers.of_class(self._names.class_of(name))
        if not held.keys() <= upper:
            return f"{sorted(map(str, held.keys() - upper))} granted against the answer"
        for address, slots in held.items():
            if [slot >> 32 for slot in slots] != [name_class]:
                return f"{address} is granted to another name"
            life = (slots[0] & 0xFFFFFFFF) - began
            if taught.must and not 0 <= life - max(taught.ttl, MIN_TTL) <= 1:
                return f"{address} is granted for {life} s, not for {taught.ttl}"
        if taught.must and action != PASS:
            return "a common answer is dropped"
        if taught.must and held.keys() != upper:
            return f"{sorted(map(str, upper - held.keys()))} not granted"
        return None

    def check_empty(self) -> None:
        """Nothing was granted besides what the oracle read: else the batch is the case."""
        rest = list(libbpf.dump(self._grants, layout.GRANT_KEY.size, layout.GRANT_PAGE.size))
        if rest:
            libbpf.delete_many(self._grants, [key for key, _ in rest])
            addresses = sorted(str(layout.unpack_address(key[:16])) for key, _ in rest)
            self.result.add(f"{addresses} granted and nowhere in the answers", "\n".join(self._since))
        self._since.clear()

    # The programs.

    def _send(self, wire: bytes, port: int) -> int:
        packet = ip(a(self.pod.ipv4), a(RESOLVER4), udp(port, 53, wire))
        return self._run("from_endpoint", from_pod(self.pod, packet))

    def _run(self, program: str, frame: bytes) -> int:
        return libbpf.run_on_packet(self._programs[program], frame, bytes(self._context), 1)[0]

    def _take(self, address: Address) -> list[int]:
        """The live slots of an address, which is forgotten."""
        slots: list[int] = []
        for page in range(layout.GRANT_PAGES):
            key = layout.GRANT_KEY.pack(layout.pack_address(address), page, 0)
            raw = libbpf.lookup(self._grants, key, layout.GRANT_PAGE.size)
            if raw is None:
                break
            slots += [slot for slot in layout.unpack_grants(raw) if slot]
            libbpf.delete(self._grants, key)
        return slots

    def replay(self, case: str) -> list[str]:
        """A case of found/*.txt: the sentences of today."""
        self.result = Result()
        asking = b""
        with inside(self.lab.node):
            for line in case.splitlines():
                verb, _, raw = line.partition(" ")
                if verb == "ask":
                    asking = bytes.fromhex(raw)
                    self.ask(asking)
                elif verb == "answer":
                    self.answer(asking, bytes.fromhex(raw))
            self.check_empty()
        return [about for about, _ in self.result.found]


def _labels(name: dns.name.Name) -> tuple[bytes, ...]:
    return tuple(label.lower() for label in name.labels[:-1])


def _read_asking(wire: bytes) -> message.Question | None:
    try:
        return message.read_asking(wire)
    except message.Unreadable:
        return None


def _judge_reader(asked: oracle.Asked, taught: oracle.Taught, wire: bytes) -> str | None:
    """fqdn/message.py, which reads what comes over TCP."""
    found = None
    try:
        question = message.read_answering(wire)
        repeats = (question.id, question.type, question.labels) == (
            asked.id,
            asked.type,
            _labels(asked.name),
        )
        found = message.read_taught(wire, question) if repeats else None
    except message.Unreadable:
        return "the proxy does not read a common answer" if taught.passes and taught.must else None
    learned = {address for address in found.addresses if not oracle.never(address)} if found else set()
    if not learned <= taught.upper:
        return f"the proxy learns {sorted(map(str, learned - taught.upper))} against the answer"
    if taught.must and learned != taught.upper:
        return f"the proxy does not learn {sorted(map(str, taught.upper - learned))}"
    if taught.must and found and found.ttl != taught.ttl:
        return f"the proxy learns for {found.ttl} s, not for {taught.ttl}"
    return None


ACTIONS = {PASS: "passed", REDIRECT: "refused", SHOT: "dropped"}


def _cycle(first: int, last: int) -> Iterator[int]:
    while True:
        yield from range(first, last)
