"""What Cilium's API server and agent would say of policies, each problem with its file, line and field.

Beside it stands what is valid but not enforceable here: `apply` refuses that, `validate` counts it as valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from namewall.model.documents import Document
from namewall.model.errors import Problem
from namewall.model.kube_names import metadata_faults
from namewall.model.near import template_hint
from namewall.policy.metadata import KEYS, unknown_annotations
from namewall.policy.parse import CIDR_GROUP, enforceable, parse, stored, unsaid, wrong_version
from namewall.policy.rule_schema import Schema
from namewall.policy.rules import Policy
from namewall.policy.schema import crd_schema
from namewall.policy.structural import validate, wrong_type
from namewall.review.complaints import Complaint, complaint
from namewall.review.scenarios import ScenarioFile

METADATA: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "labels": {"type": "object"},
        "annotations": {
            "type": "object",
            "properties": {key: {} for key in KEYS},
            "x-kubernetes-preserve-unknown-fields": True,
        },
        "generateName": {"type": "string"},
        "uid": {},
        "resourceVersion": {},
        "generation": {},
        "creationTimestamp": {},
        "deletionTimestamp": {},
        "deletionGracePeriodSeconds": {},
        "ownerReferences": {},
        "finalizers": {},
        "managedFields": {},
        "selfLink": {},
    },
}
"""The fields of ObjectMeta, which the kinds' own schemas leave to Kubernetes. kubectl refuses others: its
`fieldValidation` is Strict. Of annotations those that we know; others may be there."""


@dataclass(frozen=True)
class Verdict:
    """What is said of one object."""

    source: str
    line: int
    kind: Any
    namespace: Any
    name: Any
    problems: tuple[Complaint, ...]
    unenforceable: tuple[Complaint, ...]
    policy: Policy | None = None

    @property
    def accepted(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "line": self.line,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "accepted": self.accepted,
            "enforceable": not self.unenforceable if self.accepted else None,
            "problems": [one.to_dict() for one in self.problems],
            "unenforceable": [one.to_dict() for one in self.unenforceable],
        }


def judge(obj: Any) -> tuple[list[Problem], list[Problem]]:
    """The problems, and what cannot be enforced, of a policy or a CiliumCIDRGroup."""
    _, problems, unenforceable = _read(obj)
    return problems, unenforceable


def _read(obj: Any) -> tuple[Policy | None, list[Problem], list[Problem]]:
    policy, problems, unenforceable = _read_below_metadata(obj)
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    if isinstance(metadata, dict) and (said := _metadata_problems(metadata)):
        return None, said + unsaid(said, problems), []
    return policy, problems, unenforceable


MOST_SAID = 10_000
"""Problems of one object's metadata; a label of a few bytes can have two."""


def _metadata_problems(metadata: dict[str, Any]) -> list[Problem]:
    """What an API server says of metadata, whatever the kind. What is null counts as left out there."""
    found = list(islice(_all_of_metadata(metadata), MOST_SAID + 1))
    if len(found) > MOST_SAID:
        found[-1] = Problem("metadata", f"more than {MOST_SAID} problems: the others are not said", "schema")
    return found


def _all_of_metadata(metadata: dict[str, Any]) -> Iterator[Problem]:
    given = {field: value for field, value in metadata.items() if value is not None}
    yield from validate(METADATA, given, "metadata")
    yield from unknown_annotations(given)
    for field in ("labels", "annotations"):
        members = given.get(field)
        for key, value in members.items() if isinstance(members, dict) else ():
            if not isinstance(value, str | None):
                yield wrong_type(f"metadata.{field}[{key}]", value, "string")
    for fault in metadata_faults(given):
        yield Problem(fault.path, fault.message, "schema", hint=template_hint(fault.message))


def _read_below_metadata(obj: Any) -> tuple[Policy | None, list[Problem], list[Problem]]:
    if isinstance(obj, dict) and obj.get("kind") == CIDR_GROUP:
        if obj.get("apiVersion") != "cilium.io/v2":
            return None, [wrong_version(obj, "cilium.io/v2")], []
        obj, _ = stored(obj)
        problems = validate(crd_schema(CIDR_GROUP), obj)
        name = (obj.get("metadata") or {}).get("name") if not problems else ""
        if not problems and (not isinstance(name, str) or not name):
            problems = [Problem("metadata.name", f"{CIDR_GROUP} must have name", "schema")]
        return None, problems, []
    policy, problems = parse(obj)
    return policy, problems, [] if policy is None else enforceable(policy)


def verdict(source: str, document: Document, path: str, obj: Any) -> Verdict:
    policy, problems, unenforceable = _read(obj)
    row = obj if isinstance(obj, dict) else {}
    metadata = row.get("metadata") if isinstance(row.get("metadata"), dict) else {}
    assert isinstance(metadata, dict)
    return Verdict(
        source,
        document.line_of(path),
        row.get("kind"),
        metadata.get("namespace"),
        metadata.get("name"),
        _placed(source, document, path, problems),
        _placed(source, document, path, unenforceable),
        policy,
    )


def scenario_verdict(file: ScenarioFile) -> Verdict:
    """Of a test file that lies among policies: its shape, and the policies in it."""
    complaints = file.complaints if file.scenario is None else file.rejected()
    unenforceable = [] if file.scenario is None else file.unenforceable()
    return Verdict(
        file.source,
        file.document.line,
        "Scenario",
        None,
        file.name,
        tuple(complaints),
        tuple(unenforceable),
    )


def _placed(source: str, document: Document, path: str, problems: list[Problem]) -> tuple[Complaint, ...]:
    """In the order of the lines."""
    found = [complaint(source, document, problem, path) for problem in problems]
    return tuple(sorted(found, key=lambda one: one.line))
