"""What a machine can put right: for findings of lint where the hint leaves no choice.

A fix is a label and edits of one object (review/sheet.py). It is made only where the object is valid after it. Those
that say so in their label change what is allowed; the others do not. Problems have theirs in review/misspelt.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from namewall.model.labels import K8S, NAMESPACE, split_key
from namewall.policy.explain.anatomy import steps
from namewall.policy.sanitize import EGRESS_PEERS
from namewall.review.lint import public_suffixes
from namewall.review.papers import Papers
from namewall.review.scenarios import Placed
from namewall.review.sheet import MISFITS, Edit, Path, value_at
from namewall.review.validate import judge

Fix = tuple[str, list[Edit]]
KUBE_DNS = {"matchLabels": {f"{K8S}:{NAMESPACE}": "kube-system", "k8s-app": "kube-dns"}}
SEARCHED = {"matchPattern": "**.cluster.local"}
"""What pods ask for first, by their search domains."""


def fix_of_finding(papers: Papers, one: Placed, rule: str, path: str) -> Fix | None:
    """`path` is the finding's, below the object."""
    make = _FINDINGS.get(rule)
    try:
        return None if make is None else make(papers, one, tuple(steps(path)))
    except MISFITS:
        return None


def is_better(old: Any, new: Any, fix: Fix) -> bool:
    """Whether the object may be as the fix makes it: valid."""
    return not judge(new)[0]


# --- findings ---------------------------------------------------------------------------------------------------


def _ask_dns(papers: Papers, one: Placed, path: Path) -> Fix | None:
    spec, items = path[:-3], value_at(one.object, path)
    rules = value_at(one.object, path[:-2])
    if id(rules) not in papers.asking:
        papers.asking[id(rules)] = next(_judged_questions(rules), None)
    if (place := papers.asking[id(rules)]) is not None:
        where = (*spec, "egress", place[0], "toPorts", place[1], "rules", "dns")
        known = value_at(one.object, where)
        edits = [Edit("append", where, item) for item in items if item not in known]
        return ("let its DNS rules pass these names (allows more)", edits) if edits else None
    names = [*items, *([SEARCHED] if any(item.get("matchName") for item in items) else [])]
    ports = {"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": names}}
    rule = {"toEndpoints": [KUBE_DNS], "toPorts": [ports]}
    return "let it ask the cluster DNS for these names (allows more)", [
        Edit("append", (*spec, "egress"), rule)
    ]


def _judged_questions(rules: Any) -> Iterator[tuple[int, int]]:
    """Rule and toPorts item of DNS rules for port 53."""
    for number, rule in enumerate(rules):
        for index, ports in enumerate(rule.get("toPorts") or ()):
            is_dns = any(port.get("port") == "53" for port in ports.get("ports") or ())
            if is_dns and (ports.get("rules") or {}).get("dns"):
                yield number, index


def _anchored(papers: Papers, one: Placed, path: Path) -> Fix | None:
    text = value_at(one.object, path).lower().removesuffix(".")
    first, _, rest = text.partition(".")
    domain = f"{first.strip('*')}.{rest}"
    if public_suffixes().is_public(domain):
        return None  # which domain below it is meant, nobody knows
    both = [{"matchName": domain}, {"matchPattern": f"*.{domain}"}]
    return f"write `{domain}` and `*.{domain}` (allows less)", [Edit("several", path[:-1], both)]


def _apex(papers: Papers, one: Placed, path: Path) -> Fix:
    name = value_at(one.object, path).lower().removesuffix(".").removeprefix("*.")
    return f"add `{name}` itself (allows more)", [Edit("append", path[:-2], {"matchName": name})]


def _single_star(papers: Papers, one: Placed, path: Path) -> Fix:
    text = value_at(one.object, path)
    first, dot, rest = text.partition(".")
    while "**" in rest:
        rest = rest.replace("**", "*")
    while "**" in first and first != "**":
        first = first.replace("**", "*")
    new = first + dot + rest
    return f"write what it means: `{new}`", [Edit("replace", path, new)]


