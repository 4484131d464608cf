"""Times by offset, and holes."""

from __future__ import annotations

import os
from pathlib import Path

from namewall.runtime import log_index
from namewall.runtime.log_index import Times


def index(path: Path, *notes: tuple[int, int]) -> str:
    with open(path, "ab") as file:
        for note in notes:
            file.write(log_index.RECORD.pack(*note))
    return str(path)


def test_a_byte_has_the_time_of_the_first_note_that_covers_it(tmp_path: Path) -> None:
    path = tmp_path / "index"
    times = Times(index(path, (100, 10), (200, 30)))
    assert [times.at(offset) for offset in (0, 9, 10, 29)] == [100, 100, 200, 200]
    assert times.at(30) is None
    index(path, (300, 40))
    assert times.at(30) == 300, "it reads on"
    assert Times(str(tmp_path / "none")).at(0) is None


def test_what_was_written_since(tmp_path: Path) -> None:
    path = index(tmp_path / "index", (100, 10), (200, 30))
    assert [Times(path).offset_since(when) for when in (50, 100, 101, 200)] == [0, 0, 10, 10]
    assert Times(path).offset_since(201) is None


def test_many_notes_are_walked_once(tmp_path: Path) -> None:
    path = index(tmp_path / "index", *((n, n * 10) for n in range(1, 20_001)))
    times = Times(path)
    assert [times.at(offset) for offset in (0, 99_999, 199_999)] == [1, 10_000, 20_000]


def test_the_head_is_given_back_and_offsets_stay(tmp_path: Path) -> None:
    path = tmp_path / "log"
    line = b"x" * 99 + b"\n"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        os.write(fd, line * 20_000)
        log_index.bound(fd, 1_000_000)
        assert log_index.first_kept(fd) == 0, "not yet twice as long"
        os.write(fd, line * 10_000)
        log_index.bound(fd, 1_000_000)
        kept = log_index.first_kept(fd)
        assert os.fstat(fd).st_size == 3_000_000
        if kept:  # a file system without holes keeps everything
            assert 1_800_000 < kept <= 2_000_000
            start = log_index.line_start(fd, kept)
            assert start % 100 == 0
            assert os.pread(fd, 100, start) == line
    finally:
        os.close(fd)
