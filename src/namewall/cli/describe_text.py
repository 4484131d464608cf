"""What all descriptions share: indentation, aligned columns, labels, annotations, times, events.

As k8s.io/kubectl/pkg/describe: lines are collected with tabs between their cells and aligned in blocks; a
`flush` ends a block, so that what follows has columns of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from namewall.apiserver.values import dig, human_duration, parse_timestamp
from namewall.cli.output_tabs import align
from namewall.kube.merge import LAST_APPLIED

Object = dict[str, Any]
LONGEST_ANNOTATION = 140
NONE = "<none>"


class Text:
    """One description in the making. `level` indents by two spaces each."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._done: list[str] = []
        self._block: list[str] = []

    def line(self, text: str = "", level: int = 0) -> None:
        self._block.append("  " * level + text)

    def field(self, name: str, value: Any, level: int = 0) -> None:
        self.line(f"{name}:\t{value}", level)

    def lines(self, name: str, values: Iterable[str]) -> None:
        """A field of several lines, `<none>` where there are none."""
        first = f"{name}:\t"
        for value in values:
            self.line(first + value)
            first = "\t"
        if first != "\t":
            self.line(first + NONE)

    def labels(self, name: str, labels: dict[str, str] | None) -> None:
        self.lines(name, (f"{key}={value}" for key, value in sorted((labels or {}).items())))

    def annotations(self, annotations: dict[str, str] | None, name: str = "Annotations") -> None:
        """Without what `apply` noted; long or many-lined values stand below their key."""
        shown: list[str] = []
        for key, raw in sorted((annotations or {}).items()):
            if key == LAST_APPLIED:
                continue
            value = raw.removesuffix("\n")
            if len(value) + len(key) + 2 <= LONGEST_ANNOTATION and "\n" not in value:
                shown.append(f"{key}: {value}")
                continue
            shown.append(f"{key}:")
            shown += [f"  {_shortened(line, LONGEST_ANNOTATION - 2)}" for line in value.split("\n")]
        self.lines(name, shown)

    def flush(self) -> None:
        if self._block:
            self._done.append(align("\n".join(self._block)) + "\n")
            self._block = []

    def __str__(self) -> str:
        self.flush()
        return "".join(self._done)

    # --- parts that many kinds have -----------------------------------------------------------------------

    def heading(self, obj: Object, *, namespace: bool = True) -> None:
        metadata = obj["metadata"]
        self.field("Name", metadata["name"])
        if namespace:
            self.field("Namespace", metadata.get("namespace", ""))

    def metadata(self, obj: Object, *, namespace: bool = True) -> None:
        """Name, namespace, labels, annotations."""
        self.heading(obj, namespace=namespace)
        self.labels("Labels", obj["metadata"].get("labels"))
        self.annotations(obj["metadata"].get("annotations"))

    def conditions(self, obj: Object) -> None:
        """Type, status, reason, of workloads."""
        conditions = dig(obj, "status", "conditions", default=[])
        if conditions:
            self.line("Conditions:")
            self.line("Type\tStatus\tReason", 1)
            self.line("----\t------\t------", 1)
            for condition in conditions:
                kind, status = condition.get("type"), condition.get("status")
                self.line(f"{kind} \t{status}\t{condition.get('reason', '')}", 1)

    def events(self, events: list[Object] | None) -> None:
        """None: not asked for."""
        if events is None:
            return
        if not events:
            self.field("Events", NONE)
            return
        self.flush()
        self.line("Events:")
        self.line("Type\tReason\tAge\tFrom\tMessage", 1)
        self.line("----\t------\t----\t----\t-------", 1)
        for event in sorted(events, key=lambda event: _seconds(event.get("lastTimestamp"))):
            source = dig(event, "source", "component") or event.get("reportingComponent") or ""
            cells = [event.get("type", ""), event.get("reason", ""), self._interval(event), source]
            self.line("\t".join([*map(str, cells), str(event.get("message", "")).strip()]), 1)

    def _interval(self, event: Object) -> str:
        first = self.since(event.get("eventTime") or event.get("firstTimestamp"))
        if series := event.get("series"):
            return f"{self.since(series.get('lastObservedTime'))} (x{series.get('count', 0)} over {first})"
        if event.get("count", 0) > 1:
            return f"{self.since(event.get('lastTimestamp'))} (x{event['count']} over {first})"
        return first

    def since(self, stamp: str | None) -> str:
        return human_duration(self.now - parse_timestamp(stamp)) if stamp else "<unknown>"


def controlled_by(obj: Object) -> str:
    """`Kind/name` of the controller, "" where there is none."""
    for owner in dig(obj, "metadata", "ownerReferences", default=[]):
        if owner.get("controller"):
            return f"{owner['kind']}/{owner['name']}"
    return ""


def rfc1123(stamp: str | None) -> str:
    """Go's RFC1123Z of an API time; its zero time where there is none."""
    if not stamp:
        return "Mon, 01 Jan 0001 00:00:00 +0000"
    return datetime.fromtimestamp(parse_timestamp(stamp), UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")


def _seconds(stamp: str | None) -> float:
    return parse_timestamp(stamp) if stamp else 0.0


def _shortened(text: str, length: int) -> str:
    return f"{text[:length]}..." if len(text) > length else text