def _take_out(papers: Papers, one: Placed, path: Path) -> Fix | None:
    """An entry of a list that has others; of what a selector asks for the whole selector, since it means nobody."""
    if "matchExpressions" in path:
        path = path[: path.index("matchExpressions")]
    item = path if isinstance(path[-1], int) else path[:-1]
    if not isinstance(item[-1], int) or len(value_at(one.object, item[:-1])) < 2:
        return None
    return "take it out", [Edit("remove", item)]


def _other_peer(path: Path, obj: Any, member: str, value: Any, label: str) -> Fix:
    """A toFQDNs item that should stand in another member: alone it is turned, else it gets a rule of its own."""
    names, rule = path[:-2], path[:-3]
    if len(value_at(obj, names)) == 1:
        return label, [Edit("replace", names, [value]), Edit("rename", names, key=member)]
    rest = {key: each for key, each in value_at(obj, rule).items() if key != "toFQDNs"}
    return label, [Edit("remove", path[:-1]), Edit("append", rule[:-1], {member: [value], **rest})]


def _address(papers: Papers, one: Placed, path: Path) -> Fix:
    address = ip_address(value_at(one.object, path).removesuffix("."))
    prefix = f"{address}/{address.max_prefixlen}"
    return _other_peer(path, one.object, "toCIDR", prefix, f"write toCIDR `{prefix}` (allows it)")


def _service(papers: Papers, one: Placed, path: Path) -> Fix | None:
    words = value_at(one.object, path).removesuffix(".").removesuffix(".cluster.local").split(".")
    if len(words) != 3 or words[2] != "svc" or "*" in "".join(words):
        return None
    service = {"k8sService": {"serviceName": words[0], "namespace": words[1]}}
    label = f"write toServices `{words[1]}/{words[0]}` (allows it)"
    return _other_peer(path, one.object, "toServices", service, label)


def _search_domains(papers: Papers, one: Placed, path: Path) -> Fix:
    return "let the search domains be asked (allows more)", [Edit("append", path[:-2], SEARCHED)]


def _cluster_dns(papers: Papers, one: Placed, path: Path) -> Fix | None:
    rule = path[:-2]
    item = value_at(one.object, rule)
    ports = [port.get("port") for each in item["toPorts"] for port in each.get("ports") or ()]
    members = [member for member in EGRESS_PEERS if member in item]
    if set(ports) != {"53"} or len(members) > 1:
        return None
    label = "name the cluster DNS (allows less)"
    if not members:
        return label, [Edit("put", rule, [KUBE_DNS], "toEndpoints")]
    where = (*rule, members[0])
    edits = [Edit("replace", where, [KUBE_DNS])]
    return label, edits if members[0] == "toEndpoints" else [*edits, Edit("rename", where, key="toEndpoints")]


def _namespace_of_dns(papers: Papers, one: Placed, path: Path) -> Fix | None:
    where = (*path, "matchLabels")
    known = value_at(one.object, where) if path[-2] == "toEndpoints" else {}
    if known.get("k8s-app", known.get(f"{K8S}:k8s-app")) != "kube-dns":
        return None
    written = next((key for key in known if split_key(key)[1] == NAMESPACE), None)
    if written is None:
        edit = Edit("put", where, "kube-system", f"{K8S}:{NAMESPACE}")
    else:
        edit = Edit("replace", (*where, written), "kube-system")
    return "look for it in `kube-system` (allows more)", [edit]


def _own_namespace(papers: Papers, one: Placed, path: Path) -> Fix:
    """The key that is overridden; the other one, without a source, is not, and selects nobody."""
    key = f"{K8S}:{NAMESPACE}"
    alone = len(value_at(one.object, path)) == 1
    return "take the namespace out", [Edit("replace", path, {}) if alone else Edit("remove", (*path, key))]


