"""Objects in SQLite, and the log of their changes that watches and controllers follow.

Every method is synchronous and quick (tens of microseconds): on one event loop each call is atomic, so a
read-modify-write without an await in between needs no lock and cannot conflict.

Durability: WAL with synchronous=NORMAL. A commit is written to the WAL by write(2) before the method returns, so
what was answered survives any death of the process (kill -9); an fsync per write, which only a power failure or a
kernel crash would need, happens at checkpoints. Such a crash may lose the last writes, never the database.

One global counter is the resourceVersion. The log keeps the newest changes in memory; who asks for older ones is
told so (410) and lists again. After a restart the log is empty and begins at the stored counter.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from namewall.apiserver.values import Object, dig, dumps

LOG_CHANGES = 2048
"""Changes kept for watches, and their bytes: a kubectl that was away for a while goes on without a new list."""
LOG_BYTES = 2 * 1024 * 1024

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 0), value INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (0, 1);
CREATE TABLE IF NOT EXISTS objects (
  resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  uid TEXT NOT NULL, version INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (resource, namespace, name));
CREATE INDEX IF NOT EXISTS objects_uid ON objects (uid);
CREATE TABLE IF NOT EXISTS owners (owner TEXT NOT NULL, uid TEXT NOT NULL, PRIMARY KEY (owner, uid)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS owners_uid ON owners (uid);
"""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """`resource` is the group resource, as `deployments.apps`; `namespace` is "" for cluster-scoped objects."""

    resource: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """`old` is None for ADDED; for DELETED `new` is the last state with the version of the deletion."""

    version: int
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    key: Key
    new: bytes
    old: bytes | None

    @property
    def size(self) -> int:
        return len(self.new) + len(self.old or b"")

    def object(self) -> Object:
        result: Object = json.loads(self.new)
        return result


class Expired(Exception):
    """The changes after the asked version are not all in the log any more."""


class Exists(Exception):
    """An object of that key is there already."""


