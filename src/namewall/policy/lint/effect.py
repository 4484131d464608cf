"""Rules about rules that do nothing, less, or more than they say: shadows, default deny, ports."""

from __future__ import annotations

from collections.abc import Iterator

from namewall.model.net import Direction, Protocol
from namewall.policy.explain.words import rule_name
from namewall.policy.lint.contained import labels_meet, peer_within, ports_meet, rule_within
from namewall.policy.lint.finding import Finding, Project, is_for_all
from namewall.policy.parse import enforceable
from namewall.policy.rules import EVERYTHING, Rule
from namewall.policy.scenario import Endpoint, ServicePort
from namewall.policy.selectors import LabelSelector


def shadowed(project: Project) -> Iterator[Finding]:
    """An allow that a deny covers, or that another allow (DNS rules included) says already."""
    order = {id(rule): number for number, (_, rule) in enumerate(project.rules)}
    judged = [rule for _, rule in project.rules if any(port.dns is not None for port in rule.ports)]
    for index, rule in project.rules:
        for _, other in project.wider(rule):
            if other is rule or not rule_within(rule, other):
                continue
            if other.deny and not rule.deny:
                if any(port.name and port.dns is not None for port in rule.ports):
                    continue  # as Cilium has it, it takes the names from rules for the number (semantics 6.5)
                yield Finding(
                    "shadowed",
                    "warning",
                    index,
                    rule.origin.rule,
                    f"{rule_name(other.origin)} denies all of it, and a deny wins over every allow",
                    "narrow the deny, or take this rule out",
                )
                break
            if other.deny is not rule.deny or not _says_as_much(rule, other, judged):
                continue
            earlier = order[id(rule)] < order[id(other)]
            if earlier and rule_within(other, rule) and _says_as_much(other, rule, judged):
                continue
            yield Finding(
                "shadowed",
                "warning",
                index,
                rule.origin.rule,
                f"{rule_name(other.origin)} already says all of it",
                "take one of them out",
            )
            break


def _says_as_much(inner: Rule, outer: Rule, judged: list[Rule]) -> bool:
    """DNS rules included. Where names are judged beside, a narrower port can stand for itself: then no."""
    asks = {port.dns for port in inner.ports} | {port.dns for port in outer.ports}
    if asks == {None}:
        return not any(
            ports_meet(port, mine)
            for rule in judged
            if labels_meet(inner.subject, rule.subject)
            for port in rule.ports
            if port.dns is not None
            for mine in inner.ports
        )
    # A selector of its own makes a class of its own, which may stand before the wider one (semantics 5.3, 6.3).
    if not set(inner.peers) <= set(outer.peers):
        return False
    for port in inner.ports:
        alike = [
            other
            for other in outer.ports
            if (other.protocol, other.first, other.last, other.name)
            == (port.protocol, port.first, port.last, port.name)
        ]
        if not any(
            other.dns is not None
            and port.dns is not None
            and (other.dns == "any" or (port.dns != "any" and port.dns <= other.dns))
            for other in alike
        ):
            return False
    return True


def undone(project: Project) -> Iterator[Finding]:
    """DNS rules beside a plain allow of the same port and server: every name may be asked (semantics 6.2)."""
    for index, rule in project.allows(Direction.EGRESS):
        for port in rule.ports:
            if port.dns is None or port.dns == "any":
                continue
            for _, other in project.around(rule):
                plain = not other.deny and any(
                    p.dns is None
                    and (p.protocol, p.first, p.last, p.name)
                    == (port.protocol, port.first, port.last, port.name)
                    for p in other.ports
                )
                if plain and all(any(peer_within(one, two) for two in other.peers) for one in rule.peers):
                    yield Finding(
                        "dns-rules-undone",
                        "warning",
                        index,
                        f"{rule.origin.rule}.toPorts",
                        f"{rule_name(other.origin)} allows the same port without DNS rules: every name may be asked",
                        "take the plain rule out",
                    )
                    break
            else:
                continue
            break


def default_deny(project: Project) -> Iterator[Finding]:
    for index, path, spec in project.specs():
        if project.kind(index) == "NetworkPolicy":
            continue
        flags = spec.get("enableDefaultDeny") or {}
        for side in ("ingress", "egress"):
            if flags.get(side) is True and not (spec.get(side) or spec.get(f"{side}Deny")):
                yield Finding(
                    "idle-default-deny",
                    "warning",
                    index,
                    f"{path}.enableDefaultDeny.{side}",
                    f"without {side} or {side}Deny entries it does nothing",
                    f"write `{side}: [{{}}]` to deny everything",
                )
            if spec.get(f"{side}Deny") and not spec.get(side) and flags.get(side) is not False:
                if any(map(is_for_all, project.rules_of(index, f"{path}.{side}Deny["))):
                    continue  # so it is meant
                if _allowed_elsewhere(project, index, path, side):
                    continue
                yield Finding(
                    "deny-denies-all",
                    "warning",
                    index,
                    f"{path}.{side}Deny",
                    f"deny rules turn on default deny too: nothing is allowed, so all {side} is denied",
                    f"set `enableDefaultDeny: {{{side}: false}}`, or add allow rules",
                )


def _allowed_elsewhere(project: Project, index: int, path: str, side: str) -> bool:
    mine = project.rules_of(index, f"{path}.{side}Deny[")
    return any(rule.peers and not rule.deny for deny in mine for _, rule in project.around(deny))


