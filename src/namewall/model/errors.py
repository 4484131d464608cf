"""What can be wrong, and whose fault it is.

    Problem     the user's words are wrong                               exit code 2
    Cannot      the words are right, this machine or server cannot       exit code 3

A Problem is a value, not an exception: parse and lint collect all of them. The API server turns problems into
a Status with causes, the CLI prints one a line. Messages that Cilium's users know are kept word for word;
ours are in lower case, without a full stop, with user text in backticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from namewall.model.near import or_meant

Stage = Literal["schema", "agent"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an object.

    `path` is the field, as `spec.egress[0].toFQDNs[1].matchPattern`, "" for the object as a whole. `stage` says
    who would find it in a Cilium cluster: the CRD schema at the API server, or the agent. `unknown_field` marks
    what a non-strict API server prunes instead of refusing. `meant` is the word that stands there rightly, `hint`
    what to do where that is no word; the message is Cilium's and Kubernetes' without them.
    """

    path: str
    message: str
    stage: Stage
    unknown_field: bool = False
    meant: str | None = None
    hint: str = ""

    @property
    def said(self) -> str:
        """Without the path."""
        return or_meant(self.message, self.meant, self.hint)

    def __str__(self) -> str:
        """One line, whatever the object's keys hold: what does not print is escaped."""
        text = f"{self.path}: {self.said}" if self.path else self.said
        return text if text.isprintable() else "".join(map(_shown, text))


def _shown(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode()


def quoted(text: str) -> str:
    """As Go's %q would, for the characters that matter in one line of an error; long texts are cut."""
    shown = text if len(text) <= 300 else text[:300] + "…"
    return (
        '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown).replace('"', '\\"') + '"'
    )


class NamewallError(Exception):
    """Base of what Namewall raises on purpose."""


class Cannot(NamewallError):
    """The host or the server lacks what is needed; the text names the cause and the cure."""
