"""Watch frames, however the network cuts them."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namewall.kube.errors import ApiError
from namewall.kube.watch import FrameDecoder, decode

FRAMES = [
    {"type": kind, "object": {"metadata": {"name": f"é{number}", "resourceVersion": str(number)}}}
    for number, kind in enumerate(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ADDED"])
]
BYTES = b"".join(json.dumps(frame, ensure_ascii=False).encode() + b"\n" for frame in FRAMES)


@given(st.sets(st.integers(1, len(BYTES) - 1)))
def test_any_cut_gives_the_same_events(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(BYTES)]
    decoder = FrameDecoder()
    events = [event for start, end in itertools.pairwise(edges) for event in decoder.feed(BYTES[start:end])]
    assert [{"type": event.type, "object": event.object} for event in events] == FRAMES
    assert not decoder.incomplete


def test_a_stream_that_ends_inside_a_frame_is_told() -> None:
    decoder = FrameDecoder()
    assert len(list(decoder.feed(BYTES[:-5]))) == 4
    assert decoder.incomplete


def test_an_error_frame_is_an_error_after_what_was_before_it() -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    decoder = FrameDecoder()
    events = decoder.feed(BYTES + json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
    for _ in FRAMES:
        next(events)
    with pytest.raises(ApiError) as caught:
        next(events)
    assert caught.value.expired


@pytest.mark.parametrize("line", [b"[]", b"{}", b'{"type":"ADDED"}', b'{"type":"X","object":{}}', b"x"])
def test_what_is_no_frame_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (json's and ours)
        decode(line)
