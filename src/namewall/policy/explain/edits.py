"""Changes to policy documents, and the candidates among which the smallest patch is looked for.

Every candidate only adds: a port, a peer, a name, a rule, a policy for the pod alone. None is trusted: `patch` applies
and decides each again. `opens` estimates how many new flows one opens (subjects times peers times ports), the asked
one counting 1.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from namewall.model.labels import (
    CLUSTER,
    DEFAULT_CLUSTER,
    METADATA_NAME,
    NAMESPACE,
    NAMESPACE_LABELS,
    Labels,
    parse_label,
    view,
)
from namewall.model.names import NAME_CHARACTERS
from namewall.model.net import Direction, Protocol
from namewall.policy.cilium import TRANSPORTS
from namewall.policy.explain.anatomy import Catalog, Raw, at, key_of, pointer
from namewall.policy.explain.case import Case
from namewall.policy.explain.words import PROTOCOL_NAMES, plain_labels
from namewall.policy.parse import parse
from namewall.policy.rules import PortMatch, Rule
from namewall.policy.selectors import CidrSelector, FqdnSelector, LabelSelector, PeerSelector
from namewall.policy.terms import posture, selecting

ALL_PORTS = 65536
EVERYBODY = 1 << 20
"""How many peers a wildcard counts for."""
A_PATTERN = 256
"""How many names a pattern counts for."""

ENTITIES = ("host", "kube-apiserver", "remote-node", "health", "ingress", "init", "unmanaged")


@dataclass(frozen=True, slots=True)
class Change:
    """One `add` of JSON Patch (RFC 6902) to the object numbered `index`; with None the whole new object."""

    index: int | None
    path: str
    value: Any


@dataclass(frozen=True, slots=True)
class Candidate:
    change: Change
    opens: int

    @property
    def cost(self) -> tuple[int, int, str]:
        """Opens least, then is shortest; the text only makes the order a total one."""
        text = json.dumps(self.change.value, sort_keys=True, default=str)
        return self.opens, len(text) + len(self.change.path), self.change.path + text


def apply(raws: Sequence[Raw], changes: Iterable[Change]) -> list[Raw]:
    """The objects after the changes; new ones come last. The old ones are left as they are."""
    result = list(raws)
    copied: set[int] = set()
    for change in changes:
        if change.index is None:
            result.append(copy.deepcopy(change.value))
            continue
        if change.index not in copied:
            result[change.index] = copy.deepcopy(result[change.index])
            copied.add(change.index)
        *parents, last = change.path.strip("/").split("/")
        target: Any = result[change.index]
        for step in parents:
            target = target[int(step)] if isinstance(target, list) else target[step]
        value = copy.deepcopy(change.value)
        if isinstance(target, list):
            target.insert(len(target) if last == "-" else int(last), value)
        else:
            target[last] = value
    return result


def candidates(catalog: Catalog, case: Case, known: Sequence[Labels]) -> Iterator[Candidate]:
    """In no order. `known` are the label sets of the world's endpoints, by which breadth is measured."""
    yield from _new_policies(catalog, case, known)
    seen: set[tuple[int, str]] = set()
    for index, policy in catalog.numbered():
        for rule in () if policy.audit else policy.rules:
            if rule.direction is not case.direction or not rule.subject.matches(case.subject):
                continue
            subjects = _subjects(rule.subject, known)
            if not rule.deny:
                yield from _in_rule(catalog, index, rule, case, known, subjects)
            spec = rule.origin.rule.rsplit(".", 1)[0] if "." in rule.origin.rule else "spec"
            if (index, spec) not in seen:
                seen.add((index, spec))
                yield from _new_rules(catalog, index, spec, case, subjects)


def _subjects(selector: LabelSelector, known: Sequence[Labels]) -> int:
    """How many pods it selects: those known, and one to come where it selects by none of a pod's own labels."""
    by_place = all(requirement.key in (NAMESPACE, CLUSTER) for requirement in selector.requirements)
    return max(1, sum(map(selector.matches, known))) + by_place


