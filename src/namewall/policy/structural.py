"""A small validator of structural schemas: types, unknown fields, enums, lengths, patterns, one-of.

Reports every problem with its field path, in Kubernetes' words, in time linear in the value. It knows the part of
OpenAPI v3 that `policy.schema` uses and no more; `oneOf` and `anyOf` are about which members are present.

Read twice: `accepts` makes of a schema one function that says yes or no, without paths and words; only where it says
no does `validate` walk the value again to find what is wrong. Law: accepts(s)(v) exactly where validate(s, v) is
empty. A valid object, the common case, costs a seventh so.

Patterns are Go regular expressions in the schema. Python's engine backtracks, and some of them would make it
explode; `_SAFE` has an equivalent for each of those (a test holds them equal), and a pattern that is not there
must be plain.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

from namewall.model.errors import Problem, quoted
from namewall.model.memo import remembered
from namewall.model.near import near, template_hint
from namewall.model.net import Network
from namewall.policy import rule_schema
from namewall.policy.rule_schema import Schema

Check = Callable[[str], bool]

_SERVICE_NAME = re.compile(r"[a-zA-Z0-9]+(?:-[a-zA-Z0-9]+)*")


MAX_SERVICE_NAME = 15


@remembered
def is_service_name(text: str) -> bool:
    """An IANA service name (RFC 6335): up to 15 letters, digits and single dashes inside, at least one letter."""
    if len(text) > MAX_SERVICE_NAME or _SERVICE_NAME.fullmatch(text) is None:
        return False
    return any(c.isalpha() for c in text)


def _is_port(text: str) -> bool:
    # The served pattern `^(number)|(name)$` is not anchored as a whole: a leading digit, or a trailing service
    # name, is enough. A name's shortest form is one letter, so the last character decides.
    return text[:1] in set("0123456789") or _ends_in_service_name(text)


def _ends_in_service_name(text: str) -> bool:
    tail = re.search(r"[a-zA-Z0-9]+(?:-[a-zA-Z0-9]+)*\Z", text[-300:])
    return tail is not None and any(c.isalpha() for c in tail.group())


def _names(alphabet: str) -> Check:
    expression = re.compile(rf"[{alphabet}]+(?:\.[{alphabet}]+)*\.?")
    return lambda text: expression.fullmatch(text) is not None


_SAFE: dict[str, Check] = {
    rule_schema.MATCH_NAME: _names("-a-zA-Z0-9_"),
    rule_schema.MATCH_PATTERN: _names("-a-zA-Z0-9_*"),
    rule_schema.PORT: _is_port,
    rule_schema.LABEL_VALUE: lambda text: (
        not text
        or (re.fullmatch(r"[-A-Za-z0-9_.]+", text) is not None and text[0].isalnum() and text[-1].isalnum())
    ),
    rule_schema.LOG_VALUE: lambda text: all(not unicodedata.category(c).startswith("C") for c in text),
    rule_schema.GROUP_NAME: lambda text: all(
        re.fullmatch(r"[a-z0-9-]+", part) is not None and part[0] != "-" and part[-1] != "-"
        for part in text.split(".")
    ),
}


@cache
def pattern_check(pattern: str) -> Check:
    if pattern in _SAFE:
        return _SAFE[pattern]
    expression = re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern)
    return lambda text: expression.search(text) is not None


@remembered
def parse_cidr(text: str) -> Network | None:
    """`203.0.113.7/24` with its host bits masked away; None for anything that is not ADDRESS/LENGTH."""
    address, slash, length = text.partition("/")
    if not slash or not (length.isascii() and length.isdecimal()) or (len(length) > 1 and length[0] == "0"):
        return None
    if "%" in address or len(length) > 3:
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def prefix_of(text: str) -> str | None:
    """An address as the range of itself alone; None for what is no address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return f"{address}/{address.max_prefixlen}"


def cidr_hint(text: str) -> str:
    """What to write for a text that is no CIDR."""
    prefix = prefix_of(text)
    return f"write {prefix}" if prefix else template_hint(text)


_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def json_type(value: object) -> str:
    return _JSON_TYPES.get(type(value), "null" if value is None else type(value).__name__)


def validate(schema: Schema, value: Any, path: str = "") -> list[Problem]:
    """Every problem of `value`, in the order of its fields."""
    return [] if accepts(schema)(value) else list(_validate(schema, value, path))


# --- yes or no -------------------------------------------------------------------------------------------------

Accepts = Callable[[Any], bool]

_KNOWN: dict[int, tuple[Schema, Accepts]] = {}
"""By the schema's id; the schema is held, so that its id stays its own."""


def accepts(schema: Schema) -> Accepts:
    """Whether a value has no problem, as a function made once for each schema (which must never change)."""
    if id(schema) not in _KNOWN:
        _KNOWN[id(schema)] = (schema, _acceptor(schema))
    return _KNOWN[id(schema)][1]


