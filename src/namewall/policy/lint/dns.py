"""Rules about questions: whom they may go to, for which names, and whether the answers are learned from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from namewall.model.labels import NAMESPACE, NAMESPACE_NAME, RESERVED, Labels, identity_labels
from namewall.model.names import fqdn
from namewall.model.near import near
from namewall.model.net import Direction, Protocol
from namewall.policy.decide import PeerFacts, SubjectRules
from namewall.policy.diff.universe import SOME_NAME, sample_names
from namewall.policy.explain.anatomy import parts_of_ports
from namewall.policy.lint.contained import is_world, own_requirements, peer_within, port_within, ports_meet
from namewall.policy.lint.finding import Finding, Project, Severity, in_namespace
from namewall.policy.lookup import DNS_REFUSED, NO_POLICY
from namewall.policy.patterns import Pattern, normalize
from namewall.policy.rules import PortMatch, Rule
from namewall.policy.scenario import Endpoint, Party, Scenario, Service
from namewall.policy.scenario_parse import parse_scenario
from namewall.policy.selectors import CidrSelector, FqdnSelector, LabelSelector, PeerSelector

NDOTS = 5
"""Kubernetes' resolv.conf: a name with fewer dots is asked with each search domain first."""
WIDEST_SERVER = {4: 24, 6: 64}
"""Prefix lengths below which a CIDR is no address of a DNS server."""
KUBE_SYSTEM = "kube-system"
CUSTOMARY = (
    identity_labels({"k8s-app": "node-local-dns"}, KUBE_SYSTEM, {}),
    identity_labels({"dns.operator.openshift.io/daemonset-dns": "default"}, "openshift-dns", {}),
)
"""Pods that are asked in one cluster or another besides kube-dns, for when nobody says which ones there are."""


def _dns_rules(project: Project) -> Iterator[tuple[int, str, list[Any], Rule]]:
    """(object, path of the toPorts item, items of rules.dns, rule)."""
    for index, rule in project.allows(Direction.EGRESS):
        if rule.origin.kind == "NetworkPolicy":
            continue
        for number, port_rule in enumerate(project.item(rule).get("toPorts") or ()):
            if items := (port_rule.get("rules") or {}).get("dns"):
                yield index, f"{rule.origin.rule}.toPorts[{number}]", items, rule


def search_domains(project: Project) -> Iterator[Finding]:
    for index, path, items, rule in _dns_rules(project):
        forms = [
            normalize(i["matchName"], "matchName") if i.get("matchName") else normalize(i["matchPattern"])
            for i in items
        ]
        namespace = rule.origin.namespace or "default"
        for number, item in enumerate(items):
            name = item.get("matchName")
            if not name or name.endswith(".") or fqdn(name).count(".") - 1 >= NDOTS:
                continue
            if name.lower().endswith("cluster.local"):
                continue
            first = f"{name.lower()}.{namespace}.svc.cluster.local."
            if any(Pattern(form).passes(first) for form in forms):
                continue
            yield Finding(
                "ndots-search",
                "warning",
                index,
                f"{path}.rules.dns[{number}].matchName",
                f"a pod asks `{first[:-1]}` first (ndots:{NDOTS}), which is refused; musl's resolver gives up there",
                "add matchPattern `**.cluster.local` to the DNS rules, or let pods ask `" + name + ".`",
            )


def dns_servers(project: Project) -> Iterator[Finding]:
    for index, path, _, rule in _dns_rules(project):
        for peer in rule.peers:
            what = _wide(peer)
            if what:
                yield Finding(
                    "dns-server-wide",
                    "warning",
                    index,
                    path,
                    f"the DNS server may be {what}: a workload can ask one of its own and teach itself any address",
                    "name the cluster DNS: toEndpoints k8s-app=kube-dns in kube-system",
                )
                break


def _wide(peer: object) -> str:
    if isinstance(peer, CidrSelector):
        wide = peer.cidr.prefixlen < WIDEST_SERVER[peer.cidr.version]
        return f"any address of {peer.cidr}" if wide else ""
    if isinstance(peer, LabelSelector):
        if peer.is_wildcard:
            return "anybody"
        if is_world(peer):
            return "anywhere in the world"
        if not own_requirements(peer):
            namespaces = [v for r in peer.requirements if r.key.endswith(".namespace") for v in r.values]
            if set(namespaces) <= {KUBE_SYSTEM, "openshift-dns"} and namespaces:
                return ""
            return f"any pod of namespace `{namespaces[0]}`" if len(namespaces) == 1 else "any pod"
    return "anywhere a name leads" if isinstance(peer, FqdnSelector) else ""