def _both_selectors(papers: Papers, one: Placed, path: Path) -> Fix | None:
    peers = value_at(one.object, path[:-1])
    pods = [n for n, peer in enumerate(peers) if "podSelector" in peer and "namespaceSelector" not in peer]
    spaces = [n for n, peer in enumerate(peers) if "namespaceSelector" in peer and "podSelector" not in peer]
    if len(pods) != 1 or len(spaces) != 1:
        return None
    put = Edit("put", (*path[:-1], spaces[0]), peers[pods[0]]["podSelector"], "podSelector")
    return "make it one entry, which means `and` (allows less)", [put, Edit("remove", (*path[:-1], pods[0]))]


def _policy_types(papers: Papers, one: Placed, path: Path) -> Fix:
    side = str(path[-1]).capitalize()
    return f"add {side} to policyTypes (its rules then count)", [
        Edit("append", ("spec", "policyTypes"), side)
    ]


def _new_name(papers: Papers, one: Placed, path: Path) -> Fix:
    taken = {each.key for each in papers.placed}
    kind, namespace, name = one.key
    new = next(f"{name}-{n}" for n in range(2, 10000) if (kind, namespace, f"{name}-{n}") not in taken)
    return f"name it `{new}`", [Edit("replace", path, new)]


def _drop_rule(papers: Papers, one: Placed, path: Path) -> Fix | None:
    """Not the last of its list, which would end default deny."""
    if len(path) < 3 or len(value_at(one.object, path[:-1])) < 2:
        return None
    return "take the rule out (nothing changes)", [Edit("remove", path)]


def _open_rule(papers: Papers, one: Placed, path: Path) -> Fix | None:
    found = _drop_rule(papers, one, path[:-1])
    return None if found is None else ("take the rule out (allows less)", found[1])


def _no_default_deny(papers: Papers, one: Placed, path: Path) -> Fix:
    spec, side = path[:-1], str(path[-1]).removesuffix("Deny")
    label = f"allow {side} but for these (no default deny)"
    flags = value_at(one.object, spec).get("enableDefaultDeny")
    if flags is None:
        return label, [Edit("put", spec, {side: False}, "enableDefaultDeny")]
    where = (*spec, "enableDefaultDeny")
    return label, [
        Edit("replace", (*where, side), False) if side in flags else Edit("put", where, False, side)
    ]


def _deny_all(papers: Papers, one: Placed, path: Path) -> Fix:
    spec, side = path[:-2], str(path[-1])
    known = side in value_at(one.object, spec)
    edit = Edit("replace", (*spec, side), [{}]) if known else Edit("put", spec, [{}], side)
    return f"deny all {side} (allows less)", [edit]


def _say_all(papers: Papers, one: Placed, path: Path) -> Fix:
    out = str(path[-2 - 1]).startswith("egress")
    return "say that everybody is meant", [
        Edit("put", path[:-1], ["all"], f"{'to' if out else 'from'}Entities")
    ]


_FINDINGS: Mapping[str, Callable[[Papers, Placed, Path], Fix | None]] = {
    "fqdn-without-dns": _ask_dns,
    "dns-namespace": _namespace_of_dns,
    "unanchored-pattern": _anchored,
    "one-level": _apex,
    "double-star": _single_star,
    "inert-pattern": _take_out,
    "selects-nothing": _take_out,
    "empty-rule": _drop_rule,
    "address-as-name": _address,
    "in-cluster-name": _service,
    "ndots-search": _search_domains,
    "dns-server-wide": _cluster_dns,
    "namespace-overridden": _own_namespace,
    "netpol-or": _both_selectors,
    "ignored-direction": _policy_types,
    "duplicate-name": _new_name,
    "shadowed": _drop_rule,
    "empty-fqdns": _open_rule,
    "deny-denies-all": _no_default_deny,
    "idle-default-deny": _deny_all,
    "any-peer": _say_all,
}
