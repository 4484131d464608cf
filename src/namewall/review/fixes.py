"""What a machine can put right: for findings of lint where the hint leaves no choice, and for misspelt fields.

A fix is a label and edits of one object (review/sheet.py). It is made only where the object is valid after it, or has
fewer problems if it had some. Those that say so in their label change what is allowed; the others do not.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from namewall.model.labels import K8S, NAMESPACE
from namewall.policy.explain.anatomy import at, steps
from namewall.policy.parse import API_VERSIONS
from namewall.policy.sanitize import EGRESS_PEERS
from namewall.policy.schema import KINDS, crd_schema, network_policy_schema
from namewall.review.papers import Papers
from namewall.review.scenarios import Placed
from namewall.review.sheet import MISFITS, Edit, Path, changed, edit_placed
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


def fix_of_problem(one: Placed, path: str) -> Fix | None:
    try:
        return _misspelt(one.object, path)
    except MISFITS:
        return None


def text_after(papers: Papers, one: Placed, fix: Fix) -> str | None:
    """The object's file after the fix; None where it would not be better, or its layout is one that is not followed."""
    try:
        before, after = judge(one.object)[0], judge(changed(one.object, fix[1]))[0]
    except MISFITS:
        return None
    return edit_placed(papers, one, fix[1]) if not after or len(after) < len(before) else None


def _value(obj: Any, path: Path) -> Any:
    for step in path:
        obj = obj[step]
    return obj


# --- findings ---------------------------------------------------------------------------------------------------


def _ask_dns(papers: Papers, one: Placed, path: Path) -> Fix | None:
    spec, items = path[:-3], _value(one.object, path)
    rules = _value(one.object, path[:-2])
    if id(rules) not in papers.asking:
        papers.asking[id(rules)] = next(_judged_questions(rules), None)
    if (place := papers.asking[id(rules)]) is not None:
        where = (*spec, "egress", place[0], "toPorts", place[1], "rules", "dns")
        known = _value(one.object, where)
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


def _anchored(papers: Papers, one: Placed, path: Path) -> Fix:
    text = _value(one.object, path)
    first, _, rest = text.partition(".")
    domain = f"{first.strip('*')}.{rest}"
    both = [{"matchName": domain}, {"matchPattern": f"*.{domain}"}]
    return f"write `{domain}` and `*.{domain}` (allows less)", [Edit("several", path[:-1], both)]


def _apex(papers: Papers, one: Placed, path: Path) -> Fix:
    name = _value(one.object, path).lower().removesuffix(".").removeprefix("*.")
    return f"add `{name}` itself (allows more)", [Edit("append", path[:-2], {"matchName": name})]


def _single_star(papers: Papers, one: Placed, path: Path) -> Fix:
    text = _value(one.object, path)
    first, dot, rest = text.partition(".")
    while "**" in rest:
        rest = rest.replace("**", "*")
    while "**" in first and first != "**":
        first = first.replace("**", "*")
    new = first + dot + rest
    return f"write what it means: `{new}`", [Edit("replace", path, new)]


def _take_out(papers: Papers, one: Placed, path: Path) -> Fix | None:
    """An entry of a list that has others."""
    item = path if isinstance(path[-1], int) else path[:-1]
    if not isinstance(item[-1], int) or len(_value(one.object, item[:-1])) < 2:
        return None
    return "take it out", [Edit("remove", item)]


def _other_peer(path: Path, obj: Any, member: str, value: Any, label: str) -> Fix:
    """A toFQDNs item that should stand in another member: alone it is turned, else it gets a rule of its own."""
    names, rule = path[:-2], path[:-3]
    if len(_value(obj, names)) == 1:
        return label, [Edit("replace", names, [value]), Edit("rename", names, key=member)]
    rest = {key: each for key, each in _value(obj, rule).items() if key != "toFQDNs"}
    return label, [Edit("remove", path[:-1]), Edit("append", rule[:-1], {member: [value], **rest})]


def _address(papers: Papers, one: Placed, path: Path) -> Fix:
    address = ip_address(_value(one.object, path).removesuffix("."))
    prefix = f"{address}/{address.max_prefixlen}"
    return _other_peer(path, one.object, "toCIDR", prefix, f"write toCIDR `{prefix}` (allows it)")


def _service(papers: Papers, one: Placed, path: Path) -> Fix | None:
    words = _value(one.object, path).removesuffix(".").removesuffix(".cluster.local").split(".")
    if len(words) != 3 or words[2] != "svc":
        return None
    service = {"k8sService": {"serviceName": words[0], "namespace": words[1]}}
    label = f"write toServices `{words[1]}/{words[0]}` (allows it)"
    return _other_peer(path, one.object, "toServices", service, label)


def _search_domains(papers: Papers, one: Placed, path: Path) -> Fix:
    return "let the search domains be asked (allows more)", [Edit("append", path[:-2], SEARCHED)]


def _cluster_dns(papers: Papers, one: Placed, path: Path) -> Fix | None:
    rule = path[:-2]
    item = _value(one.object, rule)
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


