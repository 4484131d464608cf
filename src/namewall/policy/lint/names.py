"""Rules about names and patterns in toFQDNs and in DNS rules (semantics.md section 8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from namewall.model.labels import Labels
from namewall.model.names import fqdn
from namewall.model.net import Direction, Protocol
from namewall.policy.decide import PeerFacts, SubjectRules
from namewall.policy.diff.universe import SOME_NAME, sample_names
from namewall.policy.explain.words import rule_name
from namewall.policy.lint.contained import (
    form_within,
    is_world,
    own_requirements,
    port_within,
    ports_meet,
    world_families,
)
from namewall.policy.lint.finding import Finding, Project
from namewall.policy.lookup import DNS_REFUSED, NO_POLICY
from namewall.policy.patterns import Pattern, normalize
from namewall.policy.rules import PortMatch, Rule
from namewall.policy.scenario import Endpoint, Scenario, Service
from namewall.policy.scenario_parse import parse_scenario
from namewall.policy.selectors import CidrSelector, FqdnSelector, LabelSelector
from namewall.policy.structural import parse_cidr

NDOTS = 5
"""Kubernetes' resolv.conf: a name with fewer dots is asked with each search domain first."""
WIDEST_SERVER = {4: 24, 6: 64}
"""Prefix lengths below which a CIDR is no address of a DNS server."""


def _items(project: Project) -> Iterator[tuple[int, str, str, str, Rule]]:
    """(object, path, matchName or matchPattern, text, rule) of each toFQDNs item."""
    for index, rule in project.allows(Direction.EGRESS):
        if rule.origin.kind == "NetworkPolicy":
            continue
        for number, item in enumerate(project.item(rule).get("toFQDNs") or ()):
            kind = "matchName" if item.get("matchName") else "matchPattern"
            yield index, f"{rule.origin.rule}.toFQDNs[{number}].{kind}", kind, item[kind], rule


def _dns_rules(project: Project) -> Iterator[tuple[int, str, list[Any], Rule]]:
    """(object, path of the toPorts item, items of rules.dns, rule)."""
    for index, rule in project.allows(Direction.EGRESS):
        if rule.origin.kind == "NetworkPolicy":
            continue
        for number, port_rule in enumerate(project.item(rule).get("toPorts") or ()):
            if items := (port_rule.get("rules") or {}).get("dns"):
                yield index, f"{rule.origin.rule}.toPorts[{number}]", items, rule


def patterns(project: Project) -> Iterator[Finding]:
    for index, path, kind, text, _ in _items(project):
        pattern = Pattern(normalize(text, "matchName" if kind == "matchName" else "matchPattern"))
        plain = pattern.form.removesuffix(".")
        labels = plain.split(".")
        if pattern.inert:
            yield Finding(
                "inert-pattern",
                "warning",
                index,
                path,
                f"a name of {len(pattern.form)} characters, the trailing dot among them, matches nothing",
                "names end at 255 characters",
            )
            continue
        if kind == "matchName":
            yield from _name(index, path, text, labels)
            continue
        fixed = (
            labels[max(n for n, label in enumerate(labels) if "*" in label) + 1 :] if "*" in plain else labels
        )
        suffix = ".".join(fixed)
        public = project.is_public_suffix(suffix)
        word = labels[0].strip("*")
        domain = f"{word}.{suffix}"
        joined = labels[0].startswith("*") and word and "*" not in word and (len(fixed) <= 1 or public)
        if pattern.is_match_all or not fixed:
            yield Finding(
                "public-suffix",
                "warning",
                index,
                path,
                f"`{text}` does not fix the domain: whoever registers a name is let through",
                "end the pattern in a domain of one owner, as `*.example.com`",
            )
        elif joined:
            shared = project.is_public_suffix(domain)
            yield Finding(
                "unanchored-pattern",
                "warning",
                index,
                path,
                f"`{text}` also matches `evil{domain}`, which anybody may register",
                f"`{domain}` is a public suffix: name the domain meant, as `example.{domain}`"
                if shared
                else f"write two items: matchName `{domain}` and matchPattern `*.{domain}`",
            )
        elif "*" in plain and public:
            yield Finding(
                "public-suffix",
                "warning",
                index,
                path,
                f"anybody may register a name below `{suffix}`, which is a public suffix",
                f"name the domain meant, as `example.{suffix}` or `*.example.{suffix}`",
            )
        if any("**" in label for label in text.split(".")[1:]) or (
            "**" in text.split(".")[0] and text.split(".")[0].strip("*")
        ):
            yield Finding(
                "double-star",
                "warning",
                index,
                path,
                f"`**` stands for several labels only as the whole first label; in `{text}` it is one `*`",
                "begin the pattern with `**.`, or list the levels",
            )


def _name(index: int, path: str, text: str, labels: list[str]) -> Iterator[Finding]:
    plain = ".".join(labels)
    if parse_cidr(f"{plain}/32") is not None:
        yield Finding(
            "address-as-name",
            "warning",
            index,
            path,
            f"`{text}` is an address: nobody asks DNS for it, so it is never learned",
            f"write toCIDR: [{plain}/32]",
        )
    elif len(labels) == 1:
        yield Finding(
            "single-label-name",
            "warning",
            index,
            path,
            f"`{text}` is asked with the search domains of the pod, never alone",
            "write the whole name; for a Service use toServices or toEndpoints",
        )
    elif labels[-2:] == ["cluster", "local"] or labels[-1] == "svc":
        yield Finding(
            "in-cluster-name",
            "warning",
            index,
            path,
            f"`{text}` leads to addresses of the cluster, and names never open those",
            "use toEndpoints with the labels of the pods behind it, or toServices",
        )


