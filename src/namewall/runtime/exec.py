"""One more process in a running container, with its stdio or a terminal.

`runc exec --detach` starts it and goes: no process of ours stays between. The caller's process (the API
server) is made a subreaper, so that it becomes the process's parent and learns the exit code; if the caller
is killed, init does, and the process goes on, as long as it does not write to a pipe that nobody reads. A
terminal's master side comes over a socket from runc; closing it hangs the session up.

When the process has ended, what it wrote is still read to the last byte; what a child it left behind may
write later, while holding stdout open, is not waited for.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import socket
import struct
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from namewall.model.instance import Instance
from namewall.runtime import places, records, syscalls
from namewall.runtime.places import Attempt

STDOUT, STDERR = 1, 2
CHUNK = 65536
LINGER = 0.1
"""Seconds without output after which a pipe that the ended process left to a child counts as finished."""
START_PATIENCE = 30.0

_CANNOT_EXECUTE, _NOT_FOUND = 126, 127


class ExecError(Exception):
    """The command could not be started. `exit_code` is what a shell would say, 0 where there was no
    command.
    """

    def __init__(self, message: str, exit_code: int = 0) -> None:
        super().__init__(message)
        self.exit_code = exit_code


async def start(
    instance: Instance, pod_uid: str, container: str, command: list[str], *, stdin: bool, tty: bool
) -> ExecSession:
    """Raises ExecError. The caller reads `output` and awaits `wait`, or calls `terminate`."""
    if not command:
        raise ExecError("you must specify at least one command for the container")
    attempt = _running(instance, pod_uid, container)
    syscalls.become_subreaper()
    directory = f"{instance.run_dir}/exec"
    os.makedirs(directory, mode=0o700, exist_ok=True)
    place = f"{directory}/{secrets.token_hex(4)}"
    try:
        if tty:
            return await _start_tty(instance, attempt, command, place)
        return await _start_pipes(instance, attempt, command, place, stdin)
    finally:
        for suffix in ("pid", "log", "sock"):
            with suppress(FileNotFoundError):
                os.unlink(f"{place}.{suffix}")


class ExecSession:
    """For one consumer: `output` from one task, `write` from one task."""

    def __init__(self, pidfd: int, inputs: int | None, outputs: dict[int, int], tty: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._pidfd = pidfd
        self._input = inputs
        self._outputs = outputs
        """By file descriptor, the stream it is."""
        self._tty = tty
        self._writing = False
        self._exit: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(pidfd, self._on_exit)

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """(1, stdout) and (2, stderr) as they come, until their end."""
        while self._outputs:
            ended = self._exit.done()
            if not await self._any_readable(LINGER if ended else None) and ended:
                break
            for fd, stream in list(self._outputs.items()):
                try:
                    data = os.read(fd, CHUNK)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""  # EIO: no process holds the terminal any more
                if data:
                    yield stream, data
                elif fd in self._outputs:
                    self._close_output(fd)
        for fd in list(self._outputs):
            self._close_output(fd)

    async def write(self, data: bytes) -> None:
        """Waits while the process does not read; what it will never read is dropped silently."""
        view = memoryview(data)
        while view and self._input is not None:
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                await self._writable(self._input)
            except OSError:
                await self.close_stdin()

    async def close_stdin(self) -> None:
        """A pipe ends; a terminal gets its end-of-file character."""
        if self._input is None:
            return
        if self._tty:
            with suppress(OSError):
                os.write(self._input, b"\x04")
        else:
            fd, self._input = self._input, None
            self._loop.remove_writer(fd)
            os.close(fd)

    def resize(self, columns: int, rows: int) -> None:
        """The terminal's new size; its foreground processes get SIGWINCH."""
        if self._tty and self._input is not None:
            with suppress(OSError):
                fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def wait(self) -> int:
        """The exit code, 128 + n for signal n."""
        return await asyncio.shield(self._exit)

    def terminate(self) -> None:
        """The client is gone: close its streams. A terminal's session is hung up; a process without one lives

        until it writes, as in Kubernetes. Idempotent.
        """
        for fd in list(self._outputs):
            self._close_output(fd)
        if self._input is not None:
            fd, self._input = self._input, None
            self._loop.remove_writer(fd)
            os.close(fd)

    def _on_exit(self) -> None:
        try:
            info = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            code = records.LOST_EXIT_CODE
        else:
            if info is None:
                return
            code = info.si_status if info.si_code == os.CLD_EXITED else 128 + info.si_status
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        if not self._exit.done():
            self._exit.set_result(code)

    def _close_output(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        if self._outputs.pop(fd, None) is not None and not (self._tty and fd == self._input):
            os.close(fd)

    async def _any_readable(self, timeout: float | None) -> bool:
        """Readers stand only while somebody waits: a slow consumer holds the process back, not the loop."""
        ready: asyncio.Future[bool] = self._loop.create_future()

        def wake(result: bool) -> None:
            if not ready.done():
                ready.set_result(result)

        fds = list(self._outputs)
        for fd in fds:
            self._loop.add_reader(fd, wake, True)
        timer = self._loop.call_later(timeout, wake, False) if timeout is not None else None

        def on_exit(_: asyncio.Future[int]) -> None:
            wake(False)

        if timeout is None:
            self._exit.add_done_callback(on_exit)
        try:
            return await ready
        finally:
            self._exit.remove_done_callback(on_exit)
            if timer is not None:
                timer.cancel()
            for fd in fds:
                if fd in self._outputs:
                    self._loop.remove_reader(fd)

    async def _writable(self, fd: int) -> None:
        """Or the process has ended: a pipe that a child of it holds may never be writable again."""
        ready: asyncio.Future[None] = self._loop.create_future()

        def wake(_: object = None) -> None:
            if not ready.done():
                ready.set_result(None)

        if self._exit.done():
            self.terminate_input()
            return
        self._loop.add_writer(fd, wake)
        self._exit.add_done_callback(wake)
        try:
            await ready
        finally:
            self._exit.remove_done_callback(wake)
            if self._input == fd:
                self._loop.remove_writer(fd)

    def terminate_input(self) -> None:
        if not self._tty and self._input is not None:
            fd, self._input = self._input, None
            os.close(fd)


def _running(instance: Instance, pod_uid: str, container: str) -> Attempt:
    found = records.attempts(instance.run_dir, pod_uid, container)
    if found and not os.path.exists(found[-1].exit):
        started = records.read(found[-1].started)
        if started is not None and records.is_alive(started):
            return found[-1]
    raise ExecError(f'container not found ("{container}")')


async def _start_pipes(
    instance: Instance, attempt: Attempt, command: Sequence[str], place: str, stdin: bool
) -> ExecSession:
    in_read, in_write = (
        os.pipe2(os.O_CLOEXEC) if stdin else (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), None)
    )
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    ours = [fd for fd in (in_write, out_read, err_read) if fd is not None]
    try:
        pidfd = await _runc_exec(instance, attempt, command, place, [], (in_read, out_write, err_write))
    except BaseException:
        for fd in ours:
            os.close(fd)
        raise
    finally:
        for fd in (in_read, out_write, err_write):
            os.close(fd)
    for fd in ours:
        os.set_blocking(fd, False)
    return ExecSession(pidfd, in_write, {out_read: STDOUT, err_read: STDERR}, tty=False)


