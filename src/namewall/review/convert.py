"""One policy as another kind, and what that kind cannot say.

Invariant: where nothing is listed as lost, the new object means what the old one does (tests/property/test_convert.py).
What cannot be said is left out of allows, so that the new one allows less rather than more, but for three things that
are always listed: conditions on whom it protects, deny rules, and rules inside a connection (DNS names, HTTP).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from namewall.model.labels import (
    CLUSTER,
    DEFAULT_CLUSTER,
    K8S,
    METADATA_NAME,
    NAMESPACE,
    NAMESPACE_LABELS,
    NAMESPACE_NAME,
    split_key,
)
from namewall.policy import beyond
from namewall.policy.cilium import specs
from namewall.policy.parse import API_VERSIONS
from namewall.policy.sanitize import EGRESS_PEERS, INGRESS_PEERS, parse_port
from namewall.policy.selectors import contains
from namewall.policy.structural import parse_cidr
from namewall.review.papers import File, Papers, in_file
from namewall.review.sheet import rewritten
from namewall.review.validate import judge
from namewall.review.written import as_written
from namewall.review.wrong import Wrong

Raw = dict[str, Any]
CNP, CCNP, NETPOL = "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy"
MOST_PORTS = 40
"""Of one toPorts item (the schema of Cilium's kinds)."""
_TRANSPORTS = ("TCP", "UDP", "SCTP")
_EXISTS = {"key": f"{K8S}:{NAMESPACE}", "operator": "Exists"}


class Lost:
    """What could not be said, in the order it was met, each once."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], None] = {}

    def say(self, path: str, message: str) -> None:
        self._rows[path, message] = None

    def rows(self) -> list[dict[str, str]]:
        return [{"path": path, "message": message} for path, message in self._rows]


def converted(files: Iterable[File], index: int, to: str) -> Raw:
    """The answer of `POST /api/convert`: the text with its object number `index` as another kind. Raises Wrong."""
    papers = Papers.read(files)
    if to not in API_VERSIONS:
        raise Wrong(f"`{to}` is no kind of policy; use one of {', '.join(API_VERSIONS)}", "to")
    found = [one for one, number in in_file(papers) if number == index]
    if not found:
        raise Wrong(f"the file has no object {index}", "object")
    (one,) = found
    problems, _ = judge(one.written)
    if problems or one.object.get("kind") not in API_VERSIONS:
        why = str(problems[0]) if problems else f"`{one.object.get('kind')}` is no policy"
        raise Wrong(f"only a valid policy can be converted: {why}", "object")
    lost = Lost()
    after = convert(
        as_written(one.object), to, lost
    )  # another kind is another object, none that a server has yet
    return {"text": rewritten(papers, one, after), "lost": lost.rows()}


def convert(raw: Raw, to: str, lost: Lost) -> Raw:
    """Of a valid policy. Raises Wrong for one that cannot be of that kind at all."""
    if raw["kind"] == to:
        return raw
    if raw["kind"] == NETPOL:
        raw = _from_network_policy(raw, lost)
    elif raw["kind"] == CCNP:
        raw = _namespaced(raw, lost)
    if to == NETPOL:
        return _network_policy(raw, lost)
    return _clusterwide(raw, lost) if to == CCNP else raw


def _object(raw: Raw, kind: str, spec: Raw) -> Raw:
    metadata = {key: value for key, value in raw["metadata"].items() if key != "namespace" or kind != CCNP}
    return {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": metadata, "spec": spec}


# --- between the two kinds of Cilium ----------------------------------------------------------------------------


def _with_specs(raw: Raw, kind: str, make: Callable[[Raw, str], Raw]) -> Raw:
    result = {
        **_object(raw, kind, {}),
        **{key: raw[key] for key in raw if key not in ("status", "metadata", "kind")},
    }
    result["kind"] = kind
    del result["spec"]
    if raw.get("spec") is not None:
        result["spec"] = make(raw["spec"], "spec")
    if raw.get("specs"):
        result["specs"] = [make(spec, f"specs[{number}]") for number, spec in enumerate(raw["specs"])]
    return result


def _clusterwide(raw: Raw, lost: Lost) -> Raw:
    namespace = raw["metadata"].get("namespace") or "default"

    def subject(selector: Raw) -> Raw:
        labels = selector.get("matchLabels") or {}
        return {**selector, "matchLabels": {**labels, f"{K8S}:{NAMESPACE}": namespace}}

    def peer(selector: Raw) -> Raw:
        if _named(selector) == "labels" and not _means_pods(selector):
            text = "in a clusterwide policy peers chosen by a namespace's labels alone are pods"
            lost.say("spec", text)
        if _named(selector):
            return selector
        return {
            **selector,
            "matchLabels": {f"{K8S}:{NAMESPACE}": namespace, **(selector.get("matchLabels") or {})},
        }

    return _with_specs(raw, CCNP, lambda spec, _: _selectors_changed(spec, subject, peer))


def _namespaced(raw: Raw, lost: Lost) -> Raw:
    named: dict[str, frozenset[str] | None] = {}
    for path, spec in specs(raw):
        if "nodeSelector" in spec:
            raise Wrong(
                "a policy of nodes is always a CiliumClusterwideNetworkPolicy", f"{path}.nodeSelector"
            )
        named[path] = _namespaces_of(spec["endpointSelector"])
        if any(split_key(key)[0] not in (K8S, "any") for key in _keys(spec["endpointSelector"])):
            lost.say(f"{path}.endpointSelector", "a CiliumNetworkPolicy protects pods only")
    known = [found for found in named.values() if found]
    common = frozenset.intersection(*known) if known else frozenset()
    namespace = min(common or frozenset().union(*known), default="default")
    for path, found in named.items():
        if found != frozenset({namespace}):
            which = f"not {', '.join(sorted(found))}" if found else "and this names none"
            text = f"a CiliumNetworkPolicy protects pods of one namespace, {which}: `{namespace}` is taken"
            lost.say(f"{path}.endpointSelector", text)

    def subject(selector: Raw) -> Raw:
        """Without what holds for every pod of the namespace."""
        labels = {
            key: value
            for key, value in (selector.get("matchLabels") or {}).items()
            if not (_names_namespace(key) and value == namespace)
        }
        asked = [
            each
            for each in selector.get("matchExpressions") or ()
            if not (
                _names_namespace(each["key"]) and each["operator"] == "In" and namespace in each["values"]
            )
        ]
        rest = {k: v for k, v in selector.items() if k not in ("matchLabels", "matchExpressions")}
        return {
            **({"matchLabels": labels} if labels else {}),
            **({"matchExpressions": asked} if asked else {}),
            **rest,
        }

    def peer(selector: Raw) -> Raw:
        if _named(selector) in ("reserved", "namespace"):
            return selector
        return {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), _EXISTS]}

    result = _with_specs(raw, CNP, lambda spec, _: _selectors_changed(spec, subject, peer))
    result["metadata"] = {"name": raw["metadata"]["name"], "namespace": namespace, **raw["metadata"]}
    return result


def _selectors_changed(spec: Raw, subject: Callable[[Raw], Raw], peer: Callable[[Raw], Raw]) -> Raw:
    result = dict(spec)
    for member, value in spec.items():
        if member == "endpointSelector":
            result[member] = subject(value)
        elif member in ("ingress", "ingressDeny", "egress", "egressDeny"):
            result[member] = [
                {
                    k: [peer(each) for each in v] if k in ("fromEndpoints", "toEndpoints") and v else v
                    for k, v in item.items()
                }
                for item in value
            ]
    return result


def _keys(selector: Raw) -> list[str]:
    return [*(selector.get("matchLabels") or ()), *(e["key"] for e in selector.get("matchExpressions") or ())]


def _is_namespace(key: str) -> bool:
    return split_key(key) in (("any", NAMESPACE), (K8S, NAMESPACE))


def _named(selector: Raw) -> str:
    """By what a peer selector says where its peers are, as cilium.peer_selector has it: `reserved`, `namespace`,
    `labels` (of the namespace), or "" for by nothing."""
    keys = [split_key(key) for key in _keys(selector)]
    if any(source == "reserved" for source, _ in keys):
        return "reserved"
    plain = [key for source, key in keys if source in (K8S, "any")]
    if NAMESPACE in plain:
        return "namespace"
    return "labels" if any(key.startswith(f"{NAMESPACE_LABELS}.") for key in plain) else ""


def _means_pods(selector: Raw) -> bool:
    """Whether only pods can have the labels, that of the cluster which is added among them."""
    asked = selector.get("matchExpressions") or ()
    return (
        bool(selector.get("matchLabels"))
        or any(each["operator"] in ("In", "Exists") for each in asked)
        or all(split_key(each["key"])[1] != CLUSTER for each in asked)
    )


def _names_namespace(key: str) -> bool:
    return _is_namespace(key) or split_key(key) in (("any", NAMESPACE_NAME), (K8S, NAMESPACE_NAME))


def _namespaces_of(selector: Raw) -> frozenset[str] | None:
    """The only ones whose pods it may select; None where it names none."""
    labels, asked = selector.get("matchLabels") or {}, selector.get("matchExpressions") or ()
    named = [frozenset({value}) for key, value in labels.items() if _names_namespace(key)]
    named += [
        frozenset(each["values"])
        for each in asked
        if _names_namespace(each["key"]) and each["operator"] == "In"
    ]
    return frozenset.intersection(*named) if named else None


# --- from NetworkPolicy -----------------------------------------------------------------------------------------


def _from_network_policy(raw: Raw, lost: Lost) -> Raw:
    old = raw["spec"]
    spec: Raw = {"endpointSelector": _plain(old.get("podSelector") or {})}
    types = old.get("policyTypes") or (["Ingress", "Egress"] if old.get("egress") else ["Ingress"])
    for side, member in (("ingress", "from"), ("egress", "to")):
        if side.capitalize() not in types:
            continue
        items = [
            new
            for index, item in enumerate(old.get(side) or ())
            for new in _cilium_items(item, member, f"spec.{side}[{index}]", lost)
        ]
        spec[side] = items or [{}]
    return _object(raw, CNP, spec)


def _plain(selector: Raw) -> Raw:
    return {key: value for key, value in selector.items() if value}


def _cilium_items(item: Raw, member: str, path: str, lost: Lost) -> Iterator[Raw]:
    """Cilium takes no pods and ranges in one item, so they become two."""
    pods, blocks = [], []
    for number, peer in enumerate(item.get(member) or ()):
        if block := peer.get("ipBlock"):
            text = (
                "an ipBlock means pods and nodes with such addresses too; a CIDR of Cilium's kinds never does"
            )
            lost.say(f"{path}.{member}[{number}].ipBlock", text)
            blocks.append({key: block[key] for key in ("cidr", "except") if block.get(key)})
        else:
            pods.append(_cilium_peer(peer))
    ports = _cilium_ports(item.get("ports") or ())
    if pods:
        yield {f"{member}Endpoints": pods, **ports}
    if blocks:
        yield {f"{member}CIDRSet": blocks, **ports}
    if not pods and not blocks:
        yield {f"{member}Entities": ["all"], **ports}


def _cilium_peer(peer: Raw) -> Raw:
    pods, spaces = peer.get("podSelector") or {}, peer.get("namespaceSelector")
    labels, expressions = dict(pods.get("matchLabels") or {}), list(pods.get("matchExpressions") or ())
    if spaces is not None:
        chosen = spaces.get("matchExpressions") or ()
        labels |= {_of_namespace(key): value for key, value in (spaces.get("matchLabels") or {}).items()}
        expressions += [{**each, "key": _of_namespace(each["key"], each["operator"])} for each in chosen]
        if not spaces.get("matchLabels") and not any(each["operator"] in ("In", "Exists") for each in chosen):
            expressions.append(_EXISTS)
    found: Raw = {"matchLabels": labels} if labels else {}
    return {**found, "matchExpressions": expressions} if expressions else found


def _of_namespace(key: str, operator: str = "In") -> str:
    """A label of a namespace as Cilium has it at its pods; that of the name has a form of its own."""
    name = key == METADATA_NAME and operator == "In"
    return f"{K8S}:{NAMESPACE}" if name else f"{K8S}:{NAMESPACE_LABELS}.{key}"


def _cilium_ports(ports: Iterable[Raw]) -> Raw:
    rows = []
    for port in ports:
        row: Raw = {"port": str(port.get("port", 0)), "protocol": port.get("protocol") or "TCP"}
        rows.append({**row, "endPort": port["endPort"]} if port.get("endPort") else row)
    chunks = [rows[start : start + MOST_PORTS] for start in range(0, len(rows), MOST_PORTS)]
    return {"toPorts": [{"ports": chunk} for chunk in chunks]} if chunks else {}


# --- to NetworkPolicy -------------------------------------------------------------------------------------------

_SAID_NOWHERE = {"description": "description", "labels": "labels of a rule", "log": "text for its flows"}
_WHOLE_ITEM = {
    "toFQDNs": "DNS names",
    "toServices": "Services as peers",
    "toGroups": "groups of a cloud",
    "fromGroups": "groups of a cloud",
    "toNodes": "nodes as peers",
    "fromNodes": "nodes as peers",
}


def _network_policy(raw: Raw, lost: Lost) -> Raw:
    found = list(specs(raw))
    for path, _ in found[1:]:
        lost.say(path, "a NetworkPolicy has one spec")
    path, old = found[0]
    for member, what in _SAID_NOWHERE.items():
        if old.get(member):
            lost.say(f"{path}.{member}", f"a NetworkPolicy has no {what}")
    subject, of_namespace = _kubernetes(old["endpointSelector"], f"{path}.endpointSelector", lost)
    if any(not _is_namespace(key) for key in _keys(old["endpointSelector"]) if _is_about_namespace(key)) or (
        of_namespace
        and any(_is_namespace(e["key"]) for e in old["endpointSelector"].get("matchExpressions") or ())
    ):
        lost.say(f"{path}.endpointSelector", "a NetworkPolicy does not ask what its own namespace is like")
    own = raw["metadata"].get("namespace") or "default"
    if (old["endpointSelector"].get("matchLabels") or {}).get(NAMESPACE, own) != own:
        lost.say(f"{path}.endpointSelector", "it selects nobody, by naming another namespace than its own")
    spec: Raw = {"podSelector": subject, "policyTypes": []}
    for side, member in (("ingress", "from"), ("egress", "to")):
        denies = old.get(f"{side}Deny") or ()
        for index, _ in enumerate(denies):
            text = "a NetworkPolicy has no deny rules: what this denies passes where an allow lets it"
            lost.say(f"{path}.{side}Deny[{index}]", text)
        if not old.get(side) and not denies:
            continue
        if (old.get("enableDefaultDeny") or {}).get(side) is False:
            text = "in a NetworkPolicy a direction is always default deny; its rules are left out"
            lost.say(f"{path}.enableDefaultDeny.{side}", text)
            continue
        spec["policyTypes"].append(side.capitalize())
        items = [
            new
            for index, item in enumerate(old.get(side) or ())
            for new in _kubernetes_items(item, member, f"{path}.{side}[{index}]", lost)
        ]
        if items:
            spec[side] = items
    if not spec["policyTypes"]:
        if not lost.rows():
            lost.say(path, "a NetworkPolicy denies by default in some direction, and this in none")
        spec |= {"policyTypes": ["Ingress"], "ingress": [{}]}
    return _object(raw, NETPOL, spec)


def _is_about_namespace(key: str) -> bool:
    return split_key(key)[1].startswith((NAMESPACE, f"{NAMESPACE_LABELS}."))


def _kubernetes(selector: Raw, path: str, lost: Lost) -> tuple[Raw, Raw | None]:
    """(podSelector, namespaceSelector); None for the own namespace. What cannot be said is said to be lost."""
    pods: Raw = {}
    spaces: Raw = {}
    seen = False
    every: list[tuple[str, str, str, Any]] = [
        (f"{path}.matchLabels", key, "matchLabels", value)
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    every += [
        (f"{path}.matchExpressions[{number}]", each["key"], "matchExpressions", each)
        for number, each in enumerate(selector.get("matchExpressions") or ())
    ]
    for where, key, member, value in every:
        source, name = split_key(key)
        if source not in (K8S, "any"):
            lost.say(where, f"a NetworkPolicy selects by labels of pods, not `{key}`")
        elif name == NAMESPACE:
            seen = True
            exists = member == "matchExpressions" and value["operator"] == "Exists"
            if member == "matchExpressions" and value["operator"] == "DoesNotExist":
                lost.say(where, "a NetworkPolicy selects pods, and each has a namespace")
            elif not exists:
                _add(spaces, METADATA_NAME, member, value)
        elif name.startswith(f"{NAMESPACE_LABELS}."):
            seen = True
            _add(spaces, name.removeprefix(f"{NAMESPACE_LABELS}."), member, value)
        elif name == CLUSTER and value == DEFAULT_CLUSTER:
            continue
        elif name.startswith(("io.cilium.", "io.kubernetes.")):
            lost.say(where, f"`{name}` is no label of a pod")
        else:
            _add(pods, name, member, value)
    return pods, spaces if seen else None


def _add(selector: Raw, key: str, member: str, value: Any) -> None:
    """Several keys of Cilium's, as `app` and `k8s:app`, are one of Kubernetes': all of them must hold."""
    if member == "matchLabels":
        labels = selector.setdefault("matchLabels", {})
        if labels.setdefault(key, value) == value:
            return
        value = {"operator": "In", "values": [value]}
    selector.setdefault("matchExpressions", []).append({**value, "key": key})


def _kubernetes_items(item: Raw, member: str, path: str, lost: Lost) -> Iterator[Raw]:
    """None where the item means nobody, or nothing of it can be said."""
    if beyond.needs_authentication(item):
        lost.say(f"{path}.authentication", "a NetworkPolicy asks for no authentication")
        return
    ports = _kubernetes_ports(item, path, lost)
    if ports is None:
        return
    known = INGRESS_PEERS if member == "from" else EGRESS_PEERS
    given = [each for each in known if item.get(each) is not None and (each != "toFQDNs" or item[each])]
    if not given:
        if item.get("toPorts") or item.get("icmps"):
            yield ports
        return
    peers: list[Raw] = []
    for each in given:
        for number, value in enumerate(item[each]):
            where = f"{path}.{each}[{number}]"
            if each in _WHOLE_ITEM:
                lost.say(where, f"a NetworkPolicy has no {_WHOLE_ITEM[each]}")
            elif each.endswith("Entities"):
                if value == "all":
                    yield ports
                elif value != "none":
                    lost.say(where, f"a NetworkPolicy has no entity `{value}`")
            elif each.endswith("Endpoints"):
                before = len(lost.rows())
                pods, spaces = _kubernetes(value, where, lost)
                if len(lost.rows()) == before:
                    peers.append(
                        {**({} if spaces is None else {"namespaceSelector": spaces}), "podSelector": pods}
                    )
            else:
                peers += _block(value, where, lost)
    if peers:
        yield {member: peers, **ports}


def _block(value: Any, path: str, lost: Lost) -> Iterator[Raw]:
    block = {"cidr": value} if isinstance(value, str) else value
    cidr = parse_cidr(block.get("cidr") or "")
    if cidr is None:
        lost.say(path, "a NetworkPolicy has no groups of ranges")
        return
    excepts = [parse_cidr(each) for each in block.get("except") or ()]
    if any(each is None or each == cidr or not contains(cidr, each) for each in excepts):
        lost.say(f"{path}.except", "an exception of an ipBlock lies within it")
        return
    lost.say(
        path,
        "a CIDR of Cilium's kinds never means pods or nodes; an ipBlock does if they have such addresses",
    )
    found: Raw = {"cidr": str(cidr)}
    yield {"ipBlock": {**found, "except": [str(each) for each in excepts]} if excepts else found}


def _kubernetes_ports(item: Raw, path: str, lost: Lost) -> Raw | None:
    """`{ports}`, {} for all; None where ports are named and none of them can be said."""
    rows: list[Raw] = []
    for number, port_rule in enumerate(item.get("toPorts") or ()):
        where = f"{path}.toPorts[{number}]"
        for each, what in beyond.of_port_rule(port_rule):
            lost.say(f"{where}.{each}", f"a NetworkPolicy has no {what}")
        if (port_rule.get("rules") or {}).get("dns"):
            lost.say(f"{where}.rules.dns", "a NetworkPolicy judges no DNS names: every name may be asked")
        for at, port in enumerate(port_rule.get("ports") or ()):
            rows += _kubernetes_port(port, f"{where}.ports[{at}]", lost)
    for number, _ in enumerate(item.get("icmps") or ()):
        lost.say(f"{path}.icmps[{number}]", "a NetworkPolicy knows no ICMP")
    if rows:
        return {"ports": rows}
    return None if item.get("toPorts") or item.get("icmps") else {}


def _kubernetes_port(port: Mapping[str, Any], path: str, lost: Lost) -> Iterator[Raw]:
    number, end = parse_port(str(port["port"])), port.get("endPort")
    protocol = (port.get("protocol") or "ANY").upper()
    if beyond.is_foreign_protocol(dict(port)) or protocol not in (*_TRANSPORTS, "ANY"):
        lost.say(path, f"a NetworkPolicy knows no protocol {protocol}")
        return
    if isinstance(number, str) and (end or number != number.lower()):
        lost.say(path, "a named port of a NetworkPolicy is lower-case and no range")
        return
    for each in _TRANSPORTS if protocol == "ANY" else (protocol,):
        row: Raw = {"protocol": each}
        if number != 0:
            row["port"] = number
        elif end:
            row |= {"port": 1}
            lost.say(path, "a port of a NetworkPolicy begins at 1")
        yield {**row, "endPort": end} if end and end > row.get("port", 0) else row
