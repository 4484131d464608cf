"""The files that somebody is at work on, read: their policies in order, test files, and what breaks off.

Files refer to each other by their names (`policyFiles`), never to anything on a disk.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from namewall.model.documents import Document
from namewall.policy.expand import CidrGroup
from namewall.policy.explain.anatomy import Catalog
from namewall.policy.explain.flow import Locate
from namewall.policy.map_state import RuleOrigin
from namewall.policy.parse import CIDR_GROUP
from namewall.review.complaints import Complaint, documents
from namewall.review.objects import is_other, is_scenario, is_world, objects
from namewall.review.scenarios import Placed, ScenarioFile, place
from namewall.review.validate import Verdict, verdict

File = tuple[str, str]
"""A name and a text."""


@dataclass
class Papers:
    """`placed` are policies and CiliumCIDRGroups, valid or not, in the order of the text."""

    texts: dict[str, str]
    placed: list[Placed] = field(default_factory=list)
    scenarios: list[ScenarioFile] = field(default_factory=list)
    broken: list[Complaint] = field(default_factory=list)
    asking: dict[int, tuple[int, int] | None] = field(default_factory=dict)
    """By the id of a list of egress rules: where it judges questions, as review/fixes.py found."""

    @classmethod
    def read(cls, files: Iterable[File]) -> Papers:
        """Of two files with one name the later counts."""
        papers = cls(dict(files))
        worlds: list[tuple[str, Document]] = []
        for name, text in papers.texts.items():
            for document in documents(name, encoded(text), papers.broken):
                if is_scenario(document) or is_world(document):
                    worlds.append((name, document))
                    continue
                papers.placed += [
                    Placed(name, document, p, o) for p, o in objects(document) if not is_other(o)
                ]
        papers.scenarios = [place(name, document, papers.opened) for name, document in worlds]
        return papers

    def opened(self, source: str, name: str, broken: list[Complaint]) -> Iterator[tuple[str, bytes]] | None:
        """The files that a test file names, or those of a folder."""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), name))
        found = [each for each in self.texts if each == path or each.startswith(f"{path}/")]
        return ((each, encoded(self.texts[each])) for each in found) if found else None

    def verdicts(self) -> list[Verdict]:
        return [verdict(one.source, one.document, one.path, one.written) for one in self.placed]

    def catalog(self, verdicts: Iterable[Verdict] | None = None) -> Catalog:
        """What is not valid is in no rule."""
        known = self.verdicts() if verdicts is None else list(verdicts)
        raws = [one.object if said.accepted else {} for one, said in zip(self.placed, known, strict=True)]
        groups = [CidrGroup.parse(raw) for raw in raws if raw.get("kind") == CIDR_GROUP]
        return Catalog(raws, (), groups, [said.policy for said in known])

    @property
    def locate(self) -> Locate:
        by_key: dict[tuple[str, str, str], Placed] = {}
        for one in self.placed:
            by_key[one.key] = one  # the last of one name counts

        def found(origin: RuleOrigin) -> tuple[str, int] | None:
            one = by_key.get((origin.kind, origin.namespace, origin.name))
            return None if one is None else (one.source, one.line_of(origin.rule))

        return found


def encoded(text: str) -> bytes:
    """Lone surrogates of a JSON string become what no YAML reader takes."""
    return text.encode("utf-8", "surrogatepass")


def in_file(papers: Papers) -> Iterator[tuple[Placed, int]]:
    """Each object and its number in its file."""
    counts: dict[str, int] = {}
    for one in papers.placed:
        index = counts.get(one.source, 0)
        counts[one.source] = index + 1
        yield one, index


def metadata_of(obj: Any) -> dict[str, Any]:
    found = obj.get("metadata") if isinstance(obj, dict) else None
    return found if isinstance(found, dict) else {}