def misplaced(project: Project) -> Iterator[Finding]:
    """The cluster DNS looked for in the policy's own namespace, where there is none: the label for it is missing, or
    misspelt. With a scenario selects-nothing knows."""
    if project.scenario is not None:
        return
    for index, rule in project.rules:
        if not any(_misplaced(peer, rule) for peer in rule.peers):
            continue
        for part in project.catalog.peer_parts(rule):
            for space in {space for peer in part.peers for space in _misplaced(peer, rule)}:
                yield Finding(
                    "dns-namespace",
                    "warning",
                    index,
                    part.path,
                    f"it looks for the cluster DNS in namespace `{space}`; that is in `{KUBE_SYSTEM}`",
                    f"write `{in_namespace(rule.origin.kind, KUBE_SYSTEM)}` beside `k8s-app: kube-dns`",
                )


def _misplaced(peer: PeerSelector, rule: Rule) -> frozenset[str]:
    """The namespaces in which a selector of kube-dns pods looks for them, where these can hardly be meant. Another
    one that somebody names may have a DNS server of its own."""
    if rule.direction is not Direction.EGRESS or not isinstance(peer, LabelSelector):
        return frozenset()
    asked = {r.key: r.values for r in peer.requirements if r.operator == "In"}
    spaces = asked.get(NAMESPACE_NAME) or asked.get(NAMESPACE) or frozenset()
    if "kube-dns" not in asked.get("k8s-app", ()) or KUBE_SYSTEM in spaces:
        return frozenset()
    return frozenset(s for s in spaces if s == rule.origin.namespace or near(s, (KUBE_SYSTEM,)))


def other_servers(project: Project) -> Iterator[Finding]:
    """DNS rules for pods that are not asked, as far as one knows."""
    known = _asked(project)
    for index, path, _, rule in _dns_rules(project):
        if any(_may_be_asked(peer, known) or _misplaced(peer, rule) for peer in rule.peers) or not rule.peers:
            continue
        yield Finding(
            "other-dns-server",
            "info",
            index,
            path,
            "these DNS rules are for other pods than the cluster DNS: what that is asked, they neither judge nor learn",
            f"name the cluster DNS: toEndpoints k8s-app=kube-dns in {KUBE_SYSTEM}, unless these pods are asked",
        )


def _may_be_asked(peer: PeerSelector, known: list[Labels]) -> bool:
    """Addresses and nodes may (a cache on the node has such a one); pods that are none of those known may not."""
    if not isinstance(peer, LabelSelector) or any(r.source == RESERVED for r in peer.requirements):
        return True
    return any(peer.matches(labels) for labels in known)


def _asked(project: Project) -> list[Labels]:
    """Of the pods that questions go to: those of the scenario, else what is customary."""
    known = [server.labels for server in _servers(project.scenario)]
    if project.scenario is None:
        return [*known, *CUSTOMARY]
    own = (lookup for query in project.scenario.queries for lookup in query.lookups)
    return known + [pod.labels for pod in _pods(each.server for each in (*project.scenario.lookups, *own))]


def protocols(project: Project) -> Iterator[Finding]:
    """Resolvers ask over UDP, and again over TCP where an answer is cut short."""
    for index, path, _, rule in _dns_rules(project):
        if not rule.default_deny and not any(other.default_deny for _, other in project.around(rule)):
            continue
        wider = [rule, *(other for _, other in project.wider(rule))]
        judged = [port for part in parts_of_ports(project.value(index, path), path) for port in part.ports]
        for protocol, severity, text in _PROTOCOLS:
            wanted = {replace(port, protocol=protocol, dns=None) for port in judged}
            if not all(_allowed(rule, port, wider) for port in wanted):
                yield Finding("dns-protocol", severity, index, path, text, "write `protocol: ANY`")
                break


_PROTOCOLS: tuple[tuple[Protocol, Severity, str], ...] = (
    (Protocol.UDP, "warning", "resolvers ask over UDP first, which no rule allows to this server"),
    (Protocol.TCP, "info", "no rule allows TCP to this server: answers that are cut short cannot be had"),
)


