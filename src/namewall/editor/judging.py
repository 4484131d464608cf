"""Hands questions to processes that judge (editor/worker.py), and ends one that takes too long.

Started when the first question comes, or a page that will ask one; ended when nobody asks for a while, so that a server
at rest is one small process.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from dataclasses import dataclass

PATIENCE = 10.0
"""Seconds one question may take."""
WORKERS = 2
WAITING = 32
"""Questions that may wait for a worker."""
REST = 60.0
"""Seconds without a question after which a worker ends."""


_HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Overloaded(Exception):
    """str() is a sentence; `status` is HTTP's."""

    def __init__(self, message: str, status: int = 503) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True, eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    rest: asyncio.TimerHandle | None = None

    def end(self) -> None:
        if self.rest is not None:
            self.rest.cancel()
        self.writer.close()
        self.process.kill()
        self.process.wait()


class Judges:
    def __init__(self, patience: float = PATIENCE, rest: float = REST) -> None:
        self._patience, self._rest = patience, rest
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._slots = asyncio.Semaphore(WORKERS)
        self._waiting = 0
        self._warming: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Somebody will ask soon."""
        if not self._idle and not self._busy and self._warming is None:
            self._warming = asyncio.create_task(self._warm())

    async def _warm(self) -> None:
        try:
            async with self._slots:
                self._put(await _start())
        finally:
            self._warming = None

    async def ask(self, verb: str, body: bytes) -> tuple[int, bytes]:
        """(status, JSON). Raises Overloaded."""
        if self._waiting >= WAITING:
            raise Overloaded("too many questions at once; ask again in a moment")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._ask(verb, body)
        finally:
            self._slots.release()

    async def _ask(self, verb: str, body: bytes) -> tuple[int, bytes]:
        worker = self._rested() or await _start()
        self._busy.add(worker)
        good = False
        try:
            async with asyncio.timeout(self._patience):
                worker.writer.write(b"%s %d\n" % (verb.encode(), len(body)))
                worker.writer.write(body)
                await worker.writer.drain()
                status, length = (await worker.reader.readline()).split()
                answer = await worker.reader.readexactly(int(length))
            good = True
            return int(status), answer
        except TimeoutError:
            text = (
                f"judging took longer than {self._patience:g} s; `namewall validate` and `lint` have no limit"
            )
            raise Overloaded(text) from None
        except (OSError, ValueError, asyncio.IncompleteReadError):
            raise Overloaded("this is too large to be judged here", 413) from None
        finally:
            self._busy.discard(worker)
            if good:
                self._put(worker)
            else:
                worker.end()

    def _rested(self) -> _Worker | None:
        """One that rests, and lives."""
        while self._idle:
            worker = self._idle.pop()
            if worker.process.poll() is None:
                if worker.rest is not None:
                    worker.rest.cancel()
                return worker
            worker.end()
        return None

    def _put(self, worker: _Worker) -> None:
        worker.rest = asyncio.get_running_loop().call_later(self._rest, self._retire, worker)
        self._idle.append(worker)

    def _retire(self, worker: _Worker) -> None:
        if worker in self._idle:
            self._idle.remove(worker)
            worker.end()

    def close(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
        for worker in (*self._idle, *self._busy):
            worker.end()
        self._idle.clear()


async def _start() -> _Worker:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "namewall.editor.worker"],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            cwd="/",  # `-m` looks for modules where it stands
            env={"PYTHONPATH": _HERE, "PYTHONUTF8": "1"},
        )
    reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
    return _Worker(process, reader, writer)
