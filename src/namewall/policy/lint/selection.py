"""Rules about selectors that select nobody, or everybody, or others than it seems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from namewall.model.labels import (
    CLUSTER,
    DEFAULT_CLUSTER,
    METADATA_NAME,
    NAMESPACE,
    RESERVED,
    is_relevant,
    split_key,
    view,
)
from namewall.model.net import Direction
from namewall.policy.decide import PeerFacts
from namewall.policy.explain.anatomy import PeerPart, key_of
from namewall.policy.explain.words import policy_name
from namewall.policy.lint.contained import is_world, own_requirements
from namewall.policy.lint.finding import Finding, Project, in_namespace, is_for_all
from namewall.policy.rules import Rule
from namewall.policy.scenario import RESERVED_NAMES, Endpoint, Scenario
from namewall.policy.selectors import WILDCARD, CidrSelector, FqdnSelector, LabelSelector

MEMBERS = {"endpointSelector", "podSelector", "namespaceSelector", "fromEndpoints", "toEndpoints"}


def _selectors(value: Any, path: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, member, label selector) of all that stand below a value."""
    if isinstance(value, dict):
        for key, below in value.items():
            where = f"{path}.{key}" if path else key
            if key in MEMBERS:
                each = list(enumerate(below)) if isinstance(below, list) else [(None, below)]
                for number, selector in each:
                    if isinstance(selector, dict):
                        yield f"{where}[{number}]" if number is not None else where, key, selector
            else:
                yield from _selectors(below, where)
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _selectors(below, f"{path}[{number}]")


def labels(project: Project) -> Iterator[Finding]:
    """Keys that are in no identity, sources that no pod has, requirements that exclude each other."""
    for index, spec_path, spec in project.specs():
        for path, member, selector in _selectors(spec, spec_path):
            wanted: dict[str, set[str]] = {}
            others: list[tuple[str, str, str, list[str]]] = []
            for where, key, operator, values in _requirements(selector, path):
                source, name = split_key(key)
                if member in ("podSelector", "namespaceSelector"):
                    source, name = "k8s", key
                if member != "namespaceSelector" and source in ("k8s", "any") and not is_relevant(name):
                    yield Finding(
                        "dropped-label",
                        "warning",
                        index,
                        where,
                        f"`{name}` is left out of identities, so no policy can select by it",
                        _instead(name, member, values),
                    )
                elif source not in ("k8s", "any", RESERVED, "fqdn", "cidr", "cidrgroup", "node"):
                    yield Finding(
                        "selects-nothing",
                        "warning",
                        index,
                        where,
                        f"no pod has labels of source `{source}`: the text before the first colon is the source",
                        f"write `{name}` or `k8s:{name}`",
                    )
                if operator == "In":
                    both = wanted.setdefault(key, set(values))
                    if both and not both & set(values):
                        yield Finding(
                            "selects-nothing",
                            "warning",
                            index,
                            where,
                            f"`{key}` cannot be {_or(both)} and {_or(values)} at once",
                            "put the values into one requirement",
                        )
                    wanted[key] = both & set(values)
                else:
                    others.append((where, key, operator, values))
            for where, key, operator, values in others:
                left = wanted.get(key)
                if left and (operator == "DoesNotExist" or (operator == "NotIn" and left <= set(values))):
                    never = "missing" if operator == "DoesNotExist" else "none of it"
                    yield Finding(
                        "selects-nothing",
                        "warning",
                        index,
                        where,
                        f"`{key}` cannot be {_or(left)} and {never}",
                        "take one of the two requirements out",
                    )


def _instead(name: str, member: str, values: list[str]) -> str:
    if name != METADATA_NAME:
        return "select by a label of your own, as `app`"
    kind = "NetworkPolicy" if member == "podSelector" else "CiliumNetworkPolicy"
    return f"for the namespace write `{in_namespace(kind, values[0] if values else '…')}`"


def _or(values: Any) -> str:
    return " or ".join(f"`{value}`" for value in sorted(values))


def _requirements(selector: dict[str, Any], path: str) -> Iterator[tuple[str, str, str, list[str]]]:
    for key, value in (selector.get("matchLabels") or {}).items():
        yield f"{path}.matchLabels", key, "In", [value]
    for number, expression in enumerate(selector.get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{number}]"
        yield where, expression["key"], expression["operator"], expression.get("values") or []


def nobody(project: Project) -> Iterator[Finding]:
    """Subjects and peers that no endpoint of the world is; lists that are empty."""
    seen: set[tuple[int, str]] = set()
    for index, rule in project.rules:
        spec = rule.origin.rule.rsplit(".", 1)[0] if "." in rule.origin.rule else "spec"
        if (index, spec) not in seen and project.scenario is not None:
            seen.add((index, spec))
            if not any(rule.subject.matches(endpoint.labels) for endpoint in project.scenario.endpoints):
                member = "podSelector" if rule.origin.kind == "NetworkPolicy" else "endpointSelector"
                yield Finding(
                    "selects-nothing",
                    "warning",
                    index,
                    f"{spec}.{member}",
                    "it selects no endpoint of the scenario" + _where(rule),
                    "compare the labels and the namespace with those of the pods meant",
                )
                continue
        yield from _peers(project, index, rule)