def _new_policies(catalog: Catalog, case: Case, known: Sequence[Labels]) -> Iterator[Candidate]:
    """For pods with the subject's own labels: a NetworkPolicy where there are only such, and it can say it."""
    namespace = view(case.subject).get(("k8s", NAMESPACE), "")
    if namespace and all(policy.kind == "NetworkPolicy" for policy in catalog.policies) and _is_plain(case):
        found = list(_of_kind("NetworkPolicy", namespace, catalog, case, known))
        if found:
            yield from found
            return
    kind = "CiliumNetworkPolicy" if namespace else "CiliumClusterwideNetworkPolicy"
    yield from _of_kind(kind, namespace, catalog, case, known)


def _is_plain(case: Case) -> bool:
    """Neither a name nor a question is at stake, and the port has a number."""
    return not case.name and case.question is None and any(_network_policy_ports(case))


def _of_kind(
    kind: str, namespace: str, catalog: Catalog, case: Case, known: Sequence[Labels]
) -> Iterator[Candidate]:
    own: dict[str, str] = dict(plain_labels(case.subject))
    if not namespace:
        reserved = [parse_label(label).key for label in sorted(case.subject) if label.startswith("reserved:")]
        own = {f"reserved:{key}": "" for key in reserved}
        if not own:
            return
    direction = case.direction.name.lower()
    selector = {"matchLabels": own} if own else {}
    metadata = {"name": _unused_name(catalog, case)} | ({"namespace": namespace} if namespace else {})
    spec: Raw = {"endpointSelector": selector}
    if kind == "NetworkPolicy":
        spec = {"podSelector": selector, "policyTypes": [direction.capitalize()]}
    version = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "cilium.io/v2"
    head = {"apiVersion": version, "kind": kind, "metadata": metadata}
    policy, _ = parse({**head, "spec": {**spec, direction: [{}]}})
    if policy is None:
        return
    subject = policy.rules[0].subject
    selected = [labels for labels in known if subject.matches(labels)]
    closed = [labels for labels in selected if _is_closed(catalog, labels, case.direction)]
    if len(closed) < len(selected):
        if kind == "NetworkPolicy":
            return
        # What it selects beside the pod and is open stays so.
        spec["enableDefaultDeny"] = {direction: False}
    for item, opens in _items(case, kind, namespace):
        document = {**head, "spec": {**spec, direction: [item]}}
        yield Candidate(Change(None, "", document), _subjects(subject, closed) * opens)


def _is_closed(catalog: Catalog, subject: Labels, direction: Direction) -> bool:
    """Whether default deny is on already."""
    return posture(selecting(catalog.enforced, subject, direction), subject).default_deny


def _unused_name(catalog: Catalog, case: Case) -> str:
    """One that no policy has, whatever its kind."""
    egress = case.direction is Direction.EGRESS
    slug = _slug(f"{case.who} {'to' if egress else 'from'} {case.name or case.whom}")
    used = {policy.name for policy in catalog.policies}
    return next(name for name in chain([slug], (f"{slug}-{n}" for n in count(2))) if name not in used)


def _slug(text: str) -> str:
    words = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())
    return "-".join(filter(None, words.split("-")))[:60].strip("-")


def _in_rule(
    catalog: Catalog, index: int, rule: Rule, case: Case, known: Sequence[Labels], subjects: int
) -> Iterator[Candidate]:
    item, path, kind = catalog.item(rule.origin), rule.origin.rule, rule.origin.kind
    if path == "spec":
        return
    parts = catalog.port_parts(rule)
    if case.question is not None:
        for where in sorted({part.toports for part in parts if part.judged and case.means_port(part.ports)}):
            for entry in dns_items(case.question):
                yield _add(index, f"{where}.rules.dns", entry, subjects * _names_opened(entry))
    peers = sum(_breadth(peer, known) for peer in rule.peers)
    if case.means_peer(rule.peers) and not case.means_port(rule.ports):
        for member, entry, opens in _ports_for(item, kind, case):
            yield _add(index, f"{path}.{member}", entry, subjects * max(1, peers) * opens)
    if case.means_port(rule.ports) and (part := catalog.peer_parts(rule)):
        ports = sum(_width(port) for port in rule.ports)
        for member, entry, breadth in peer_entries(case, kind, rule.origin.namespace):
            if any(each.member == member for each in part):
                yield _add(index, f"{path}.{member}", entry, subjects * breadth * max(1, ports))


