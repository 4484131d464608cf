"""The rule that came nearest to allowing a denied flow, and the field by which it missed.

A rule misses by its subject (which counts twice: it is somebody else's rule), its peer or its ports. Fewer misses are
nearer; among equals, ports are nearer than peers, and peers than subjects; then the more alike (shared end of a name,
shared prefix, labels that hold).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from namewall.model.labels import Labels, view
from namewall.model.net import Address
from namewall.policy.cilium import network
from namewall.policy.decide import Decision
from namewall.policy.explain.anatomy import Catalog, PeerPart, at
from namewall.policy.explain.case import Case
from namewall.policy.explain.filtered import filtered
from namewall.policy.explain.words import port_name, wanted_peer, wanted_port
from namewall.policy.lookup import DNS_REFUSED, POLICY_DENIED
from namewall.policy.map_state import RuleOrigin
from namewall.policy.rules import Rule
from namewall.policy.selectors import CidrSelector, FqdnSelector, LabelSelector, PeerSelector, Requirement
from namewall.policy.terms import selecting


@dataclass(frozen=True, slots=True)
class Nearest:
    """`field` is the path of the member that missed, `want` what it holds, `got` what the flow has."""

    rule: RuleOrigin
    field: str
    want: Any
    got: Any


EXCEPTED = 0.75
"""How much like one that means the address is a CIDR that holds it, and an `except` of which does too."""


def nearest(catalog: Catalog, case: Case, decision: Decision) -> Nearest | None:
    """None where the flow is allowed, a deny rule decided, or no rule selects the subject at all."""
    if decision.reason == DNS_REFUSED:
        return _refused(catalog, case, decision)
    if decision.reason != POLICY_DENIED:
        return None
    if (held := filtered(catalog, case)) is not None:
        return Nearest(held.rule, held.path, held.said, port_name(case.protocol, case.port))
    best: tuple[tuple[int, int, float], Rule] | None = None
    for rule in catalog.enforced:
        if rule.deny or rule.direction is not case.direction:
            continue
        if not rule.peers and not catalog.peer_parts(rule):
            continue  # it turns on default deny, and has nothing that could be put right
        distance = _distance(case, rule)
        if distance is not None and (best is None or distance < best[0]):
            best = distance, rule
    return _only_denies(catalog, case) if best is None else _missed(catalog, case, best[1])


def _only_denies(catalog: Catalog, case: Case) -> Nearest | None:
    """Where no rule allows anything: the one that turned on default deny and means nobody."""
    for rule in selecting(catalog.enforced, case.subject, case.direction):
        if rule.default_deny:
            return Nearest(rule.origin, rule.origin.rule, [], case.whom)
    return None


def _distance(case: Case, rule: Rule) -> tuple[int, int, float] | None:
    subject = rule.subject.matches(case.subject)
    peer = case.means_peer(rule.peers)
    port = case.means_port(rule.ports)
    if not subject and not (peer and port and _same_namespace(rule, case.subject)):
        return None
    if subject and peer and port:
        return None
    misses = 2 * (not subject) + (not peer) + (not port)
    weight = 4 * (not subject) + 2 * (not peer) + (not port)
    return misses, weight, -max((likeness(case, each) for each in rule.peers), default=-1.0)


def _same_namespace(rule: Rule, subject: Labels) -> bool:
    namespace = rule.origin.namespace
    return not namespace or f"k8s:io.kubernetes.pod.namespace={namespace}" in subject


def likeness(case: Case, selector: PeerSelector) -> float:
    """How much a selector that does not mean the peer is like one that does: 0 not at all, 1 all but."""
    peer = case.peer
    names = [name for name in (case.name, *peer.names) if name]
    if isinstance(selector, FqdnSelector) and names:
        return max(_shared_labels(selector.form, name) for name in names)
    if isinstance(selector, CidrSelector) and not peer.inside and peer.address is not None and not names:
        return EXCEPTED if peer.address in selector.cidr else _shared_bits(selector, peer.address) / 2
    if isinstance(selector, LabelSelector) and peer.inside and selector.requirements:
        held = [requirement.holds(view(peer.labels)) for requirement in selector.requirements]
        return sum(held) / len(held)
    return 0.0


def _shared_labels(form: str, name: str) -> float:
    wanted, got = form.rstrip(".").split(".")[::-1], name.rstrip(".").split(".")[::-1]
    shared = 0
    for one, other in zip(wanted, got, strict=False):
        if one != other:
            break
        shared += 1
    return 0.5 + shared / (2 * max(len(wanted), len(got)))


def _shared_bits(selector: CidrSelector, address: Address) -> float:
    if selector.cidr.version != address.version:
        return 0.0
    differ = int(selector.cidr.network_address) ^ int(address)
    return (address.max_prefixlen - differ.bit_length()) / address.max_prefixlen


def _missed(catalog: Catalog, case: Case, rule: Rule) -> Nearest:
    """The member to name: the ports where only they missed, else the peer, else the subject."""
    path = rule.origin.rule
    if not rule.subject.matches(case.subject):
        return _subject(catalog, case, rule)
    if not case.means_peer(rule.peers):
        parts = catalog.peer_parts(rule)
        if not parts:
            given = [member for member, value in catalog.item(rule.origin).items() if value == []]
            return Nearest(rule.origin, f"{path}.{given[0]}" if given else path, [], case.whom)
        part = max(parts, key=lambda p: max((likeness(case, each) for each in p.peers), default=-1.0))
        return _peer(case, rule, part, [p for p in parts if p.member == part.member])
    wanted = [wanted_port(part) for part in catalog.port_parts(rule)]
    item = catalog.item(rule.origin)
    member = next((m for m in ("toPorts", "icmps", "ports") if item.get(m)), "toPorts")
    return Nearest(rule.origin, f"{path}.{member}", wanted, port_name(case.protocol, case.port))


def _peer(case: Case, rule: Rule, part: PeerPart, alike: Iterable[PeerPart]) -> Nearest:
    whole = f"{rule.origin.rule}.{part.member}"
    wanted = [wanted_peer(each) for each in alike]
    if isinstance(part.raw, str) and part.member.endswith("Entities"):
        return Nearest(rule.origin, part.path, part.raw, case.whom)
    labels = [each for each in part.peers if isinstance(each, LabelSelector)]
    if case.peer.inside and len(wanted) == 1 and len(labels) == 1 and case.peer.labels:
        failed = [r for r in labels[0].requirements if not r.holds(view(case.peer.labels))]
        if failed:
            field, want = _requirement(part.path, part.raw, failed[0])
            return Nearest(
                rule.origin, field, want, view(case.peer.labels).get((failed[0].source, failed[0].key))
            )
    got = case.name.removesuffix(".") if case.name and not case.peer.inside else case.whom
    if (excepted := _excepted(case, part)) is not None:
        return Nearest(rule.origin, *excepted, got)
    if case.peer.inside and any(isinstance(each, CidrSelector) and not each.pods for each in part.peers):
        got = f"{got}, which is in the cluster: CIDR rules mean what is outside"
    return Nearest(rule.origin, whole, wanted, got)


def _excepted(case: Case, part: PeerPart) -> tuple[str, str] | None:
    """(path, what it wants) of the `except` that takes the peer's address out."""
    if case.peer.address is None or not isinstance(part.raw, dict):
        return None
    path, block = (
        (f"{part.path}.ipBlock", part.raw["ipBlock"]) if "ipBlock" in part.raw else (part.path, part.raw)
    )
    if "cidr" not in block or case.peer.address not in network(block["cidr"]):
        return None
    for number, text in enumerate(block.get("except") or ()):
        if case.peer.address in network(text):
            return f"{path}.except[{number}]", f"not {text}"
    return None


