"""DNS messages for fuzzing: valid, mutated and hostile ones, as bytes. Everything comes from one `random.Random`."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT, SVCB, HTTPS, ANY = (
    1,
    2,
    5,
    6,
    12,
    15,
    16,
    28,
    33,
    41,
    64,
    65,
    255,
)
TYPES = (A, A, A, AAAA, AAAA, HTTPS, SVCB, PTR, TXT, SRV, MX, NS, SOA, ANY)
HEADER = 12
MAX_WIRE = 2400
"""Octets of records: BPF_PROG_TEST_RUN takes no packet beyond a page."""

ALLOWED = (
    "a.example.",
    "www.svc.test.",
    "x.y.deep.test.",
    "sub-1.cdn.test.",
    "*.svc.test.",
    "under_score.svc.test.",
)
"""Names near the patterns of the policy (campaign.PATTERNS), allowed or not."""
OTHERS = (
    "b.example.",
    "svc.test.",
    "deep.test.",
    "evil.",
    "a.example.evil.",
    "aexample.",
    "www.svc.test.x.",
    ".",
)
SPECIAL4 = (
    "0.0.0.0",
    "127.0.0.1",
    "169.254.169.254",
    "224.0.0.251",
    "255.255.255.255",
    "10.99.0.7",
    "198.51.100.1",
)
SPECIAL6 = ("::", "::1", "fe80::1", "ff02::fb", "::ffff:203.0.113.9", "2001:db8:99::7", "64:ff9b::7f00:1")


def labels(name: str) -> list[bytes]:
    return [part.encode("latin-1") for part in name.rstrip(".").split(".") if part]


def encode(parts: list[bytes]) -> bytes:
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


@dataclass(frozen=True, slots=True)
class Question:
    id: int
    name: list[bytes]
    type: int

    def wire(self) -> bytes:
        return encode(self.name) + struct.pack("!HH", self.type, 1)


class Maker:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    # Names.

    def name(self) -> list[bytes]:
        rng, kind = self.rng, self.rng.random()
        if kind < 0.4:
            return self.mixed_case(labels(rng.choice(ALLOWED)))
        if kind < 0.6:
            return self.mixed_case(labels(rng.choice(OTHERS)))
        if kind < 0.75:  # a random label under a pattern
            parts = labels(rng.choice(ALLOWED + OTHERS))
            return [self.label(), *parts[1:]]
        if kind < 0.85:
            return [self.label() for _ in range(rng.randint(0, 6))] + labels(
                rng.choice(("example.", "svc.test."))
            )
        return self.long_name()

    def label(self) -> bytes:
        rng, kind = self.rng, self.rng.random()
        size = rng.choice((1, 2, 3, 5, 8, 8, 62, 63))
        if kind < 0.8:
            return bytes(rng.choices(b"abcxyzABC019-_", k=size))
        return bytes(rng.choices(b"ab.\0 *\\\xc0\xff@[`{", k=size))

    def long_name(self) -> list[bytes]:
        """Around the limit of 255 octets."""
        rest = self.rng.choice((253, 254, 255, 255, 255, 256, 257)) - 1
        tail = labels(self.rng.choice(("svc.test.", "example.", "evil.")))
        rest -= sum(len(part) + 1 for part in tail)
        parts = []
        while rest > 1:
            size = min(self.rng.choice((63, 63, 63, 30, 1)), rest - 1)
            parts.append(b"a" * size)
            rest -= size + 1
        return parts + tail

    def mixed_case(self, parts: list[bytes]) -> list[bytes]:
        if self.rng.random() < 0.5:
            return parts
        return [
            bytes(c ^ 0x20 if chr(c).isalpha() and self.rng.random() < 0.5 else c for c in p) for p in parts
        ]

    # Questions.

    def question(self, may: float = 0.0) -> Question:
        """`may` is how likely it is at least that policy allows its name."""
        kind = self.rng.choice(TYPES) if self.rng.random() < 0.95 else self.rng.randrange(65536)
        name = self.mixed_case(labels(self.rng.choice(ALLOWED))) if self.rng.random() < may else self.name()
        return Question(self.rng.randrange(65536), name, kind)

    def asking(self, question: Question) -> bytes:
        """A message that asks; every second one is as a stub resolver sends it."""
        rng = self.rng
        flags, counts, tail = rng.choice((0x0100, 0x0100, 0x0120, 0x0000, 0x0110)), [1, 0, 0, 0], b""
        if rng.random() < 0.5:
            tail, counts[3] = self.edns(), 1
        body = question.wire()
        if rng.random() < 0.5:
            return struct.pack("!HHHHHH", question.id, flags, *counts) + body + tail
        match rng.randrange(10):
            case 0:
                flags = rng.randrange(65536)
            case 1:
                counts[rng.randrange(4)] = rng.choice((0, 1, 2, 255, 65535))
            case 2:
                body += Question(0, self.name(), A).wire()
                counts[0] = 2
            case 3:
                body = encode(question.name) + struct.pack(
                    "!HH", question.type, rng.choice((0, 3, 4, 254, 255))
                )
            case 4:
                tail += self.edns()
                counts[3] += 1
            case 5:
                tail += rng.randbytes(rng.randint(1, 40))
            case 6:
                cut = rng.randrange(len(question.name) + 1)
                target = rng.choice((0, 2, 11, 12, 13, 14, 255, 0x3FFF))
                body = encode(question.name[:cut])[:-1] + struct.pack("!H", 0xC000 | target) + body[-4:]
            case _:
                pass
        wire = struct.pack("!HHHHHH", question.id, flags, *counts) + body + tail
        return self.mutated(wire) if rng.random() < 0.7 else wire

    def edns(self) -> bytes:
        rng, options = self.rng, b""
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
            code, data = rng.choice(
                ((10, rng.randbytes(8)), (12, bytes(rng.randint(0, 60))), (8, b"\0\1\0\0"), (3, b""))
            )
            options += struct.pack("!HH", code, len(data)) + data
        size, ttl = rng.choice((512, 1232, 4096)), rng.choice((0, 0x8000))
        return b"\0" + struct.pack("!HHIH", OPT, size, ttl, len(options)) + options

    def mutated(self, wire: bytes) -> bytes:
        rng, changed = self.rng, bytearray(wire)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            if not changed:
                break
            at = rng.randrange(len(changed))
            match rng.randrange(6):
                case 0 | 1 | 2:
                    changed[at] = rng.choice((0, 1, 5, 12, 28, 41, 63, 64, 0xC0, 0xFF, rng.randrange(256)))
                case 3:
                    del changed[at:]
                case 4:
                    changed[at:at] = rng.randbytes(rng.randint(1, 4))
                case 5:
                    del changed[at : at + rng.randint(1, 4)]
        return bytes(changed)

    # Answers.

    def answering(self, question: Question) -> bytes:
        """An answer to the question; about half as a resolver would give it."""
        rng = self.rng
        hostile = rng.random() < 0.5
        flags, rcode = 0x8180, 0
        asked = question
        if hostile and rng.random() < 0.15:
            asked = self.other(question)
        if rng.random() < 0.1:
            rcode = rng.choice((1, 2, 3, 5))
        if rng.random() < 0.05:
            flags |= 0x0200
        body = self.mixed_case_wire(asked)
        records = self.records(HEADER + len(body), question, hostile)
        extra = [
            self.record(HEADER + len(body), question.name, hostile)
            for _ in range(rng.choice((0, 0, 0, 1, 2)))
        ]
        counts = [1, len(records), 0, len(extra)]
        if rng.random() < 0.3:
            counts[2], counts[3] = counts[3], 0
        tail = b"".join(records) + b"".join(extra)
        if rng.random() < 0.4:
            tail += self.edns()
            counts[3] += 1
        if hostile:
            match rng.randrange(8):
                case 0:
                    counts[rng.randrange(4)] = rng.choice((0, 1, 2, 7, 255, 65535))
                case 1:
                    flags = rng.randrange(65536)
                case 2:
                    tail += rng.randbytes(rng.randint(1, 30))
                case _:
                    pass
        wire = struct.pack("!HHHHHH", asked.id, flags | rcode, *counts) + body + tail
        if hostile and rng.random() < 0.5:
            return wire[:HEADER] + self.mutated(wire[HEADER:]) if rng.random() < 0.7 else self.mutated(wire)
        return wire

    def other(self, question: Question) -> Question:
        match self.rng.randrange(3):
            case 0:
                return Question(question.id ^ 1, question.name, question.type)
            case 1:
                return Question(question.id, self.name(), question.type)
            case _:
                return Question(question.id, question.name, self.rng.choice((A, AAAA, TXT)))

    def mixed_case_wire(self, question: Question) -> bytes:
        return encode(self.mixed_case(question.name)) + question.wire()[-4:]

    def records(self, start: int, question: Question, hostile: bool) -> list[bytes]:
        """A chain of CNAMEs and addresses at its end, in any order where hostile."""
        rng = self.rng
        owner: list[bytes] = question.name
        found = []
        offset = start
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3, 15, 16, 17) if hostile else (0, 0, 0, 1, 1, 2, 3))):
            target = (
                rng.choice((question.name, owner, self.name()))
                if hostile and rng.random() < 0.1
                else self.name()
            )
            if sum(len(part) + 1 for part in target) > 254:
                target = [b"edge", b"cdn", b"net"]
            record = self.raw(offset, question, owner, CNAME, encode(target), hostile)
            if offset + len(record) > MAX_WIRE:
                break
            offset += len(record)
            found.append(record)
            owner = target
        for _ in range(rng.choice((0, 1, 1, 2, 4, 8)) if rng.random() < 0.97 else rng.choice((32, 100, 140))):
            who = owner
            if hostile and rng.random() < 0.2:
                who = rng.choice((question.name, self.name(), [b"off", b"chain"]))
            record = self.record(offset, who, hostile, question)
            if offset + len(record) > MAX_WIRE:
                break
            offset += len(record)
            found.append(record)
        if hostile and rng.random() < 0.3:
            rng.shuffle(found)
        return found

    def record(
        self, offset: int, owner: list[bytes], hostile: bool, question: Question | None = None
    ) -> bytes:
        rng = self.rng
        kind = rng.choice((A, A, A, A, AAAA, AAAA, HTTPS, SVCB, TXT, MX, 46))
        if kind == A:
            data = bytes(map(int, rng.choice(SPECIAL4).split("."))) if rng.random() < 0.08 else self.ipv4()
        elif kind == AAAA:
            data = self.ipv6()
        elif kind in (HTTPS, SVCB):
            data = self.service(hostile)
        elif kind == MX:
            data = b"\0\5" + encode(self.name())
        else:
            data = rng.randbytes(rng.randint(0, 20))
        if hostile and rng.random() < 0.05:
            data = data[:-1] if rng.random() < 0.5 else data + b"\0"
        return self.raw(offset, question, owner, kind, data, hostile)

    def ipv4(self) -> bytes:
        return bytes((203, self.rng.randrange(256), self.rng.randrange(256), self.rng.randrange(256)))

    def ipv6(self) -> bytes:
        if self.rng.random() < 0.08:
            return IPv6Address(self.rng.choice(SPECIAL6)).packed
        return bytes.fromhex("20010db80002") + self.rng.randbytes(10)

    def service(self, hostile: bool) -> bytes:
        """SVCB or HTTPS (RFC 9460)."""
        rng = self.rng
        priority = rng.choice((1, 1, 1, 0)) if hostile else 1
        params: list[tuple[int, bytes]] = []
        if rng.random() < 0.6:
            params.append((1, b"\2h2\2h3"))
        if rng.random() < 0.2:
            params.append((3, b"\1\xbb"))
        if rng.random() < 0.7:
            params.append(
                (
                    4,
                    b"".join(
                        self.ipv4() for _ in range(rng.choice((1, 1, 2, 3, 8, 9) if hostile else (1, 2, 3)))
                    ),
                )
            )
        if rng.random() < 0.2:
            params.append((5, rng.randbytes(rng.randint(1, 70))))
        if rng.random() < 0.5:
            params.append((6, b"".join(self.ipv6() for _ in range(rng.choice((1, 2))))))
        if hostile and rng.random() < 0.3:
            params.append((rng.choice((4, 6, 7, 65535)), rng.randbytes(rng.choice((0, 1, 3, 4, 15, 16)))))
        if hostile and rng.random() < 0.3:
            rng.shuffle(params)
        packed = b"".join(struct.pack("!HH", key, len(value)) + value for key, value in params)
        return struct.pack("!H", priority) + encode(rng.choice(([], self.name()))) + packed

    def raw(
        self,
        offset: int,
        question: Question | None,
        owner: list[bytes],
        kind: int,
        data: bytes,
        hostile: bool,
    ) -> bytes:
        rng = self.rng
        if question is not None and owner == question.name and rng.random() < 0.8:
            name = b"\xc0\x0c"
        else:
            name = encode(self.mixed_case(owner))
        if hostile and rng.random() < 0.08:
            where = rng.choice(
                (0, 4, 11, 12, 13, HEADER + 5, offset - 2, offset, offset + 2, 0x3FFF, rng.randrange(512))
            )
            name = rng.choice((b"", b"\1x", b"\3www")) + struct.pack("!H", 0xC000 | max(0, where) & 0x3FFF)
        klass = rng.choice((0, 3, 255)) if hostile and rng.random() < 0.04 else 1
        ttl = rng.choice(
            (0, 1, 5, 59, 60, 61, 300, 300, 3600, 604800, 604801, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
        )
        length = len(data)
        if hostile and rng.random() < 0.04:
            length = rng.choice((0, 1, length + 1, max(0, length - 1), 65535))
        return name + struct.pack("!HHIH", kind, klass, ttl, length) + data