def _acceptor(schema: Schema) -> Accepts:
    match schema.get("type"):
        case "object":
            return _object_acceptor(schema)
        case "array":
            return _array_acceptor(schema)
        case "string":
            return _string_acceptor(schema)
        case _:
            return lambda value: next(_validate(schema, value, ""), None) is None


def _object_acceptor(schema: Schema) -> Accepts:
    members = {name: _acceptor(member) for name, member in schema.get("properties", {}).items()}
    other = _acceptor(schema["additionalProperties"]) if schema.get("additionalProperties") else None
    if other is None and _keeps_unknown(schema):
        other = _anything
    required = tuple(schema.get("required", ()))
    groups = [(frozenset(_alternatives(schema, rule)), most) for rule, _, most in _GROUPS if schema.get(rule)]

    def accept(value: Any) -> bool:
        if type(value) is not dict:
            return False
        for name, member in value.items():
            check = members.get(name, other)
            if check is None or type(name) is not str or not check(member):
                return False
        for name in required:
            if name not in value:
                return False
        for names, most in groups:
            present = len(names & value.keys())
            if not present or (most and present > most):
                return False
        return True

    return accept


def _anything(value: Any) -> bool:
    return True


def _array_acceptor(schema: Schema) -> Accepts:
    item, least, most = _acceptor(schema.get("items", {})), schema.get("minItems", 0), schema.get("maxItems")
    return lambda value: (
        type(value) is list
        and least <= len(value)
        and (most is None or len(value) <= most)
        and all(map(item, value))
    )


def _string_acceptor(schema: Schema) -> Accepts:
    if not schema.keys() & {"enum", "maxLength", "minLength", "pattern"} and schema.get("format") != "cidr":
        return lambda value: type(value) is str
    if schema.keys() & {"enum", "maxLength", "minLength", "pattern", "format"} == {"enum"}:
        choices = frozenset(schema["enum"])
        return lambda value: type(value) is str and value in choices

    @remembered
    def fits(text: str) -> bool:
        return next(_validate_string(schema, text, ""), None) is None

    return lambda value: type(value) is str and fits(value)


# --- what is wrong ---------------------------------------------------------------------------------------------


def _problem(
    path: str, message: str, unknown: bool = False, meant: str | None = None, hint: str = ""
) -> Problem:
    return Problem(path, message, "schema", unknown, meant, hint)


def _validate(schema: Schema, value: Any, path: str) -> Iterator[Problem]:
    if not _is_of_type(schema, value):
        yield wrong_type(path, value, schema.get("type", "integer or string"))
        return
    if isinstance(value, dict):
        yield from _validate_object(schema, value, path)
    elif isinstance(value, list):
        yield from _validate_array(schema, value, path)
    elif isinstance(value, str):
        yield from _validate_string(schema, value, path)
    elif isinstance(value, int):
        if "minimum" in schema and value < schema["minimum"]:
            least = schema["minimum"]
            yield _problem(
                path, f"Invalid value: {value}: {path} in body should be greater than or equal to {least}"
            )
        if "maximum" in schema and value > schema["maximum"]:
            most = schema["maximum"]
            yield _problem(
                path, f"Invalid value: {value}: {path} in body should be less than or equal to {most}"
            )


def wrong_type(path: str, value: object, wanted: str) -> Problem:
    found = json_type(value)
    text = f'Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"'
    return _problem(path, text, hint=_quotes(value, wanted))


def _quotes(value: object, wanted: str) -> str:
    """Where they are missing, or too much."""
    if wanted == "string" and type(value) is int:
        return f'write "{value}" in quotes'
    if "string" in wanted and isinstance(value, bool | float):
        return f"YAML reads it as a {json_type(value)}: write it in quotes"
    return unquoted(value) if wanted == "integer" and isinstance(value, str) else ""


def unquoted(text: str) -> str:
    """What to say of a number that is in quotes; nothing of other texts."""
    return f"write {text} without quotes" if _NUMBER.fullmatch(text) else ""


_NUMBER = re.compile("[0-9]{1,9}")


# To the end: what stands before may be the user's text, whose quotes are escaped.
_WRONG_TYPE = re.compile(
    r' in body must be of type (?!cidr)[a-z ]+: "[a-zA-Z]+"\Z|: keys must be strings, not [a-zA-Z]+\Z'
)


def has_wrong_type(problem: Problem) -> bool:
    """Whether a problem says that a value is of another type than the schema's, so that nobody can read it."""
    return _WRONG_TYPE.search(problem.message) is not None


