"""Fields that are null, as `egress:` with nothing under it: left out, and what is left out limits nothing."""

from __future__ import annotations

from collections.abc import Iterator

from namewall.policy.explain.anatomy import steps
from namewall.policy.lint.finding import Finding, Project
from namewall.policy.sanitize import EGRESS_PEERS, INGRESS_PEERS

_EVERYBODY = "no peer is named, which means everybody where ports are named"
_MEANS = {
    **dict.fromkeys((*INGRESS_PEERS, *EGRESS_PEERS), _EVERYBODY),
    **dict.fromkeys(("from", "to"), "everybody may, not nobody"),
    **dict.fromkeys(("toPorts", "ports", "icmps"), "no port is named, which means all"),
    **dict.fromkeys(("matchLabels", "matchExpressions"), "they ask for nothing"),
    **dict.fromkeys(("rules", "dns"), "every name may be asked"),
    **dict.fromkeys(("ingressDeny", "egressDeny"), "nothing is denied"),
    "except": "there is no exception",
    "endPort": "it is one port",
    "protocol": "it is the default",
}
"""By field: what it means to leave it out. Those that are not here limit nothing anyway."""


def null_fields(project: Project) -> Iterator[Finding]:
    for index, policy in project.catalog.numbered():
        for path in project.nulls.get(index, ()):
            field = str(steps(path)[-1])
            if field in ("ingress", "egress"):
                if policy.kind == "NetworkPolicy":
                    continue  # there policyTypes says what is restricted
                means, hint = f"this policy restricts no {field}", f"to allow none write `{field}: [{{}}]`"
            elif field in _MEANS:
                means, hint = _MEANS[field], "take the field out, or write what it should say"
            else:
                continue
            yield Finding("null-field", "warning", index, path, f"null counts as left out: {means}", hint)


RULES = (null_fields,)
