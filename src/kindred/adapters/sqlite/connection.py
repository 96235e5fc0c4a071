"""Connections to SQLite files as every store of this folder opens them, and its errors in Kindred's words."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from kindred.core import files
from kindred.core.errors import StoreFull, StoreUnavailable

Synchronous = Literal["FULL", "NORMAL", "OFF"]

_PRIMARY = 0xFF
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_ADVICE = {
    sqlite3.SQLITE_BUSY: "another process kept it locked; try again",
    sqlite3.SQLITE_LOCKED: "another statement kept it locked; try again",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "see that its folder exists and may be entered and written by this user",
    sqlite3.SQLITE_IOERR: "the disk refused; see the system's log and the file size limits",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a copy",
    sqlite3.SQLITE_NOTADB: "the file is not a database; move it away or restore it from a copy",
}


@contextmanager
def translating(store: str) -> Iterator[None]:
    """Turn SQLite's and the file system's errors into StoreFull or StoreUnavailable that name `store`."""
    try:
        with files.translating(store):
            yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None) or 0
        if code in _NO_ROOM or code & _PRIMARY == sqlite3.SQLITE_FULL:
            raise StoreFull(f"{store}: no room left on the disk; make room and try again") from error
        advice = _ADVICE.get(code & _PRIMARY)
        raise StoreUnavailable(f"{store}: {error}" + (f" ({advice})" if advice else "")) from error


def open_connection(
    path: Path, *, synchronous: Synchronous = "FULL", schema: str = "", busy_seconds: float = 10.0
) -> sqlite3.Connection:
    """Open (or create) a WAL database in autocommit mode; any thread may use the connection, one at a time.

    `schema` is a script of `CREATE … IF NOT EXISTS`, run under an OS lock so that processes that start together
    do not trip over one another. `FULL` syncs each commit before it returns; `NORMAL` survives the end of the process
    only; `busy_seconds`: how long a statement waits for a lock. Raise StoreUnavailable or StoreFull.
    """
    with translating(str(path)):
        files.make_folder(path.parent)
        with exclusive(path.with_name(path.name + ".open")):
            connection = sqlite3.connect(path, busy_seconds, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, synchronous, schema)
            except BaseException:
                connection.close()
                raise
        return connection


def _prepare(connection: sqlite3.Connection, synchronous: Synchronous, schema: str) -> None:
    """Set the pragmas and create what is missing."""
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    if schema:
        connection.executescript(schema)


def copy_database(source: Path, target: Path) -> None:
    """Write a consistent copy of a database in use to a new file that only its owner may read, durably."""
    with translating(str(target)):
        files.make_folder(target.parent)
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        reading, writing = sqlite3.connect(source), sqlite3.connect(target)
        try:
            reading.backup(writing)
        finally:
            writing.close()
            reading.close()
        files.sync(target)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run the block in one write transaction: committed at its end, rolled back when it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled it back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class FileLock:
    """An OS lock on a file that stays open: cheaper than `exclusive` for one thread that takes it again and again."""

    def __init__(self, path: Path) -> None:
        """Open the file; raise OSError."""
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def __enter__(self) -> None:
        """Wait in the queue for the lock; it is freed when the process dies."""
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def __exit__(self, *raised: object) -> None:
        """Give the lock to the next one."""
        fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold an OS lock on `path` for the block; waiters queue; it is freed when the process dies."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
