"""What `namewall test` found, for people, for CI (JUnit) and for programs (docs/schemas/test-report.json). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.etree import ElementTree

from namewall.cli.inputs import counted
from namewall.policy.scenario import Answer, Query
from namewall.review.complaints import Complaint, clean
from namewall.review.scenarios import ScenarioFile

Outcome = Literal["passed", "failed", "error"]
MARKS: dict[Outcome, str] = {"passed": ".", "failed": "F", "error": "E"}
WIDTH = 79


@dataclass(frozen=True)
class Case:
    """One query and its outcome."""

    file: ScenarioFile
    query: Query
    answer: Answer
    differences: tuple[str, ...]

    @property
    def error(self) -> str | None:
        """Why it is no test: without `expect` it could not fail."""
        if self.query.expect is not None:
            return None
        return "a test needs `expect`: allow, deny, refused, or the fields of the answer that matter"

    @property
    def outcome(self) -> Outcome:
        if self.error is not None:
            return "error"
        return "failed" if self.differences else "passed"

    @property
    def line(self) -> int:
        return self.file.line_of(self.query.path)

    @property
    def name(self) -> str:
        return self.query.name or str(self.query)

    def why(self) -> Iterator[str]:
        """What was asked, what differs, what decided."""
        yield f"{self.file.source}:{self.line}: {self.query}"
        if self.error is not None:
            yield self.error
            return
        yield from self.differences
        yield f"{self.answer.verdict}: {self.answer.reason}" + ("" if self.answer.rules else ", by no rule")
        for rule in self.answer.rules:
            found = self.file.line_of_rule(rule.origin)
            where = f"  ({found[0]}:{found[1]})" if found else ""
            yield f"  {rule.direction.name.lower()} by {rule}{where}"
        yield from (f"note: {note}" for note in self.answer.notes)

    def to_dict(self) -> dict[str, Any]:
        return {
            "file": self.file.source,
            "line": self.line,
            "name": self.name,
            "query": str(self.query),
            "outcome": self.outcome,
            "expect": self.query.expect,
            "answer": self.answer.to_dict(),
            "error": self.error,
            "differences": list(self.differences),
            "notes": list(self.answer.notes),
        }


@dataclass
class Report:
    """`complaints` are about what could not be tested at all; `seconds` is how long it took."""

    cases: list[Case] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    warnings: list[Complaint] = field(default_factory=list)
    deselected: int = 0
    seconds: float = 0.0

    def count(self, outcome: Outcome) -> int:
        found = sum(case.outcome == outcome for case in self.cases)
        return found + len(self.complaints) if outcome == "error" else found

    def summary(self) -> str:
        counts = [
            (self.count("failed"), "failed"),
            (self.count("passed"), "passed"),
            (self.deselected, "deselected"),
        ]
        words = [f"{number} {word}" for number, word in counts if number]
        several = ((len(self.warnings), "warning"), (self.count("error"), "error"))
        words += [counted(number, noun) for number, noun in several if number]
        said = ", ".join(words) or "no tests"
        return f"{said} in {self.seconds:.2f}s"

    def details(self) -> Iterator[str]:
        """The lines after the dots."""
        for title, outcome in (("ERRORS", "error"), ("FAILURES", "failed")):
            cases = [case for case in self.cases if case.outcome == outcome]
            complaints = self.complaints if outcome == "error" else []
            if cases or complaints:
                yield f" {title} ".center(WIDTH, "=")
            yield from map(str, complaints)
            for case in cases:
                yield clean(f" {case.name} ").center(WIDTH, "_")
                yield from map(clean, case.why())
        if self.warnings:
            yield " WARNINGS ".center(WIDTH, "=")
            yield from (f"{warning} (this part has no effect)" for warning in self.warnings)
        yield f" {self.summary()} ".center(WIDTH, "=")

    def to_dict(self) -> dict[str, Any]:
        return {
            "tests": [case.to_dict() for case in self.cases],
            "errors": [complaint.to_dict() for complaint in self.complaints],
            "warnings": [warning.to_dict() for warning in self.warnings],
            "summary": {
                "passed": self.count("passed"),
                "failed": self.count("failed"),
                "errors": self.count("error"),
                "deselected": self.deselected,
                "seconds": round(self.seconds, 3),
            },
        }

    def junit(self) -> bytes:
        """A <testsuite> for each file, as CI servers read it."""
        suites = ElementTree.Element("testsuites", name="namewall")
        for source in dict.fromkeys(case.file.source for case in self.cases):
            cases = [case for case in self.cases if case.file.source == source]
            _suite(suites, source, cases, [c for c in self.complaints if c.source == source])
        tested = {case.file.source for case in self.cases}
        for source in dict.fromkeys(c.source for c in self.complaints if c.source not in tested):
            _suite(suites, source, [], [c for c in self.complaints if c.source == source])
        written: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
        return written + b"\n"


def _suite(
    suites: ElementTree.Element, source: str, cases: Sequence[Case], complaints: Sequence[Complaint]
) -> None:
    outcomes = [case.outcome for case in cases]
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        name=clean(source),
        tests=str(len(cases) + len(complaints)),
        failures=str(outcomes.count("failed")),
        errors=str(outcomes.count("error") + len(complaints)),
    )
    for case in cases:
        element = ElementTree.SubElement(
            suite,
            "testcase",
            classname=clean(case.file.name),
            name=clean(case.name),
            file=clean(source),
            line=str(case.line),
        )
        if case.outcome != "passed":
            tag = "failure" if case.outcome == "failed" else "error"
            lines = [clean(line) for line in case.why()]
            ElementTree.SubElement(element, tag, message=lines[1]).text = "\n".join(lines)
    for complaint in complaints:
        element = ElementTree.SubElement(
            suite, "testcase", classname=clean(source), name=clean(complaint.path or "document")
        )
        ElementTree.SubElement(element, "error", message=clean(complaint.message)).text = str(complaint)
