"""The process that starts containers and notes how they end; small, and needed by nobody to go on living.

It is the subreaper of its descendants: runc leaves a container's process behind, which becomes our child,
so its exit code is known. Containers write to files and hold nothing of ours. When this process is killed
they go on, and their new parent is init; the next monitor finds them by pid and start time and waits by
pidfd. Of an end that a monitor did not see as the parent, the code is asked of the kernel (6.15 has it),
else it is the one that Kubernetes gives to an end nobody saw.

One thread, one loop, few imports: its memory is part of every host's bill.

Protocol: a line of JSON each way. {"op": "start", "uid", "container", "attempt"} → {"pid", "started_at"} or
{"error"}; {"op": "ping"} → {"pid"}. Asking to start what was started answers with what is known.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from namewall.runtime import log_index, places, records, syscalls
from namewall.runtime.places import Attempt

Reply = Callable[[dict[str, Any]], None]

LOG_PERIOD = 0.05
"""Seconds between looks at logs that grow: the grain of their timestamps."""
_MAX_REQUEST = 65536


class Monitor:
    """All state is on disk; this holds what must be waited for."""

    def __init__(self, run_dir: str) -> None:
        self.run_dir = run_dir
        self.selector = selectors.DefaultSelector()
        self.starting: dict[int, tuple[Attempt, list[Reply]]] = {}
        """By the pid of the runc that starts it."""
        self.running: dict[int, Attempt] = {}
        """Our children, by pid."""
        self.ended_early: dict[int, int] = {}
        """Wait status of children not known yet: a container may end before its runc does."""
        self.helpers: set[int] = set()
        self.adopted: dict[int, tuple[int, Attempt]] = {}
        """By pidfd; of processes that are not our children."""
        self.logs: dict[int, Attempt] = {}
        """By inotify watch."""
        self.sizes: dict[str, int] = {}
        self.inotify = syscalls.inotify()
        self.log_pause = 0.0

    def run(self) -> None:
        syscalls.become_subreaper()
        wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        stop: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: stop.append(received))
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.selector.register(wake, selectors.EVENT_READ, lambda: self._on_signal(wake))
        self._adopt()
        listener = self._listen()
        self.selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        self.selector.register(self.inotify, selectors.EVENT_READ, self._on_logs)
        while not stop:
            timeout = None
            if self.log_pause:
                timeout = max(0.0, self.log_pause - time.monotonic())
                if timeout == 0.0:
                    self.selector.register(self.inotify, selectors.EVENT_READ, self._on_logs)
                    self.log_pause, timeout = 0.0, None
            for key, _ in self.selector.select(timeout):
                try:
                    key.data()
                except OSError as error:
                    # A pod removed under our hands, a full disk: the others still need us.
                    print(f"namewall monitor: {error}", file=sys.stderr, flush=True)
        listener.close()

    # --- requests

    def _listen(self) -> socket.socket:
        path = places.monitor_socket(self.run_dir)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        new = f"{path}.{os.getpid()}"
        listener.bind(new)
        os.chmod(new, 0o600)
        listener.listen(16)
        os.rename(new, path)
        return listener

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        received = bytearray()
        self.selector.register(connection, selectors.EVENT_READ, lambda: self._receive(connection, received))

    def _receive(self, connection: socket.socket, received: bytearray) -> None:
        try:
            data = connection.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        received += data
        if not data or len(received) > _MAX_REQUEST:
            self.selector.unregister(connection)
            connection.close()
            return
        while b"\n" in received:
            line, _, rest = bytes(received).partition(b"\n")
            received[:] = rest
            self._answer(line, lambda reply: _send(connection, reply))

    def _answer(self, line: bytes, reply: Reply) -> None:
        try:
            request = json.loads(line)
            if request["op"] == "ping":
                reply({"pid": os.getpid()})
            elif request["op"] == "start":
                attempt = Attempt(self.run_dir, request["uid"], request["container"], int(request["attempt"]))
                self._start(attempt, reply)
            else:
                reply({"error": f"unknown operation `{request['op']}`"})
        except (ValueError, KeyError, TypeError) as error:
            reply({"error": f"not a request: {error!r}"})
        except OSError as error:
            reply({"error": str(error)})

    # --- starting

    def _start(self, attempt: Attempt, reply: Reply) -> None:
        for other, replies in self.starting.values():
            if other.id == attempt.id:
                replies.append(reply)
                return
        known = records.read(attempt.started)
        if known is not None:
            reply(known)
            return
        log = os.open(attempt.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        # Both ends of the pipe in one: the container's stdin never ends, whoever else lives.
        stdin_mode = os.O_RDWR if os.path.exists(attempt.stdin) else os.O_RDONLY
        stdin = os.open(attempt.stdin if stdin_mode == os.O_RDWR else os.devnull, stdin_mode | os.O_CLOEXEC)
        try:
            pid = self._runc(
                "--log",
                attempt.runc_log,
                "--log-format",
                "json",
                "run",
                "--detach",
                "--bundle",
                attempt.directory,
                "--pid-file",
                attempt.pid_file,
                attempt.id,
                files=[
                    (os.POSIX_SPAWN_DUP2, stdin, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
            )
        finally:
            os.close(stdin)
            os.close(log)
        self._watch_log(attempt)
        self.starting[pid] = (attempt, [reply])

    def _runc(self, *arguments: str, files: list[tuple[Any, ...]]) -> int:
        path = next(
            (p for p in ("/usr/sbin/runc", "/usr/bin/runc", "/usr/local/sbin/runc") if os.path.exists(p)), ""
        )
        command = [path or "runc", "--root", places.runc_root(self.run_dir), *arguments]
        # What we or Python ignore, a container must not.
        signals = [signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ]
        return os.posix_spawnp(
            command[0], command, os.environ, file_actions=files, setsid=True, setsigdef=signals
        )

    def _started(self, attempt: Attempt, status: int, replies: list[Reply]) -> None:
        """runc is done: the container runs, has ended already, or never began."""
        pid = _read_pid(attempt)
        if os.waitstatus_to_exitcode(status) != 0 or pid is None:
            reason = _last_error(attempt.runc_log)
            answer: dict[str, Any] = {"error": reason}
            if os.path.exists(attempt.log):
                # runc speaks on the container's stderr too.
                os.truncate(attempt.log, 0)
        else:
            answer = {"pid": pid, "start_time": records.start_time(pid) or 0, "started_at": time.time()}
            records.write(attempt.started, answer)
            if pid in self.ended_early:
                self._ended(attempt, self.ended_early.pop(pid))
            else:
                self.running[pid] = attempt
        for reply in replies:
            reply(answer)

    # --- ends

    def _on_signal(self, wake: int) -> None:
        try:
            while os.read(wake, 4096):
                pass
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self.starting:
                attempt, replies = self.starting.pop(pid)
                self._started(attempt, status, replies)
            elif pid in self.running:
                self._ended(self.running.pop(pid), status)
            elif pid in self.helpers:
                self.helpers.discard(pid)
            else:
                self.ended_early[pid] = status
        if not self.starting:
            self.ended_early.clear()

    def _ended(self, attempt: Attempt, status: int | None) -> None:
        """`status` is a wait status, None where nobody knows."""
        self._note_size(attempt)
        end: dict[str, Any] = {"finished_at": time.time()}
        if status is None:
            end |= {"exit_code": records.LOST_EXIT_CODE, "reason": records.LOST_REASON}
        elif os.WIFSIGNALED(status):
            end |= {"exit_code": 128 + os.WTERMSIG(status), "signal": os.WTERMSIG(status)}
        else:
            end |= {"exit_code": os.WEXITSTATUS(status)}
        if os.path.isdir(attempt.directory):
            records.write(attempt.exit, end, once=True)
            null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
            self.helpers.add(self._runc("delete", "--force", attempt.id, files=null))
        for watch, other in list(self.logs.items()):
            if other.id == attempt.id:
                del self.logs[watch]
                syscalls.inotify_unwatch(self.inotify, watch)
        self.sizes.pop(attempt.id, None)

    def _adopt(self) -> None:
        """Take up what an earlier monitor started; what ended meanwhile gets its record."""
        for attempt in records.all_attempts(self.run_dir):
            if os.path.exists(attempt.exit):
                continue
            started = records.read(attempt.started)
            if started is None:
                started = self._recover_start(attempt)
                if started is None:
                    continue
            pidfd = _open_process(started)
            if pidfd is None:
                self._ended(attempt, None)
                continue
            self.adopted[pidfd] = (started["pid"], attempt)
            self.selector.register(pidfd, selectors.EVENT_READ, lambda fd=pidfd: self._adopted_ended(fd))
            self._watch_log(attempt)
            self._note_size(attempt)

    def _recover_start(self, attempt: Attempt) -> dict[str, Any] | None:
        """The earlier monitor died between runc's pid file and its own record."""
        pid = _read_pid(attempt)
        if pid is None:
            return None
        try:
            with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
                is_ours = f"/{attempt.uid}/{attempt.container}-{attempt.number}\n" in file.read()
        except OSError:
            is_ours = False
        started = {
            "pid": pid,
            "start_time": (records.start_time(pid) or 0) if is_ours else 0,
            "started_at": os.stat(attempt.pid_file).st_mtime,
        }
        records.write(attempt.started, started)
        return started

    def _adopted_ended(self, pidfd: int) -> None:
        _, attempt = self.adopted.pop(pidfd)
        self.selector.unregister(pidfd)
        status = None
        # The code is there once the process is reaped, by init: a moment after the pidfd tells.
        for _ in range(50):
            status = syscalls.exit_status(pidfd)
            if status is not None:
                break
            time.sleep(0.002)
        os.close(pidfd)
        self._ended(attempt, status)

    # --- logs

    def _watch_log(self, attempt: Attempt) -> None:
        with_fd = os.open(attempt.log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(with_fd)
        self.logs[syscalls.inotify_watch(self.inotify, attempt.log, syscalls.IN_MODIFY)] = attempt

    def _on_logs(self) -> None:
        """Note what grew, then look away for LOG_PERIOD: a chatty container costs no more than that."""
        try:
            raw = os.read(self.inotify, 65536)
        except BlockingIOError:
            return
        watches = set()
        while raw:
            watches.add(int.from_bytes(raw[:4], sys.byteorder, signed=True))
            raw = raw[16 + int.from_bytes(raw[12:16], sys.byteorder) :]
        for watch in watches:
            if watch in self.logs:
                self._note_size(self.logs[watch])
        self.selector.unregister(self.inotify)
        self.log_pause = time.monotonic() + LOG_PERIOD

    def _note_size(self, attempt: Attempt) -> None:
        try:
            log = os.open(attempt.log, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        size = os.fstat(log).st_size
        if size > self.sizes.get(attempt.id, 0):
            index = os.open(attempt.log_index, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            log_index.note(index, time.time_ns(), size)
            log_index.bound(index, log_index.KEEP_INDEX)
            os.close(index)
            log_index.bound(log, log_index.KEEP)
            self.sizes[attempt.id] = size
        os.close(log)


def _send(connection: socket.socket, reply: dict[str, Any]) -> None:
    try:
        connection.sendall(json.dumps(reply).encode() + b"\n")
    except OSError:
        # Who asked is gone; the record on disk tells whoever asks next.
        return


def _read_pid(attempt: Attempt) -> int | None:
    try:
        with open(attempt.pid_file, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _open_process(started: dict[str, Any]) -> int | None:
    """A pidfd of the process that was started; None where it has ended."""
    if not records.is_alive(started):
        return None
    try:
        pidfd = os.pidfd_open(started["pid"])
    except OSError:
        return None
    # Looked at again, for the number may have changed hands in between.
    if records.is_alive(started):
        return pidfd
    os.close(pidfd)
    return None


def _last_error(path: str) -> str:
    """The last message of runc's JSON log, in runc's words."""
    message = "runc ended without a word"
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                entry = json.loads(line)
                if entry.get("level") == "error":
                    message = str(entry["msg"])
    except (OSError, ValueError, KeyError):
        pass
    return message


def main(run_dir: str) -> None:
    """Until SIGTERM. Containers are not touched."""
    os.makedirs(places.pods(run_dir), mode=0o700, exist_ok=True)
    Monitor(run_dir).run()


if __name__ == "__main__":
    # Started as a module of its own, without the CLI's imports: a third of the memory.
    main(sys.argv[1])
