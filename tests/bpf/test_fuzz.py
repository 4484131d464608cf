"""A short fuzz of messages and frames, and every case that was found to differ once (tests/fuzz)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bpf_lab import Lab

from tests.fuzz.campaign import Messages
from tests.fuzz.frames import Frames

FOUND = sorted((Path(__file__).parents[1] / "fuzz/found").glob("*.txt"))
SEED = 4


@pytest.fixture(scope="module")
def messages(shared_lab: Lab) -> Iterator[Messages]:
    made = Messages(shared_lab, shared_lab.pod(2))
    yield made
    made.close()


@pytest.fixture(scope="module")
def frames(shared_lab: Lab) -> Frames:
    return Frames(shared_lab, shared_lab.pod(1))


def test_messages_mean_what_dnspython_reads(messages: Messages) -> None:
    result = messages.run(20_000, SEED)
    assert not result.found, result.found[:3]
    for what, least in (("grants", 5000), ("questions passed", 1000), ("questions refused", 1000)):
        assert result.counts[what] > least, result.counts


@pytest.mark.parametrize(
    "path", [p for p in FOUND if p.stem.startswith("message")], ids=lambda path: path.stem
)
def test_messages_that_differed_once(messages: Messages, path: Path) -> None:
    assert messages.replay(path.read_text()) == []


def test_frames_are_judged_as_the_model_does(frames: Frames) -> None:
    result = frames.run(20_000, SEED)
    assert not result.found, result.found[:3]
    assert result.counts["frames passed"] > 1000
    assert len(result.counts) > 15, "not all kinds were met"


@pytest.mark.parametrize("path", [p for p in FOUND if p.stem.startswith("frame")], ids=lambda path: path.stem)
def test_frames_that_differed_once(frames: Frames, path: Path) -> None:
    assert frames.replay(path.read_text()) == []
