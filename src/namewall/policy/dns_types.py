"""Which types of question a DNS rule lets pass: as text on a policy, and as part of a rule's normal form.

Cilium's rules do not speak of types, so the annotation `namewall.io/dns-types: A,AAAA` on a policy does, for all
DNS rules of that policy. Such a rule's form is `PATTERN#TYPES`; one without `#` lets every type pass. Rules of
several policies are a union: what one lets pass for TXT, another's A,AAAA does not take away.

The kernel knows these types one by one (bpf/dns.h, `type_bit`), and all others together.
"""

from __future__ import annotations

ANNOTATION = "namewall.io/dns-types"
NUMBERS = {
    "A": 1,
    "AAAA": 28,
    "CNAME": 5,
    "HTTPS": 65,
    "SVCB": 64,
    "SRV": 33,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "NS": 2,
    "SOA": 6,
    "NAPTR": 35,
    "CAA": 257,
    "DS": 43,
    "DNSKEY": 48,
    "TLSA": 52,
    "ANY": 255,
}
"""IANA's names and numbers; the order is that of the bits."""
BITS = {number: bit for bit, number in enumerate(NUMBERS.values())}
OTHER_BIT = 31
EVERY_TYPE = 0xFFFFFFFF


def parse(text: str) -> tuple[str, ...]:
    """`A, aaaa` → ("A", "AAAA"), sorted. Raises ValueError with what would be right."""
    names = sorted({part.strip().upper() for part in text.split(",")} - {""})
    unknown = [name for name in names if name not in NUMBERS]
    if unknown or not names:
        named = f"`{unknown[0]}`" if unknown else "an empty list"
        raise ValueError(f"{named} is no type of question known here; known are {', '.join(NUMBERS)}")
    return tuple(names)


def limited(form: str, types: tuple[str, ...]) -> str:
    return f"{form}#{','.join(types)}" if types else form


def pattern_of(form: str) -> str:
    return form.partition("#")[0]


def mask_of(form: str) -> int:
    """The bits of the types that it lets pass."""
    types = form.partition("#")[2]
    if not types:
        return EVERY_TYPE
    return sum(1 << BITS[NUMBERS[name]] for name in types.split(","))


def passes(form: str, number: int) -> bool:
    return bool(mask_of(form) >> BITS.get(number, OTHER_BIT) & 1)