def _allowed(rule: Rule, port: PortMatch, wider: list[Rule]) -> bool:
    return any(
        not other.deny
        and any(port_within(port, theirs) for theirs in other.ports)
        and all(any(peer_within(mine, theirs) for theirs in other.peers) for mine in rule.peers)
        for other in wider
    )


def dns_on_the_path(project: Project) -> Iterator[Finding]:
    """For each rule with toFQDNs: can its names be asked, and is the answer seen by a DNS rule."""
    servers = _servers(project.scenario)
    known = None if project.scenario is None else _asked(project)
    asking: dict[Labels, tuple[SubjectRules, list[PortMatch]]] = {}
    for index, rule in project.allows(Direction.EGRESS):
        forms = [peer.form for peer in rule.peers if isinstance(peer, FqdnSelector)]
        names = list(
            dict.fromkeys(name for form in forms if not Pattern(form).inert for name in sample_names(form))
        )
        for subject in project.subjects(rule)[:1] if names else ():
            if subject not in asking:
                asking[subject] = _asking(project, subject, known)
            rules, judged = asking[subject]
            unseen = [n for n in names if not any(m.dns == "any" or _passes(m.dns, n) for m in judged)]
            if not unseen:
                continue
            answers = [rules.decide(server, Protocol.UDP, 53, question=unseen[0]) for server in servers]
            path = f"{rule.origin.rule}.toFQDNs"
            name = "any name" if unseen[0] == SOME_NAME else f"`{unseen[0].removesuffix('.')}`"
            wanted = "" if unseen[0] == SOME_NAME else f"matchName {name} or "
            hint = (
                "add an egress rule: toEndpoints k8s-app=kube-dns in kube-system, toPorts 53/ANY, "
                f"rules.dns {wanted}matchPattern `*`"
            )
            if all(a.verdict == "allow" and a.reason != NO_POLICY for a in answers):
                text = f"DNS is allowed, but no rules.dns is on the path of {name}: Cilium learns no address"
            elif any(a.reason == DNS_REFUSED for a in answers):
                text = f"the DNS rules refuse {name}, so it can never be looked up"
            else:
                text = f"no rule lets it ask the cluster DNS for {name}, so the name never opens"
            yield Finding("fqdn-without-dns", "warning", index, path, text, hint)


def _asking(
    project: Project, subject: Labels, known: list[Labels] | None = None
) -> tuple[SubjectRules, list[PortMatch]]:
    """What decides over a subject's questions to port 53/UDP: its rules for that port, one that turns on default deny,
    and the ports with DNS rules, for servers that may be asked if it is known which."""
    rules = [rule for _, rule in project.by_subject.selecting(subject) if rule.direction is Direction.EGRESS]
    near = [rule for rule in rules if any(ports_meet(_QUESTION, port) for port in rule.ports)]
    near += [rule._replace(peers=()) for rule in rules if rule.default_deny][:1]
    judged = [
        match
        for rule in rules
        if not rule.deny and _may_be_for_servers(project, rule, known)
        for match in rule.ports
        if match.dns is not None
    ]
    return SubjectRules(near or rules[:1], subject, Direction.EGRESS), judged


def _may_be_for_servers(project: Project, rule: Rule, known: list[Labels] | None) -> bool:
    if known is None:  # nor is it known what is behind a Service
        return bool(rule.peers or project.item(rule).get("toServices"))
    return any(_may_be_asked(peer, known) for peer in rule.peers)


_QUESTION = PortMatch(Protocol.UDP, 53, 53)


def _passes(dns: object, name: str) -> bool:
    return isinstance(dns, frozenset) and any(Pattern(form).passes(name) for form in dns)


def _servers(scenario: Scenario | None) -> list[PeerFacts]:
    if scenario is None:
        scenario, _ = parse_scenario({"policies": []})
        assert scenario is not None
    return [scenario.facts(pod) for pod in _pods(scenario.cluster_dns)]


def _pods(parties: Iterable[Party | None]) -> Iterator[Endpoint]:
    """Those of them that are pods, and the pods behind those that are Services."""
    for party in parties:
        for each in party.endpoints if isinstance(party, Service) else (party,):
            if isinstance(each, Endpoint):
                yield each


RULES = (search_domains, dns_servers, misplaced, other_servers, protocols, dns_on_the_path)