def _validate_object(schema: Schema, value: dict[Any, Any], path: str) -> Iterator[Problem]:
    properties = schema.get("properties", {})
    additional = schema.get("additionalProperties")
    keeps_unknown = _keeps_unknown(schema)
    for name in schema.get("required", ()):
        if name not in value:
            yield _problem(_join(path, name), "Required value")
    for key, member in value.items():
        where = _join(path, str(key))
        if not isinstance(key, str):
            yield _problem(where, f"Invalid value: keys must be strings, not {json_type(key)}")
        elif key in properties:
            yield from _validate(properties[key], member, where)
        elif additional:
            yield from _validate(additional, member, where)
        elif not keeps_unknown:
            meant = near(key, properties, value)
            is_label = meant is None and "matchLabels" in properties and isinstance(member, str)
            hint = "put it under matchLabels" if is_label else ""
            yield _problem(where, f'unknown field "{where}"', unknown=True, meant=meant, hint=hint)
    for rule, least, most in _GROUPS:
        names = _alternatives(schema, rule)
        present = [name for name in names if name in value]
        if names and not (least <= len(present) and (most is None or len(present) <= most)):
            count = "one and only one" if most else "at least one"
            found = f"Found {len(present)} valid alternatives" if present else "Found none valid"
            yield _problem(
                path,
                f'Invalid value: "": "{path}" must validate {count} schema ({rule}). {found}: '
                f"expected {count} of {', '.join(names)}",
            )


_GROUPS = (("oneOf", 1, 1), ("anyOf", 1, None))
"""How many of a group's members must be there: at least, at most."""


def _alternatives(schema: Schema, rule: str) -> list[str]:
    return [name for choice in schema.get(rule, ()) for name in choice.get("required", ())]


def _keeps_unknown(schema: Schema) -> bool:
    return bool(schema.get("x-kubernetes-preserve-unknown-fields")) or (
        "properties" not in schema and not schema.get("additionalProperties")
    )


_EMPTY: dict[str, Any] = {
    "object": {},
    "array": [],
    "string": "",
    "integer": 0,
    "number": 0,
    "boolean": False,
}


def readable(schema: Schema, value: Any) -> Any:
    """A copy in which all is of the schema's types: members that are not, and those that it does not know, are left
    out, and items of a list that are not are empty."""
    if isinstance(value, list):
        item = schema.get("items", {})
        return [readable(item, each) if _is_of_type(item, each) else _EMPTY[item["type"]] for each in value]
    if not isinstance(value, dict) or _keeps_unknown(schema):
        return value
    properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
    found = {}
    for key, member in value.items():
        below = properties.get(key, additional)
        if below is not None and isinstance(key, str) and _is_of_type(below, member):
            found[key] = readable(below, member)
    return found


def _is_of_type(schema: Schema, value: Any) -> bool:
    if schema.get("x-kubernetes-int-or-string"):
        return isinstance(value, str | int) and not isinstance(value, bool)
    wanted, found = schema.get("type"), json_type(value)
    return not wanted or found == wanted or (wanted == "number" and found == "integer")


def without_nulls(schema: Schema, value: Any, path: str = "", nulls: list[str] | None = None) -> Any:
    """A copy without the null members of fields that the schema knows, whose paths are added to `nulls`.

    What an API server does before it validates a custom resource (apiextensions-apiserver, prunenulls.go), and what
    Go's decoding does of Kubernetes' own kinds. Items of lists stay, and unlike there the values of maps, as
    `matchLabels`: without one of its labels a selector would select more.
    """
    if isinstance(value, list):
        item = schema.get("items", {})
        return [without_nulls(item, each, f"{path}[{number}]", nulls) for number, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
    kept = {}
    for key, member in value.items():
        where = _join(path, str(key))
        if member is None and key in properties:
            if nulls is not None:
                nulls.append(where)
            continue
        below = properties.get(key, additional)
        kept[key] = without_nulls(below, member, where, nulls) if below else member
    return kept


def _validate_array(schema: Schema, value: list[Any], path: str) -> Iterator[Problem]:
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        yield _problem(path, f"Too many: {len(value)}: must have at most {schema['maxItems']} items")
        return
    if len(value) < schema.get("minItems", 0):
        yield _problem(path, f"Invalid value: {len(value)}: must have at least {schema['minItems']} items")
    item = schema.get("items", {})
    for index, member in enumerate(value):
        yield from _validate(item, member, f"{path}[{index}]")


def _validate_string(schema: Schema, value: str, path: str) -> Iterator[Problem]:
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(f'"{choice}"' for choice in schema["enum"])
        text = f"Unsupported value: {quoted(value)}: supported values: {supported}"
        yield _problem(path, text, meant=near(value, schema["enum"]))
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield _problem(path, f"Too long: may not be more than {schema['maxLength']} bytes")
        return
    if "minLength" in schema and len(value) < schema["minLength"]:
        least = schema["minLength"]
        yield _problem(
            path, f"Invalid value: {quoted(value)}: {path} in body should be at least {least} chars long"
        )
    if "pattern" in schema and not pattern_check(schema["pattern"])(value):
        pattern = schema["pattern"]
        hint = template_hint(value)
        if pattern == rule_schema.MATCH_NAME and "*" in value and not hint:
            hint = "write matchPattern, where `*` may stand"
        text = f"Invalid value: {quoted(value)}: {path} in body should match '{pattern}'"
        yield _problem(path, text, hint=hint)
    if schema.get("format") == "cidr" and parse_cidr(value) is None:
        shown = quoted(value)
        text = f"Invalid value: {shown}: {path} in body must be of type cidr: {shown}"
        yield _problem(path, text, hint=cidr_hint(value))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