def _add(index: int, path: str, value: Any, opens: int) -> Candidate:
    return Candidate(Change(index, pointer(path) + "/-", value), opens)


def _ports_for(item: Raw, kind: str, case: Case) -> Iterator[tuple[str, Any, int]]:
    """(list below the item, what to add, ports opened)."""
    if kind == "NetworkPolicy":
        for entry, opens in _network_policy_ports(case):
            if item.get("ports"):
                yield "ports", entry, opens
        return
    if case.protocol in (Protocol.ICMP, Protocol.ICMPV6):
        for number, icmp in enumerate(item.get("icmps") or ()):
            if icmp.get("fields"):
                yield f"icmps[{number}].fields", icmp_field(case), 1
            else:
                yield "icmps", {"fields": [icmp_field(case)]}, 1
        return
    if not item.get("toPorts"):
        return
    port = {"port": str(case.port), "protocol": PROTOCOL_NAMES[Protocol(case.protocol)]}
    if case.question is None:
        for number, port_rule in enumerate(item["toPorts"]):
            if port_rule.get("ports") and not port_rule.get("rules"):
                yield f"toPorts[{number}].ports", port, 1
    for entry, opens in _port_rules(case):
        yield "toPorts", entry, opens


def _port_rules(case: Case) -> Iterator[tuple[Raw, int]]:
    """toPorts items that mean the port. A question gets one that judges names, over UDP and TCP alike."""
    exact = {"port": str(case.port), "protocol": PROTOCOL_NAMES[Protocol(case.protocol)]}
    if case.question is None:
        yield {"ports": [exact]}, 1
        return
    either = {"port": str(case.port), "protocol": "ANY"}
    for entry in dns_items(case.question):
        yield {"ports": [either], "rules": {"dns": [entry]}}, _names_opened(entry)
    yield {"ports": [exact]}, EVERYBODY


def dns_items(question: str) -> Iterator[Raw]:
    """Items of `rules.dns` that pass a question: the name itself where it can be written, and every name."""
    if named := _name_item(question):
        yield named
    yield {"matchPattern": "*"}


def _names_opened(entry: Raw) -> int:
    return 1 if "matchName" in entry else A_PATTERN


def _name_item(name: str) -> Raw | None:
    plain = name.lower().removesuffix(".")
    labels = plain.split(".")
    if len(plain) > 254 or not all(label and NAME_CHARACTERS.issuperset(label) for label in labels):
        return None
    return {"matchName": plain}


def icmp_field(case: Case) -> Raw:
    return {"type": case.port, "family": "IPv6" if case.protocol == Protocol.ICMPV6 else "IPv4"}


def _network_policy_ports(case: Case) -> Iterator[tuple[Raw, int]]:
    if case.protocol in TRANSPORTS and 0 < case.port < ALL_PORTS:
        yield {"port": case.port, "protocol": PROTOCOL_NAMES[Protocol(case.protocol)]}, 1


def _new_rules(catalog: Catalog, index: int, spec: str, case: Case, subjects: int) -> Iterator[Candidate]:
    raw = catalog.raws[index]
    kind, namespace, _ = key_of(raw)
    name = "egress" if case.direction is Direction.EGRESS else "ingress"
    there = at(raw, spec).get(name)
    for item, opens in _items(case, kind, namespace):
        if there:
            yield _add(index, f"{spec}.{name}", item, subjects * opens)
        else:
            yield Candidate(Change(index, pointer(f"{spec}.{name}"), [item]), subjects * opens)


