"""How changed ports are said. Port names without a number are said by their names (Universe.unnumbered)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from namewall.model.net import Protocol
from namewall.policy.cilium import TRANSPORTS
from namewall.policy.diff.changes import LAST, PROTOCOLS, PortChange
from namewall.policy.explain.words import PROTOCOL_NAMES, port_name
from namewall.policy.rules import LAST_PORT


def said(
    ports: Iterable[PortChange], unnumbered: Mapping[int, str]
) -> Iterator[tuple[list[str], str, str, str]]:
    """(ports as words, name of the question or "", old, new): protocols that change alike are one word."""
    together: dict[tuple[str, str, str], list[PortChange]] = {}
    for port in ports:
        key = (port.question.removesuffix("."), port.old, port.new)
        together.setdefault(key, []).append(port)
    for (name, old, new), found in together.items():
        yield list(_words(found, unnumbered)), name, old, new


def _words(ports: list[PortChange], unnumbered: Mapping[int, str]) -> Iterator[str]:
    whole = {p.protocol for p in ports if p.first == 0 and p.last == LAST[p.protocol]}
    if whole == set(PROTOCOLS):
        yield "every protocol"
        return
    spoken: dict[tuple[str, tuple[str, ...]], list[Protocol]] = {}
    for protocol in TRANSPORTS:
        for said_as in _spoken([(p.first, p.last) for p in ports if p.protocol is protocol], unnumbered):
            spoken.setdefault(said_as, []).append(protocol)
    for (where, without), protocols in spoken.items():
        them = "ANY" if len(protocols) == len(TRANSPORTS) else ",".join(PROTOCOL_NAMES[p] for p in protocols)
        yield f"{where}/{them} but {' and '.join(without)}" if without else f"{where}/{them}"
    for port in ports:
        if port.protocol not in TRANSPORTS:
            if port.first == 0 and port.last == LAST[port.protocol]:
                yield PROTOCOL_NAMES[port.protocol]
            elif port.first == port.last:
                yield port_name(port.protocol, port.first)
            else:
                yield f"types {port.first}-{port.last} of {PROTOCOL_NAMES[port.protocol]}"


def _spoken(
    ranges: list[tuple[int, int]], unnumbered: Mapping[int, str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(words, names left out) of ascending ranges; what stands for a name is said by the name."""
    held = [n for n in sorted(unnumbered) if any(first <= n <= last for first, last in ranges)]
    spans: list[tuple[int, int]] = []
    for first, last in ranges:
        if all(n in unnumbered for n in range(first, last + 1)):
            continue
        if all(n in unnumbered for n in range(last + 1, LAST_PORT + 1)):
            last = LAST_PORT
        if spans and all(n in unnumbered for n in range(spans[-1][1] + 1, first)):
            first = spans.pop()[0]
        spans.append((first, last))
    for first, last in spans:
        one = str(first) if first == last else f"{first}-{last}"
        where = "every port" if (first, last) == (0, LAST_PORT) else one
        left_out = (n for n in sorted(unnumbered) if first <= n <= last and n not in held)
        yield where, tuple(unnumbered[n] for n in left_out)
    yield from ((unnumbered[n], ()) for n in held if not any(first <= n <= last for first, last in spans))
