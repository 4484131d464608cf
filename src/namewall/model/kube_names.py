"""What Kubernetes takes for names, label keys and label values, in the words of k8s.io/apimachinery.

One place for all who check: the API server, `namewall validate` and the editor (metadata), policies (selectors). The
expressions of its texts are not run: Python's engine backtracks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from namewall.model.errors import quoted
from namewall.model.memo import remembered

Check = Callable[[str], tuple[str, ...]]
"""From a text to everything that is wrong with it."""

MAX_LABEL, MAX_SUBDOMAIN = 63, 253
MAX_ANNOTATIONS = 256 << 10
"""Bytes of all keys and values together."""

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    f"'{_LABEL}(\\.{_LABEL})*')"
)
_DNS_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{_QUALIFIED}')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
    f"validation is '({_QUALIFIED})?')"
)

_LABEL_CHARACTERS, _QUALIFIED_CHARACTERS = re.compile("[-a-z0-9]+"), re.compile("[-A-Za-z0-9_.]+")


def _is_label(text: str) -> bool:
    return _LABEL_CHARACTERS.fullmatch(text) is not None and "-" not in (text[0], text[-1])


def _is_qualified(text: str) -> bool:
    return (
        _QUALIFIED_CHARACTERS.fullmatch(text) is not None and text[0] not in "-_." and text[-1] not in "-_."
    )


def _too_long(text: str, most: int) -> Iterator[str]:
    if len(text) > most:
        yield f"must be no more than {most} bytes"


def _check(rule: Callable[[str], Iterator[str]]) -> Check:
    return remembered(lambda text: tuple(rule(text)))


@_check
def label_problems(text: str) -> Iterator[str]:
    """Of a namespace's name, and of a container's."""
    yield from _too_long(text, MAX_LABEL)
    if not _is_label(text):
        yield _LABEL_RULE


@_check
def subdomain_problems(text: str) -> Iterator[str]:
    """Of most objects' names."""
    yield from _too_long(text, MAX_SUBDOMAIN)
    if not all(map(_is_label, text.split("."))):
        yield _SUBDOMAIN_RULE


@_check
def dns_1035_problems(text: str) -> Iterator[str]:
    """Of a Service's name."""
    yield from _too_long(text, MAX_LABEL)
    if not _is_label(text) or text[0].isdigit():
        yield _DNS_1035_RULE


@_check
def key_problems(key: str) -> Iterator[str]:
    """Of a label's key: `[prefix/]name`."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        prefixed = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        yield f"a qualified name {_QUALIFIED_RULE} {prefixed}"
        return
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash:
        yield from (f"prefix part {problem}" for problem in subdomain_problems(prefix))
    if not name:
        yield "name part must be non-empty"
    yield from (f"name part {problem}" for problem in _too_long(name, MAX_LABEL))
    if not _is_qualified(name):
        yield f"name part {_QUALIFIED_RULE}"


@_check
def value_problems(value: str) -> Iterator[str]:
    """Of a label's value."""
    yield from _too_long(value, MAX_LABEL)
    if value and not _is_qualified(value):
        yield _VALUE_RULE


# --- metadata --------------------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """A field's error, with one of the FieldValue... reasons of the API conventions."""

    path: str
    message: str
    reason: str = "FieldValueInvalid"


def faults(path: str, text: str, problems: tuple[str, ...]) -> Iterator[Fault]:
    for problem in problems:
        yield Fault(path, f"Invalid value: {quoted(text)}: {problem}")


def metadata_faults(
    metadata: Mapping[str, Any], name_problems: Check = subdomain_problems
) -> Iterator[Fault]:
    """Of names, labels and annotations. What is absent, null or of another type than it should be is for others."""
    for field, problems in (("name", name_problems), ("namespace", label_problems)):
        text = metadata.get(field)
        if text and isinstance(text, str):
            yield from faults(f"metadata.{field}", text, problems(text))
    yield from label_faults("metadata.labels", metadata.get("labels"))
    size = 0
    for key, value in _members(metadata.get("annotations")):
        yield from faults(f"metadata.annotations[{key}]", key, key_problems(key.lower()))
        size += len(key.encode("utf-8", "replace")) + len(str(value).encode("utf-8", "replace"))
    if size > MAX_ANNOTATIONS:
        text = f"Too long: may not be more than {MAX_ANNOTATIONS} bytes"
        yield Fault("metadata.annotations", text, "FieldValueTooLong")


def label_faults(path: str, labels: Any) -> Iterator[Fault]:
    for key, value in _members(labels):
        yield from faults(f"{path}[{key}]", key, key_problems(key))
        if isinstance(value, str):
            yield from faults(f"{path}[{key}]", value, value_problems(value))


def _members(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []
