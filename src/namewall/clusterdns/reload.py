"""Notices when the records document changes on disk.

By looking at it a few times a second: a ConfigMap volume is replaced by renames, mounts and links in more
ways than inotify reports on one watch, and a look costs some microseconds.
"""

from __future__ import annotations

import os
import stat

from namewall.clusterdns.records import KEY

INTERVAL = 0.2
"""Seconds between looks."""

Signature = tuple[int, int, int, int]


class Document:
    """A file, or `records.json` in a folder."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: Signature | None = None

    def changed(self) -> bytes | None:
        """The octets where they may have changed since the last call, else None; None while it is absent."""
        try:
            path = os.path.join(self._path, KEY) if os.path.isdir(self._path) else self._path
            found = os.stat(path)
            signature = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
            if signature == self._seen or not stat.S_ISREG(found.st_mode):
                return None
            with open(path, "rb") as file:
                octets = file.read()
        except OSError:
            return None
        # What the stat before the reading said: a change meanwhile is then seen at the next look.
        self._seen = signature
        return octets