def one_level(project: Project) -> Iterator[Finding]:
    """`*.example.com` is neither example.com nor a.b.example.com."""
    for index, path, kind, text, rule in _items(project):
        form = normalize(text)
        apex = form[2:]
        if kind != "matchPattern" or not form.startswith("*.") or "*" in apex:
            continue
        if project.is_public_suffix(apex[:-1]):  # wide as it is: public-suffix says so
            continue
        mine = [p.form for _, one in project.around(rule) for p in one.peers if isinstance(p, FqdnSelector)]
        if not any(form_within(apex, other) for other in mine):
            yield Finding(
                "one-level",
                "info",
                index,
                path,
                f"`{text}` matches one label more: neither `{apex[:-1]}` nor `a.b.{apex[:-1]}`",
                f"add matchName `{apex[:-1]}`, or write `**.{apex[:-1]}` for all levels",
            )


def empty_fqdns(project: Project) -> Iterator[Finding]:
    for index, rule in project.allows(Direction.EGRESS):
        item = project.item(rule)
        if rule.origin.kind != "NetworkPolicy" and item.get("toFQDNs") == [] and item.get("toPorts"):
            yield Finding(
                "empty-fqdns",
                "error",
                index,
                f"{rule.origin.rule}.toFQDNs",
                "an empty toFQDNs counts as not given: the ports are open to every peer",
                "name the names, or leave the rule out",
            )


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
            return "" if namespaces == ["kube-system"] else "any pod"
    return "anywhere a name leads" if isinstance(peer, FqdnSelector) else ""


def dns_on_the_path(project: Project) -> Iterator[Finding]:
    """For each rule with toFQDNs: can its names be asked, and is the answer seen by a DNS rule."""
    servers = _servers(project.scenario)
    asking: dict[Labels, tuple[SubjectRules, list[PortMatch]]] = {}
    for index, rule in project.allows(Direction.EGRESS):
        forms = [peer.form for peer in rule.peers if isinstance(peer, FqdnSelector)]
        names = list(
            dict.fromkeys(next(iter(sample_names(form))) for form in forms if not Pattern(form).inert)
        )
        for subject in project.subjects(rule)[:1] if names else ():
            if subject not in asking:
                asking[subject] = _asking(project, subject)
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


def _asking(project: Project, subject: Labels) -> tuple[SubjectRules, list[PortMatch]]:
    """What decides over a subject's questions to port 53/UDP: its rules for that port, one that turns on default deny,
    and the ports with DNS rules."""
    rules = [rule for _, rule in project.by_subject.selecting(subject) if rule.direction is Direction.EGRESS]
    near = [rule for rule in rules if any(ports_meet(_QUESTION, port) for port in rule.ports)]
    near += [rule._replace(peers=()) for rule in rules if rule.default_deny][:1]
    judged = [
        match
        for rule in rules
        if rule.peers and not rule.deny
        for match in rule.ports
        if match.dns is not None
    ]
    return SubjectRules(near or rules[:1], subject, Direction.EGRESS), judged


_QUESTION = PortMatch(Protocol.UDP, 53, 53)


def _passes(dns: object, name: str) -> bool:
    return isinstance(dns, frozenset) and any(Pattern(form).passes(name) for form in dns)


def _servers(scenario: Scenario | None) -> list[PeerFacts]:
    if scenario is None:
        scenario, _ = parse_scenario({"policies": []})
        assert scenario is not None
    pods: list[Endpoint] = []
    for party in scenario.cluster_dns:
        if isinstance(party, Endpoint):
            pods.append(party)
        elif isinstance(party, Service):
            pods += [backend for backend in party.endpoints if isinstance(backend, Endpoint)]
    return [scenario.facts(pod) for pod in pods]


def swallowed(project: Project) -> Iterator[Finding]:
    """Names beside a rule that lets the subject out to all of the world anyway."""
    for index, rule in project.allows(Direction.EGRESS):
        if not any(isinstance(peer, FqdnSelector) for peer in rule.peers):
            continue
        for _, other in project.open_around(rule):
            families = {family for peer in other.peers for family in world_families(peer)}
            if other.deny:
                continue
            if all(any(port_within(mine, theirs) for theirs in other.ports) for mine in rule.ports):
                whole = "the whole world" if len(families) == 2 else f"every IPv{min(families)} address"
                holes = any(isinstance(peer, CidrSelector) and peer.excepts for peer in other.peers)
                where = f"{whole} but its exceptions" if holes else whole
                yield Finding(
                    "names-swallowed",
                    "warning",
                    index,
                    f"{rule.origin.rule}.toFQDNs",
                    f"{rule_name(other.origin)} opens these ports to {where}: there the names restrict nothing",
                    "take the wide rule out, or narrow it to the addresses meant",
                )
                break


RULES = (patterns, one_level, empty_fqdns, search_domains, dns_servers, dns_on_the_path, swallowed)
