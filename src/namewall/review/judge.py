"""All that can be said of files as they are typed: objects, problems, findings with their fixes, a rating.

Invariant: says what `namewall validate` and `namewall lint` say, of the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from namewall.policy.lint.finding import Project
from namewall.policy.lint.run import lint
from namewall.policy.metadata import MODE
from namewall.review.complaints import Complaint
from namewall.review.lint import linted, public_suffixes, refused, row
from namewall.review.papers import File, Papers, in_file, metadata_of
from namewall.review.rating import rated
from namewall.review.scenarios import Placed
from namewall.review.validate import Verdict, verdict

Row = dict[str, Any]
MOST = 1000
"""Problems, and findings, that one answer holds."""


def judged(files: Iterable[File]) -> Row:
    """The answer of `POST /api/judge`."""
    papers = Papers.read(files)
    verdicts = [verdict(one.source, one.document, one.path, one.object) for one in papers.placed]
    problems = [_broken(each) for each in papers.broken]
    for one, found in zip(papers.placed, verdicts, strict=True):
        problems += [_problem(one, problem) for problem in found.problems]
    for scenario in papers.scenarios:
        problems += [_broken(each) for each in scenario.complaints]
    catalog = papers.catalog()
    project = Project(catalog, None, public_suffixes())
    found_by_lint = lint(project)
    findings = [
        _finding(papers.placed[each.index], row(papers.placed[each.index], each)) for each in found_by_lint
    ]
    ignored: list[Complaint] = []
    for scenario in papers.scenarios:
        if scenario.scenario is not None:
            findings += [
                {**each, "column": 1, "fix": None} for each in linted(scenario.policies, scenario, ignored)
            ]
    return {
        "objects": list(_objects(papers, verdicts)),
        "problems": problems[:MOST],
        "findings": findings[:MOST],
        "left": {"problems": max(0, len(problems) - MOST), "findings": max(0, len(findings) - MOST)},
        "rating": rated(papers, project, found_by_lint),
    }


def _objects(papers: Papers, verdicts: list[Verdict]) -> Iterator[Row]:
    starts: dict[str, list[int]] = {}
    for one in papers.placed:
        starts.setdefault(one.source, []).append(one.line_of())
    lines = {name: papers.texts[name].splitlines() for name in starts}
    for (one, index), found in zip(in_file(papers), verdicts, strict=True):
        text, own = lines[one.source], starts[one.source]
        last = own[index + 1] - 1 if index + 1 < len(own) else len(text)
        while last > own[index] and _is_between(text[last - 1]):
            last -= 1
        annotations = metadata_of(one.object).get("annotations")
        yield {
            "file": one.source,
            "index": index,
            "line": own[index],
            "lastLine": last,
            "kind": str(found.kind),
            "namespace": found.namespace,
            "name": found.name,
            "accepted": found.accepted,
            "enforceable": found.accepted and not found.unenforceable,
            "audit": isinstance(annotations, dict) and annotations.get(MODE) == "audit",
            "error": "; ".join(_said(each) for each in (*found.problems, *found.unenforceable)) or None,
        }


def _is_between(line: str) -> bool:
    stripped = line.strip()
    return not stripped or stripped.startswith(("---", "...", "#"))


def _said(complaint: Complaint) -> str:
    return f"{complaint.path}: {complaint.message}" if complaint.path else complaint.message


def _broken(complaint: Complaint) -> Row:
    return {
        "file": complaint.source,
        "line": complaint.line or 1,
        "column": complaint.column or 1,
        "path": complaint.path or None,
        "message": complaint.message,
        "source": "yaml" if complaint.origin == "yaml" else "agent",
        "fix": None,
    }


def _problem(one: Placed, problem: Complaint) -> Row:
    kubernetes = one.key[0] == "NetworkPolicy"
    source = "kubernetes" if kubernetes else "cilium" if problem.origin == "schema" else "agent"
    return {**_broken(refused(one, problem)), "source": source}


def _finding(one: Placed, found: Row) -> Row:
    path = ".".join(part for part in (one.path, found["path"]) if part)
    return {**found, "column": one.document.place_of(path)[1], "fix": None}