def _where(rule: Rule) -> str:
    return f" (in namespace `{rule.origin.namespace}`)" if rule.origin.namespace else ""


def _peers(project: Project, index: int, rule: Rule) -> Iterator[Finding]:
    item = project.item(rule)
    for member, value in item.items():
        if (
            value == []
            and member.startswith(("to", "from"))
            and member not in ("toPorts", "toFQDNs", "to", "from")
        ):
            yield Finding(
                "selects-nothing",
                "warning",
                index,
                f"{rule.origin.rule}.{member}",
                "an empty list selects nobody: the rule allows nothing",
                f"leave `{member}` out to mean every peer, or name the peers",
            )
    for part in project.catalog.peer_parts(rule):
        if part.raw == "none" or _excluded(part):
            yield Finding(
                "selects-nothing",
                "warning",
                index,
                part.path,
                "it selects nobody" + ("" if part.raw == "none" else ": all of it is excepted"),
                "take it out, or name whom it means",
            )
        elif project.scenario is not None and not _known(project, rule, part):
            text = "it selects no endpoint of the scenario" + _among(part)
            hint = _elsewhere(project.scenario, rule, part)
            if part.member == "toServices":
                text = "it selects no Service of the scenario"
                hint = "compare the Service's name, labels and namespace"
            yield Finding("selects-nothing", "warning", index, part.path, text, hint)


def _among(part: PeerPart) -> str:
    """The namespaces a peer is looked for in, its own or the policy's."""
    requirements = [r for peer in part.peers if isinstance(peer, LabelSelector) for r in peer.requirements]
    asked = {value for r in requirements if r.key == NAMESPACE and r.operator == "In" for value in r.values}
    return f" (in namespace {_or(asked)})" if asked else ""


def _elsewhere(scenario: Scenario, rule: Rule, part: PeerPart) -> str:
    """Where there are pods that have all but the namespace, or else what to look at."""
    for peer in part.peers:
        own = LabelSelector(tuple(own_requirements(peer))) if isinstance(peer, LabelSelector) else WILDCARD
        pod = next((pod for pod in _pods(scenario) if own.requirements and own.matches(pod.labels)), None)
        if pod is not None and isinstance(peer, LabelSelector):
            failed = next(r for r in peer.requirements if not r.holds(view(pod.labels)))
            if failed.key == CLUSTER:
                return f"{pod} has the other labels: the cluster is called `{DEFAULT_CLUSTER}` here"
            there = in_namespace(rule.origin.kind, pod.namespace)
            return f"{pod} has these labels: write `{there}`"
    return "without a namespace label a selector means the policy's own namespace; compare the labels"


def _pods(scenario: Scenario) -> list[Endpoint]:
    return [*scenario.endpoints, *([scenario.stand_in] if scenario.stand_in else [])]


def _excluded(part: PeerPart) -> bool:
    return bool(part.peers) and all(
        isinstance(peer, CidrSelector)
        and any(peer.cidr == excluded or not _outer(peer, excluded) for excluded in peer.excepts)
        for peer in part.peers
    )


def _outer(peer: CidrSelector, excluded: Any) -> bool:
    return bool(peer.cidr.version != excluded.version or peer.cidr.prefixlen <= excluded.prefixlen)


def _known(project: Project, rule: Rule, part: PeerPart) -> bool:
    """Names and addresses count as known: a world need not list them."""
    assert project.scenario is not None
    if any(isinstance(peer, CidrSelector | FqdnSelector) or is_world(peer) for peer in part.peers):
        return True
    if part.member.endswith(("CIDRSet", "Services", "Nodes", "Groups", "Entities")):
        return bool(part.peers) or part.member.endswith(("Nodes", "Groups"))
    selectors = [peer for peer in part.peers if isinstance(peer, LabelSelector)]
    known = [pod.labels for pod in _pods(project.scenario)]
    known += [PeerFacts.reserved(number).labels for number in RESERVED_NAMES.values()]
    return any(selector.matches(each) for selector in selectors for each in known)


def everybody(project: Project) -> Iterator[Finding]:
    for index, path, spec in project.specs():
        if project.kind(index) != "CiliumClusterwideNetworkPolicy" or spec.get("endpointSelector") != {}:
            continue
        flags = spec.get("enableDefaultDeny") or {}
        sides = [
            side
            for side in ("ingress", "egress")
            if (spec.get(side) or spec.get(f"{side}Deny"))
            and flags.get(side) is not False
            and not any(map(is_for_all, project.rules_of(index, f"{path}.{side}[")))
        ]
        if sides:
            yield Finding(
                "selects-everything",
                "warning",
                index,
                f"{path}.endpointSelector",
                f"every pod of the cluster, the cluster DNS too, gets default deny for {' and '.join(sides)}",
                "select the pods meant, or set enableDefaultDeny to false",
            )