def _own_namespace(papers: Papers, one: Placed, path: Path) -> Fix:
    labels = _value(one.object, path)
    keys = [key for key in (NAMESPACE, f"{K8S}:{NAMESPACE}") if key in labels]
    if len(keys) == len(labels):
        return "take the namespace out", [Edit("replace", path, {})]
    return "take the namespace out", [Edit("remove", (*path, key)) for key in keys]


def _both_selectors(papers: Papers, one: Placed, path: Path) -> Fix | None:
    peers = _value(one.object, path[:-1])
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
    if len(path) < 3 or len(_value(one.object, path[:-1])) < 2:
        return None
    return "take the rule out (nothing changes)", [Edit("remove", path)]


def _open_rule(papers: Papers, one: Placed, path: Path) -> Fix | None:
    found = _drop_rule(papers, one, path[:-1])
    return None if found is None else ("take the rule out (allows less)", found[1])


def _no_default_deny(papers: Papers, one: Placed, path: Path) -> Fix:
    spec, side = path[:-1], str(path[-1]).removesuffix("Deny")
    label = f"allow {side} but for these (no default deny)"
    flags = _value(one.object, spec).get("enableDefaultDeny")
    if flags is None:
        return label, [Edit("put", spec, {side: False}, "enableDefaultDeny")]
    where = (*spec, "enableDefaultDeny")
    return label, [
        Edit("replace", (*where, side), False) if side in flags else Edit("put", where, False, side)
    ]


def _deny_all(papers: Papers, one: Placed, path: Path) -> Fix:
    spec, side = path[:-2], str(path[-1])
    known = side in _value(one.object, spec)
    edit = Edit("replace", (*spec, side), [{}]) if known else Edit("put", spec, [{}], side)
    return f"deny all {side} (allows less)", [edit]


def _say_all(papers: Papers, one: Placed, path: Path) -> Fix:
    out = str(path[-2 - 1]).startswith("egress")
    return "say that everybody is meant", [
        Edit("put", path[:-1], ["all"], f"{'to' if out else 'from'}Entities")
    ]


_FINDINGS: Mapping[str, Callable[[Papers, Placed, Path], Fix | None]] = {
    "fqdn-without-dns": _ask_dns,
    "unanchored-pattern": _anchored,
    "one-level": _apex,
    "double-star": _single_star,
    "inert-pattern": _take_out,
    "selects-nothing": _take_out,
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


# --- problems ---------------------------------------------------------------------------------------------------


def _misspelt(obj: Any, path: str) -> Fix | None:
    if path in ("kind", "apiVersion"):
        return _type(obj, path)
    where = tuple(steps(path))
    value = at(obj, path)
    parent = _value(obj, where[:-1])
    last = where[-1]
    for word in _right_values(value, where, obj.get("kind") != "NetworkPolicy"):
        return f"write `{word}`", [Edit("replace", where, word)]
    if last == "matchName" and isinstance(value, str) and "*" in value and "matchPattern" not in parent:
        return "write matchPattern", [Edit("rename", where, key="matchPattern")]
    if isinstance(last, str) and isinstance(parent, dict):
        known = _fields(obj, where[:-1])
        if last not in known and (near := _near(last, [field for field in known if field not in parent])):
            return f"write `{near}`", [Edit("rename", where, key=near)]
    return None


def _type(obj: Any, path: str) -> Fix | None:
    kind, known = obj.get("kind"), {**API_VERSIONS, **dict.fromkeys(KINDS, "cilium.io/v2")}
    if path == "kind":
        near = _near(str(kind), list(known))
        return (f"write `{near}`", [Edit("replace", ("kind",), near)]) if near else None
    right = known[kind]
    put = (
        Edit("replace", ("apiVersion",), right)
        if "apiVersion" in obj
        else Edit("put", (), right, "apiVersion")
    )
    return f"write `{right}`", [put]


def _right_values(value: Any, where: Path, cilium: bool) -> Iterator[Any]:
    last, list_name = where[-1], where[-2] if len(where) > 1 else ""
    if last == "port" and isinstance(value, int) and cilium:
        yield str(value)
    if last == "port" and isinstance(value, str) and value.isdecimal() and not cilium:
        yield int(value)
    if last in ("protocol", "family") and isinstance(value, str):
        yield value.upper() if last == "protocol" else value.upper().replace("IPV", "IPv")
    if list_name == "policyTypes" and isinstance(value, str):
        yield value.capitalize()
    if list_name in ("toCIDR", "fromCIDR") and isinstance(value, str) and "/" not in value:
        yield f"{ip_address(value)}/{ip_address(value).max_prefixlen}"
    if list_name == "toFQDNs" and isinstance(value, str):
        yield {"matchPattern" if "*" in value else "matchName": value}


def _fields(obj: Any, path: Path) -> list[str]:
    """What the schema knows at a place."""
    kind = obj["kind"]
    schema = network_policy_schema() if kind == "NetworkPolicy" else crd_schema(kind)
    for step in path:
        schema = schema["items"] if isinstance(step, int) else schema["properties"][step]
    return list(schema.get("properties") or ())


def _near(word: str, known: list[str]) -> str | None:
    alike = [each for each in known if each.lower() == word.lower()]
    return next(iter(alike or difflib.get_close_matches(word, known, 1, 0.8)), None)
