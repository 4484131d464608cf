"""From a Kubernetes object to a Policy, or to everything that is wrong with it.

`parse` says of an object what Cilium's API server (the CRD schema) and then its agent (sanitize) would say, all
problems at once, each with its field path; without problems it gives the policy as a value. The API server, the
agent, the CLI and the editor all come through here. `enforceable` says what is valid but cannot be enforced by this
datapath: those parts select nothing, never more than was asked for, and `apply` refuses them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from namewall.model.errors import Problem
from namewall.model.near import near
from namewall.policy import beyond, cilium, netpol, sanitize
from namewall.policy.metadata import limited, read_annotations
from namewall.policy.rule_schema import Schema
from namewall.policy.rules import Policy
from namewall.policy.schema import crd_schema, network_policy_schema
from namewall.policy.structural import accepts, has_wrong_type, readable, validate, without_nulls, wrong_type

API_VERSIONS = {
    "CiliumNetworkPolicy": "cilium.io/v2",
    "CiliumClusterwideNetworkPolicy": "cilium.io/v2",
    "NetworkPolicy": "networking.k8s.io/v1",
}
"""The kinds that are policies, and the one version of each."""
CIDR_GROUP = "CiliumCIDRGroup"
WRITTEN_KINDS = (*API_VERSIONS, CIDR_GROUP)
"""What people write in policy files: policies, and what these refer to."""


def parse(obj: Any) -> tuple[Policy | None, list[Problem]]:
    """The policy, or None and its problems in the order of the fields, the schema's before the agent's."""
    if not isinstance(obj, dict):
        return None, [Problem("", "a policy must be an object", "schema")]
    kind = obj.get("kind")
    if not isinstance(kind, str) or kind not in API_VERSIONS:
        return None, [_wrong_kind(obj)]
    if obj.get("apiVersion") != API_VERSIONS[kind]:
        return None, [wrong_version(obj, API_VERSIONS[kind])]
    schema = _schema(kind)
    problems: list[Problem] = []
    if not accepts(schema)(obj):
        obj, nulls = stored(obj)
        problems = list(_with_nulls(validate(schema, obj), nulls))
    problems += _zero_end_ports(obj) if kind != "NetworkPolicy" else []
    # The agent reads fields of a name alike everywhere; one that is unknown here the schema has not looked into.
    more = _agent_problems(kind, readable(schema, obj) if problems else obj)
    unread = [problem.path for problem in problems if has_wrong_type(problem)]
    problems += unsaid(problems, _apart(more, unread))
    if problems:
        return None, problems
    return _read(kind, obj), []


def stored(obj: Any) -> tuple[Any, tuple[str, ...]]:
    """An object of these kinds or a CiliumCIDRGroup as an API server keeps it, and the paths of the nulls that are left
    out so. Of other kinds, and without such nulls, it is the object itself."""
    if not isinstance(obj, dict) or obj.get("kind") not in WRITTEN_KINDS:
        return obj, ()
    schema = _schema(obj["kind"])
    if accepts(schema)(obj):
        return obj, ()
    nulls: list[str] = []
    kept = without_nulls(schema, obj, nulls=nulls)
    return (kept, tuple(nulls)) if nulls else (obj, ())


def _apart(more: list[Problem], unread: list[str]) -> list[Problem]:
    """Those of `more` that cannot be there only since a field at, above or below theirs was not read."""
    if not unread:
        return more
    below, above = set(unread), {each for path in unread for each in _beginnings(path)}
    return [
        problem
        for problem in more
        if problem.path not in above and below.isdisjoint((problem.path, *_beginnings(problem.path)))
    ]


DEEPEST = 40
"""Steps of a path at most that are fields of a schema; keys of labels may have any number of dots."""


def _beginnings(path: str) -> list[str]:
    """The paths above it: of `spec.egress[0]` `spec` and `spec.egress`."""
    return [path[: each.start()] for each in islice(re.finditer(r"[.[]", path), DEEPEST)]


def _with_nulls(problems: Iterable[Problem], nulls: Iterable[str]) -> Iterator[Problem]:
    """Where a field is missing that is there and null, that is said."""
    known: dict[str, str] = {}
    for path in nulls:
        known[path] = path
        known.setdefault(path.rpartition(".")[0], path)
    for problem in problems:
        null = known.get(problem.path)
        told = null is not None and not problem.hint
        yield replace(problem, hint=f"{null} is null, which counts as left out") if told else problem


def _schema(kind: str) -> Schema:
    return network_policy_schema() if kind == "NetworkPolicy" else crd_schema(kind)


def enforceable(policy: Policy) -> list[Problem]:
    """The parts of a valid policy that this datapath cannot enforce; empty if all of it can be."""
    return list(policy.unsupported)


def _wrong_kind(obj: Mapping[str, Any]) -> Problem:
    kind, known = obj.get("kind"), ", ".join(API_VERSIONS)
    if kind is None:
        return _missing(obj, "kind", f"one of {known}")
    meant = near(kind, API_VERSIONS) if isinstance(kind, str) else None
    return Problem("kind", f"`{kind}` is no policy; use one of {known}", "schema", meant=meant)


def wrong_version(obj: Mapping[str, Any], right: str) -> Problem:
    """What to say of an object of a known kind whose apiVersion is not the `right` one."""
    version = obj.get("apiVersion")
    if version is None:
        return _missing(obj, "apiVersion", right)
    text = f"`{version}` is no version of {obj['kind']}; use {right}"
    return Problem("apiVersion", text, "schema")


def _missing(obj: Mapping[str, Any], field: str, right: str) -> Problem:
    """A misspelt field is named instead: there the word stands that was meant."""
    for key in obj:
        if near(str(key), (field,)):
            return Problem(str(key), f'unknown field "{key}"', "schema", meant=field)
    return Problem(field, f"Required value: write {right}", "schema")


def _agent_problems(kind: str, obj: Mapping[str, Any]) -> list[Problem]:
    metadata = obj.get("metadata") or {}
    problems = []
    for field in ("name", "namespace"):
        if not isinstance(given := metadata.get(field), str | None):
            problems.append(wrong_type(f"metadata.{field}", given, "string"))
    if metadata.get("name") in (None, ""):
        problems.append(Problem("metadata.name", f"{kind} must have name", "agent"))
    problems += read_annotations(metadata)[1]
    if kind == "NetworkPolicy":
        return problems + list(netpol.problems(obj.get("spec") or {}))
    specs = list(cilium.specs(obj))
    if not specs and obj.get("specs") is None:
        problems.append(Problem("spec", f"Invalid {kind} spec(s): empty policy", "agent"))
    for path, spec in specs:
        problems += sanitize.rule(spec, path, clusterwide=kind == "CiliumClusterwideNetworkPolicy")
    return problems


def unsaid(known: list[Problem], more: list[Problem]) -> list[Problem]:
    """Those of `more` that say something of a field nothing was said about: one mistake, one problem."""
    paths = {problem.path for problem in known}
    return [problem for problem in more if problem.path not in paths]


def _zero_end_ports(obj: Mapping[str, Any]) -> list[Problem]:
    """`endPort: 0` is within the schema, but Cilium's types drop a zero: strict readers call it unknown."""
    found = []
    for path, spec in _dicts("spec", obj.get("spec")) + [
        pair for i, s in enumerate(_list(obj.get("specs"))) for pair in _dicts(f"specs[{i}]", s)
    ]:
        for name in sanitize.LISTS:
            for index, item in enumerate(_list(spec.get(name))):
                for number, port_rule in enumerate(
                    _list(item.get("toPorts") if isinstance(item, dict) else None)
                ):
                    ports = _list(port_rule.get("ports") if isinstance(port_rule, dict) else None)
                    for at, port in enumerate(ports):
                        if (
                            isinstance(port, dict)
                            and port.get("endPort") == 0
                            and port["endPort"] is not False
                        ):
                            where = f"{path}.{name}[{index}].toPorts[{number}].ports[{at}].endPort"
                            text = f'unknown field "{where}": a zero says nothing; leave it out'
                            found.append(Problem(where, text, "schema", unknown_field=True))
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dicts(path: str, value: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(path, value)] if isinstance(value, dict) else []


def _read(kind: str, obj: Mapping[str, Any]) -> Policy:
    metadata = obj["metadata"]
    name, uid = metadata["name"], str(metadata.get("uid") or "")
    namespace = "" if kind == "CiliumClusterwideNetworkPolicy" else metadata.get("namespace") or "default"
    said, _ = read_annotations(metadata)
    if kind == "NetworkPolicy":
        spec = obj["spec"]
        made = tuple(netpol.read_rules(spec, namespace, name))
        unsupported = tuple(beyond.of_network_policy(spec))
        return Policy(kind, namespace, name, uid, made, unsupported, said.options, said.audit)
    context = cilium.Context(kind, namespace, name)
    specs = list(cilium.specs(obj))
    read = (rule for path, spec in specs for rule in cilium.read_rules(spec, path, context))
    rules = limited(read, said.types)
    unsupported = tuple(problem for path, spec in specs for problem in beyond.of_spec(spec, path))
    return Policy(kind, namespace, name, uid, rules, unsupported, said.options, said.audit)