def namespaces(project: Project) -> Iterator[Finding]:
    for index, path, spec in project.specs():
        if project.kind(index) != "CiliumNetworkPolicy":
            continue
        _, own, _ = key_of(project.catalog.raws[index])
        stated = (spec.get("endpointSelector") or {}).get("matchLabels") or {}
        for key, value in stated.items():
            if split_key(key)[1] != NAMESPACE or value == own:
                continue
            where = f"{path}.endpointSelector.matchLabels"
            hint = f"put the policy into namespace `{value}`, or use a CiliumClusterwideNetworkPolicy"
            if key == f"k8s:{NAMESPACE}":
                text = f"a CiliumNetworkPolicy protects pods of its own namespace `{own}`, whatever is written here"
                yield Finding("namespace-overridden", "warning", index, where, text, hint)
            else:
                text = f"it selects nobody: pods of the policy's own namespace `{own}` are never in `{value}` too"
                yield Finding("selects-nothing", "warning", index, where, text, hint)


def pods_by_cidr(project: Project) -> Iterator[Finding]:
    """A CIDR of a Cilium kind never means pods, Services or nodes; an ipBlock means pods, never Services."""
    if project.scenario is None:
        return
    pods = {a: str(e) for e in project.scenario.endpoints for a in e.addresses}
    services = {a: str(s) for s in project.scenario.services for a in s.ips}
    for index, rule in project.rules:
        block = rule.origin.kind == "NetworkPolicy"
        for part in project.catalog.peer_parts(rule):
            for peer in part.peers:
                if not isinstance(peer, CidrSelector) or peer.cidr.prefixlen == 0:
                    continue
                held = [owner for a, owner in (pods | services).items() if peer.selects_address(a)]
                if not held or (block and any(peer.selects_address(a) for a in pods)):
                    continue
                side = "to" if rule.direction is Direction.EGRESS else "from"
                yield Finding(
                    "cidr-means-no-pods",
                    "warning",
                    index,
                    part.path,
                    f"{held[0]} has an address in it, but "
                    + ("an ipBlock never means Services" if block else "a CIDR never means pods or Services"),
                    "use podSelector and namespaceSelector for the pods behind it"
                    if block
                    else f"use {side}Endpoints",
                )


def or_lists(project: Project) -> Iterator[Finding]:
    """NetworkPolicy: two entries are `or`, two selectors in one entry are `and`."""
    for index, rule in project.rules:
        if rule.origin.kind != "NetworkPolicy":
            continue
        raws = [part.raw for part in project.catalog.peer_parts(rule)]
        pods = [n for n, raw in enumerate(raws) if "podSelector" in raw and "namespaceSelector" not in raw]
        spaces = [n for n, raw in enumerate(raws) if "namespaceSelector" in raw and "podSelector" not in raw]
        if pods and spaces and not any("ipBlock" in raw for raw in raws):  # with one, `or` is meant
            side = "to" if rule.direction is Direction.EGRESS else "from"
            yield Finding(
                "netpol-or",
                "warning",
                index,
                f"{rule.origin.rule}.{side}[{max(pods[0], spaces[0])}]",
                "a podSelector and a namespaceSelector as two entries mean `or`: all pods of those namespaces too",
                "for `and`, put both into one entry (one dash), podSelector and namespaceSelector",
            )


def empty_selectors(project: Project) -> Iterator[Finding]:
    """`{}` among the peers is the policy's own namespace; an empty `from` or `to` is everybody."""
    for index, rule in project.rules:
        item = project.item(rule)
        if rule.origin.kind == "NetworkPolicy":
            for member in ("from", "to"):
                if item.get(member) == [] and rule.origin.rule != "spec":
                    yield Finding(
                        "empty-from",
                        "warning",
                        index,
                        f"{rule.origin.rule}.{member}",
                        f"an empty `{member}` means everybody, not nobody",
                        "name the peers; to deny everything leave the rule out",
                    )
        if rule.origin.kind != "CiliumNetworkPolicy":
            continue
        for part in project.catalog.peer_parts(rule):
            if part.raw == {} and part.member.endswith("Endpoints"):
                yield Finding(
                    "own-namespace",
                    "info",
                    index,
                    part.path,
                    f"`{{}}` means the pods of namespace `{rule.origin.namespace}`, not of others, nor the world",
                    "for all pods write matchExpressions: k8s:io.kubernetes.pod.namespace Exists",
                )


def twice(project: Project) -> Iterator[Finding]:
    for index in project.catalog.replaced.values():
        yield Finding(
            "duplicate-name",
            "warning",
            index,
            "metadata.name",
            f"{policy_name(*key_of(project.catalog.raws[index]))} is there twice: applied, the later one replaces "
            "the earlier",
            "give each a name of its own",
        )


RULES = (labels, nobody, everybody, namespaces, pods_by_cidr, or_lists, empty_selectors, twice)
