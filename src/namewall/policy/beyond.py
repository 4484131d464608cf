"""What is valid policy but nothing this datapath can enforce: the one place that knows.

Cilium accepts these parts (with Envoy, SPIRE, a host firewall, a cloud provider), so `parse` does too. Their rules
select nothing here, never more than was asked for, and `apply` and the agent refuse the whole policy with these
reasons. `policy.cilium` asks while it reads; `Policy.unsupported` carries the answers.
"""

from __future__ import annotations

from collections.abc import Iterator

from namewall.model.errors import Problem
from namewall.model.labels import is_of_pods
from namewall.policy.sanitize import LISTS, Raw

_SPEC = {"nodeSelector": "a host policy (nodeSelector)"}
_ITEM = {
    "fromNodes": "node selectors",
    "toNodes": "node selectors",
    "fromGroups": "cloud provider groups",
    "toGroups": "cloud provider groups",
}
_PORT_RULE = {
    "listener": "Envoy listeners",
    "originatingTLS": "TLS origination",
    "terminatingTLS": "TLS termination",
    "serverNames": "TLS server names",
}
_L7 = {"http": "HTTP rules", "kafka": "Kafka rules", "l7proto": "custom L7 protocols"}
_PROTOCOLS = frozenset({"VRRP", "IGMP"})


def protects_nodes(spec: Raw) -> bool:
    """A host policy: there are no endpoints it could select."""
    return "nodeSelector" in spec


def needs_authentication(item: Raw) -> bool:
    return bool((item.get("authentication") or {}).get("mode", "disabled") != "disabled")


def is_foreign_protocol(port: Raw) -> bool:
    """Protocols without ports, which the policy map has no keys for."""
    return (port.get("protocol") or "").upper() in _PROTOCOLS


def of_port_rule(port_rule: Raw) -> list[tuple[str, str]]:
    """Of an item of toPorts: (member path, what it is)."""
    rules = port_rule.get("rules") or {}
    if not rules and port_rule.keys().isdisjoint(_PORT_RULE):
        return []
    found = [(member, what) for member, what in _PORT_RULE.items() if port_rule.get(member)]
    return found + [(f"rules.{member}", what) for member, what in _L7.items() if rules.get(member)]


def of_spec(spec: Raw, path: str) -> Iterator[Problem]:
    """All of one spec, each with its path."""
    for member, what in _SPEC.items():
        if member in spec:
            yield _problem(f"{path}.{member}", what)
    for name in LISTS:
        for index, item in enumerate(spec.get(name) or ()):
            for where, what in of_item(item, f"{path}.{name}[{index}]"):
                yield _problem(where, what)


def of_item(item: Raw, path: str) -> Iterator[tuple[str, str]]:
    """Of one rule: (path, what it is)."""
    for member, what in _ITEM.items():
        if item.get(member):
            yield f"{path}.{member}", what
    if needs_authentication(item):
        yield f"{path}.authentication.mode", "mutual authentication"
    for number, port_rule in enumerate(item.get("toPorts") or ()):
        where = f"{path}.toPorts[{number}]"
        for member, what in of_port_rule(port_rule):
            yield f"{where}.{member}", what
        for at, port in enumerate(port_rule.get("ports") or ()):
            if is_foreign_protocol(port):
                yield f"{where}.ports[{at}].protocol", f"{port['protocol']} alone"


def of_network_policy(spec: Raw) -> Iterator[Problem]:
    """Whom it is for, chosen by a label that no identity has. By the Kubernetes API it is for the pods with that label;
    here nobody has it, and they would be open. In a peer such a label only opens less.
    """
    selector = spec.get("podSelector") or {}
    keys = [(key, f"matchLabels[{key}]") for key in selector.get("matchLabels") or ()]
    for number, expression in enumerate(selector.get("matchExpressions") or ()):
        if expression["operator"] in ("In", "Exists"):
            keys.append((expression["key"], f"matchExpressions[{number}]"))
    for key, where in keys:
        if not is_of_pods(key):
            yield _problem(f"spec.podSelector.{where}", f"a label that is in no identity ({key})")


def _problem(path: str, what: str) -> Problem:
    return Problem(path, f"{what} cannot be enforced by namewall; leave it out", "agent")