class Store:
    """All objects of one instance. Objects go in and come out as JSON bytes or dicts."""

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA cache_size=-1024")
        self._db.executescript(_SCHEMA)
        self._version: int = self._db.execute("SELECT value FROM counter").fetchone()[0]
        self._log: deque[Change] = deque()
        self._log_bytes = 0
        self._oldest = self._version
        self._waiters: set[asyncio.Future[None]] = set()
        self._listeners: list[Callable[[Change], None]] = []

    def close(self) -> None:
        self._db.close()

    @property
    def version(self) -> int:
        """The resourceVersion of the newest change."""
        return self._version

    # --- reading ------------------------------------------------------------------------------------------

    def get_raw(self, key: Key) -> bytes | None:
        row = self._db.execute(
            "SELECT data FROM objects WHERE resource = ? AND namespace = ? AND name = ?",
            (key.resource, key.namespace, key.name),
        ).fetchone()
        return row[0] if row else None

    def get(self, key: Key) -> Object | None:
        raw = self.get_raw(key)
        return json.loads(raw) if raw is not None else None

    def list_raw(
        self, resource: str, namespace: str = "", *, after: tuple[str, str] | None = None, limit: int = -1
    ) -> list[bytes]:
        """In order of namespace and name; `namespace` "" means all; `after` is the last key of the page before."""
        query = "SELECT data FROM objects WHERE resource = ?"
        values: list[str | int] = [resource]
        if namespace:
            query += " AND namespace = ?"
            values.append(namespace)
        if after is not None:
            query += " AND (namespace, name) > (?, ?)"
            values += after
        query += " ORDER BY namespace, name LIMIT ?"
        values.append(limit)
        return [row[0] for row in self._db.execute(query, values)]

    def objects(self, resource: str, namespace: str = "") -> list[Object]:
        return [json.loads(raw) for raw in self.list_raw(resource, namespace)]

    def count(self, resource: str, namespace: str = "") -> int:
        query = "SELECT count(*) FROM objects WHERE resource = ?"
        values = [resource]
        if namespace:
            query += " AND namespace = ?"
            values.append(namespace)
        number: int = self._db.execute(query, values).fetchone()[0]
        return number

    def counts(self) -> dict[str, int]:
        """Objects per resource."""
        return dict(self._db.execute("SELECT resource, count(*) FROM objects GROUP BY resource"))

    def keys(self, namespace: str) -> list[Key]:
        """Every object in a namespace."""
        rows = self._db.execute(
            "SELECT resource, namespace, name FROM objects WHERE namespace = ? ORDER BY resource, name",
            (namespace,),
        )
        return [Key(*row) for row in rows]

    def by_uid(self, uid: str) -> Key | None:
        row = self._db.execute(
            "SELECT resource, namespace, name FROM objects WHERE uid = ?", (uid,)
        ).fetchone()
        return Key(*row) if row else None

    def dependents(self, owner: str) -> list[Key]:
        """The objects whose ownerReferences name the uid `owner`."""
        rows = self._db.execute(
            "SELECT resource, namespace, name FROM owners JOIN objects USING (uid) WHERE owner = ? "
            "ORDER BY resource, namespace, name",
            (owner,),
        )
        return [Key(*row) for row in rows]

    def own_or_free(self, resource: str, namespace: str, owner: str) -> list[Object]:
        """What the uid `owner` owns of a resource in a namespace, and what nobody owns there."""
        rows = self._db.execute(
            "SELECT data FROM objects LEFT JOIN owners USING (uid) "
            "WHERE resource = ? AND namespace = ? AND (owner = ? OR owner IS NULL) ORDER BY name",
            (resource, namespace, owner),
        )
        return [json.loads(row[0]) for row in rows]

    def owners(self) -> list[str]:
        """Every uid that some object names as its owner."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT owner FROM owners")]

    # --- writing ------------------------------------------------------------------------------------------

    def create(self, key: Key, obj: Object) -> Object:
        """Stores a new object; sets its resourceVersion in place. Raises Exists."""
        version = self._version + 1
        obj["metadata"]["resourceVersion"] = str(version)
        data = dumps(obj)
        uid = obj["metadata"]["uid"]
        try:
            with self._transaction(version):
                self._db.execute(
                    "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)",
                    (key.resource, key.namespace, key.name, uid, version, data),
                )
                self._set_owners(uid, obj)
        except sqlite3.IntegrityError:
            raise Exists(key) from None
        self._changed(Change(version, "ADDED", key, data, None))
        return obj

    def update(self, key: Key, obj: Object) -> Object:
        """Replaces an object that is there; sets its resourceVersion in place. Raises KeyError."""
        old = self.get_raw(key)
        if old is None:
            raise KeyError(key)
        version = self._version + 1
        obj["metadata"]["resourceVersion"] = str(version)
        data = dumps(obj)
        uid = obj["metadata"]["uid"]
        with self._transaction(version):
            self._db.execute(
                "UPDATE objects SET uid = ?, version = ?, data = ? "
                "WHERE resource = ? AND namespace = ? AND name = ?",
                (uid, version, data, key.resource, key.namespace, key.name),
            )
            self._set_owners(uid, obj)
        self._changed(Change(version, "MODIFIED", key, data, old))
        return obj

    def delete(self, key: Key, last: Object | None = None) -> Object:
        """Removes an object for good. `last` is its last state if that differs from the stored one."""
        old = self.get_raw(key)
        if old is None:
            raise KeyError(key)
        version = self._version + 1
        obj: Object = last if last is not None else json.loads(old)
        obj["metadata"]["resourceVersion"] = str(version)
        with self._transaction(version):
            self._db.execute(
                "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?",
                (key.resource, key.namespace, key.name),
            )
            self._db.execute("DELETE FROM owners WHERE uid = ?", (obj["metadata"]["uid"],))
        self._changed(Change(version, "DELETED", key, dumps(obj), old))
        return obj

    def _set_owners(self, uid: str, obj: Object) -> None:
        self._db.execute("DELETE FROM owners WHERE uid = ?", (uid,))
        for reference in dig(obj, "metadata", "ownerReferences", default=[]):
            self._db.execute("INSERT OR IGNORE INTO owners VALUES (?, ?)", (reference.get("uid"), uid))

    def _transaction(self, version: int) -> _Transaction:
        return _Transaction(self._db, version)

    # --- following ----------------------------------------------------------------------------------------

    def _changed(self, change: Change) -> None:
        self._version = change.version
        self._log.append(change)
        self._log_bytes += change.size
        while len(self._log) > LOG_CHANGES or self._log_bytes > LOG_BYTES:
            gone = self._log.popleft()
            self._log_bytes -= gone.size
            self._oldest = gone.version
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        for listener in self._listeners:
            listener(change)

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Calls `listener` after every change, from inside the write: it must only take a note."""
        self._listeners.append(listener)

    def since(self, version: int) -> Iterator[Change]:
        """The changes after `version`, oldest first. Raises Expired before the first one."""
        if version < self._oldest:
            raise Expired(f"too old resource version: {version} ({self._oldest})")
        found = []
        for change in reversed(self._log):
            if change.version <= version:
                break
            found.append(change)
        return reversed(found)

    async def changed(self, version: int, timeout: float) -> bool:
        """Waits until there is a change after `version`; False when `timeout` seconds passed before."""
        if self._version > version:
            return True
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)
        return True


class _Transaction:
    """One write with the counter it takes; all or nothing."""

    def __init__(self, db: sqlite3.Connection, version: int) -> None:
        self._db = db
        self._version = version

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("UPDATE counter SET value = ?", (self._version,))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._db.execute("ROLLBACK" if kind else "COMMIT")
