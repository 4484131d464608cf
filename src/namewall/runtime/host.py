"""The host's own settings while Namewall runs: forwarding on, and everything back as it was afterwards.

Turning forwarding on changes more than itself: the kernel rewrites per-interface values, stops accepting
router advertisements and drops the default routes it learned from them. So uplinks that listen to
advertisements get accept_ra=2 before, and what is restored is not a list we know by heart but every value
below net.ipv4.conf and net.ipv6.conf that was found to have changed.

Sysctls belong to the host, not to an instance: the record stands outside of any instance, with a file for
each user, and the last one to leave restores.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from namewall.model.instance import Instance

RECORD = "/run/namewall-host"
"""saved.json {path: value before}, and users/NAME holding the user's run directory."""

_ROOT = "/proc/sys/net"
_SWITCHES = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")


def prepare_host(instance: Instance) -> None:
    """Idempotent, also beside other instances."""
    with _locked():
        os.makedirs(f"{RECORD}/users", exist_ok=True)
        saved = _recorded()
        before = _values()
        # First on disk, then changed: a crash in between must leave something to restore from.
        _write(f"{RECORD}/before.json", json.dumps(before | saved))
        _enable(before)
        after = _values()
        changed = {path: value for path, value in before.items() if after.get(path, value) != value}
        _write(f"{RECORD}/saved.json", json.dumps(changed | saved))
        os.unlink(f"{RECORD}/before.json")
        _write(_user_file(instance), instance.run_dir)


def restore_host(instance: Instance) -> None:
    """Idempotent; changes nothing while another instance still needs forwarding."""
    if not os.path.isdir(RECORD):
        return
    with _locked():
        with suppress(FileNotFoundError):
            os.unlink(_user_file(instance))
        if _users():
            return
        saved = _recorded()
        # The switches first: they rewrite the others.
        for path in (*_SWITCHES, *sorted(set(saved) - set(_SWITCHES))):
            if path in saved and _read(path) not in (None, saved[path]):
                _set(path, saved[path])
        for name in ("saved.json", "before.json"):
            with suppress(FileNotFoundError):
                os.unlink(f"{RECORD}/{name}")
        os.rmdir(f"{RECORD}/users")
        os.unlink(f"{RECORD}/lock")
        os.rmdir(RECORD)


def _recorded() -> dict[str, str]:
    """Values before, by path. `before.json` is there only after a crash in `prepare_host`."""
    saved: dict[str, str] = {}
    for name in ("before.json", "saved.json"):
        with suppress(FileNotFoundError), open(f"{RECORD}/{name}", encoding="ascii") as file:
            saved |= json.load(file)
    return saved


def _enable(values: dict[str, str]) -> None:
    for path, value in values.items():
        parts = path.split("/")
        if parts[0] == "ipv6" and parts[-1] == "accept_ra" and value == "1" and parts[2] != "all":
            # A pod link of ours never has 1; `default` too, for a link that is plugged in later.
            _set(path, "2")
    for path in _SWITCHES:
        if _read(path) == "0":
            _set(path, "1")


def _values() -> dict[str, str]:
    """Everything readable below conf/, and the switches. `stable_secret` answers EIO until it is set."""
    found = {}
    for path in [f"{_ROOT}/{switch}" for switch in _SWITCHES] + glob.glob(f"{_ROOT}/ipv[46]/conf/*/*"):
        value = _read(os.path.relpath(path, _ROOT))
        if value is not None:
            found[os.path.relpath(path, _ROOT)] = value
    return found


def _read(path: str) -> str | None:
    try:
        with open(f"{_ROOT}/{path}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def _set(path: str, value: str) -> None:
    # An interface may be gone meanwhile.
    with suppress(FileNotFoundError), open(f"{_ROOT}/{path}", "w", encoding="ascii") as file:
        file.write(value)


def _users() -> list[str]:
    """The instances that still are: one whose run directory was deleted can need nothing."""
    alive = []
    for name in os.listdir(f"{RECORD}/users"):
        path = f"{RECORD}/users/{name}"
        with open(path, encoding="utf-8") as file:
            if os.path.isdir(file.read()):
                alive.append(name)
            else:
                os.unlink(path)
    return alive


def _user_file(instance: Instance) -> str:
    return f"{RECORD}/users/{zlib.crc32(instance.root.encode()):08x}"


def _write(path: str, text: str) -> None:
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


@contextmanager
def _locked() -> Iterator[None]:
    """One at a time; the lock file goes with the record, so whoever waited looks whether it still is the
    one.
    """
    while True:
        os.makedirs(RECORD, mode=0o700, exist_ok=True)
        fd = os.open(f"{RECORD}/lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _is_same(fd, f"{RECORD}/lock"):
                yield
                return
        finally:
            os.close(fd)


def _is_same(fd: int, path: str) -> bool:
    try:
        return os.stat(path).st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False