async def _start_tty(instance: Instance, attempt: Attempt, command: Sequence[str], place: str) -> ExecSession:
    path = f"{place}.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(path)
        except OSError as error:
            raise ExecError(
                f"cannot make the terminal's socket `{path}`: {error.strerror or error}"
            ) from error
        listener.listen(1)
        listener.setblocking(False)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        receiving = asyncio.ensure_future(_receive_terminal(listener))
        try:
            options = ["--tty", "--console-socket", path, "--env", "TERM=xterm"]
            pidfd = await _runc_exec(instance, attempt, command, place, options, (null, null, null))
            async with asyncio.timeout(START_PATIENCE):
                master = await receiving
        finally:
            os.close(null)
            if not receiving.done():
                receiving.cancel()
    os.set_blocking(master, False)
    return ExecSession(pidfd, master, {master: STDOUT}, tty=True)


async def _receive_terminal(listener: socket.socket) -> int:
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(listener)
    with connection:
        # runc has sent before the exec'd process exists, so this does not block for long.
        connection.setblocking(True)
        connection.settimeout(START_PATIENCE)
        _, fds, _, _ = await asyncio.to_thread(socket.recv_fds, connection, 4096, 1)
    if not fds:
        raise ExecError("runc sent no terminal")
    os.set_inheritable(fds[0], False)
    return fds[0]


async def _runc_exec(
    instance: Instance,
    attempt: Attempt,
    command: Sequence[str],
    place: str,
    options: Sequence[str],
    stdio: tuple[int, int, int],
) -> int:
    """A pidfd of the process. Waits for runc only, whose own words go to a file: stdio is the process's."""
    runc = await asyncio.create_subprocess_exec(
        "runc",
        "--root",
        places.runc_root(instance.run_dir),
        "--log",
        f"{place}.log",
        "--log-format",
        "json",
        "exec",
        "--detach",
        "--pid-file",
        f"{place}.pid",
        *options,
        attempt.id,
        *command,
        stdin=stdio[0],
        stdout=stdio[1],
        stderr=stdio[2],
        start_new_session=True,
        umask=0o022,  # which runc hands on here, whatever the bundle says
    )
    try:
        code = await runc.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            runc.kill()
        raise
    if code != 0:
        raise _error(_last_error(f"{place}.log"))
    with open(f"{place}.pid", encoding="ascii") as file:
        # Our child now, alive or a zombie: the number cannot have changed hands.
        return os.pidfd_open(int(file.read()))


def _last_error(path: str) -> str:
    message = "runc ended without a word"
    with suppress(OSError, ValueError, KeyError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            entry = json.loads(line)
            if entry.get("level") == "error":
                message = str(entry["msg"])
    return message


def _error(message: str) -> ExecError:
    """runc's words with the exit code that a shell would give."""
    if "executable file not found" in message or "no such file or directory" in message:
        code = _NOT_FOUND
    elif "permission denied" in message or "exec format error" in message or "is a directory" in message:
        code = _CANNOT_EXECUTE
    else:
        code = 0
    return ExecError(f"OCI runtime exec failed: {message}: unknown", code)
