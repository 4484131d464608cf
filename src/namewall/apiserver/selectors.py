"""Label and field selectors: parsed from a query or from an object's selector, matched against objects.

Syntax: k8s.io/apimachinery/pkg/labels (`a=b,c!=d,e in (f,g),!h`) and pkg/fields (`a=b,c!=d`).
A key that is absent matches `!=` and `notin`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from namewall.apiserver.errors import bad_request
from namewall.apiserver.values import Object, dig

_KEY = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?"
_IN = re.compile(rf"({_KEY})\s+(in|notin)\s+\(([^()]*)\)\Z")
_EQUALS = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})\Z")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})\Z")
_VALUE_ONLY = re.compile(rf"{_VALUE}\Z")


@dataclass(frozen=True, slots=True)
class Requirement:
    """`operator` is one of In, NotIn, Exists, DoesNotExist (metav1.LabelSelectorOperator)."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, Any]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case _:
                return value is None


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements must hold; none at all selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, Any]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)


def _split(text: str) -> list[str]:
    """Splits at commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part.strip() for part in parts]


def parse_label_selector(text: str) -> LabelSelector:
    """The selector of a `labelSelector` query; a 400 where it is none."""
    if not text.strip():
        return LabelSelector()
    requirements = []
    for part in _split(text):
        if found := _IN.match(part):
            values = frozenset(value.strip() for value in found[3].split(","))
            if not all(_VALUE_ONLY.match(value) for value in values):
                raise bad_request(f"unable to parse requirement: invalid label value in `{part}`")
            requirements.append(Requirement(found[1], "In" if found[2] == "in" else "NotIn", values))
        elif found := _EQUALS.match(part):
            operator = "NotIn" if found[2] == "!=" else "In"
            requirements.append(Requirement(found[1], operator, frozenset([found[3]])))
        elif found := _EXISTS.match(part):
            requirements.append(Requirement(found[2], "DoesNotExist" if found[1] else "Exists"))
        else:
            raise bad_request(
                f"unable to parse requirement: `{part}` is none of KEY, !KEY, KEY=VALUE, KEY!=VALUE, "
                "KEY in (VALUES), KEY notin (VALUES)"
            )
    return LabelSelector(tuple(requirements))


def from_object(selector: Object | None) -> LabelSelector | None:
    """A metav1.LabelSelector. None (absent) selects nothing and gives None; `{}` selects everything."""
    if selector is None:
        return None
    labels = selector.get("matchLabels") or {}
    requirements = [Requirement(key, "In", frozenset([value])) for key, value in labels.items()]
    for item in selector.get("matchExpressions") or []:
        values = frozenset(item.get("values") or [])
        requirements.append(Requirement(item["key"], item["operator"], values))
    return LabelSelector(tuple(requirements))


def from_map(labels: Mapping[str, str]) -> LabelSelector:
    """A Service's or ReplicationController's selector: plain equality."""
    return LabelSelector(tuple(Requirement(key, "In", frozenset([value])) for key, value in labels.items()))


@dataclass(frozen=True, slots=True)
class FieldTerm:
    path: tuple[str, ...]
    value: str
    equal: bool

    def matches(self, obj: Object) -> bool:
        found = dig(obj, *self.path)
        text = "" if found is None else str(found).lower() if isinstance(found, bool) else str(found)
        return (text == self.value) is self.equal


@dataclass(frozen=True, slots=True)
class FieldSelector:
    terms: tuple[FieldTerm, ...] = ()

    def matches(self, obj: Object) -> bool:
        return all(term.matches(obj) for term in self.terms)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def name(self) -> str | None:
        """The one metadata.name that can match, if the selector says so."""
        for term in self.terms:
            if term.path == ("metadata", "name") and term.equal:
                return term.value
        return None


def parse_field_selector(text: str, allowed: Iterable[str]) -> FieldSelector:
    """The selector of a `fieldSelector` query. Fields other than `allowed` are a 400, as in Kubernetes."""
    known = {"metadata.name", "metadata.namespace", *allowed}
    terms = []
    for part in text.split(","):
        if not part.strip():
            continue
        found = re.match(r"\s*([^=!\s]+)\s*(==|=|!=)(.*)\Z", part)
        if not found:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        if found[1] not in known:
            raise bad_request(f"field label not supported: {found[1]}")
        terms.append(FieldTerm(tuple(found[1].split(".")), found[3].strip(), found[2] != "!="))
    return FieldSelector(tuple(terms))


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list or watch asks for."""

    labels: LabelSelector = LabelSelector()
    fields: FieldSelector = FieldSelector()

    def matches(self, obj: Object) -> bool:
        return self.labels.matches(dig(obj, "metadata", "labels", default={})) and self.fields.matches(obj)

    def __bool__(self) -> bool:
        return bool(self.labels) or bool(self.fields)