def _items(case: Case, kind: str, namespace: str) -> Iterator[tuple[Raw, int]]:
    """Whole rule items for this one flow."""
    for member, entry, breadth in peer_entries(case, kind, namespace):
        peers = {member: [entry]}
        if kind == "NetworkPolicy":
            for port, opens in _network_policy_ports(case):
                yield {**peers, "ports": [port]}, breadth * opens
            yield peers, breadth * 3 * ALL_PORTS
        elif case.protocol in (Protocol.ICMP, Protocol.ICMPV6):
            yield {**peers, "icmps": [{"fields": [icmp_field(case)]}]}, breadth
        else:
            for entry_ports, opens in _port_rules(case):
                yield {**peers, "toPorts": [entry_ports]}, breadth * opens


def peer_entries(case: Case, kind: str, namespace: str) -> Iterator[tuple[str, Any, int]]:
    """(member, entry, how many peers it means) by which a rule of this kind can mean the peer."""
    peer, side = case.peer, "to" if case.direction is Direction.EGRESS else "from"
    if peer.closed:
        return
    if kind == "NetworkPolicy":
        yield from _network_policy_peers(case, side, namespace)
        return
    if not peer.inside:
        names = [case.name] if case.name else sorted(peer.names)
        if side == "to":
            for name in names:
                if item := _name_item(name):
                    yield "toFQDNs", item, 1
        if peer.address is not None and not case.unlearned:
            prefix = f"{peer.address}/{peer.address.max_prefixlen}"
            breadth = 2 if case.name else 1
            yield f"{side}CIDR", prefix, breadth
            yield f"{side}CIDRSet", {"cidr": prefix}, breadth
        return
    reserved = {parse_label(label).key for label in peer.labels if label.startswith("reserved:")}
    for entity in ENTITIES:
        if entity in reserved:
            yield f"{side}Entities", entity, 1
            return
    labels = view(peer.labels)
    theirs = labels.get(("k8s", NAMESPACE))
    if theirs is None:
        return
    match: dict[str, str] = dict(plain_labels(peer.labels))
    if theirs != namespace:
        match = {f"k8s:{NAMESPACE}": theirs, **match}
    if labels.get(("k8s", CLUSTER), DEFAULT_CLUSTER) != DEFAULT_CLUSTER:
        match[f"k8s:{CLUSTER}"] = labels["k8s", CLUSTER]
    yield f"{side}Endpoints", {"matchLabels": match} if match else {}, 1


def _network_policy_peers(case: Case, side: str, namespace: str) -> Iterator[tuple[str, Any, int]]:
    peer = case.peer
    if not peer.inside:
        if peer.address is not None and not case.unlearned:
            block = {"ipBlock": {"cidr": f"{peer.address}/{peer.address.max_prefixlen}"}}
            yield side, block, 2 if case.name else 1
        return
    labels = view(peer.labels)
    theirs = labels.get(("k8s", NAMESPACE))
    if theirs is None:
        return
    entry: Raw = {"podSelector": {"matchLabels": own} if (own := plain_labels(peer.labels)) else {}}
    if theirs != namespace:
        prefix = f"{NAMESPACE_LABELS}."
        of_namespace = {
            key.removeprefix(prefix): value
            for (source, key), value in sorted(labels.items())
            if source == "k8s" and key.startswith(prefix)
        }
        named = METADATA_NAME in of_namespace
        chosen = {METADATA_NAME: of_namespace[METADATA_NAME]} if named else of_namespace
        entry["namespaceSelector"] = {"matchLabels": chosen} if chosen else {}
    yield side, entry, 1


def _breadth(selector: PeerSelector, known: Sequence[Labels]) -> int:
    if isinstance(selector, LabelSelector):
        return EVERYBODY if selector.is_wildcard else max(1, sum(map(selector.matches, known)))
    if isinstance(selector, CidrSelector):
        return int(min(EVERYBODY, selector.cidr.num_addresses))
    if isinstance(selector, FqdnSelector):
        return A_PATTERN if "*" in selector.form else 1
    return 1


def _width(match: PortMatch) -> int:
    if match.protocol is Protocol.ANY:
        return 3 * ALL_PORTS
    return 1 if match.name else match.last - match.first + 1