def empty_rules(project: Project) -> Iterator[Finding]:
    """`{}` allows nothing in Cilium's kinds and everything in NetworkPolicy. Alone it is how one denies everything."""
    for index, rule in project.rules:
        if rule.origin.kind == "NetworkPolicy" or project.item(rule) != {}:
            continue
        siblings = project.value(index, rule.origin.rule.rpartition("[")[0])
        side = "to" if rule.direction is Direction.EGRESS else "from"
        text = "denies nothing" if rule.deny else "allows nothing, where NetworkPolicy's allows everything"
        alone = len(siblings) == 1
        idiom = alone and not rule.deny
        yield Finding(
            "empty-rule",
            "info" if idiom else "warning",
            index,
            rule.origin.rule,
            f"an empty rule {text}"
            + (f": all {rule.direction.name.lower()} is denied" if idiom and rule.default_deny else ""),
            f"for everybody write `{side}Entities: [all]`" + ("" if alone else "; else take it out"),
        )


def octal_ports(project: Project) -> Iterator[Finding]:
    """Cilium reads numbers as Go does: a leading zero makes them octal."""
    for index, rule in project.rules:
        if rule.origin.kind == "NetworkPolicy":
            continue
        for part in project.catalog.port_parts(rule):
            text = str(part.raw.get("port", ""))
            if text.startswith("0") and text.isdecimal() and int(text, 8) != int(text):
                yield Finding(
                    "octal-port",
                    "warning",
                    index,
                    f"{part.path}.port",
                    f'with a leading zero "{text}" is octal: port {int(text, 8)}',
                    f'write "{int(text)}"',
                )


def open_ports(project: Project) -> Iterator[Finding]:
    for index, rule in project.allows():
        if rule.origin.kind == "NetworkPolicy" or any(port.dns is not None for port in rule.ports):
            continue
        item = project.item(rule)
        members = [m for m in item if m.startswith(("to", "from")) and m != "toPorts"]
        if item.get("toPorts") and not members:
            egress = rule.direction is Direction.EGRESS
            yield Finding(
                "any-peer",
                "warning" if egress else "info",
                index,
                f"{rule.origin.rule}.toPorts",
                f"ports without {'toEndpoints, toFQDNs or toCIDR' if egress else 'fromEndpoints'} mean every peer, "
                "the world included",
                "name the peers; `toEntities: [all]` says that it is meant" if egress else "name the peers",
            )
        whole = {
            port.protocol
            for port in rule.ports
            if port.protocol is not Protocol.ANY and port.first <= 1 and port.last == 65535
        }
        if {Protocol.TCP, Protocol.UDP} <= whole and rule.ports != (EVERYTHING,):
            yield Finding(
                "no-icmp",
                "info",
                index,
                f"{rule.origin.rule}.toPorts",
                "all ports are TCP, UDP and SCTP, never ICMP: ping and path MTU probes are denied",
                "leave toPorts out to allow every protocol, or add a rule with icmps",
            )


def policy_types(project: Project) -> Iterator[Finding]:
    for index, _, spec in project.specs():
        if project.kind(index) != "NetworkPolicy" or not spec.get("policyTypes"):
            continue
        for side in ("ingress", "egress"):
            if spec.get(side) and side.capitalize() not in spec["policyTypes"]:
                yield Finding(
                    "ignored-direction",
                    "warning",
                    index,
                    f"spec.{side}",
                    f"policyTypes leaves {side.capitalize()} out, so these rules are ignored",
                    f"add {side.capitalize()} to policyTypes",
                )


def unenforceable(project: Project) -> Iterator[Finding]:
    for index, policy in project.catalog.numbered():
        for problem in enforceable(policy):
            yield Finding("not-enforceable", "error", index, problem.path, problem.message, "leave it out")


def service_ports(project: Project) -> Iterator[Finding]:
    """A policy's port is the port of the pod; a Service translates before policy looks."""
    if project.scenario is None:
        return
    for index, rule in project.allows():
        selectors = [peer for peer in rule.peers if isinstance(peer, LabelSelector)]
        for service in project.scenario.services:
            pods = [e for e in service.endpoints if isinstance(e, Endpoint)]
            behind = [e for e in pods if any(s.matches(e.labels) for s in selectors)]
            if rule.direction is Direction.INGRESS:
                behind = [e for e in pods if rule.subject.matches(e.labels)]
            if not behind:
                continue
            for port in service.ports:
                targets = _targets(port, behind)
                asked = [p for p in rule.ports if p.protocol is port.protocol and not p.name]
                exact = any((p.first, p.last) == (port.port, port.port) for p in asked)
                if exact and not all(_means(rule, port, target) for target in targets):
                    name = f"{service.facts.namespace}/{service.facts.name}"
                    numbers = " and ".join(map(str, sorted(targets, key=str)))
                    yield Finding(
                        "service-port",
                        "warning",
                        index,
                        f"{rule.origin.rule}.{'ports' if rule.origin.kind == 'NetworkPolicy' else 'toPorts'}",
                        f"{port.port} is the port of Service {name}; policy sees the pods' port {numbers}",
                        f"write port {numbers}",
                    )


def _targets(port: ServicePort, pods: list[Endpoint]) -> set[int | str]:
    """The ports of the pods; the name where none of them has it."""
    if isinstance(port.target, int):
        return {port.target}
    key = port.target.lower(), port.protocol
    return {number for pod in pods for number in pod.ports.get(key, ())} or {port.target}


def _means(rule: Rule, port: ServicePort, target: int | str) -> bool:
    return any(
        p.name == str(port.target).lower()
        if p.name
        else isinstance(target, int) and p.first <= target <= p.last
        for p in rule.ports
        if p.protocol in (port.protocol, Protocol.ANY)
    )


RULES = (
    shadowed,
    undone,
    default_deny,
    empty_rules,
    octal_ports,
    open_ports,
    policy_types,
    unenforceable,
    service_ports,
)
