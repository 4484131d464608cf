"""What a policy's annotations add to it: things that Cilium's and Kubernetes' schemas have no field for.

    namewall.io/dns-types: A,AAAA         its DNS rules pass these types of question only
    namewall.io/rebinding-guard: strict   no name opens a private address to the endpoints it selects
    namewall.io/verify-name: sni          TLS on port 443 must ask for a name granted at its address; with `audit`
                                          what does not passes and is told of
    namewall.io/min-ttl: "300"            names learned by the endpoints it selects stay open that long at least
    namewall.io/mode: audit               nothing of it is enforced: what it would change is told (spec/semantics.md 10)

The first limits the policy's own rules. The others hold for every endpoint that a rule of the policy selects, whoever
allowed the name; of several policies the stricter counts for the guard and the check, the longer for the TTL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from namewall.model.errors import Problem
from namewall.model.labels import Labels
from namewall.model.near import near
from namewall.policy import dns_types
from namewall.policy.map_state import DnsRules
from namewall.policy.rules import Options, Policy, PortMatch, Rule, Verify

KEYS = MODE, GUARD, VERIFY, MIN_TTL, DNS_TYPES = (
    "namewall.io/mode",
    "namewall.io/rebinding-guard",
    "namewall.io/verify-name",
    "namewall.io/min-ttl",
    dns_types.ANNOTATION,
)
_OURS = "namewall.io/"
WAYS = {"sni": Verify.ENFORCE, "audit": Verify.AUDIT, "off": Verify.OFF}
LONGEST_TTL = 604800
"""Seconds; no answer is believed for longer (RFC 8767 section 4)."""


def annotation_path(key: str) -> str:
    return f"metadata.annotations[{key}]"


@dataclass(frozen=True, slots=True)
class Annotations:
    options: Options = field(default_factory=Options)
    types: tuple[str, ...] = ()
    audit: bool = False


_NONE = Annotations()


def read_annotations(metadata: Mapping[str, Any]) -> tuple[Annotations, list[Problem]]:
    """Of an object's metadata. What is wrong counts as not said."""
    given = metadata.get("annotations")
    if not given or not isinstance(given, Mapping):
        return _NONE, []
    problems: list[Problem] = []

    def wrong(key: str, text: str) -> None:
        problems.append(Problem(annotation_path(key), text, "agent"))

    options = Options()
    types: tuple[str, ...] = ()
    if (guard := given.get(GUARD)) is not None:
        if guard not in ("strict", "cilium"):
            wrong(GUARD, f"`{guard}` is no guard; write `strict`, or `cilium` for what is without it")
        options = replace(options, strict=guard == "strict")
    if (verify := given.get(VERIFY)) is not None:
        if verify not in WAYS:
            wrong(
                VERIFY,
                f"`{verify}` is no way to verify names; write `sni`, `audit` to be told only, or `off` for what is"
                " without it",
            )
        options = replace(options, verify=WAYS.get(str(verify), Verify.OFF))
    if (ttl := given.get(MIN_TTL)) is not None:
        if (
            isinstance(ttl, str)
            and ttl.isascii()
            and ttl.isdigit()
            and len(ttl) < 7
            and int(ttl) <= LONGEST_TTL
        ):
            options = replace(options, min_ttl=int(ttl))
        else:
            wrong(MIN_TTL, f"`{ttl}` is no number of seconds from 0 to {LONGEST_TTL}, written as a string")
    if (wanted := given.get(DNS_TYPES)) is not None:
        try:
            types = dns_types.parse(str(wanted))
        except ValueError as error:
            wrong(DNS_TYPES, str(error))
    if (mode := given.get(MODE)) not in (None, "audit", "enforce"):
        wrong(MODE, f"`{mode}` is no mode; write `audit`, or `enforce` for what is without it")
    return Annotations(options, types, mode == "audit"), problems


def unknown_annotations(metadata: Mapping[str, Any]) -> list[Problem]:
    """Keys of ours that mean nothing: nobody writes them on purpose, and what was meant holds nobody back.

    They are for who takes a policy in. `parse` goes without: a policy that is in force already stays so.
    """
    given = metadata.get("annotations")
    if not isinstance(given, Mapping):
        return []
    return [
        Problem(
            annotation_path(key),
            f"no such annotation; there are {', '.join(KEYS)}",
            "agent",
            meant=near(key, KEYS, given),
        )
        for key in given
        if isinstance(key, str) and key.startswith(_OURS) and key not in KEYS
    ]


def limited(rules: Iterable[Rule], types: tuple[str, ...]) -> tuple[Rule, ...]:
    """The rules, what their DNS rules pass limited to these types; () is no limit."""
    if not types:
        return tuple(rules)
    return tuple(rule._replace(ports=tuple(_limited(port, types) for port in rule.ports)) for rule in rules)


def _limited(port: PortMatch, types: tuple[str, ...]) -> PortMatch:
    if port.dns is None:
        return port
    forms: DnsRules = frozenset({"*"}) if port.dns == "any" else port.dns
    return replace(port, dns=frozenset(dns_types.limited(form, types) for form in forms))


def of_subject(policies: Iterable[Policy], subject: Labels) -> Options:
    """What holds for an endpoint with these labels."""
    found = Options()
    for policy in policies:
        if policy.holds != found and any(rule.subject.matches(subject) for rule in policy.rules):
            found = found.joined(policy.holds)
    return found