def _subject(catalog: Catalog, case: Case, rule: Rule) -> Nearest:
    spec = (
        "specs[" + rule.origin.rule.split("[", 1)[1].split("]")[0] + "]"
        if rule.origin.rule.startswith("specs[")
        else "spec"
    )
    raw = at(catalog.raws[catalog.number_of(rule.origin)], spec)
    member = "podSelector" if rule.origin.kind == "NetworkPolicy" else "endpointSelector"
    failed = next(r for r in rule.subject.requirements if not r.holds(view(case.subject)))
    field, want = _requirement(f"{spec}.{member}", raw.get(member) or {}, failed)
    return Nearest(rule.origin, field, want, view(case.subject).get((failed.source, failed.key)))


def _requirement(path: str, raw: Any, failed: Requirement) -> tuple[str, Any]:
    """Where in a selector a requirement stands. One that was added (the namespace) is the selector's own."""
    want: Any = sorted(failed.values) if failed.values else failed.operator
    if failed.operator == "In" and len(failed.values) == 1:
        (want,) = failed.values
        want = want or failed.key
    elif failed.operator == "NotIn":
        want = f"not {', '.join(sorted(failed.values))}"
    if not isinstance(raw, dict):
        return path, want
    sides = [("podSelector", raw.get("podSelector")), ("namespaceSelector", raw.get("namespaceSelector"))]
    for side, selector in [("", raw), *((f".{name}", value) for name, value in sides if value)]:
        for key in selector.get("matchLabels") or {}:
            if failed.key.endswith(key.split(":", 1)[-1]):
                return f"{path}{side}.matchLabels[{key}]", want
        for number, expression in enumerate(selector.get("matchExpressions") or ()):
            if failed.key.endswith(expression["key"].split(":", 1)[-1]):
                return f"{path}{side}.matchExpressions[{number}]", want
    if failed.key == "io.kubernetes.pod.namespace":
        return f"{path} (namespace)", want
    return path, want


def _refused(catalog: Catalog, case: Case, decision: Decision) -> Nearest | None:
    assert case.question is not None
    found: list[tuple[float, RuleOrigin, str, list[str]]] = []
    for origin in decision.rules:
        rule = catalog.rule(origin)
        for part in catalog.port_parts(rule):
            if part.judged and case.means_port(part.ports):
                items = at(catalog.raws[catalog.number_of(origin)], part.toports)["rules"]["dns"]
                wanted = [item.get("matchName") or item["matchPattern"] for item in items]
                alike = max(_shared_labels(text.lower(), case.question) for text in wanted)
                found.append((alike, origin, f"{part.toports}.rules.dns", wanted))
    if not found:
        return None
    _, origin, field, wanted = max(found, key=lambda each: each[0])
    return Nearest(origin, field, wanted, case.question.removesuffix("."))
