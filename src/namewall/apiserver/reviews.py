"""Answers to questions about rights (`kubectl auth can-i`, `whoami`): the one administrator may do everything."""

from __future__ import annotations

from typing import Any

from namewall.apiserver.auth import User
from namewall.apiserver.request import Review
from namewall.apiserver.values import Object


def answer(review: Review, body: Any, user: User) -> Object:
    """The reviewed object with its status."""
    obj: Object = {**(body if isinstance(body, dict) else {})}
    obj["apiVersion"] = f"{review.group}/{review.version}"
    obj["kind"] = review.kind
    obj.setdefault("metadata", {})
    if review.kind == "SelfSubjectReview":
        obj["status"] = {"userInfo": {"username": user.name, "groups": list(user.groups)}}
    elif review.kind == "SelfSubjectRulesReview":
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        paths = {"verbs": ["*"], "nonResourceURLs": ["*"]}
        obj["status"] = {"resourceRules": [everything], "nonResourceRules": [paths], "incomplete": False}
    else:
        spec = obj.get("spec") or {}
        asked = (
            spec.get("user") if review.kind in ("SubjectAccessReview", "LocalSubjectAccessReview") else None
        )
        known = asked in (None, user.name) or "system:masters" in (spec.get("groups") or [])
        obj["status"] = {"allowed": known, "reason": "the administrator may do everything" if known else ""}
    return obj
