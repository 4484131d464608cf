"""Reading a container's log: the API of `kubectl logs`, served from the file the container writes to."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

from namewall.model.instance import Instance
from namewall.runtime import log_index, records
from namewall.runtime.log_index import Times
from namewall.runtime.places import Attempt

CHUNK = 65536
FOLLOW_PERIOD = 0.05
"""Seconds between looks at a log that is followed."""


class LogError(Exception):
    """There is no such log; the text is the kubelet's."""


async def read(
    instance: Instance,
    pod_uid: str,
    container: str,
    *,
    follow: bool = False,
    tail_lines: int | None = None,
    since_seconds: float | None = None,
    since_time: datetime | float | str | None = None,
    timestamps: bool = False,
    previous: bool = False,
    limit_bytes: int | None = None,
) -> AsyncIterator[bytes]:
    """Chunks of the log. `since_time` is an aware datetime, seconds since the epoch, or RFC 3339.

    With `follow` it ends when this run of the container has, as kubectl expects. Raises LogError before the
    first chunk.
    """
    found = records.attempts(instance.run_dir, pod_uid, container)
    if previous:
        if len(found) < 2:
            owner = records.read(f"{instance.run_dir}/pods/{pod_uid}/sandbox.json") or {"name": pod_uid}
            raise LogError(f'previous terminated container "{container}" in pod "{owner["name"]}" not found')
        attempt = found[-2]
    elif found:
        attempt = found[-1]
    else:
        owner = records.read(f"{instance.run_dir}/pods/{pod_uid}/sandbox.json") or {"name": pod_uid}
        raise LogError(
            f'container "{container}" in pod "{owner["name"]}" is waiting to start: ContainerCreating'
        )
    since = None
    if since_seconds is not None:
        since = int((time.time() - since_seconds) * 1e9)
    elif since_time is not None:
        since = _nanoseconds(since_time)
    left = sys.maxsize if limit_bytes is None else limit_bytes
    async with aclosing(_chunks(attempt, follow, tail_lines, since, timestamps)) as chunks:
        async for chunk in chunks:
            if left > 0:
                yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


async def _chunks(
    attempt: Attempt, follow: bool, tail_lines: int | None, since: int | None, timestamps: bool
) -> AsyncGenerator[bytes, None]:
    try:
        fd = os.open(attempt.log, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        offset = _start(fd, attempt, tail_lines, since)
        times = Times(attempt.log_index)
        rest = b""
        while True:
            # Asked before reading: what was written before the end is then surely read.
            ended = os.path.exists(attempt.exit) or not os.path.isdir(attempt.directory)
            size = os.fstat(fd).st_size
            while offset < size and (data := os.pread(fd, min(CHUNK, size - offset), offset)):
                if timestamps:
                    lines, rest = _stamped(rest + data, offset - len(rest), times, fd)
                    if lines:
                        yield lines
                else:
                    yield data
                offset += len(data)
            if not follow or ended:
                break
            await asyncio.sleep(FOLLOW_PERIOD)
        if rest:
            yield _stamp(times, offset - len(rest), fd) + rest
    finally:
        os.close(fd)


def _start(fd: int, attempt: Attempt, tail_lines: int | None, since: int | None) -> int:
    start = log_index.line_start(fd, log_index.first_kept(fd)) if log_index.first_kept(fd) else 0
    if since is not None:
        size = os.fstat(fd).st_size
        noted = Times(attempt.log_index).offset_since(since)
        if noted is None:
            # Not noted yet, or all older: the file's own time tells which.
            noted = size if os.fstat(fd).st_mtime_ns < since else start
        start = max(start, log_index.line_start(fd, noted) if noted and not _ends_line(fd, noted) else noted)
    if tail_lines is not None and tail_lines >= 0:
        start = max(start, _tail(fd, tail_lines))
    return start


def _ends_line(fd: int, offset: int) -> bool:
    return os.pread(fd, 1, offset - 1) == b"\n"


def _tail(fd: int, lines: int) -> int:
    """The offset at which the last `lines` lines begin; an unfinished last line is one."""
    end = os.fstat(fd).st_size
    if lines == 0 or end == 0:
        return end
    wanted = lines + (1 if _ends_line(fd, end) else 0)
    position, kept = end, log_index.first_kept(fd)
    while position > kept:
        begin = max(kept, position - CHUNK)
        block = os.pread(fd, position - begin, begin)
        while (newline := block.rfind(b"\n")) >= 0:
            wanted -= 1
            if wanted == 0:
                return begin + newline + 1
            block = block[:newline]
        position = begin
    return kept


def _stamped(data: bytes, offset: int, times: Times, fd: int) -> tuple[bytes, bytes]:
    """Whole lines, each with its time before it, and the unfinished rest."""
    out = []
    while (newline := data.find(b"\n")) >= 0:
        out.append(_stamp(times, offset, fd) + data[: newline + 1])
        offset += newline + 1
        data = data[newline + 1 :]
    return b"".join(out), data


def _stamp(times: Times, offset: int, fd: int) -> bytes:
    nanoseconds = times.at(offset)
    if nanoseconds is None:
        nanoseconds = os.fstat(fd).st_mtime_ns
    seconds, fraction = divmod(nanoseconds, 10**9)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}Z ".encode()


def _nanoseconds(when: datetime | float | str) -> int:
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when)
        except ValueError:
            raise LogError(f"sinceTime: `{when}` is no time; write as 2026-01-02T03:04:05Z") from None
    if isinstance(when, datetime):
        when = when.timestamp()
    return int(when * 1e9)
