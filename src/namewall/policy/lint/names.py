"""Rules about names and patterns in toFQDNs (semantics.md section 8)."""

from __future__ import annotations

from collections.abc import Iterator

from namewall.model.net import Direction
from namewall.policy.explain.words import rule_name
from namewall.policy.lint.contained import port_within, world_families
from namewall.policy.lint.finding import Finding, Project
from namewall.policy.patterns import SUBDOMAINS, Pattern, normalize
from namewall.policy.rules import Rule
from namewall.policy.selectors import CidrSelector, FqdnSelector
from namewall.policy.structural import parse_cidr


def _items(project: Project) -> Iterator[tuple[int, str, str, str, Rule]]:
    """(object, path, matchName or matchPattern, text, rule) of each toFQDNs item."""
    for index, rule in project.allows(Direction.EGRESS):
        if rule.origin.kind == "NetworkPolicy":
            continue
        for number, item in enumerate(project.item(rule).get("toFQDNs") or ()):
            kind = "matchName" if item.get("matchName") else "matchPattern"
            yield index, f"{rule.origin.rule}.toFQDNs[{number}].{kind}", kind, item[kind], rule


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
        suffix = project.suffixes.opened_by(pattern.form)
        tail = ".".join(fixed)
        word = labels[0].strip("*")
        domain = f"{word}.{tail}"
        joined = (
            labels[0].startswith("*") and word and "*" not in word and (len(fixed) <= 1 or suffix == tail)
        )
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
            shared = project.suffixes.is_public(domain)
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
        elif suffix is not None:
            yield Finding(
                "public-suffix",
                "warning",
                index,
                path,
                f"anybody may register a name below `{suffix}`, which is a public suffix"
                + ("" if suffix == tail else f", and `{text}` matches it"),
                f"name the domain meant, as `example.{suffix}` or `*.example.{suffix}`",
            )
        elif _is_in_cluster(fixed):
            yield _in_cluster(index, path, text)
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
    elif _is_in_cluster(labels):
        yield _in_cluster(index, path, text)


def _is_in_cluster(labels: list[str]) -> bool:
    return labels[-2:] == ["cluster", "local"] or labels[-1:] == ["svc"]


def _in_cluster(index: int, path: str, text: str) -> Finding:
    return Finding(
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
        name = apex[:-1]
        if project.suffixes.opened_by(form) or _is_in_cluster(name.split(".")):  # there is more to say of it
            continue
        if not project.name_is_said(rule, apex):
            strangers = project.suffixes.opened_by(f"{SUBDOMAINS}.{apex}")
            yield Finding(
                "one-level",
                "info",
                index,
                path,
                f"`{text}` matches one label more: neither `{name}` nor `a.b.{name}`",
                f"add matchName `{name}`, or write `**.{name}` for all levels"
                if strangers is None
                else f"add matchName `{name}`, or the names meant (not `**.{name}`: below `{strangers}` anybody may "
                "register)",
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


def swallowed(project: Project) -> Iterator[Finding]:
    """Names beside a rule that lets the subject out to all of the world anyway."""
    for index, rule in project.allows(Direction.EGRESS):
        # Without ports it is one whose ports cannot be enforced: not-enforceable says so.
        if not rule.ports or not any(isinstance(peer, FqdnSelector) for peer in rule.peers):
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


RULES = (patterns, one_level, empty_fqdns, swallowed)
