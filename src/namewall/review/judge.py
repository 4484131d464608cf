"""All that can be said of files as they are typed: objects, problems, findings with their fixes, a rating.

Invariant: says what `namewall validate` and `namewall lint` say, of the same text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from namewall.model.near import or_meant
from namewall.policy.lint.finding import Finding
from namewall.policy.lint.run import lint
from namewall.policy.metadata import MODE
from namewall.review import fixes as of_findings
from namewall.review import misspelt as of_problems
from namewall.review.complaints import Complaint
from namewall.review.fixes import Fix
from namewall.review.lint import linted, project_of, refused, row
from namewall.review.papers import File, Papers, in_file, metadata_of
from namewall.review.rating import rated
from namewall.review.scenarios import Placed
from namewall.review.sheet import MISFITS, changed, edit_placed
from namewall.review.validate import Verdict
from namewall.review.wrong import Wrong

Row = dict[str, Any]
MOST = 1000
"""Problems, and findings, that one answer holds."""
NO_FIX: Row = {"fix": None, "fixable": None}
MOST_WRITTEN = 30_000
"""Characters of files that are written anew for the fixes of one answer."""


def judged(files: Iterable[File]) -> Row:
    """The answer of `POST /api/judge`."""
    papers = Papers.read(files)
    verdicts = papers.verdicts()
    fixes = _Fixes(papers)
    problems = [_broken(each) for each in papers.broken]
    for (one, index), found in zip(in_file(papers), verdicts, strict=True):
        for problem in found.problems:
            fix = of_problems.fix_of_problem(one, problem.path) if len(problems) < MOST else None
            problems.append({**_problem(one, problem), "object": index, **fixes.row(one, fix, None)})
    for scenario in papers.scenarios:
        problems += [_broken(each) for each in scenario.complaints]
    project = project_of(papers.placed, papers.catalog(verdicts))
    found_by_lint = lint(project)
    numbers = [index for _, index in in_file(papers)]
    findings = [
        {**_finding(papers.placed[each.index], each, fixes), "object": numbers[each.index]}
        for each in found_by_lint[:MOST]
    ]
    for scenario in papers.scenarios:
        if scenario.scenario is not None:
            rows, _ = linted(scenario.policies, scenario)
            findings += [{**each, "column": 1, "object": None, **NO_FIX} for each in rows]
    return {
        "objects": list(_objects(papers, verdicts)),
        "problems": problems[:MOST],
        "findings": findings[:MOST],
        "left": {"problems": max(0, len(problems) - MOST), "findings": max(0, len(found_by_lint) - MOST)},
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
        "message": or_meant(complaint.message, None, complaint.hint),
        "severity": "error",
        "source": "yaml" if complaint.origin == "yaml" else "agent",
        "object": None,
        **NO_FIX,
    }


def _problem(one: Placed, problem: Complaint) -> Row:
    kubernetes = one.key[0] == "NetworkPolicy" or problem.path.startswith("metadata.")
    source = "kubernetes" if kubernetes else "cilium" if problem.origin == "schema" else "agent"
    row = {**_broken(refused(one, problem)), "source": source}
    return {**row, "severity": "warning", "message": _NO_RULES} if _is_begun(problem) else row


_NO_RULES = (
    "no rules yet: it can be applied once it has one of `ingress`, `ingressDeny`, `egress` and `egressDeny`"
)


def _is_begun(problem: Complaint) -> bool:
    """Whether all it says is that a policy has no rules: so it is for as long as somebody begins to write it."""
    return _BLOCK.fullmatch(problem.path) is not None and "(anyOf)" in problem.message


_BLOCK = re.compile(r"spec|specs\[\d+\]")


def _finding(one: Placed, finding: Finding, fixes: _Fixes) -> Row:
    path = ".".join(part for part in (one.path, finding.path) if part)
    column = one.document.place_of(path)[1]
    fix = of_findings.fix_of_finding(fixes.papers, one, finding.rule, finding.path)
    return {**row(one, finding), "column": column, **fixes.row(one, fix, finding.rule)}


class _Fixes:
    """Fixes of one answer. Making the text of one takes as long as reading its file: in long files there is only the
    label, and the text when it is asked for."""

    def __init__(self, papers: Papers) -> None:
        self.papers, self._left = papers, MOST_WRITTEN

    def row(self, one: Placed, fix: Fix | None, rule: str | None) -> Row:
        if fix is None:
            return NO_FIX
        self._left -= len(self.papers.texts[one.source])
        if self._left < 0:
            return {"fix": None, "fixable": fix[0]}
        found = written(self.papers, one, fix, rule)
        return NO_FIX if found is None else {"fix": found, "fixable": fix[0]}


def written(papers: Papers, one: Placed, fix: Fix, rule: str | None) -> Row | None:
    """`fix` of docs/editor-api.md, of a finding or, without `rule`, of a problem; None where the file's layout is one
    that is not followed."""
    is_better = of_problems.is_better if rule is None else of_findings.is_better
    try:
        wanted = changed(one.object, fix[1])
    except MISFITS:
        return None
    after = edit_placed(papers, one, fix[1]) if is_better(one.object, wanted, fix) else None
    if after is None:
        return None
    texts = {**papers.texts, one.source: after}
    return {"label": fix[0], "files": [{"name": name, "text": text} for name, text in texts.items()]}


def fixed(files: Iterable[File], rule: str | None, file: str, number: int, path: str) -> Row:
    """The answer of `POST /api/fix`; `number` is the object's in its file. Raises Wrong."""
    papers = Papers.read(files)
    for index, (one, own) in enumerate(in_file(papers)):
        if (one.source, own) != (file, number):
            continue
        fix = None
        if rule is None:
            fix = of_problems.fix_of_problem(one, path)
        elif (index, rule, path) in _lint_of(papers):
            fix = of_findings.fix_of_finding(papers, one, rule, path)
        found = None if fix is None else written(papers, one, fix, rule)
        if found is not None:
            return found
    raise Wrong("there is no fix for this here", "path")


def _lint_of(papers: Papers) -> set[tuple[int, str, str]]:
    found = lint(project_of(papers.placed, papers.catalog()))
    return {(finding.index, finding.rule, finding.path) for finding in found}
